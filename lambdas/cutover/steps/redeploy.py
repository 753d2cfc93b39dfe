"""The four steps of the manual rollback (requirement D3): block, redeploy, health, restore.

The instant rollback goes to what still stands on the other colour. This one brings any former release back by
its image: it takes the environment's lock like a deployment, and each step may be run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import (
    ConflictError,
    ImageNotFoundError,
    LockHeldError,
    NothingToRollBackError,
    ReleaseFailedError,
    ThrottledError,
    UnhealthyTargetsError,
)
from cutover.domain.failure import read_failure
from cutover.domain.health import health_of, instances_of
from cutover.domain.input import read_id
from cutover.domain.lock import LockRecord
from cutover.domain.records import (
    LIVE,
    LOCK,
    Deployment,
    Live,
    LiveFrontend,
    Status,
    colour_key,
    deployment_key,
    history_key,
    read_lock,
    services_of,
)
from cutover.domain.redeploy import Gate, Wish, decide_gate, former, read_wish, wanted_deployment
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.ports import Change, Invocation
from cutover.steps.aftermath import World, attempt
from cutover.steps.clean_up import stop_containers
from cutover.steps.records import ending, read_live, require_lock, unlocking, update_record
from cutover.steps.release import UNFINISHED, Part, release_parameters, told
from cutover.steps.roll_back import roll_back_by_hand
from cutover.steps.traffic import aim, move_traffic, takers

if TYPE_CHECKING:
    from cutover.domain.environment import Services
    from cutover.ports import Registry

ATTEMPTS = 5
MODE = "rollback"


class Workshop(World, Protocol):
    """What the redeployment needs besides."""

    @property
    def registries(self) -> Mapping[Service, Registry]: ...


def begin(execution: Mapping[str, Any], raw: object, environment: str, world: Workshop) -> dict[str, Any]:
    """Everything is looked at, users are moved to what stands soundly on the other colour, the lock is taken.

    {status: open | done, deployment, plan, reason}; `done` when the release that was asked for stood on the
    other colour and has the traffic now. With nothing to go back to, or an image that is gone, it raises and
    nothing was touched. Raises LockHeldError while another manual rollback runs.
    """
    wish, identity = read_wish(raw, environment), read_id(execution.get("Name"))
    record = world.journal.read(deployment_key(identity))
    if record is None:
        # First of all: nothing is touched for a release that can't be brought back.
        live = read_live(world.journal)
        to = wanted_deployment(wish, live, environment)
        release = former(to, world.journal.read(deployment_key(to)))
        images = {Service.BACKEND: release.image, Service.FRONTEND: release.frontend_image}
        for service, image in images.items():
            if image is not None and world.registries[service].digest(digest=image) is None:
                raise ImageNotFoundError(
                    f"the {service}'s image of deployment {to} ({image}) is gone from the registry; "
                    "deploy its source anew"
                )
        assert live is not None
        moved = _instant(live, wish, environment, world)
        if moved:
            live = read_live(world.journal) or live
            if live.deployment == to:
                return {
                    "status": "done",
                    "action": "rolled_back",
                    "reason": f"{to} stood on {live.colour} and has the traffic",
                    "deployment": None,
                    "plan": None,
                }
        plan = {
            **release.as_json(),
            "colour": live.colour.other.value,
            "leaves": live.deployment,
            "from": live.colour.value,
            "targets": live.targets.as_json(),
            Service.FRONTEND.value: {"targets": live.frontend.targets.as_json()} if live.frontend else None,
            "moved": moved,
        }
        record = _open(identity, str(execution.get("Id")), wish, environment, plan=plan, world=world)
    return {"status": "open", "deployment": record["payload"], "plan": record["plan"]}


def block(deployment: Deployment, plan: Mapping[str, Any], world: Workshop) -> dict[str, Any]:
    """Step 1: {status: blocked | moved, reason}. Users are kept from what is live: answered 503, unless they
    have been moved already. The record says so before the listener does, so that it is always undone."""
    if plan["moved"]:
        return {"status": "moved", "reason": "users are with the release that stood on the other colour"}
    update_record(world.journal, deployment, {"blocked": True})
    for targets in _services(plan).values():
        world.balancer.block(targets.listener_arn)
    return {"status": "blocked", "reason": "users are answered 503 until the release is up"}


def _instant(live: Live, wish: Wish, environment: str, world: Workshop) -> bool:
    """Move users to what stands on the other colour, where that is sound, at once; False where it is not."""
    other = live.colour.other
    line = world.journal.read(colour_key(other)) or {}
    health = health_of(world.balancer.health(live.targets.of(other)))
    decision = decide_gate(live, line.get("deployment"), health)
    if decision.gate is Gate.BLOCK and live.candidate is None:
        return False
    try:
        answer = roll_back_by_hand(wish.reason, wish.by, environment, environment, world)
    except NothingToRollBackError:
        return False
    return bool(answer["action"] == "rolled_back")


def _open(
    identity: str, arn: str, wish: Wish, environment: str, *, plan: Mapping[str, Any], world: Workshop
) -> Mapping[str, Any]:
    """Lock and record in one write; a deployment under way is stopped and loses its lock to this."""
    for _ in range(ATTEMPTS):
        held, now = read_lock(world.journal.read(LOCK)), text(world.clock.now())
        fence = (held.fence if held else 0) + 1
        payload = {
            "id": identity,
            "version": plan["version"],
            "environment": environment,
            "fence": fence,
            "started": now,
            "mode": MODE,
            "settings": plan["settings"],
        }
        record = {
            "id": identity,
            "version": plan["version"],
            "mode": MODE,
            "status": Status.RUNNING.value,
            "started": now,
            "execution_arn": arn,
            "phases": [],
            "cause": f"rolled back by {wish.by}: {wish.reason}",
            "payload": payload,
            "plan": dict(plan),
        }
        line = {"id": identity, "version": plan["version"], "mode": MODE, "status": Status.RUNNING.value}
        try:
            world.journal.write(
                [
                    Change(
                        "put",
                        LOCK,
                        {"holder": identity, "fence": fence, "since": now, "execution_arn": arn},
                        expect={"holder": held.holder, "fence": held.fence} if held else {},
                        absent=held is None,
                    ),
                    Change("check", LIVE, expect={"deployment": _live_now(world).deployment}),
                    Change("put", deployment_key(identity), record),
                    Change("put", history_key(now, identity), line),
                    *_stopped(held, identity, now, world),
                ]
            )
        except ConflictError:
            continue
        return record
    raise ThrottledError(f"the lock changed hands {ATTEMPTS} times while {identity} asked for it")


def _live_now(world: World) -> Live:
    live = read_live(world.journal)
    if live is None:
        raise NothingToRollBackError("nothing is live any more")
    return live


def _stopped(held: LockRecord | None, identity: str, now: str, world: World) -> list[Change]:
    if held is None or held.holder is None:
        return []
    record = world.journal.read(deployment_key(held.holder)) or {}
    runs = bool(held.execution_arn) and world.executions.runs(str(held.execution_arn))
    if record.get("mode") == MODE and runs:
        raise LockHeldError(f"the rollback {held.holder} is under way since {held.since}; wait for its end")
    if held.execution_arn and runs:
        world.executions.stop(held.execution_arn, f"Stopped by the rollback {identity}")
    if record.get("status") != Status.RUNNING:
        return []
    cause = {"cause": f"stopped by the manual rollback {identity}"}
    return ending(held.holder, str(record["started"]), Status.ABANDONED, now, cause)


def _services(plan: Mapping[str, Any]) -> Services:
    """Those that come back: a former release from before there was a frontend has none."""
    return {
        service: targets
        for service, targets in services_of(plan).items()
        if service is Service.BACKEND or plan.get("frontend_image")
    }


def send(deployment: Deployment, plan: Mapping[str, Any], world: Workshop) -> dict[str, Any]:
    """Step 2: {status: waiting, command}. The images go to every instance of the other colour."""
    record = world.journal.read(deployment.key) or {}
    commands = [_send(deployment, plan, service, record, world) for service in _services(plan)]
    return {"status": "waiting", "command": commands[0]}


def _send(
    deployment: Deployment,
    plan: Mapping[str, Any],
    service: Service,
    record: Mapping[str, Any],
    world: Workshop,
) -> str:
    part = Part(service, str(plan[f"{_prefix(service)}image_uri"]))
    if command := record.get(f"{part.prefix}command_id"):
        return str(command)
    colour, targets = Colour(plan["colour"]), _services(plan)[service]
    instances = instances_of(world.balancer.health(targets.of(colour)))
    if not instances:
        raise ReleaseFailedError(
            f"{colour} has no registered instance{part.of}, so there is nothing to release on"
        )
    line = {
        "deployment": plan["deployment"],
        "version": plan["version"],
        "image": plan[f"{part.prefix}image"],
        "settings": plan["settings"],
        "released": False,
    }
    world.journal.write([Change("put", colour_key(colour, service), line)], lock=deployment.lock)
    what = replace(deployment, id=str(plan["deployment"]), settings=plan["settings"])
    parameters = release_parameters("release", what, part.image_uri, colour)
    command = world.commands.send(
        world.documents[service], instances, parameters, f"cutover {deployment.id} redeploy"
    )
    sent = {f"{part.prefix}command_id": command, f"{part.prefix}command_instances": len(instances)}
    update_record(world.journal, deployment, sent)
    return command


def _prefix(service: Service) -> str:
    return Part(service, "").prefix


def look(deployment: Deployment, plan: Mapping[str, Any], world: Workshop) -> dict[str, Any]:
    """Steps 2 and 3: {status: waiting | up | healthy, found}: the scripts on every instance, then the
    balancer. Raises ReleaseFailedError with the script's last lines."""
    record = world.journal.read(deployment.key) or {}
    colour, found, well = Colour(plan["colour"]), [], True
    for service, targets in _services(plan).items():
        invocations = world.commands.invocations(str(record[f"{_prefix(service)}command_id"]))
        failed = [one for one in invocations if one.status != "Success" and one.status not in UNFINISHED]
        if failed:
            raise ReleaseFailedError("; ".join(told(one) for one in failed))
        wanted = int(record[f"{_prefix(service)}command_instances"])
        if not _all_up(invocations, wanted):
            return {"status": "waiting", "found": f"the script runs on {wanted} instances"}
        health = health_of(world.balancer.health(targets.of(colour)))
        well = well and health.total > 0 and health.healthy == health.total
        found.append(f"{health}{Part(service, '').of}")
    return {"status": "healthy" if well else "up", "found": "; ".join(found)}


