"""Make the plan: everything that this deployment would do, in one document. Nothing is touched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cutover.domain.colours import Colour, ColourPlan, Weights, plan_colours
from cutover.domain.environment import Environment
from cutover.domain.errors import (
    ImageNotFoundError,
    MisconfiguredError,
    OutsideWindowError,
    SourceNotFoundError,
)
from cutover.domain.indexes import Index
from cutover.domain.plan import phases, sealed
from cutover.domain.records import Deployment, Live
from cutover.domain.times import text
from cutover.domain.window import WindowDecision, decide_window, read_hours
from cutover.ports import Clock, Journal, LoadBalancer, Registry, Sources, Stack, Stacks
from cutover.steps.prepare_change_set import FIRST_LIVE, outputs_of
from cutover.steps.records import read_live


def make_plan(
    deployment: Deployment,
    configuration: Mapping[str, Any],
    change_set: Mapping[str, Any] | None,
    indexes: tuple[Index, ...],
    *,
    journal: Journal,
    balancer: LoadBalancer,
    stacks: Stacks,
    registry: Registry,
    sources: Sources,
    clock: Clock,
) -> dict[str, Any]:
    """Raises OutsideWindowError, ImageNotFoundError, SourceNotFoundError, or MisconfiguredError for a
    listener whose traffic is split, so that nobody could say which colour is idle.
    """
    window = _window(deployment, configuration, clock)
    image, source = _image(deployment, registry), _source(deployment, sources)
    live = read_live(journal)
    weights = _live_weights(stacks.stack(), balancer)
    colours = _colours(weights, live)
    return sealed(
        {
            "deployment": deployment.id,
            "environment": deployment.environment,
            "version": deployment.version,
            "made_at": text(clock.now()),
            "window": {"allowed": window.allowed, "forced": window.forced, "reason": window.reason},
            "live_colour": colours.live.value if colours.live else None,
            "live_version": live.version if live else None,
            "idle_colour": colours.idle.value,
            "colours": colours.reason,
            "weights": {"now": _table(weights), "after": _table(Weights.all_on(colours.idle))},
            "image": image,
            "source": source,
            "settings": dict(deployment.settings or {}),
            "change_set": change_set,
            "migrations": {
                "indexes": [str(index) for index in indexes],
                "how": "made where they are missing",
            },
            "phases": phases(),
        }
    )


def _window(deployment: Deployment, configuration: Mapping[str, Any], clock: Clock) -> WindowDecision:
    table = configuration.get("window") or {}
    zone = str(table.get("zone") or "Asia/Seoul")
    if not table.get("enforced"):
        return WindowDecision(True, "this environment is deployed to at any hour")
    backup = table.get("backup")
    decision = decide_window(
        clock.now(),
        read_hours(table, zone),
        read_hours(backup, zone, "window.backup") if backup else None,
        forced_because=deployment.forced_because,
        lasts=timedelta(seconds=float((configuration.get("watch") or {}).get("bake_seconds", 0))),
    )
    if not decision.allowed:
        raise OutsideWindowError(
            f'{decision.reason}; a reason forces it: "force": {{"reason": "…"}} (never a backup)'
        )
    return decision


def _image(deployment: Deployment, registry: Registry) -> dict[str, Any]:
    """The digest of a given image, which must be there; or the tag that the build will push."""
    if deployment.image and registry.digest(digest=deployment.image) is None:
        raise ImageNotFoundError(
            f"image: the repository {registry.name} holds no {deployment.image}; "
            "give a digest that was built before, or a source to build"
        )
    return {"digest": deployment.image, "tag": deployment.id, "repository": registry.uri}


def _source(deployment: Deployment, sources: Sources) -> dict[str, Any] | None:
    if not deployment.source:
        return None
    location = sources.location(deployment.source)
    if not sources.holds(deployment.source):
        raise SourceNotFoundError(f"source: there is no s3://{location}; upload it, as `cutover deploy` does")
    return {"key": deployment.source, "location": location}


def _live_weights(stack: Stack | None, balancer: LoadBalancer) -> Weights:
    if stack is None or not stack.outputs:
        return FIRST_LIVE
    environment = Environment.read(outputs_of(stack))
    return balancer.weights(environment.listener_arn, environment.targets)


def _colours(weights: Weights, live: Live | None) -> ColourPlan:
    colours = plan_colours(weights, live.colour if live else None)
    if colours is None:
        raise MisconfiguredError(
            f"the listener splits its traffic ({weights}), so neither colour is idle; "
            "give all weight to the good one, and deploy again"
        )
    return colours


def _table(weights: Weights) -> dict[str, int]:
    return {colour.value: weights.of(colour) for colour in Colour}
