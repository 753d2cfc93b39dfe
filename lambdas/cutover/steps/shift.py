"""Give the new colour a share of the traffic, and judge it by what it does with that (requirement A5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cutover.domain.alarms import alarm_names
from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Services
from cutover.domain.errors import ReleaseFailedError
from cutover.domain.health import health_of
from cutover.domain.records import LIVE, Candidate, Deployment
from cutover.domain.shifting import Answers, Limits, compare, guard, is_decided
from cutover.domain.times import text
from cutover.ports import (
    Alarms,
    Change,
    Clock,
    Events,
    Journal,
    Load,
    LoadBalancer,
    VersionAnswers,
)
from cutover.steps.records import read_live, require_lock
from cutover.steps.traffic import move_traffic, takers


def shift(
    deployment: Deployment,
    services: Services,
    colour: Colour,
    share: int,
    *,
    journal: Journal,
    balancer: LoadBalancer,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{share, modified_at}. All of `services` get the same share, side by side. The journal names the
    candidate before the listener does, so that a rollback knows whose share it is, at whatever moment it
    comes. Run again, it sets the same weights.

    Raises UnhealthyTargetsError, with the traffic untouched, when the colour has no healthy target of a
    service, and ReleaseFailedError when no release has the rest of the traffic.
    """
    require_lock(journal, deployment.lock)
    live = read_live(journal)
    if live is None or live.colour is colour:
        raise ReleaseFailedError(
            f"{colour.other} has no release that could keep {100 - share} % of the traffic"
        )
    # A frontend that is released for the first time has nothing that could keep the rest.
    shared = {service: targets for service, targets in services.items() if service in live.released}
    moving = takers(shared, colour, shared, f"{share} % of the traffic", balancer=balancer)
    candidate = Candidate(deployment.id, deployment.version, colour, share)
    expected = {"deployment": live.deployment, "swapped_at": live.swapped_at}
    journal.write(
        [Change("update", LIVE, {"candidate": asdict(candidate)}, expect=expected)], lock=deployment.lock
    )
    move_traffic(moving, Weights.shared(colour, share), balancer=balancer)
    moved = {"share": share, "colour": colour.value, "modified_at": text(clock.now())}
    about = {"deployment": deployment.id, "version": deployment.version, "drill": False}
    events.publish("TrafficShifted", {**about, **moved})
    return moved


def compare_versions(
    deployment: Deployment,
    live_version: str,
    port: int,
    wanted: Mapping[str, Any],
    thresholds: Mapping[str, Any],
    *,
    path: str,
    load: Load,
) -> dict[str, Any]:
    """{gates}: one load through the live listener, its answers told apart by the version that they name."""
    seen = load.by_version(
        port=port,
        path=path,
        rate=float(wanted["requests_per_second"]),
        users=int(wanted["users"]),
        seconds=float(wanted["comparison_seconds"]),
    )
    limits = Limits(
        error_rate=float(thresholds["error_rate"]),
        p95_ms=float(thresholds["p95_ms"]),
        fewest_answers=int(wanted["fewest_answers"]),
    )
    unnamed = seen.get("", VersionAnswers(0, 0, 0.0)).answers
    gates = compare(_answers(deployment.version, seen), _answers(live_version, seen), unnamed, limits)
    return {"gates": [gate.as_json() for gate in gates]}


def _answers(version: str, seen: Mapping[str, VersionAnswers]) -> Answers:
    found = seen.get(version)
    if found is None or not found.answers:
        return Answers(version, 0, 0, None)
    return Answers(version, found.answers, found.failed, found.p95_ms)


def judge_share(
    deployment: Deployment,
    colour: Colour,
    compared: Sequence[Mapping[str, Any]],
    healthy_share: float,
    services: Services,
    *,
    balancer: LoadBalancer,
    alarms: Alarms,
) -> dict[str, Any]:
    """{gates, decided}: what was compared, with the alarms and the targets of the new colour."""
    names = alarm_names(deployment.environment, colour, services)
    found = {alarm.name: alarm for alarm in alarms.find(names)}
    gates = guard(
        standing=[name for name, alarm in found.items() if alarm.state == "ALARM"],
        missing=[name for name in names if name not in found],
        # The service that is worst off speaks for all.
        health=min(
            (health_of(balancer.health(targets.of(colour))) for targets in services.values()),
            key=lambda health: health.share,
        ),
        share=healthy_share,
    )
    every = [*compared, *(gate.as_json() for gate in gates)]
    return {"gates": every, "decided": is_decided(every)}