def _all_up(invocations: Any, wanted: int) -> bool:
    up: list[Invocation] = [one for one in invocations if one.status == "Success"]
    return len(up) >= wanted


def restore(
    deployment: Deployment, plan: Mapping[str, Any], steps: list[Mapping[str, Any]], world: Workshop
) -> dict[str, Any]:
    """Step 4: the traffic goes to the former release, and everything is written down and told."""
    began = world.clock.monotonic()
    record = world.journal.read(deployment.key) or {}
    colour, services = Colour(plan["colour"]), _services(plan)
    live = _live_now(world)
    if record.get("status") != Status.SUCCEEDED:
        require_lock(world.journal, deployment.lock)
        for service, targets in services.items():
            health = health_of(world.balancer.health(targets.of(colour)))
            if health.healthy == 0 or health.share < live.healthy_share:
                raise UnhealthyTargetsError(f"{colour} can't take the traffic of the {service}: {health}")
        move_traffic(services, Weights.all_on(colour), balancer=world.balancer)
        own = {"name": "Restore traffic", "budget_seconds": 30, "seconds": world.clock.monotonic() - began}
        steps = [*steps, own]
        world.journal.write(
            _restored(deployment, plan, live=live, record=record, now=text(world.clock.now()), steps=steps)
        )
    problems: list[str] = []
    attempt("aim the test listener", problems, lambda: aim(services, colour.other, balancer=world.balancer))
    if not plan["moved"]:
        left = world.journal.read(deployment_key(str(plan["leaves"]))) or {}
        attempt("stop the containers", problems, lambda: stop_containers(colour.other, services, left, world))
    answer = {
        "action": "rolled_back",
        "deployment": deployment.id,
        "to": str(plan["deployment"]),
        "version": str(plan["version"]),
        "colour": colour.value,
        "steps": steps,
        "cause": record.get("cause"),
    }
    event = {**answer, "from": str(plan["from"]), "asked_at": deployment.started}
    attempt("tell the bus", problems, lambda: world.events.publish("RolledBack", event))
    return {**answer, "problems": problems}


