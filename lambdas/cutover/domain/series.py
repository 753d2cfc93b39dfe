"""A figure over time, in periods of one length. A period without a value is a gap, and a gap is not zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """From `since` up to, not including, `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Block:
    """Several periods as one value; `index` counts blocks from the first moment on."""

    index: int
    at: datetime
    value: float


def floored(moment: datetime, period: timedelta) -> datetime:
    """The beginning of the period that the moment lies in; periods are counted from the epoch."""
    return moment - (moment - EPOCH) % period


def moments_of(since: datetime, until: datetime, period: timedelta) -> tuple[datetime, ...]:
    """The beginnings of the whole periods between the two, in order."""
    first = floored(since, period)
    if first < since:
        first += period
    return tuple(first + index * period for index in range(max(0, (until - first) // period)))


@dataclass(frozen=True)
class Series:
    """`moments` are the beginnings of the periods that a value is wanted for, in order; `values` those that
    there are."""

    period: timedelta
    moments: tuple[datetime, ...]
    values: Mapping[datetime, float]

    @property
    def present(self) -> list[tuple[datetime, float]]:
        """What there is, in order."""
        return [(at, self.values[at]) for at in self.moments if at in self.values]

    @property
    def gaps(self) -> list[Span]:
        """Where values are missing, neighbours together."""
        found: list[Span] = []
        for at in self.moments:
            if at in self.values:
                continue
            if found and found[-1].until == at:
                found[-1] = Span(found[-1].since, at + self.period)
            else:
                found.append(Span(at, at + self.period))
        return found

    def blocks(self, length: timedelta, value_of: Callable[[Sequence[float]], float] = median) -> list[Block]:
        """Blocks of `length` from the first moment on. One of which less than half is there is left out: it
        would stand for what nobody saw."""
        if not self.moments:
            return []
        wanted: dict[int, list[float | None]] = {}
        first = self.moments[0]
        for at in self.moments:
            wanted.setdefault((at - first) // length, []).append(self.values.get(at))
        found = []
        for index, every in wanted.items():
            there = [value for value in every if value is not None]
            if there and 2 * len(there) >= len(every):
                found.append(Block(index, first + index * length, value_of(there)))
        return found

    def between(self, span: Span) -> list[float]:
        """The values of the periods that begin within the span."""
        return [value for at, value in self.present if span.since <= at < span.until]


def binned(
    points: Iterable[tuple[datetime, float]], period: timedelta, merge: Callable[[float, float], float]
) -> dict[datetime, float]:
    """Points by the period that they lie in; those of one period are merged."""
    found: dict[datetime, float] = {}
    for moment, value in points:
        at = floored(moment, period)
        found[at] = merge(found[at], value) if at in found else value
    return found


def ratio(above: Series, below: Series) -> Series:
    """Period by period, where both are there and `below` is not zero."""
    values = {
        at: above.values[at] / count for at, count in below.values.items() if count > 0 and at in above.values
    }
    return Series(below.period, below.moments, values)


def percentile(values: Iterable[float], share: float) -> float | None:
    """By nearest rank; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(1, rank) - 1]
