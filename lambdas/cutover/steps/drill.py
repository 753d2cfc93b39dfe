"""Go to the previous release and back, for practice. `shift` gives it the traffic; this is the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cutover.domain.alarms import alarm_names
from cutover.domain.colours import Colour, Weights
from cutover.domain.drill import Drilled, Standing, judge_drill, may_drill
from cutover.domain.environment import Targets
from cutover.domain.errors import UnhealthyTargetsError
from cutover.domain.health import health_of
from cutover.domain.records import LIVE, Deployment, colour_key
from cutover.domain.times import text
from cutover.ports import Alarms, Change, Clock, Events, Journal, Load, LoadBalancer
from cutover.steps.records import read_live, require_lock


def check_drill(
    deployment: Deployment,
    targets: Targets,
    *,
    journal: Journal,
    balancer: LoadBalancer,
    alarms: Alarms,
) -> dict[str, Any]:
    """{gates, live, previous}: the two versions and colours that the drill goes between; null without one."""
    live = read_live(journal)
    names = [name for colour in Colour for name in alarm_names(deployment.environment, colour)]
    standing = [alarm.name for alarm in alarms.find(names) if alarm.state == "ALARM"]
    released = journal.read(colour_key(live.colour.other)) if live else None
    found = Standing(
        live=live,
        weights=balancer.weights(targets.listener_arn, targets),
        healths={colour: health_of(balancer.health(targets.of(colour))) for colour in Colour},
        alarms=standing,
        released=str(released["deployment"]) if released else None,
    )
    return {
        "gates": [gate.as_json() for gate in may_drill(found)],
        "live": {"version": live.version, "colour": live.colour.value} if live else None,
        "previous": {"version": live.previous_version, "colour": live.colour.other.value} if live else None,
    }


def end_drill(
    deployment: Deployment,
    targets: Targets,
    *,
    journal: Journal,
    balancer: LoadBalancer,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{colour, modified_at}: all traffic to the release that the journal has live. Also what a drill that
    failed ends with, so it does nothing when that is so already.

    Raises UnhealthyTargetsError, with the traffic untouched, when that release has no healthy target: then it
    is better where it is.
    """
    require_lock(journal, deployment.lock)
    live = read_live(journal)
    if live is None:
        return {"colour": None, "modified_at": None}
    back = Weights.all_on(live.colour)
    if balancer.weights(targets.listener_arn, targets) != back:
        health = health_of(balancer.health(targets.of(live.colour)))
        if health.healthy == 0:
            raise UnhealthyTargetsError(
                f"{live.colour} can't take the traffic back: {health}; it stays on {live.colour.other}. Look "
                f"at the instances of {live.colour}, and give it all weight by `cutover rollback`"
            )
        balancer.set_weights(targets.listener_arn, targets, back)
    moved = {"colour": live.colour.value, "modified_at": text(clock.now())}
    if live.candidate is not None:
        journal.write([Change("update", LIVE, {"candidate": None})], lock=deployment.lock)
        events.publish("TrafficShifted", {"deployment": deployment.id, "version": live.version, **moved})
    return moved


def load_drill(port: int, wanted: Mapping[str, Any], *, path: str, load: Load) -> dict[str, Any]:
    """{requests, lost, versions}: users who notice nothing, while the traffic goes there and back."""
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
    }


def conclude_drill(
    load: Mapping[str, Any], there: Mapping[str, Any], back: Mapping[str, Any]
) -> dict[str, Any]:
    """{gates, drill}. `there` and `back` are {modified_at, first_answer_at} of each way."""
    done = Drilled(
        requests=int(load["requests"]),
        lost=int(load["lost"]),
        there_seconds=_seconds(there),
        back_seconds=_seconds(back),
    )
    told = {
        "requests": done.requests,
        "lost": done.lost,
        "versions": load["versions"],
        "there_seconds": done.there_seconds,
        "back_seconds": done.back_seconds,
    }
    return {"gates": [gate.as_json() for gate in judge_drill(done)], "drill": told}


def _seconds(way: Mapping[str, Any]) -> float:
    moved, answered = (datetime.fromisoformat(str(way[key])) for key in ("modified_at", "first_answer_at"))
    return round((answered - moved).total_seconds(), 3)
