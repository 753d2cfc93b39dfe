"""Send the traffic back to the previous colour, and only then see to everything else.

The way to the one change of the listener is as short as it can be: three reads side by side, a pure decision,
the change. What follows (the record, the execution, the containers, the lock, the bus) may fail piece by
piece: each failure is recorded and told, and none undoes the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cutover.domain.alarms import AlarmEvent
from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Targets
from cutover.domain.errors import NothingToRollBackError, WrongEnvironmentError
from cutover.domain.failure import read_failure
from cutover.domain.health import Health, health_of
from cutover.domain.records import Deployment, Live, deployment_key
from cutover.domain.rollback import Action, Decision, Situation, Trigger, decide
from cutover.domain.times import text
from cutover.steps.clean_up import Aftermath, World, attempt, clean_up, stop_containers
from cutover.steps.records import read_live


@dataclass(frozen=True)
class Reading:
    """What was found out, side by side."""

    live: Live | None
    journal_readable: bool
    weights: Weights | None
    health: Health | None
    problems: tuple[str, ...] = field(default=())


def roll_back_on_alarm(alarm: AlarmEvent, environment: str, world: World) -> dict[str, Any]:
    """{action, reason, …}. Works without the journal, then by weights and health alone."""
    note = alarm.note
    if note.environment != environment:
        raise WrongEnvironmentError(f"alarm {alarm.name} guards {note.environment!r}, not {environment!r}")
    failing = note.colour
    reading = _read(note.targets, failing.other, world)
    situation = _situation(Trigger.ALARM, failing, reading, world)
    cause = f"alarm {alarm.name}: {alarm.reason or note.meaning}"
    about = Aftermath(
        trigger=Trigger.ALARM,
        name=alarm.name,
        cause=cause,
        asked_at=alarm.at,
        live=reading.live,
        failing=failing,
    )
    return _act(decide(situation), note.targets, about, reading.problems, world)


def roll_back_by_hand(reason: str, by: str, named: str, environment: str, world: World) -> dict[str, Any]:
    """Raises NothingToRollBackError when there is no previous release, or it is live again already."""
    if named != environment:
        raise WrongEnvironmentError(f"environment: {named!r} is not this one; write {environment!r}")
    asked = text(world.clock.now())
    live = read_live(world.journal)
    if live is None:
        raise NothingToRollBackError(f"nothing has been released on {environment} yet")
    if live.previous_deployment is None:
        raise NothingToRollBackError(f"version {live.version} is the first release on {environment}")
    if live.rolled_back:
        raise NothingToRollBackError(
            f"version {live.previous_version} was rolled back already; {live.version} is live"
        )
    reading = replace(_read(live.targets, live.colour.other, world, journal=False), live=live)
    situation = _situation(Trigger.PERSON, live.colour, reading, world)
    about = Aftermath(
        trigger=Trigger.PERSON,
        name=by,
        cause=f"rolled back by {by}: {reason}",
        asked_at=asked,
        live=live,
        failing=live.colour,
    )
    return _act(decide(situation), live.targets, about, reading.problems, world)


def roll_back_deployment(deployment: Deployment, failure: Mapping[str, Any], world: World) -> dict[str, Any]:
    """The deployment's own failure: traffic moves only if it had moved to this deployment; its containers
    stop.

    {action: rolled_back | not_needed | refused, reason, …}
    """
    asked, what = text(world.clock.now()), read_failure(failure)
    record = world.journal.read(deployment_key(deployment.id)) or {}
    if not record.get("targets") or not record.get("colour"):
        return {"action": "not_needed", "reason": "nothing had been released, so the traffic was not touched"}
    if record.get("status") == "ROLLED_BACK":
        return {"action": "not_needed", "reason": "it had been rolled back already"}
    targets, colour = Targets.read(record["targets"]), Colour(record["colour"])
    reading = _read(targets, colour.other, world)
    live = reading.live
    mine = live is not None and live.deployment == deployment.id and not live.rolled_back
    # A swap that was cut short between the listener and the journal: the traffic is here, the journal says
    # there.
    unrecorded = reading.weights == Weights.all_on(colour) and (live is None or live.colour is not colour)
    about = Aftermath(
        trigger=Trigger.DEPLOYMENT,
        name=deployment.id,
        cause=str(what),
        asked_at=asked,
        live=live if mine else None,
        failing=colour,
        record=record,
    )
    if not mine and not unrecorded:
        return _leave_traffic(deployment, reading, about, world)
    decision = decide(_situation(Trigger.DEPLOYMENT, colour, reading, world))
    return _act(decision, targets, about, reading.problems, world)


def _leave_traffic(
    deployment: Deployment, reading: Reading, about: Aftermath, world: World
) -> dict[str, Any]:
    colour = about.failing
    reason = "the traffic had not moved"
    if reading.live is not None and reading.live.colour is colour:
        return {
            "action": "not_needed",
            "reason": f"{reason}, and {colour} is live with version {reading.live.version}",
        }
    problems = list(reading.problems)
    attempt("stop the containers", problems, lambda: stop_containers(about, world))
    stopped = "its containers are being stopped" if len(problems) == len(reading.problems) else "see problems"
    return {
        "action": "not_needed",
        "reason": f"{reason}; {stopped} on {colour}",
        "problems": problems,
        "deployment": deployment.id,
    }


def _read(targets: Targets, other: Colour, world: World, *, journal: bool = True) -> Reading:
    """Journal, weights and the other colour's health at the same time; each may fail alone."""
    # Clients are made here, in one thread: making them is not safe in several.
    balancer, book = world.balancer, world.journal
    with ThreadPoolExecutor(3) as pool:
        live = pool.submit(read_live, book) if journal else None
        weights = pool.submit(balancer.weights, targets.listener_arn, targets)
        health = pool.submit(lambda: health_of(balancer.health(targets.of(other))))
        problems: list[str] = []
        found_live = attempt("read the journal", problems, live.result) if live else None
        readable = not problems
        found_weights = attempt("read the listener", problems, weights.result)
        found_health = attempt("read the target health", problems, health.result)
    return Reading(found_live, readable, found_weights, found_health, tuple(problems))


