"""What users had of the release that was live, put together from the colours that had the traffic.

A period in which the traffic moved has the requests of both colours and the slower one's times.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cutover.domain.colours import Colour
from cutover.domain.figures import (
    BALANCER_ERRORS,
    CACHE_HITS,
    CACHE_MISSES,
    COUNTS,
    CPU,
    DATABASE_CONNECTIONS,
    DATABASE_CPU,
    DATABASE_HIT,
    ERRORS,
    MEMORY,
    P50,
    P95,
    P99,
    REQUESTS,
)
from cutover.domain.gates import Unit
from cutover.domain.moves import Spell
from cutover.domain.series import Series, Span, binned, moments_of, ratio

THROUGHPUT, ERROR_RATE, CACHE_HIT = "throughput", "error_rate", "cache_hit"
#: What a report tells of, with its unit.
LINES: Mapping[str, Unit] = {
    P50: Unit.MILLISECONDS,
    P95: Unit.MILLISECONDS,
    P99: Unit.MILLISECONDS,
    THROUGHPUT: Unit.PER_SECOND,
    ERROR_RATE: Unit.SHARE,
    CPU: Unit.SHARE,
    MEMORY: Unit.SHARE,
    DATABASE_CPU: Unit.SHARE,
    DATABASE_CONNECTIONS: Unit.COUNT,
    DATABASE_HIT: Unit.SHARE,
    CACHE_HIT: Unit.SHARE,
}
#: Points of a figure: (beginning of its period, value).
Points = Sequence[tuple[datetime, float]]
#: A report's last minutes may be on their way still: CloudWatch shows a metric some minutes late.
LATE = timedelta(minutes=3)


@dataclass(frozen=True)
class Observed:
    """Period by period: `counts` (requests, errors, balancer_errors) and `lines` (those of LINES)."""

    counts: Mapping[str, Series]
    lines: Mapping[str, Series]

    @property
    def requests(self) -> Series:
        return self.counts[REQUESTS]


def observe(
    colours: Mapping[Colour, Mapping[str, Points]],
    environment: Mapping[str, Points],
    spells: Sequence[Spell],
    period: timedelta,
    now: datetime,
) -> Observed:
    """`colours` and `environment` are the points by the names of `cutover.domain.figures`. Periods in which
    nothing was live are left out, and so are the last ones that CloudWatch does not show yet."""

    def of_colours(name: str) -> dict[datetime, float]:
        found: dict[datetime, float] = {}
        for colour, points in colours.items():
            for at, value in binned(points.get(name, ()), period, _merge(name)).items():
                if any(spell.colour is colour and _meet(spell, at, period) for spell in spells):
                    found[at] = _merge(name)(found[at], value) if at in found else value
        return found

    def whole(name: str) -> dict[datetime, float]:
        every = (
            point for key, points in environment.items() if key.partition("-")[0] == name for point in points
        )
        return binned(every, period, _merge(name))

    requests = of_colours(REQUESTS)
    moments = _moments(spells, period, requests, now)

    def series(values: Mapping[datetime, float]) -> Series:
        return Series(period, moments, {at: values[at] for at in moments if at in values})

    # The balancer is silent of what did not happen: where requests were counted, nothing is none.
    refused = whole(BALANCER_ERRORS)
    counts = {
        REQUESTS: series(requests),
        ERRORS: series(of_colours(ERRORS)),
        BALANCER_ERRORS: series({at: refused.get(at, 0.0) for at in requests}),
    }
    hits, misses = series(whole(CACHE_HITS)), series(whole(CACHE_MISSES))
    asked = {at: hits.values[at] + misses.values[at] for at in hits.values if at in misses.values}
    lines = {
        THROUGHPUT: series({at: count / period.total_seconds() for at, count in requests.items()}),
        ERROR_RATE: ratio(counts[ERRORS], counts[REQUESTS]),
        CACHE_HIT: ratio(hits, series(asked)),
        **{name: series(of_colours(name)) for name in (P50, P95, P99, CPU, MEMORY)},
        **{name: series(whole(name)) for name in (DATABASE_CPU, DATABASE_CONNECTIONS, DATABASE_HIT)},
    }
    return Observed(counts, lines)


def _meet(spell: Spell, at: datetime, period: timedelta) -> bool:
    return spell.since < at + period and at < spell.until


def _moments(
    spells: Sequence[Spell], period: timedelta, requests: Container[datetime], now: datetime
) -> tuple[datetime, ...]:
    """The periods in which something was live from beginning to end."""
    found = [
        at
        for begin, end in _lit(spells)
        for at in moments_of(begin, end, period)
        if at in requests or at + period <= now - LATE
    ]
    return tuple(found)


def _lit(spells: Sequence[Spell]) -> list[Span]:
    """The spells, with those that follow each other taken together."""
    found: list[Span] = []
    for spell in spells:
        if found and found[-1].until == spell.since:
            found[-1] = Span(found[-1].since, spell.until)
        else:
            found.append(spell.span)
    return found


def _merge(name: str) -> Callable[[float, float], float]:
    if name.partition("-")[0] in COUNTS:
        return lambda one, other: one + other
    return max
