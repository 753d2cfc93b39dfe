"""Whether a figure rises or falls: a slope with its uncertainty.

The slope is Theil and Sen's: the median of the slopes between all pairs of points. A few wild points do not
move it. Its interval is Sen's (https://doi.org/10.1080/01621459.1968.10480934), with the exact distribution
of Kendall's statistic in place of a normal approximation, because a week has seven days. Points of which each
resembles the one before tell less than as many free ones: so days are compared with days, and not minutes
with minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from statistics import median

CONFIDENCE = 0.95


class Direction(StrEnum):
    """STEADY: the interval holds zero. UNKNOWN: too few points for an interval."""

    RISING = "rising"
    FALLING = "falling"
    STEADY = "steady"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Slope:
    """Change of the value for each unit of time; `low` and `high` bound it with `CONFIDENCE`, and are None
    where there are too few points to say so."""

    value: float
    low: float | None
    high: float | None
    points: int

    @property
    def direction(self) -> Direction:
        if self.low is None or self.high is None:
            return Direction.UNKNOWN
        if self.low > 0:
            return Direction.RISING
        return Direction.FALLING if self.high < 0 else Direction.STEADY


def slope_of(points: Sequence[tuple[float, float]], confidence: float = CONFIDENCE) -> Slope | None:
    """Of (time, value) with different times; None of fewer than two."""
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2))
    if not slopes:
        return None
    outside = _outside(len(points), confidence)
    if outside is None:
        return Slope(median(slopes), None, None, len(points))
    return Slope(median(slopes), slopes[outside], slopes[-1 - outside], len(points))


def _outside(points: int, confidence: float) -> int | None:
    """How many of the slopes may lie beyond each end of the interval; None when even all of them between the
    ends are not enough.

    In a series without a trend every order of the values is as likely as any other. The number of falling
    pairs then has the distribution of a permutation's inversions, and the interval leaves out k slopes on
    each side when no more than k inversions are as unlikely as half of what the confidence leaves.
    """
    tail, below = (1 - confidence) / 2, 0.0
    for count, share in enumerate(_inversions(points)):
        below += share
        if below > tail:
            return count - 1 if count else None
    return None


def _inversions(points: int) -> list[float]:
    """The share of the permutations of so many points that have 0, 1, 2 … inversions."""
    shares = [1.0]
    for size in range(2, points + 1):
        sums, total = [], 0.0
        for count in range(len(shares) + size - 1):
            total += shares[count] if count < len(shares) else 0.0
            total -= shares[count - size] if count >= size else 0.0
            sums.append(total / size)
        shares = sums
    return shares