def _situation(trigger: Trigger, failing: Colour, reading: Reading, world: World) -> Situation:
    return Situation(
        trigger=trigger,
        failing=failing,
        live=reading.live,
        weights=reading.weights,
        previous_health=reading.health,
        now=world.clock.now(),
        journal_readable=reading.journal_readable,
    )


def _act(
    decision: Decision, targets: Targets, about: Aftermath, problems: tuple[str, ...], world: World
) -> dict[str, Any]:
    if decision.action is not Action.GO or decision.to is None:
        return _stay(decision, about, problems, world)
    world.balancer.set_weights(targets.listener_arn, targets, Weights.all_on(decision.to))
    modified = world.clock.now()
    told = {
        "action": "rolled_back",
        "reason": decision.reason,
        "cause": about.cause,
        "trigger": about.trigger.value,
        "by": about.name,
        "from": about.failing.value,
        "to": decision.to.value,
        "clock": {
            "asked_at": about.asked_at,
            "modified_at": text(modified),
            "ms": _between(about.asked_at, modified),
        },
    }
    left = list(problems)
    clean_up(about, targets, told, left, world)
    return {**told, "problems": left}


def _stay(decision: Decision, about: Aftermath, problems: tuple[str, ...], world: World) -> dict[str, Any]:
    """A refusal is an event of its own: it needs a person."""
    action = "refused" if decision.action is Action.REFUSE else "ignored"
    told = {
        "action": action,
        "reason": decision.reason,
        "cause": about.cause,
        "trigger": about.trigger.value,
        "by": about.name,
    }
    left = list(problems)
    if decision.action is Action.REFUSE:
        attempt("tell the bus", left, lambda: world.events.publish("RollbackRefused", told))
    return {**told, "problems": left}


def _between(asked_at: str, modified: datetime) -> int | None:
    """Milliseconds; None when the alarm's own time can't be read."""
    try:
        return round((modified - datetime.fromisoformat(asked_at)).total_seconds() * 1000)
    except (ValueError, TypeError):
        return None
