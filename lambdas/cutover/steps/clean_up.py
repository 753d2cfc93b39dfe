"""What a rollback sees to once the traffic is back: execution, record, lock, listeners, containers, bus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cutover.domain.colours import Colour, Weights
from cutover.domain.health import GONE, HEALTHY, Target, instances_of
from cutover.domain.records import Deployment, deployment_key, image_of
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.ports import Change
from cutover.steps.aftermath import Aftermath, World, attempt
from cutover.steps.release import Part, release_parameters
from cutover.steps.rollback_clock import complete
from cutover.steps.settle import Done, settle
from cutover.steps.traffic import aim, elsewhere, move_traffic, takers

if TYPE_CHECKING:
    from cutover.domain.environment import Services, Targets
    from cutover.domain.rollback_clock import Clock


def clean_up(
    about: Aftermath,
    services: Services,
    back: Services,
    told: Mapping[str, Any],
    clock: Clock,
    *,
    stays: Colour | None,
    problems: list[str],
    world: World,
) -> Clock | None:
    """Each in turn, and each alone in its failure.

    `back` are those of the services that went back; a frontend that is not among them `stays` on its colour.
    Returns the clock with all that could be found out; None when another rollback has seen to all this.
    """
    own, seen = about.deployment, len(problems)

    def stop(arn: str) -> None:
        attempt(f"stop {arn}", problems, lambda: world.executions.stop(arn, f"Rolled back: {about.cause}"))

    at = text(clock.modified_at)
    done = Done(
        about.cause,
        {**told, "clock": clock.as_json()},
        at,
        own.lock if own else None,
        Service.FRONTEND in back,
        stays,
    )
    left = attempt(
        "write the record",
        problems,
        lambda: settle(
            about.failing, about.trigger, done, own.id if own else None, stop, journal=world.journal
        ),
    )
    written = not any(problem.startswith("could not write the record") for problem in problems[seen:])
    if written and left is None:
        return None
    if not written and own is None:
        # Nobody could say which execution it is: there is one at most, for they all take the same lock.
        for arn in attempt("find the execution", problems, world.executions.running) or []:
            stop(arn)
    if left is not None:
        name = str(left.record["id"])
        attempt("cancel the contraction", problems, lambda: world.contractions.cancel(name))
    to = about.failing.other
    attempt("hold the listener", problems, lambda: hold(back, to, world))
    attempt("aim the test listener", problems, lambda: aim(back, about.failing, balancer=world.balancer))
    record = left.record if left else {}
    # Before the containers stop: nobody would see them answer afterwards.
    clock = complete(clock, about.failing, left.since if left else None, record, world)
    drill = left is not None and left.drill
    if not drill:
        # A drill's previous release goes on standing there, for it is the way back.
        attempt("stop the containers", problems, lambda: stop_containers(about.failing, back, record, world))
    attempt("start the previous containers", problems, lambda: revive(to, services, world))
    told = {**told, "clock": clock.as_json()}
    if written and record.get("started"):
        change = Change("update", deployment_key(str(record["id"])), {"rollback": told})
        attempt("write the clock", problems, lambda: world.journal.write([change]))
    event = {
        **told,
        "deployment": record.get("id"),
        "asked_at": text(clock.asked_at),
        "problems": list(problems[seen:]),
    }
    kind = "DrillStopped" if drill else "RolledBack"
    attempt("tell the bus", problems, lambda: world.events.publish(kind, event))
    return clock


def hold(services: Services, colour: Colour, world: World) -> None:
    """A swap that was under way may have moved the traffic once more before it lost its lock, or only one
    service's. Raises UnhealthyTargetsError, with the traffic left where it is, when nobody is healthy on the
    colour."""
    balancer = world.balancer
    astray = elsewhere(services, colour, balancer=balancer)
    back = takers(astray, colour, {Service.BACKEND}, "the traffic", balancer=balancer)
    move_traffic(back, Weights.all_on(colour), balancer=balancer)


def revive(colour: Colour, services: Services, world: World) -> None:
    """Start what stands on the instances of `colour` that have a sick target (requirement D2). Nothing
    changes for containers that run already."""
    for service, targets in services.items():
        every = world.balancer.health(targets.of(colour))
        sick = [target for target in every if target.state not in (HEALTHY, *GONE)]
        _send("start", sick, colour, Part(service, ""), {}, world=world)


def stop_containers(colour: Colour, services: Services, record: Mapping[str, Any], world: World) -> None:
    """Those of the deployment with this record, but for a frontend that has traffic. Sent, not waited for."""
    for service, targets in services.items():
        if service is not Service.BACKEND and not _released(service, targets, colour, record, world):
            continue
        released = record if service is Service.BACKEND else record.get(service) or {}
        part = Part(service, str(released.get("image_uri") or ""))
        _send("stop", world.balancer.health(targets.of(colour)), colour, part, record, world=world)


def _released(
    service: Service, targets: Targets, colour: Colour, record: Mapping[str, Any], world: World
) -> bool:
    """The deployment brought the service there, and no request goes to it."""
    if image_of(record, service) is None:
        return False
    return world.balancer.weights(targets.listener_arn, targets).of(colour) == 0


def _send(
    action: str,
    on: Sequence[Target],
    colour: Colour,
    part: Part,
    record: Mapping[str, Any],
    *,
    world: World,
) -> None:
    instances = instances_of(on)
    if not instances:
        return
    deployment = Deployment(
        id=str(record.get("id") or "rollback"),
        version=str(record.get("version") or "unknown"),
        environment="",
        fence=0,
        started="",
    )
    parameters = release_parameters(action, deployment, part.image_uri, colour)
    world.commands.send(
        world.documents[part.service], instances, parameters, f"cutover {deployment.id} {action}"
    )
