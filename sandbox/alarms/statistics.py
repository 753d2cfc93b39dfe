"""Samples of a metric and the statistics CloudWatch derives from them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

BASIC = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
# "p" and a number from 0 to 100 with up to ten decimal places.
_PERCENTILE = re.compile(r"p(100(?:\.0{1,10})?|\d{1,2}(?:\.\d{1,10})?)")


class UnknownStatistic(ValueError):
    """The statistic has no meaning here; the message names it and what may stand in its place."""


@dataclass(frozen=True, slots=True)
class StatisticSet:
    """What a publisher says of samples it does not publish one by one (PutMetricData's StatisticValues)."""

    sample_count: float
    total: float
    minimum: float
    maximum: float

    def as_single_value(self) -> float | None:
        """The value all samples of the set must have had, or None when they may have differed."""
        if self.minimum == self.maximum and self.total == self.minimum * self.sample_count:
            return self.minimum
        return None


@dataclass(slots=True)
class Samples:
    """The samples of one stretch of time: values with how often each was seen, and statistic sets."""

    counts: dict[float, float] = field(default_factory=dict)
    sets: list[StatisticSet] = field(default_factory=list)

    def add(self, value: float, count: float = 1.0) -> None:
        if count > 0:
            self.counts[value] = self.counts.get(value, 0.0) + count

    def add_set(self, statistic_set: StatisticSet) -> None:
        value = statistic_set.as_single_value()
        if value is not None:
            self.add(value, statistic_set.sample_count)
        elif statistic_set.sample_count > 0:
            self.sets.append(statistic_set)

    @classmethod
    def merged(cls, parts: Iterable[Samples]) -> Samples:
        whole = cls()
        for part in parts:
            for value, count in part.counts.items():
                whole.add(value, count)
            whole.sets.extend(part.sets)
        return whole

    @property
    def sample_count(self) -> float:
        return sum(self.counts.values()) + sum(each.sample_count for each in self.sets)

    def __bool__(self) -> bool:
        return bool(self.counts or self.sets)


def percentile_rank(name: str) -> float | None:
    """95.0 for "p95"; None when `name` is no percentile."""
    match = _PERCENTILE.fullmatch(name)
    return float(match[1]) if match else None


def check(name: str) -> None:
    """Raises UnknownStatistic unless `statistic` can compute `name`."""
    if name not in BASIC and percentile_rank(name) is None:
        raise UnknownStatistic(
            f"Statistic {name!r} is not supported; use one of {', '.join(BASIC)} or a percentile such as p95"
        )


def statistic(samples: Samples, name: str) -> float | None:
    """The statistic `name` of `samples`; None when there is none to give.

    Percentiles need raw data: there is none when a statistic set holds samples that may differ, or when any
    value is negative. Raises UnknownStatistic.
    """
    check(name)
    if not samples:
        return None
    rank = percentile_rank(name)
    if rank is not None:
        return percentile(samples, rank)
    if name == "SampleCount":
        return samples.sample_count
    if name == "Minimum":
        return min([*samples.counts, *(each.minimum for each in samples.sets)])
    if name == "Maximum":
        return max([*samples.counts, *(each.maximum for each in samples.sets)])
    total = sum(value * count for value, count in samples.counts.items())
    total += sum(each.total for each in samples.sets)
    return total if name == "Sum" else total / samples.sample_count


def percentile(samples: Samples, rank: float) -> float | None:
    """The `rank`-th percentile (0 to 100), interpolated linearly between the two closest ranks.

    AWS does not publish its interpolation. This is the common one (numpy's "linear"): of n ordered samples
    the percentile lies at index rank/100 * (n - 1), and between two neighbours in proportion.
    """
    if samples.sets or not samples.counts or min(samples.counts) < 0:
        return None
    ordered = sorted(samples.counts.items())
    position = rank / 100.0 * max(samples.sample_count - 1.0, 0.0)
    below = int(position)
    low, high = _at(ordered, below), _at(ordered, below + 1)
    return low + (position - below) * (high - low)


def _at(ordered: list[tuple[float, float]], index: int) -> float:
    """The value at `index` if every value stood there as often as its count says."""
    seen = 0.0
    for value, count in ordered:
        seen += count
        if index < seen:
            return value
    return ordered[-1][0]


def samples_needed(name: str) -> float:
    """How many samples make the percentile `name` statistically significant; 0 for other statistics.

    10/(1 - percentile) from p50 up, 10/percentile below
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html).
    """
    rank = percentile_rank(name)
    if rank is None:
        return 0.0
    share = rank / 100.0
    tail = 1.0 - share if share >= 0.5 else share
    # 1 - 0.99 is a hair above 0.01: rounded, so that p99 needs 1000 samples and not 999.99.
    return round(10.0 / tail, 6) if tail > 0 else float("inf")
