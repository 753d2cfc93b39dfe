"""Go to the previous release and back, for practice.

While the previous release has the traffic, the journal has it as a candidate of the live one: so its alarm, a
rollback, a freeze or the next deployment sends the traffic back to the release that is live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.alarms import alarm_names
from cutover.domain.colours import Colour, Weights
from cutover.domain.drill import Standing, drill_lasts, judge_drill, may_drill, no_backup, read_drilled
from cutover.domain.embedded import embedded
from cutover.domain.environment import Services
from cutover.domain.errors import (
    ConflictError,
    GateFailedError,
    LockLostError,
    NothingToRollBackError,
)
from cutover.domain.gates import Verdict, closed, sentence
from cutover.domain.health import health_of
from cutover.domain.records import DRILL, LIVE, Candidate, Deployment, Live, Status, colour_key
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.ports import Alarms, Change, Clock, Events, Journal, Load, LoadBalancer
from cutover.steps.candidates import announced, given_back
from cutover.steps.records import ending, read_live, require_lock, unlocking
from cutover.steps.traffic import elsewhere, move_traffic, takers


def check_drill(
    deployment: Deployment,
    configuration: Mapping[str, Any],
    *,
    journal: Journal,
    balancer: LoadBalancer,
    alarms: Alarms,
    clock: Clock,
) -> dict[str, Any]:
    """{gates, live, previous}: the two versions and colours that the drill goes between.

    Raises GateFailedError, naming every closed gate, when it may not be done: nothing was touched.
    """
    live = read_live(journal)
    found = [
        *no_backup(clock.now(), configuration.get("window") or {}, drill_lasts(configuration)),
        *may_drill(_standing(deployment, live, journal, balancer, alarms)),
    ]
    gates = [gate.as_json() for gate in found]
    shut = closed(gates)
    if live is None or shut:
        raise GateFailedError(f"no drill now: {'; '.join(sentence(gate) for gate in shut)}")
    return {
        "gates": gates,
        "live": {"version": live.version, "colour": live.colour.value},
        "previous": {"version": live.previous_version, "colour": live.colour.other.value},
    }


def _standing(
    deployment: Deployment, live: Live | None, journal: Journal, balancer: LoadBalancer, alarms: Alarms
) -> Standing:
    if live is None:
        return Standing(None, Weights(0, 0), {}, [], None)
    services = practised(live)
    names = [name for colour in Colour for name in alarm_names(deployment.environment, colour, services)]
    found = {alarm.name: alarm.state for alarm in alarms.find(names)}
    released = journal.read(colour_key(live.colour.other))
    return Standing(
        live=live,
        weights=balancer.weights(live.targets.listener_arn, live.targets),
        # The service that is worst off speaks for all.
        healths={
            colour: min(
                (health_of(balancer.health(targets.of(colour))) for targets in services.values()),
                key=lambda health: health.share,
            )
            for colour in Colour
        },
        alarms=[name for name, state in found.items() if state == "ALARM"],
        released=str(released["deployment"]) if released else None,
        missing=[name for name in names if name not in found],
    )


def practised(live: Live) -> Services:
    """What goes there and back: the backend, and a frontend whose previous release stands there too."""
    frontend = live.frontend
    with_it = frontend is not None and frontend.previous_image is not None and frontend.colour is live.colour
    return {
        service: targets
        for service, targets in live.services.items()
        if service is Service.BACKEND or with_it
    }


def go_there(
    deployment: Deployment, *, journal: Journal, balancer: LoadBalancer, events: Events, clock: Clock
) -> dict[str, Any]:
    """{version, colour, modified_at}: all traffic to the previous release. The journal names it a candidate
    before the listener moves. Run again, it does the same.

    Raises UnhealthyTargetsError, with the traffic untouched, when that release can't take all of it, and
    LockLostError, with the traffic where the journal says, when somebody has ended the drill meanwhile.
    """
    require_lock(journal, deployment.lock)
    live = read_live(journal)
    if live is None or live.previous_version is None:
        raise NothingToRollBackError("there is no previous release to practise with")
    to = live.colour.other
    moving = practised(live)
    takers(moving, to, moving, "the traffic", balancer=balancer)
    candidate = Candidate(deployment.id, live.previous_version, to, 100, drill=True)
    journal.write([announced(candidate, live)], lock=deployment.lock)
    move_traffic(moving, Weights.all_on(to), balancer=balancer)
    moved = {"version": live.previous_version, "colour": to.value, "modified_at": text(clock.now())}
    # An alarm, or a person, may have ended the drill before the traffic moved.
    with given_back(moving, candidate, journal=journal, balancer=balancer):
        journal.write([Change("update", deployment.key, {"there": moved})], lock=deployment.lock)
    events.publish("TrafficShifted", {**_about(deployment), **moved})
    return moved


def come_back(
    deployment: Deployment, *, journal: Journal, balancer: LoadBalancer, events: Events, clock: Clock
) -> dict[str, Any]:
    """{version, colour, modified_at}: all traffic to the release that the journal has live. Also what a drill
    that failed ends with, so it does nothing when that is so already.

    Raises UnhealthyTargetsError, with the traffic untouched, when that release has no healthy target: then it
    is better where it is.
    """
    require_lock(journal, deployment.lock)
    live = read_live(journal)
    if live is None:
        return {"version": None, "colour": None, "modified_at": None}
    away = elsewhere(practised(live), live.colour, balancer=balancer)
    back = takers(away, live.colour, away, "the traffic back", balancer=balancer)
    move_traffic(back, Weights.all_on(live.colour), balancer=balancer)
    moved = {"version": live.version, "colour": live.colour.value, "modified_at": text(clock.now())}
    if live.candidate is not None:
        # Told first: an attempt that died between the two would find nothing to tell.
        events.publish("TrafficShifted", {**_about(deployment), **moved})
        journal.write([Change("update", LIVE, {"candidate": None})], lock=deployment.lock)
    return moved


def _about(deployment: Deployment) -> dict[str, Any]:
    return {"deployment": deployment.id, "drill": True, "share": 100}


def load_drill(
    port: int, wanted: Mapping[str, Any], *, path: str, load: Load, clock: Clock
) -> dict[str, Any]:
    """{requests, lost, versions, began, ended}: users who should notice nothing, while the traffic goes there
    and back."""
    began = text(clock.now())
    seen = load.by_version(
        port=port,
        path=path,
        rate=float(wanted["requests_per_second"]),
        users=int(wanted["users"]),
        seconds=float(wanted["seconds"]),
    )
    return {
        "requests": sum(answers.answers for answers in seen.values()),
        "lost": sum(answers.failed for answers in seen.values()),
        "versions": {version: answers.answers for version, answers in sorted(seen.items())},
        "began": began,
        "ended": text(clock.now()),
    }


def conclude_drill(
    deployment: Deployment,
    load: Mapping[str, Any],
    there: Mapping[str, Any],
    back: Mapping[str, Any],
    *,
    journal: Journal,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{verdict, cause, drill, metrics}: judged, written down and unlocked, once, and told.

    Raises LockLostError when a rollback or a freeze has ended the drill meanwhile.
    """
    done = read_drilled(load, there, back)
    gates = [gate.as_json() for gate in judge_drill(done)]
    shut = closed(gates)
    verdict = Verdict.FAIL if shut else Verdict.PASS
    now = clock.now()
    told = {**done.as_json(), "verdict": verdict.value, "gates": gates}
    answer = {
        "verdict": verdict.value,
        "cause": "; ".join(sentence(gate) for gate in shut) or "the way there and back is open",
        "drill": told,
        "metrics": embedded(deployment.environment, done.metrics(), now),
    }
    record = journal.read(deployment.key) or {}
    last = {"deployment": deployment.id, "at": text(now), **done.as_json(), "verdict": verdict.value}
    if record.get("drill"):
        # Whoever wrote that down may have died before it was told.
        events.publish("DrillCompleted", {**last, "cause": answer["cause"]})
        return {**answer, "metrics": None}
    status = Status.FAILED if shut else Status.SUCCEEDED
    more = {"drill": told, "cause": answer["cause"] if shut else None}
    try:
        journal.write(
            [
                *ending(deployment.id, deployment.started, status, text(now), more),
                Change("put", DRILL, last),
                unlocking(deployment.lock, text(now)),
            ]
        )
    except ConflictError as error:
        raise LockLostError(f"the drill {deployment.id} no longer holds the lock") from error
    events.publish("DrillCompleted", {**last, "cause": answer["cause"]})
    return answer
