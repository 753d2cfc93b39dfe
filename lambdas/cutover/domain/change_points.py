"""When a figure changed its level.

Pettitt's test (https://doi.org/10.2307/2346729) says by the ranks of a series' values how likely chance
alone would part it in two so well. Where it hardly would, the level changes where two medians follow the
values best, and both sides are searched again. A daily rhythm is taken out first, and a steady drift is no
change: the two levels have to follow the values better than a straight line does.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from statistics import median

from cutover.domain.series import Block
from cutover.domain.trend import slope_of

CHANCE = 0.01
#: With fewer values even the clearest step may be chance.
FEWEST = 16
#: A level is held by so many values at least.
SHORTEST = 4
#: In blocks that the rhythm has at least been through three times, its usual shape can be told.
ROUNDS = 3
#: Values that differ by no more than this share of the largest are one level, written with a rounding error.
ROUNDING = 1e-9


@dataclass(frozen=True)
class ChangePoint:
    """`at` is when the new level begins; both levels are medians."""

    at: datetime
    before: float
    after: float


def change_points(blocks: Sequence[Block], rhythm: int | None = None) -> list[ChangePoint] | None:
    """In order; None when there are too few blocks to say. `rhythm`: so many blocks make a day, and its usual
    shape is left out of account."""
    if len(blocks) < FEWEST:
        return None
    values = _without_rhythm(blocks, rhythm) if rhythm else [block.value for block in blocks]
    rounding = ROUNDING * max(abs(block.value) for block in blocks)
    edges = [0, *sorted(_splits(values, 0, rounding)), len(values)]
    return [
        ChangePoint(
            blocks[edge].at,
            median(block.value for block in blocks[before:edge]),
            median(block.value for block in blocks[edge:after]),
        )
        for before, edge, after in zip(edges, edges[1:], edges[2:], strict=False)
    ]


def _without_rhythm(blocks: Sequence[Block], rhythm: int) -> list[float]:
    by_turn: dict[int, list[float]] = defaultdict(list)
    for block in blocks:
        by_turn[block.index % rhythm].append(block.value)
    if min(len(each) for each in by_turn.values()) < ROUNDS:
        return [block.value for block in blocks]
    usual = {turn: median(each) for turn, each in by_turn.items()}
    return [block.value - usual[block.index % rhythm] for block in blocks]


def _splits(values: Sequence[float], offset: int, rounding: float) -> list[int]:
    size = len(values)
    if size < FEWEST or max(values) - min(values) <= rounding:
        return []
    ranks = _ranks(values)
    apart = max(abs(2 * so_far - index * (size + 1)) for index, so_far in enumerate(accumulate(ranks), 1))
    if 2 * math.exp(-6 * apart**2 / (size**3 + size**2)) > CHANCE:
        return []
    best = min(range(SHORTEST, size - SHORTEST + 1), key=lambda split: _away(values, split))
    if _away(values, best) >= _away_from_line(values):
        return []
    left, right = values[:best], values[best:]
    return [*_splits(left, offset, rounding), offset + best, *_splits(right, offset + best, rounding)]


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + 1 + end) / 2
        start = end
    return ranks


def _away(values: Sequence[float], split: int) -> float:
    """How far the values are from the medians of both sides, all together."""
    sides = (values[:split], values[split:])
    return sum(abs(value - level) for side in sides for level in [median(side)] for value in side)


def _away_from_line(values: Sequence[float]) -> float:
    line = slope_of([(float(i), value) for i, value in enumerate(values)])
    level = [value - (line.value if line else 0.0) * i for i, value in enumerate(values)]
    middle = median(level)
    return sum(abs(value - middle) for value in level)