def _restored(
    deployment: Deployment,
    plan: Mapping[str, Any],
    *,
    live: Live,
    record: Mapping[str, Any],
    now: str,
    steps: list[Mapping[str, Any]],
) -> list[Change]:
    """The former release is live; nobody goes back from it to the one that it replaces."""
    colour = Colour(plan["colour"])
    again = replace(
        live,
        deployment=str(plan["deployment"]),
        version=str(plan["version"]),
        image=str(plan["image"]),
        colour=colour,
        previous_deployment=live.deployment,
        previous_colour=live.colour,
        previous_version=live.version,
        previous_image=live.image,
        swapped_at=now,
        rolled_back=True,
        candidate=None,
        frontend=_frontend(plan, live, colour),
    )
    return [
        Change("put", LIVE, again.item(), expect={"deployment": live.deployment}),
        *(Change("update", colour_key(colour, service), {"released": True}) for service in _services(plan)),
        unlocking(deployment.lock, now),
        *ending(
            deployment.id,
            deployment.started,
            Status.SUCCEEDED,
            now,
            {"phases": [dict(step) for step in steps], "blocked": False, "cause": record.get("cause")},
        ),
    ]


def _frontend(plan: Mapping[str, Any], live: Live, colour: Colour) -> LiveFrontend | None:
    if live.frontend is None or not plan.get("frontend_image"):
        return live.frontend
    return replace(
        live.frontend,
        image=str(plan["frontend_image"]),
        previous_image=live.frontend.image,
        colour=colour,
    )


