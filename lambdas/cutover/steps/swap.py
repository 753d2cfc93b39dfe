"""Move the traffic of all services to the new colour, and the test listener to the idle one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Environment, Services
from cutover.domain.errors import ReleaseFailedError
from cutover.domain.records import LIVE, Candidate, Deployment, Live, LiveFrontend
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.ports import Change, Clock, Events, Journal, LoadBalancer
from cutover.steps.candidates import announced, given_back
from cutover.steps.records import read_live, require_lock
from cutover.steps.traffic import aim, elsewhere, move_traffic, takers


def aim_test_listener(
    deployment: Deployment,
    services: Services,
    colour: Colour,
    *,
    journal: Journal,
    balancer: LoadBalancer,
) -> dict[str, Any]:
    """Refused for a colour that serves: what is about to be released there would replace what users see.

    `services` are those that are about to be released.
    """
    require_lock(journal, deployment.lock)
    for service, targets in services.items():
        weights = balancer.weights(targets.listener_arn, targets)
        if (
            weights.of(colour) > 0
            and service is not Service.BACKEND
            and not balancer.health(targets.of(colour))
        ):
            # Never released, so nobody is served: it gets no requests before its proof.
            balancer.set_weights(targets.listener_arn, targets, Weights.all_on(colour.other))
        elif weights.of(colour) > 0:
            raise ReleaseFailedError(
                f"{colour} carries traffic of the {service} ({weights}), so nothing can be released on it"
            )
    aim(services, colour, balancer=balancer)
    return {"colour": colour.value}


def swap(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    images: Mapping[Service, str],
    watch: Mapping[str, Any],
    *,
    journal: Journal,
    balancer: LoadBalancer,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{modified_at, colour, previous_colour, watch_until}. All services' traffic, in changes side by side.

    Killed anywhere and run again, it converges: the weights are set to what they should be, the LIVE record
    names this deployment and the release before it, once. The journal names the release as a candidate before
    the listener moves, so that whoever comes next knows what the listener may hold, even when this
    deployment's execution dies as well. A first release is no candidate: there is nothing that its traffic
    could go back to.

    Raises UnhealthyTargetsError, with no traffic moved, when the colour has no healthy target of a service.
    """
    require_lock(journal, deployment.lock)
    candidate = Candidate(deployment.id, deployment.version, colour, 100)
    before = read_live(journal)
    if before is not None and before.deployment == deployment.id and not before.rolled_back:
        settled = _settle(before, colour, balancer)
        with given_back(environment.services, candidate, journal=journal, balancer=balancer):
            require_lock(journal, deployment.lock)
        return _tell(deployment, before, settled, events)
    moving = takers(environment.services, colour, images, "the traffic", balancer=balancer)
    if before is not None:
        journal.write([announced(candidate, before)], lock=deployment.lock)
    move_traffic(moving, Weights.all_on(colour), balancer=balancer)
    modified = clock.now()
    live = _live(
        deployment,
        environment,
        colour,
        images,
        moving=moving,
        watch=watch,
        before=before,
        modified=modified,
    )
    moved = _moved(live)
    with given_back(environment.services, candidate, journal=journal, balancer=balancer):
        journal.write(
            [Change("put", LIVE, live.item()), Change("update", deployment.key, {"swap": moved})],
            lock=deployment.lock,
        )
    aim(moving, colour.other, balancer=balancer)
    return _tell(deployment, live, moving, events)


def _tell(deployment: Deployment, live: Live, moving: Services, events: Events) -> dict[str, Any]:
    moved = _moved(live)
    about = {"deployment": deployment.id, "version": deployment.version, "drill": False, "share": 100}
    events.publish("TrafficShifted", {**about, "services": list(moving), **moved})
    return moved


def _moved(live: Live) -> dict[str, Any]:
    return {
        "modified_at": live.swapped_at,
        "colour": live.colour.value,
        "previous_colour": live.previous_colour,
        "watch_until": live.watch_until,
    }


def _settle(live: Live, colour: Colour, balancer: LoadBalancer) -> Services:
    """The journal says that the swap was done; see that all listeners and rules agree. Returns the services
    that it moved."""
    moved = {service: live.services[service] for service in live.services if service in live.released}
    move_traffic(elsewhere(moved, colour, balancer=balancer), Weights.all_on(colour), balancer=balancer)
    aim(moved, colour.other, balancer=balancer)
    return moved


def _live(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    images: Mapping[Service, str],
    *,
    moving: Services,
    watch: Mapping[str, Any],
    before: Live | None,
    modified: datetime,
) -> Live:
    return Live(
        deployment=deployment.id,
        version=deployment.version,
        image=images[Service.BACKEND],
        colour=colour,
        previous_deployment=before.deployment if before else None,
        previous_colour=before.colour if before else None,
        previous_version=before.version if before else None,
        previous_image=before.image if before else None,
        swapped_at=text(modified),
        watch_until=text(modified + timedelta(hours=float(watch["hours"]))),
        healthy_share=float(watch.get("healthy_share", 0.5)),
        targets=environment.targets,
        frontend=_frontend(environment, colour, images, moving, before),
    )


def _frontend(
    environment: Environment,
    colour: Colour,
    images: Mapping[Service, str],
    moving: Services,
    before: Live | None,
) -> LiveFrontend:
    """One that was not released and has the traffic all the same has stood on the colour already."""
    old, targets = before.frontend if before else None, environment.frontend_targets
    if Service.FRONTEND in images:
        standing = old.image if old is not None and old.colour is colour.other else None
        return LiveFrontend(images[Service.FRONTEND], standing, colour, targets)
    if old is not None and old.colour is colour and Service.FRONTEND in moving:
        return replace(old, previous_image=None, targets=targets)
    return old or LiveFrontend(None, None, None, targets)
