"""Move traffic to the new colour, and the test listener to the idle one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Environment, Targets
from cutover.domain.errors import LockLostError, ReleaseFailedError, UnhealthyTargetsError
from cutover.domain.health import health_of
from cutover.domain.records import LIVE, Candidate, Deployment, Live
from cutover.domain.times import text
from cutover.ports import Change, Clock, Events, Journal, LoadBalancer
from cutover.steps.records import read_live, require_lock


def aim_test_listener(
    deployment: Deployment, targets: Targets, colour: Colour, *, journal: Journal, balancer: LoadBalancer
) -> dict[str, Any]:
    """Refused for a colour that serves: what is about to be released there would replace what users see."""
    require_lock(journal, deployment.lock)
    weights = balancer.weights(targets.listener_arn, targets)
    if weights.of(colour) > 0:
        raise ReleaseFailedError(f"{colour} carries traffic ({weights}), so nothing can be released on it")
    aim(targets, colour, balancer=balancer)
    return {"colour": colour.value}


def aim(targets: Targets, colour: Colour, *, balancer: LoadBalancer) -> None:
    if balancer.weights(targets.test_listener_arn, targets) != Weights.all_on(colour):
        balancer.set_weights(targets.test_listener_arn, targets, Weights.all_on(colour))


def swap(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    image: str,
    watch: Mapping[str, Any],
    *,
    journal: Journal,
    balancer: LoadBalancer,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{modified_at, colour, previous_colour, watch_until}. Killed anywhere and run again, it converges: the
    weights are set to what they should be, the LIVE record names this deployment and the release before it,
    once. The journal names the release as a candidate before the listener moves, so that whoever comes next
    knows what the listener may hold, even when this deployment's execution dies as well. A first release is
    no candidate: there is nothing that its traffic could go back to.

    Raises UnhealthyTargetsError, with the traffic untouched, when the colour has no healthy target.
    """
    require_lock(journal, deployment.lock)
    before = read_live(journal)
    if before is not None and before.deployment == deployment.id and not before.rolled_back:
        _settle(environment.targets, colour, balancer)
        return {
            "modified_at": before.swapped_at,
            "colour": colour.value,
            "previous_colour": before.previous_colour,
            "watch_until": before.watch_until,
        }
    health = health_of(balancer.health(environment.targets.of(colour)))
    if health.healthy == 0:
        raise UnhealthyTargetsError(
            f"{colour} can't take the traffic: {health}; the listener was not touched"
        )
    if before is not None:
        _announce(deployment, colour, before, journal)
    balancer.set_weights(environment.listener_arn, environment.targets, Weights.all_on(colour))
    modified = clock.now()
    live = _live(deployment, environment, colour, image, watch=watch, before=before, modified=modified)
    moved = {
        "modified_at": text(modified),
        "colour": colour.value,
        "previous_colour": live.previous_colour,
        "watch_until": live.watch_until,
    }
    try:
        journal.write(
            [Change("put", LIVE, live.item()), Change("update", deployment.key, {"swap": moved})],
            lock=deployment.lock,
        )
    except LockLostError:
        _take_back(environment.targets, journal, balancer)
        raise
    aim(environment.targets, colour.other, balancer=balancer)
    events.publish("TrafficShifted", {"deployment": deployment.id, "version": deployment.version, **moved})
    return moved


def _announce(deployment: Deployment, colour: Colour, before: Live, journal: Journal) -> None:
    candidate = Candidate(deployment.id, deployment.version, colour, 100)
    expected = {"deployment": before.deployment, "swapped_at": before.swapped_at}
    journal.write(
        [Change("update", LIVE, {"candidate": asdict(candidate)}, expect=expected)], lock=deployment.lock
    )


def _take_back(targets: Targets, journal: Journal, balancer: LoadBalancer) -> None:
    """A rollback was faster: it has taken the lock, and the listener goes where the journal says, unless
    nobody is healthy there."""
    now = read_live(journal)
    if now is not None and health_of(balancer.health(targets.of(now.colour))).healthy > 0:
        balancer.set_weights(targets.listener_arn, targets, Weights.all_on(now.colour))


def _settle(targets: Targets, colour: Colour, balancer: LoadBalancer) -> None:
    """The journal says that the swap was done; see that both listeners agree."""
    if balancer.weights(targets.listener_arn, targets) != Weights.all_on(colour):
        balancer.set_weights(targets.listener_arn, targets, Weights.all_on(colour))
    aim(targets, colour.other, balancer=balancer)


def _live(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    image: str,
    *,
    watch: Mapping[str, Any],
    before: Live | None,
    modified: datetime,
) -> Live:
    return Live(
        deployment=deployment.id,
        version=deployment.version,
        image=image,
        colour=colour,
        previous_deployment=before.deployment if before else None,
        previous_colour=before.colour if before else None,
        previous_version=before.version if before else None,
        previous_image=before.image if before else None,
        swapped_at=text(modified),
        watch_until=text(modified + timedelta(hours=float(watch["hours"]))),
        healthy_share=float(watch.get("healthy_share", 0.5)),
        targets=environment.targets,
    )
