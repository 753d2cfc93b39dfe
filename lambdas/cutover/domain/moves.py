"""Which colour had the traffic when, as the journal tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.records import Live
from cutover.domain.series import Span


@dataclass(frozen=True)
class Spell:
    """A time in which a colour had the traffic."""

    colour: Colour
    since: datetime
    until: datetime

    @property
    def span(self) -> Span:
        return Span(self.since, self.until)


def spells_of(
    records: Iterable[Mapping[str, Any]], live: Live | None, since: datetime, until: datetime
) -> list[Spell]:
    """The spells between the two moments, in order. Before the first release there is none. Drills, which
    move the traffic for seconds and bring it back, are not told apart."""
    moves: dict[datetime, Colour] = {}
    origins: dict[datetime, Colour | None] = {}
    for record in records:
        swap, rollback = record.get("swap") or {}, record.get("rollback") or {}
        if swap.get("modified_at"):
            at = datetime.fromisoformat(str(swap["modified_at"]))
            moves[at] = Colour(swap["colour"])
            before = swap.get("previous_colour")
            origins[at] = Colour(before) if before else None
        back = (rollback.get("clock") or {}).get("modified_at")
        # A rollback of a share had only a part of the traffic to move: the other colour never was live.
        if back and rollback.get("to") and swap.get("modified_at"):
            moves[datetime.fromisoformat(str(back))] = Colour(rollback["to"])
    if live is not None:
        moves.setdefault(datetime.fromisoformat(live.swapped_at), live.colour)
    ordered = sorted(moves.items())
    found: list[Spell] = []
    if ordered and (origin := origins.get(ordered[0][0])) is not None and ordered[0][0] > since:
        found.append(Spell(origin, since, min(until, ordered[0][0])))
    for index, (at, colour) in enumerate(ordered):
        end = ordered[index + 1][0] if index + 1 < len(ordered) else until
        begin, end = max(at, since), min(end, until)
        if begin >= end:
            continue
        if found and found[-1].colour is colour and found[-1].until == begin:
            found[-1] = Spell(colour, found[-1].since, end)
        else:
            found.append(Spell(colour, begin, end))
    return found
