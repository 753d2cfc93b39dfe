"""The data points that were published, kept per metric at a resolution of one CloudWatch second.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.alarms.statistics import Samples

# Data points of one minute and more are kept for 15 days.
RETENTION_SECONDS = 15 * 86400


@dataclass(frozen=True, slots=True)
class Metric:
    """Namespace, name and the exact set of dimensions: each other set is another metric."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str] | None = None) -> Metric:
        return cls(namespace, name, frozenset((dimensions or {}).items()))


@dataclass(slots=True)
class _Series:
    """Samples by second, with the seconds in order."""

    seconds: list[int] = field(default_factory=list)
    samples: dict[int, Samples] = field(default_factory=dict)

    def at(self, second: int) -> Samples:
        found = self.samples.get(second)
        if found is None:
            found = self.samples[second] = Samples()
            bisect.insort(self.seconds, second)
        return found

    def between(self, start: int, end: int) -> list[int]:
        return self.seconds[bisect.bisect_left(self.seconds, start) : bisect.bisect_left(self.seconds, end)]

    def drop_before(self, second: int) -> None:
        cut = bisect.bisect_left(self.seconds, second)
        for each in self.seconds[:cut]:
            del self.samples[each]
        del self.seconds[:cut]


class MetricStore:
    """Thread-safe. A metric published with several units has a series per unit; a query may name one."""

    def __init__(self) -> None:
        self._series: dict[Metric, dict[str, _Series]] = {}
        self._lock = threading.Lock()

    def put(self, metric: Metric, second: int, fill: Callable[[Samples], None], unit: str = "None") -> None:
        """Let `fill` add to the samples of `metric` at `second` (CloudWatch seconds)."""
        with self._lock:
            fill(self._series.setdefault(metric, {}).setdefault(unit, _Series()).at(second))

    def put_value(self, metric: Metric, second: int, value: float, unit: str = "None") -> None:
        self.put(metric, second, lambda samples: samples.add(value), unit)

    def aggregate(
        self, metric: Metric, starts: Iterable[int], period: int, unit: str | None = None
    ) -> dict[int, Samples]:
        """The samples of each period [start, start + period) that has any, by its start.

        Only the series of `unit` count, when one is named.
        """
        found: dict[int, Samples] = {}
        with self._lock:
            by_unit = self._series.get(metric, {})
            series = [each for name, each in by_unit.items() if unit is None or name == unit]
            for start in starts:
                parts = [
                    each.samples[second] for each in series for second in each.between(start, start + period)
                ]
                if parts:
                    found[start] = Samples.merged(parts)
        return found

    def unit(self, metric: Metric) -> str:
        """The unit that the metric was first published with."""
        with self._lock:
            return next(iter(self._series.get(metric, {})), "None")

    def metrics(self) -> list[Metric]:
        with self._lock:
            return list(self._series)

    def drop_before(self, second: int) -> None:
        """Forget all data older than `second`, and metrics that have none left."""
        with self._lock:
            for metric, by_unit in list(self._series.items()):
                for series in by_unit.values():
                    series.drop_before(second)
                if not any(series.seconds for series in by_unit.values()):
                    del self._series[metric]

    def clear(self) -> None:
        with self._lock:
            self._series.clear()
