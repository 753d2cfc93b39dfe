"""A mergeable latency histogram: log-linear buckets with at most 1.6 % error, exact below 128 µs.

Workers each keep one and send it as a plain document; merging adds the counts, so percentiles over many
workers are those of all their requests together (never an average of percentiles).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_EXACT_BITS = 7  # values below 2**7 µs have a bucket of their own; above, a bucket keeps 7 significant bits


def _bucket(microseconds: int) -> int:
    shift = microseconds.bit_length() - _EXACT_BITS
    return microseconds if shift <= 0 else (shift << 8) | (microseconds >> shift)


def _middle(bucket: int) -> float:
    shift, mantissa = bucket >> 8, bucket & 255
    return float(bucket) if shift == 0 else (mantissa + 0.5) * (1 << shift)


@dataclass
class Histogram:
    """Counts of durations. Durations go in as seconds and come out as milliseconds."""

    counts: Counter[int] = field(default_factory=Counter)
    samples: int = 0
    largest_us: int = 0

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one (a clock that stepped) counts as zero."""
        microseconds = max(0, int(seconds * 1e6))
        self.counts[_bucket(microseconds)] += 1
        self.samples += 1
        self.largest_us = max(self.largest_us, microseconds)

    def percentiles_ms(self, *percents: float) -> Sequence[float]:
        """The given percentiles (0 to 100) in milliseconds.

        Raises:
            ValueError: no duration was counted; there is no percentile of nothing.
        """
        if not self.samples:
            raise ValueError("no samples: a histogram without durations has no percentiles")
        ordered = sorted((_middle(bucket), count) for bucket, count in self.counts.items())
        return [self._percentile_ms(ordered, percent) for percent in percents]

    def _percentile_ms(self, ordered: Sequence[tuple[float, int]], percent: float) -> float:
        rank = max(1, math.ceil(self.samples * percent / 100))
        passed = 0
        for microseconds, count in ordered:
            passed += count
            if passed >= rank:
                return round(min(microseconds, self.largest_us) / 1000, 3)
        return self.largest_us / 1000

    def share_above(self, milliseconds: float) -> float:
        """The share (0 to 1) of the durations in buckets above that one.

        Raises:
            ValueError: no duration was counted.
        """
        if not self.samples:
            raise ValueError("no samples: a histogram without durations has no shares")
        limit = milliseconds * 1000
        return sum(count for bucket, count in self.counts.items() if _middle(bucket) > limit) / self.samples

    def merge(self, other: Histogram) -> None:
        """Add the other's counts to this one."""
        self.counts.update(other.counts)
        self.samples += other.samples
        self.largest_us = max(self.largest_us, other.largest_us)

    def document(self) -> dict[str, Any]:
        """As JSON: `{"counts": {bucket: count}, "largest_us": int}`."""
        return {"counts": {str(b): c for b, c in self.counts.items()}, "largest_us": self.largest_us}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Histogram:
        """The histogram that `document()` described."""
        counts = Counter({int(b): int(c) for b, c in document["counts"].items()})
        return cls(counts, counts.total(), int(document["largest_us"]))
