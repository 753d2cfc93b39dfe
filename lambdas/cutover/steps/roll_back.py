"""Send the traffic back to the previous colour, and only then see to everything else.

The way to the change of the listener and of the frontend's rule is as short as it can be: six reads side by
side, a pure decision, the two changes side by side. What follows (the record, the execution, the containers,
the lock, the bus) may fail piece by piece: each failure is recorded and told, and none undoes the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import (
    CutoverError,
    NothingToRollBackError,
    NotReachableError,
    UnhealthyTargetsError,
    WrongEnvironmentError,
)
from cutover.domain.failure import read_failure
from cutover.domain.records import LOCK, Deployment, Live, Status, deployment_key, read_lock, services_of
from cutover.domain.rollback import Action, Decision, Situation, Trigger, decide
from cutover.domain.rollback_clock import Clock, embedded_metrics
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.steps.aftermath import Aftermath, World, attempt
from cutover.steps.reading import Reading, read, read_live
from cutover.steps.traffic import move_traffic

if TYPE_CHECKING:
    from cutover.domain.alarms import AlarmEvent
    from cutover.domain.environment import Services

#: How long the previous containers may take to become healthy again: D2 wants all of it within a minute.
REVIVAL_SECONDS = 50.0
REVIVAL_PAUSE_SECONDS = 1.0


def roll_back_on_alarm(alarm: AlarmEvent, environment: str, world: World) -> dict[str, Any]:
    """{action, reason, …}. Works without the journal, then by weights and health alone."""
    note = alarm.note
    if note.environment != environment:
        raise WrongEnvironmentError(f"alarm {alarm.name} guards {note.environment!r}, not {environment!r}")
    reading = read(note.services, note.colour.other, world)
    situation = replace(_situation(Trigger.ALARM, note.colour, reading, world), raised_at=alarm.at)
    about = Aftermath(
        trigger=Trigger.ALARM,
        name=alarm.name,
        cause=f"alarm {alarm.name}: {alarm.reason or note.meaning}",
        asked_at=alarm.at,
        failing=note.colour,
        environment=environment,
    )
    return _act(situation, note.services, about, reading.problems, world)


def roll_back_by_hand(reason: str, by: str, named: str, environment: str, world: World) -> dict[str, Any]:
    """Raises NothingToRollBackError when there is no previous release, or it is live again already."""
    if named != environment:
        raise WrongEnvironmentError(f"environment: {named!r} is not this one; write {environment!r}")
    live = read_live(world.journal)
    if live is None:
        raise NothingToRollBackError(f"nothing has been released on {environment} yet")
    cause = f"rolled back by {by}: {reason}"
    if live.candidate is not None and not live.candidate.drill:
        return _asked(live.candidate.colour, live, cause, by, environment=environment, world=world)
    # In the middle of a drill it is the live release that they want to leave.
    _something_to_go_back_to(live, environment)
    return _asked(live.colour, live, cause, by, environment=environment, world=world)


def take_candidate_back(
    live: Live,
    cause: str,
    by: str,
    environment: str,
    world: World,
    *,
    trigger: Trigger = Trigger.PERSON,
) -> dict[str, Any]:
    """All of the traffic to the live release: the one that is being tried loses its share, a drill ends."""
    if live.candidate is None:
        raise NothingToRollBackError(f"all traffic is with version {live.version} already")
    return _asked(
        live.candidate.colour, live, cause, by, trigger=trigger, environment=environment, world=world
    )


def take_back_from_the_dead(
    execution_arn: str, status: str, environment: str, world: World
) -> dict[str, Any]:
    """An execution has ended with this status. {action: rolled_back | not_needed | …, reason, …}.

    One that still holds the lock ended by no state of its own: the traffic that it was moving goes back to
    the release that is live. Where it was moving none, the lock waits for the next deployment, which takes
    over.
    """
    lock, live = read_lock(world.journal.read(LOCK)), read_live(world.journal)
    if lock is None or lock.holder is None or lock.execution_arn != execution_arn:
        return {"action": "not_needed", "reason": "the execution had unlocked before it ended"}
    if live is None or live.candidate is None or live.candidate.deployment != lock.holder:
        return {"action": "not_needed", "reason": "the execution ended while no traffic was being moved"}
    cause = f"the execution of {lock.holder} ended ({status}) while it moved the traffic"
    return take_candidate_back(live, cause, lock.holder, environment, world, trigger=Trigger.DEPLOYMENT)


def _asked(
    failing: Colour,
    live: Live,
    cause: str,
    by: str,
    *,
    environment: str,
    world: World,
    trigger: Trigger = Trigger.PERSON,
) -> dict[str, Any]:
    asked = world.clock.now()
    reading = read(live.services, failing.other, world)
    about = Aftermath(
        trigger=trigger,
        name=by,
        cause=cause,
        asked_at=asked,
        failing=failing,
        environment=environment,
    )
    situation = replace(_situation(trigger, failing, reading, world), live=live, journal_readable=True)
    return _act(situation, live.services, about, reading.problems, world)


def _something_to_go_back_to(live: Live, environment: str) -> None:
    if live.previous_deployment is None:
        raise NothingToRollBackError(
            f"version {live.version} is the first release on {environment}: there is nothing to go back to; "
            "deploy a version that mends it"
        )
    if live.rolled_back:
        raise NothingToRollBackError(
            f"version {live.previous_version} was rolled back already; {live.version} is live"
        )


def roll_back_deployment(deployment: Deployment, failure: Mapping[str, Any], world: World) -> dict[str, Any]:
    """The deployment's own failure: traffic moves only if it had moved to this deployment; its containers
    stop.

    {action: rolled_back | not_needed | refused, reason, …}
    """
    asked, what = world.clock.now(), read_failure(failure)
    record = world.journal.read(deployment_key(deployment.id)) or {}
    if not record.get("targets") or not record.get("colour"):
        return {"action": "not_needed", "reason": "nothing had been released, so the traffic was not touched"}
    if record.get("status") == Status.ROLLED_BACK:
        from cutover.steps.tell_again import tell_again  # noqa: PLC0415  as below

        problems: list[str] = []
        tell_again(deployment.id, None, problems, world)
        return {"action": "not_needed", "reason": "it had been rolled back already", "problems": problems}
    if record.get("status") == Status.SUCCEEDED:
        # Its last step died after it had written that down: there is no lock any more to roll back under.
        return {"action": "not_needed", "reason": "it had succeeded already, and its release stays live"}
    services, colour = services_of(record), Colour(record["colour"])
    reading = read(services, colour.other, world)
    live = reading.live
    mine = live is not None and live.deployment == deployment.id and not live.rolled_back
    tried = live is not None and live.candidate is not None and live.candidate.deployment == deployment.id
    # A swap that was cut short between the listener and the journal: the traffic is here, the journal says
    # there.
    unrecorded = reading.weights == Weights.all_on(colour) and (live is None or live.colour is not colour)
    about = Aftermath(
        trigger=Trigger.DEPLOYMENT,
        name=deployment.id,
        cause=str(what),
        asked_at=asked,
        failing=colour,
        environment=deployment.environment,
        deployment=deployment,
    )
    if not (mine or tried or unrecorded):
        return _leave_traffic(reading, about, services, record, world)
    return _act(
        _situation(Trigger.DEPLOYMENT, colour, reading, world), services, about, reading.problems, world
    )


def take_back_what_was_left(deployment: Deployment, world: World) -> dict[str, Any]:
    """{action: rolled_back | not_needed, reason, …}. `deployment` holds the lock; an earlier one whose
    execution died while it moved the traffic has left a candidate: users go back to the release that the
    journal has live. A plan touches nothing.

    Raises UnhealthyTargetsError, with the traffic untouched, when that release can't take it.
    """
    from cutover.domain.input import Mode  # noqa: PLC0415  no rollback waits for it

    live = read_live(world.journal)
    candidate = live.candidate if live else None
    if live is None or candidate is None or deployment.mode == Mode.PLAN:
        return {"action": "not_needed", "reason": "no earlier deployment died while it moved the traffic"}
    reading = read(live.services, live.colour, world)
    about = Aftermath(
        trigger=Trigger.DEPLOYMENT,
        name=deployment.id,
        cause=f"its execution died while the traffic was being moved; {deployment.id} took over",
        asked_at=world.clock.now(),
        failing=candidate.colour,
        environment=deployment.environment,
        deployment=deployment,
    )
    situation = _situation(Trigger.DEPLOYMENT, candidate.colour, reading, world)
    answer = _act(situation, live.services, about, reading.problems, world)
    if answer["action"] == "refused":
        raise UnhealthyTargetsError(
            f"deployment {candidate.deployment} died while it moved the traffic to {candidate.colour}, and "
            f"it can't be taken back: {answer['reason']}. Mend {live.colour}, and deploy again"
        )
    return answer


def _leave_traffic(
    reading: Reading, about: Aftermath, services: Services, record: Mapping[str, Any], world: World
) -> dict[str, Any]:
    colour, reason = about.failing, "the traffic had not moved"
    if reading.live is not None and reading.live.colour is colour:
        return {
            "action": "not_needed",
            "reason": f"{reason}, and {colour} is live with version {reading.live.version}",
        }
    if reading.weights is None or reading.weights.of(colour) > 0:
        return {"action": "not_needed", "reason": f"{reason}; {colour} may carry traffic, so nothing stops"}
    from cutover.steps.clean_up import stop_containers  # noqa: PLC0415  as below

    problems = list(reading.problems)
    attempt("stop the containers", problems, lambda: stop_containers(colour, services, record, world))
    stopped = "its containers are being stopped" if len(problems) == len(reading.problems) else "see problems"
    return {
        "action": "not_needed",
        "reason": f"{reason}; {stopped} on {colour}",
        "problems": problems,
        "deployment": about.name,
    }


def _situation(trigger: Trigger, failing: Colour, reading: Reading, world: World) -> Situation:
    return Situation(
        trigger=trigger,
        failing=failing,
        live=reading.live,
        weights=reading.weights,
        previous_health=reading.health,
        now=world.clock.now(),
        journal_readable=reading.journal_readable,
        edited=reading.edited,
        standing=reading.standing,
        frontend=reading.frontend,
    )


def _act(
    situation: Situation, services: Services, about: Aftermath, problems: tuple[str, ...], world: World
) -> dict[str, Any]:
    decision, left = decide(situation), list(problems)
    if decision.action is Action.REVIVE:
        decision = _revive(situation, services, left, world)
    match decision.action:
        case Action.GO if decision.to is not None:
            back = _going(services, decision)
            move_traffic(back, Weights.all_on(decision.to), balancer=world.balancer)
        case Action.SETTLE:
            back = _going(services, decision)  # `hold` looks whether all of them are there
        case _:
            return _stay(decision, about, left, world)
    modified = world.clock.now()
    told = {
        "action": "rolled_back",
        "reason": decision.reason,
        "cause": about.cause,
        "trigger": about.trigger.value,
        "by": about.name,
        "from": about.failing.value,
        "to": about.failing.other.value,
        "services": [service.value for service in back],
    }
    clock = Clock(about.asked_at, modified)
    # The way to the listener waits for nothing that comes after it, not even for its import.
    from cutover.steps.clean_up import clean_up  # noqa: PLC0415

    pages = situation.frontend.weights if situation.frontend else None
    stays = pages.only if pages and Service.FRONTEND not in back else None
    done = clean_up(about, services, back, told, clock, stays=stays, problems=left, world=world)
    if done is None:
        return {"action": "ignored", "reason": "another rollback has done and recorded all this already"}
    if situation.live is not None and situation.live.drills_with(about.failing):
        return {**told, "clock": done.as_json(), "problems": left, "metrics": None}
    metrics = embedded_metrics(about.environment, done.metrics(), modified)
    return {**told, "clock": done.as_json(), "problems": left, "metrics": metrics}


def _going(services: Services, decision: Decision) -> Services:
    """The services that go back."""
    return {
        service: targets
        for service, targets in services.items()
        if service is Service.BACKEND or decision.together
    }


def _revive(situation: Situation, services: Services, problems: list[str], world: World) -> Decision:
    """Start the previous containers and wait for them; then decide on what was found last."""
    from cutover.steps.clean_up import revive  # noqa: PLC0415  as above

    to = situation.failing.other
    attempt("start the previous containers", problems, lambda: revive(to, services, world))
    deadline = world.clock.monotonic() + REVIVAL_SECONDS
    while True:
        world.clock.sleep(REVIVAL_PAUSE_SECONDS)
        reading = read(services, to, world)
        seen = replace(
            situation,
            weights=reading.weights,
            edited=reading.edited,
            previous_health=reading.health,
            standing=reading.standing,
            frontend=reading.frontend,
            live=reading.live if reading.journal_readable else situation.live,
        )
        decision = decide(seen)
        if decision.action is not Action.REVIVE:
            return decision
        if world.clock.monotonic() > deadline:
            return decide(replace(seen, revived=True))


def _stay(decision: Decision, about: Aftermath, problems: list[str], world: World) -> dict[str, Any]:
    """A refusal is an event of its own: it needs a person, and says why nothing was moved.

    An alarm that is ignored may be one whose rollback was done by an invocation that died before it told.

    Raises NotReachableError when nobody could be told of an alarm: then the event is delivered again, and
    lies in the dead-letter queue in the end.
    """
    told = {
        "action": "refused" if decision.action is Action.REFUSE else "ignored",
        "reason": decision.reason,
        "cause": about.cause,
        "trigger": about.trigger.value,
        "by": about.name,
    }
    if decision.action is Action.REFUSE:
        # A deployment is refused its rollback for one cause once, however often its step is run.
        asked_at = None if about.trigger is Trigger.DEPLOYMENT else text(about.asked_at)
        try:
            world.events.publish("RollbackRefused", {**told, "deployment": None, "asked_at": asked_at})
        except CutoverError as error:
            if about.trigger is Trigger.ALARM:
                raise NotReachableError(f"{decision.reason}; and nobody could be told: {error}") from error
            problems.append(f"could not tell the bus: {error}")
    elif about.trigger is Trigger.ALARM:
        from cutover.steps.tell_again import tell_again  # noqa: PLC0415  as above

        tell_again(about.name, about.asked_at, problems, world)
    return {**told, "problems": problems}
