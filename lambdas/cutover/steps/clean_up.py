"""What a rollback sees to once the traffic is back: record, execution, containers, lock, bus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from cutover.domain.colours import Colour
from cutover.domain.environment import Targets
from cutover.domain.errors import CutoverError
from cutover.domain.health import instances_of
from cutover.domain.lock import Lock, LockRecord
from cutover.domain.records import (
    LIVE,
    LOCK,
    Deployment,
    Live,
    Status,
    deployment_key,
    history_key,
    read_lock,
)
from cutover.domain.rollback import Trigger
from cutover.domain.times import text
from cutover.ports import (
    Change,
    Clock,
    Contractions,
    Events,
    Executions,
    Journal,
    LoadBalancer,
    RunCommand,
)
from cutover.steps.records import unlocking
from cutover.steps.release import release_parameters
from cutover.steps.swap import aim

Value = TypeVar("Value")


class World(Protocol):
    """All that a rollback may need. Each is made when it is first asked for: the way to the listener waits
    for none of the others."""

    @property
    def journal(self) -> Journal: ...
    @property
    def balancer(self) -> LoadBalancer: ...
    @property
    def executions(self) -> Executions: ...
    @property
    def commands(self) -> RunCommand: ...
    @property
    def contractions(self) -> Contractions: ...
    @property
    def events(self) -> Events: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def document(self) -> str:
        """The release document's name."""


@dataclass(frozen=True)
class Aftermath:
    """Why, for whom and from where. `live` is the release that was left, None when the journal did not know
    it; `record` is its deployment's, read later when it was not at hand."""

    trigger: Trigger
    name: str
    cause: str
    asked_at: str
    live: Live | None
    failing: Colour
    record: Mapping[str, Any] | None = None

    @property
    def deployment(self) -> str | None:
        if self.live is not None:
            return self.live.deployment
        return str(self.record["id"]) if self.record else None


def attempt(what: str, problems: list[str], do: Callable[[], Value]) -> Value | None:
    """What `do` returns; None, with a line in `problems`, when it fails."""
    try:
        return do()
    except CutoverError as error:
        problems.append(f"could not {what}: {type(error).__name__}: {error}")
        return None


def clean_up(
    about: Aftermath, targets: Targets, told: Mapping[str, Any], problems: list[str], world: World
) -> None:
    """Each in turn, and each alone in its failure."""
    lock = attempt("read the lock", problems, lambda: read_lock(world.journal.read(LOCK)))
    if about.live is None and about.record is None and lock is not None and lock.holder:
        # The journal does not know the release that was live: it is that of the deployment under way.
        about = _with_record(about, lock.holder, problems, world)
    elif about.record is None and about.deployment:
        about = _with_record(about, about.deployment, problems, world)
    attempt("write the record", problems, lambda: _record(about, told, world))
    if about.deployment is not None:
        name = about.deployment
        attempt("cancel the contraction", problems, lambda: world.contractions.cancel(name))
    if about.trigger is not Trigger.DEPLOYMENT:
        # Even another deployment's execution stops: its plan took the colour for idle that is live now.
        _stop_execution(about, lock, problems, world)
    attempt("aim the test listener", problems, lambda: aim(targets, about.failing, balancer=world.balancer))
    attempt("stop the containers", problems, lambda: stop_containers(about, world, targets))
    if about.trigger is not Trigger.DEPLOYMENT and lock is not None and lock.holder:
        attempt("release the lock", problems, lambda: _unlock(lock, world))
    event = {**told, "deployment": about.deployment, "problems": list(problems)}
    attempt("tell the bus", problems, lambda: world.events.publish("RolledBack", event))


def stop_containers(about: Aftermath, world: World, targets: Targets | None = None) -> None:
    """Sent, not waited for."""
    record = about.record or {}
    where = targets or (Targets.read(record["targets"]) if record.get("targets") else None)
    if where is None:
        return
    instances = instances_of(world.balancer.health(where.of(about.failing)))
    if not instances:
        return
    deployment = Deployment(
        id=about.deployment or about.name,
        version=str(record.get("version") or (about.live.version if about.live else "unknown")),
        environment="",
        fence=0,
        started="",
    )
    image = str(record.get("image_uri") or "")
    parameters = release_parameters("stop", deployment, image, about.failing)
    world.commands.send(world.document, instances, parameters, f"cutover {deployment.id} stop")


def _with_record(about: Aftermath, deployment: str, problems: list[str], world: World) -> Aftermath:
    record = attempt("read the record", problems, lambda: world.journal.read(deployment_key(deployment)))
    return replace(about, record=record)


def _record(about: Aftermath, told: Mapping[str, Any], world: World) -> None:
    """The previous release is live again, marked so that nobody goes back to the failed one; the deployment's
    record says so too. Expecting the release that was left makes a second, late rollback write nothing."""
    changes = []
    live = about.live
    if live is not None and live.previous_colour is not None:
        now = told["clock"]["modified_at"]
        back = {
            "deployment": live.previous_deployment,
            "version": live.previous_version,
            "image": live.previous_image,
            "colour": live.previous_colour.value,
            "previous_deployment": live.deployment,
            "previous_colour": live.colour.value,
            "previous_version": live.version,
            "previous_image": live.image,
            "swapped_at": now,
            "rolled_back": True,
        }
        expected = {"deployment": live.deployment, "rolled_back": False}
        changes.append(Change("update", LIVE, back, expect=expected))
    if about.record is not None:
        ended = {"status": Status.ROLLED_BACK.value, "finished": told["clock"]["modified_at"]}
        more = {"cause": about.cause, "rollback": dict(told)}
        identity = str(about.record["id"])
        changes.append(Change("update", deployment_key(identity), {**ended, **more}))
        changes.append(Change("update", history_key(str(about.record["started"]), identity), ended))
    if changes:
        world.journal.write(changes)


def _stop_execution(about: Aftermath, lock: LockRecord | None, problems: list[str], world: World) -> None:
    running = str((about.record or {}).get("execution_arn") or "")
    was_running = (about.record or {}).get("status") == Status.RUNNING
    arns = {running} if running and was_running else set()
    if lock is not None and lock.holder and lock.execution_arn:
        arns.add(lock.execution_arn)
    for arn in sorted(arns):
        attempt(f"stop {arn}", problems, partial(world.executions.stop, arn, f"Rolled back: {about.cause}"))
    if lock is not None and lock.holder and lock.holder != about.deployment:
        attempt(
            "end the other deployment's record", problems, lambda: _end_other(str(lock.holder), about, world)
        )


def _end_other(deployment: str, about: Aftermath, world: World) -> None:
    record = world.journal.read(deployment_key(deployment))
    if record is None or record.get("status") != Status.RUNNING:
        return
    ended = {"status": Status.FAILED.value, "finished": text(world.clock.now())}
    cause = {"cause": f"stopped, because the release that it followed was rolled back ({about.cause})"}
    world.journal.write(
        [
            Change("update", deployment_key(deployment), {**ended, **cause}),
            Change("update", history_key(str(record["started"]), deployment), ended),
        ]
    )


def _unlock(lock: LockRecord, world: World) -> None:
    world.journal.write([unlocking(Lock(str(lock.holder), lock.fence), text(world.clock.now()))])
