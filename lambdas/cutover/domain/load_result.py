"""What came of a load, as each worker sends it and as all of them together are judged (C6a, C7b)."""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cutover.domain.histogram import Histogram

TOO_MANY = 429  # the service's own rate limit
_COUNTERS = ("statuses", "errors", "wrong", "per_second", "exercised", "cache")
_BY_NUMBER = frozenset({"statuses", "per_second"})


@dataclass
class LoadResult:
    """One stage of a load. `began` is in epoch seconds, `seconds` long it was followed.

    `errors` are requests without an answer, by kind (connection, tls, timeout); `wrong` answers with another
    status than the right one, by class (4xx, 5xx); 429 is in neither: the service kept its own rate limit,
    which is no failure, but no work either. `per_second` counts right answers by their epoch second,
    `exercised` by their scenario, `cache` by what the answer's x-cache says. `lag` is the client's own
    lateness, `busiest` the share of a core that the busiest worker needed, `apart` the seconds between the
    workers' beginnings.
    """

    scheduled: int = 0
    began: float = 0.0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    per_second: Counter[int] = field(default_factory=Counter)
    exercised: Counter[str] = field(default_factory=Counter)
    cache: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    cpu_seconds: float = 0.0
    busiest: float = 0.0
    apart: float = 0.0
    rates: float = 0.0

    @property
    def failed(self) -> int:
        """Requests that got no answer, or a wrong one."""
        return self.errors.total() + self.wrong.total()

    @property
    def refused(self) -> int:
        """Requests that the service's rate limit refused."""
        return self.statuses[TOO_MANY]

    @property
    def right(self) -> int:
        return self.exercised.total()

    @property
    def mean_rate(self) -> float:
        """Right answers a second: of several workers, the sum of theirs."""
        return self.rates or (self.right / self.seconds if self.seconds else 0.0)

    @property
    def peak_rate(self) -> int:
        """Right answers in the best second."""
        return max(self.per_second.values(), default=0)

    def merge(self, other: Self) -> None:
        """Add another worker's. The time is that from the first one's beginning to the last one's end."""
        if not other.scheduled:
            return
        self.rates = (self.mean_rate if self.scheduled else 0.0) + other.mean_rate
        if not self.scheduled:
            self.began, self.seconds, self.apart = other.began, other.seconds, other.apart
        ended = max(self.began + self.seconds, other.began + other.seconds)
        last = max(self.began + self.apart, other.began + other.apart)
        self.began = min(self.began, other.began)
        self.seconds, self.apart = ended - self.began, last - self.began
        self.scheduled += other.scheduled
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self.latency.merge(other.latency)
        self.lag.merge(other.lag)
        self.cpu_seconds += other.cpu_seconds
        self.busiest = max(self.busiest, other.busiest)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "scheduled": self.scheduled,
            "began": round(self.began, 3),
            "seconds": round(self.seconds, 3),
            **{name: {str(key): n for key, n in getattr(self, name).items()} for name in _COUNTERS},
            "latency": self.latency.document(),
            "lag": self.lag.document(),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "busiest": round(self.busiest, 3),
            "apart": round(self.apart, 3),
            "rates": round(self.rates, 3),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The result that `document()` described."""
        made = cls(
            int(document["scheduled"]),
            float(document["began"]),
            float(document["seconds"]),
            latency=Histogram.of(document["latency"]),
            lag=Histogram.of(document["lag"]),
            cpu_seconds=float(document["cpu_seconds"]),
            busiest=float(document["busiest"]),
            apart=float(document["apart"]),
            rates=float(document["rates"]),
        )
        for name in _COUNTERS:
            counted = {int(k) if name in _BY_NUMBER else k: int(n) for k, n in document[name].items()}
            getattr(made, name).update(counted)
        return made


def packed(results: Iterable[LoadResult]) -> str:
    """All stages as one short text: a state machine's payload holds 256 KiB, and a histogram has hundreds of
    buckets."""
    text = json.dumps([result.document() for result in results], separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: str) -> list[LoadResult]:
    """The stages that `packed` made a text of."""
    return [LoadResult.of(each) for each in json.loads(zlib.decompress(base64.b64decode(text)))]


def merged(workers: Iterable[str]) -> list[LoadResult]:
    """The stages of all workers together."""
    whole: list[LoadResult] = []
    for text in workers:
        for number, stage in enumerate(unpacked(text)):
            if number == len(whole):
                whole.append(LoadResult())
            whole[number].merge(stage)
    return whole