def undo(
    deployment: Deployment, plan: Mapping[str, Any], failure: Mapping[str, Any], world: Workshop
) -> dict[str, Any]:
    """A step has failed: users go back to what they had, if that has a healthy target; a person is called.

    {cause}: the words for the execution's Cause field.
    """
    record = world.journal.read(deployment.key) or {}
    what, problems = read_failure(failure), list[str]()
    traffic = "the traffic stays where it is"
    if record.get("blocked"):
        traffic = _unblock(_services(plan), Colour(plan["from"]), world)
    cause = f"{what}; {traffic}"
    now = text(world.clock.now())
    ended = ending(deployment.id, deployment.started, Status.FAILED, now, {"cause": cause})
    attempt(
        "write the record", problems, lambda: world.journal.write([*ended, unlocking(deployment.lock, now)])
    )
    page = {
        "action": "refused",
        "deployment": deployment.id,
        "reason": cause,
        "cause": str(what),
        "trigger": "manual",
        "by": deployment.id,
        "asked_at": deployment.started,
    }
    attempt("tell the bus", problems, lambda: world.events.publish("RollbackRefused", page))
    return {"cause": cause, "problems": problems}


def _unblock(services: Services, colour: Colour, world: World) -> str:
    try:
        back = takers(services, colour, {Service.BACKEND}, "the traffic", balancer=world.balancer)
    except UnhealthyTargetsError as error:
        return f"users are still answered 503, for {error}"
    move_traffic(back, Weights.all_on(colour), balancer=world.balancer)
    health = health_of(world.balancer.health(services[Service.BACKEND].of(colour)))
    return f"the traffic is back on {colour} ({health})"
