"""Complete a rollback's clock once the traffic is back, and publish it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cutover.domain.errors import CutoverError
from cutover.domain.rollback_clock import Clock, first_bad

if TYPE_CHECKING:
    from cutover.domain.colours import Colour
    from cutover.steps.aftermath import World


def complete(
    clock: Clock, failing: Colour, since: str | None, record: Mapping[str, Any], world: World
) -> Clock:
    """`since` is when the release that was left had taken the traffic; `record` is its deployment's."""
    return _last(_first(clock, failing, since, world), str(record.get("version") or ""), world)


def _first(clock: Clock, failing: Colour, since: str | None, world: World) -> Clock:
    if since is None:
        return replace(clock, first_bad_unknown="the journal does not know since when it had traffic")
    try:
        counts = world.measurements.bad(failing, datetime.fromisoformat(since), clock.modified_at)
    except CutoverError as error:
        return replace(clock, first_bad_unknown=f"the metrics can't be read: {error}")
    found = first_bad(counts)
    why = None
    if found is None:
        why = "the 10 s metrics count no bad request" if counts else "there are no 10 s metrics of it"
    return replace(clock, first_bad_at=found, first_bad_unknown=why)


def _last(clock: Clock, version: str, world: World) -> Clock:
    if not version:
        return replace(clock, last_bad_unknown="the version that was left is not known")
    try:
        seen = world.visitor.last_answer(version)
    except CutoverError as error:
        return replace(clock, last_bad_unknown=f"the live listener can't be asked: {error}")
    why = None if seen else "the live listener was not seen to answer with it any more"
    return replace(clock, last_bad_at=seen, last_bad_unknown=why)
