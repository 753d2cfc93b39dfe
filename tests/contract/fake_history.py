"""CloudWatch's memory, in this one: samples, and the statistics of them that a report asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from cutover.domain.figures import Figure
from cutover.domain.observed import Points

Key = tuple[str, str, frozenset[tuple[str, str]]]


class FakeHistory:
    """`samples` by (namespace, metric, dimensions)."""

    def __init__(self) -> None:
        self._samples: dict[Key, list[tuple[datetime, float]]] = defaultdict(list)

    def put(
        self, namespace: str, metric: str, dimensions: Mapping[str, str], at: datetime, *values: float
    ) -> None:
        key = (namespace, metric, frozenset(dimensions.items()))
        self._samples[key] += [(at, value) for value in values]

    def read(
        self, figures: Mapping[str, Figure], since: datetime, until: datetime, period: timedelta
    ) -> Mapping[str, Points]:
        return {name: list(self._points(figure, since, until, period)) for name, figure in figures.items()}

    def _points(self, figure: Figure, since: datetime, until: datetime, period: timedelta) -> Iterable[Any]:
        key = (figure.namespace, figure.metric, frozenset(figure.dimensions.items()))
        within: dict[int, list[float]] = defaultdict(list)
        for at, value in self._samples[key]:
            if since <= at < until:
                within[(at - since) // period].append(value)
        for index in sorted(within):
            yield since + index * period, statistic(within[index], figure.statistic) * figure.factor


def statistic(values: list[float], name: str) -> float:
    """Percentiles between the two nearest, as CloudWatch does."""
    match name:
        case "Sum":
            return sum(values)
        case "Average":
            return fmean(values)
        case "Maximum":
            return max(values)
    ordered, share = sorted(values), float(name.removeprefix("p")) / 100
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


class FakeSchedules:
    """By name: when, and what is asked for."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[datetime, Mapping[str, Any]]] = {}

    def once(self, name: str, at: datetime, asked: Mapping[str, Any]) -> None:
        self.there.setdefault(name, (at, asked))
