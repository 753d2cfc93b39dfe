"""The emergency stop: no new deployment starts, and the one under way ends where it does no harm.

The freeze is an item of the journal. A deployment takes its lock in a transaction that checks it, so that
none slips through between a look and a write. Rollbacks go on working: by alarm and by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from cutover.domain.colours import Colour
from cutover.domain.errors import ConflictError, ThrottledError, WrongEnvironmentError
from cutover.domain.lock import Lock, LockRecord
from cutover.domain.records import (
    FREEZE,
    LIVE,
    LOCK,
    Live,
    Status,
    deployment_key,
    read_lock,
    services_of,
)
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.ports import Change
from cutover.steps.aftermath import World, attempt
from cutover.steps.clean_up import hold, stop_containers
from cutover.steps.records import ending, read_live, unlocking
from cutover.steps.roll_back import take_candidate_back

if TYPE_CHECKING:
    from cutover.domain.environment import Services, Targets
    from cutover.ports import Journal

ATTEMPTS = 5


def freeze(reason: str, by: str, named: str, environment: str, world: World) -> dict[str, Any]:
    """{action: frozen, since, reason, by, stopped, traffic, problems}. A second one keeps the first's words
    and stops whatever runs all the same. Raises WrongEnvironmentError."""
    _right(named, environment)
    now = text(world.clock.now())
    there = world.journal.read(FREEZE) or {}
    words = there if there.get("frozen") else {"frozen": True, "reason": reason, "by": by, "since": now}
    world.journal.write([Change("put", FREEZE, words)])
    problems: list[str] = []
    stopped, traffic = _stop(f"frozen by {by}: {reason}", by, environment, problems, world)
    told = {"reason": words["reason"], "by": words["by"], "since": words["since"]}
    answer = {"action": "frozen", **told, "stopped": stopped, "traffic": traffic}
    attempt("tell the bus", problems, lambda: world.events.publish("Frozen", answer))
    return {**answer, "problems": problems}


def unfreeze(by: str, named: str, environment: str, world: World) -> dict[str, Any]:
    """{action: unfrozen | not_frozen}. Raises WrongEnvironmentError.

    Of an environment that is open the last freeze's end is told again, with the identity that it had: the
    call that ended it may have died before it told (`cutover.domain.happenings`)."""
    _right(named, environment)
    there = world.journal.read(FREEZE) or {}
    frozen = bool(there.get("frozen"))
    if frozen:
        ended = {"frozen": None, "ended_by": by, "ended": text(world.clock.now())}
        world.journal.write([Change("update", FREEZE, ended)])
        there = {**there, **ended}
    problems: list[str] = []
    told = {"by": there.get("ended_by"), "since": there.get("since"), "reason": there.get("reason")}
    if there.get("ended"):
        attempt("tell the bus", problems, lambda: world.events.publish("Unfrozen", told))
    answer = {"action": "unfrozen", **told} if frozen else {"action": "not_frozen"}
    return {**answer, "problems": problems}


def _right(named: str, environment: str) -> None:
    if named != environment:
        raise WrongEnvironmentError(f"environment: {named!r} is not this one; write {environment!r}")


def _stop(cause: str, by: str, environment: str, problems: list[str], world: World) -> tuple[str | None, str]:
    """The deployment that was stopped, and what became of the traffic."""
    for _ in range(ATTEMPTS):
        lock, live = read_lock(world.journal.read(LOCK)), read_live(world.journal)
        if lock is None or lock.holder is None:
            return None, "no deployment was under way"
        if live is not None and live.candidate is not None:
            # A share of the traffic is with a release that nobody would judge any more.
            answer = take_candidate_back(live, cause, by, environment, world)
            problems += answer["problems"]
            return lock.holder, str(answer["reason"])
        if lock.execution_arn:
            attempt(
                f"stop {lock.execution_arn}",
                problems,
                partial(world.executions.stop, lock.execution_arn, cause),
            )
        try:
            world.journal.write(_changes(lock, live, cause, text(world.clock.now()), world.journal))
        except ConflictError:
            continue  # it has ended, or has taken the traffic, just now: look again
        return lock.holder, _leave(lock.holder, live, problems, world)
    raise ThrottledError(f"the journal changed {ATTEMPTS} times while the deployment was stopped")


def _changes(lock: LockRecord, live: Live | None, cause: str, now: str, journal: Journal) -> list[Change]:
    """The deployment loses its lock, and its record says why; no swap may come between."""
    holder = str(lock.holder)
    record = journal.read(deployment_key(holder)) or {}
    changes = [unlocking(Lock(holder, lock.fence), now)]
    if record.get("status") == Status.RUNNING:
        changes += ending(holder, str(record["started"]), Status.ABANDONED, now, {"cause": cause})
    seen = {"deployment": live.deployment, "candidate": None} if live else {"deployment": None}
    return [*changes, Change("check", LIVE, expect=seen)]


def _leave(holder: str, live: Live | None, problems: list[str], world: World) -> str:
    """The traffic stays with what the journal has live. What the deployment had released elsewhere stops."""
    record: Mapping[str, Any] = world.journal.read(deployment_key(holder)) or {}
    if live is not None and live.deployment == holder:
        return f"version {live.version} has the traffic and keeps it; alarms and `cutover rollback` guard it"
    if live is not None:
        attempt("hold the listener", problems, lambda: hold(_together(live), live.colour, world))
    if record.get("targets") and record.get("colour"):
        services, colour = services_of(record), Colour(record["colour"])
        if live is None and _may_serve(colour, services[Service.BACKEND], problems, world):
            # A first release whose swap was cut short: nothing else could take what it has.
            return f"the first release, version {record.get('version')}, may have it and keeps it"
        if live is None or live.colour is not colour:
            attempt("stop the containers", problems, lambda: stop_containers(colour, services, record, world))
    return f"it had not moved; version {live.version} has it" if live else "it had not moved"


def _together(live: Live) -> Services:
    """The services whose traffic belongs on the backend's colour; a frontend may have stayed behind."""
    apart = live.frontend is not None and live.frontend.colour is not live.colour
    return {
        service: targets
        for service, targets in live.services.items()
        if service is Service.BACKEND or not apart
    }


def _may_serve(colour: Colour, targets: Targets, problems: list[str], world: World) -> bool:
    weights = attempt(
        "read the listener", problems, lambda: world.balancer.weights(targets.listener_arn, targets)
    )
    return weights is None or weights.of(colour) > 0
