"""Laws of slopes and change points, searched."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cutover.domain.change_points import FEWEST, SHORTEST, change_points
from cutover.domain.series import Block
from cutover.domain.trend import Direction, slope_of

NOON = datetime(2026, 3, 4, tzinfo=UTC)
VALUES = st.lists(st.integers(-1000, 1000).map(float), min_size=5, max_size=24)


def points(values: list[float]) -> list[tuple[float, float]]:
    return [(float(index), value) for index, value in enumerate(values)]


def blocks(values: list[float]) -> list[Block]:
    return [Block(index, NOON + timedelta(hours=index), value) for index, value in enumerate(values)]


@given(VALUES, st.integers(-50, 50), st.integers(-1000, 1000))
def test_a_line_that_is_added_adds_its_slope_and_its_height_adds_nothing(
    values: list[float], slope: int, height: int
) -> None:
    before, after = (
        slope_of(points(values)),
        slope_of(points([v + slope * i + height for i, v in enumerate(values)])),
    )
    assert before is not None
    assert after is not None
    assert after.value == pytest.approx(before.value + slope, abs=1e-6)
    if before.low is not None and before.high is not None:
        assert (after.low, after.high) == (
            pytest.approx(before.low + slope),
            pytest.approx(before.high + slope),
        )


@given(VALUES)
def test_the_slope_lies_within_its_interval_and_time_turned_round_turns_it_round(values: list[float]) -> None:
    there, back = slope_of(points(values)), slope_of(points(values[::-1]))
    assert there is not None
    assert back is not None
    assert there.low is not None
    assert there.high is not None
    assert there.low <= there.value <= there.high
    assert back.value == pytest.approx(-there.value)
    assert (back.low, back.high) == (pytest.approx(-there.high), pytest.approx(-there.low))


@given(
    st.integers(9, 24), st.floats(-100, 100, allow_subnormal=False), st.integers(0, 8), st.floats(-1e6, 1e6)
)
def test_one_wild_point_does_not_move_a_clear_slope(size: int, slope: float, where: int, wild: float) -> None:
    values = [slope * index for index in range(size)]
    values[where] = wild
    found = slope_of(points(values))
    assert found is not None
    assert found.value == pytest.approx(slope, abs=1e-6)


@given(st.integers(2, 4))
def test_with_fewer_than_five_points_there_is_no_interval(size: int) -> None:
    """At 95 %: of the 24 orders of four points, two are as extreme as can be."""
    found = slope_of(points([float(v) for v in range(size)]))
    assert found is not None
    assert (found.low, found.high, found.direction) == (None, None, Direction.UNKNOWN)


def test_the_interval_holds_the_true_slope_as_often_as_it_says() -> None:
    """Seven days, two thousand times. The distribution is exact, and so the share is at least 95 %."""
    chance = random.Random(7)
    held = 0
    for _ in range(2000):
        found = slope_of([(float(day), 3.0 * day + chance.gauss(0, 10)) for day in range(7)])
        assert found is not None
        held += found.low is not None and found.high is not None and found.low <= 3.0 <= found.high
    assert 0.95 <= held / 2000 <= 0.985


def test_the_exact_interval_of_seven_points_is_the_one_in_the_tables() -> None:
    """Kendall's S for n = 7: P(S >= 15) = 0.015 and P(S >= 13) = 0.035 (Hollander & Wolfe, table A.30): at
    95 % three of the 21 slopes lie beyond each end."""
    values = [1.0, 2.0, 4.0, 7.0, 11.0, 16.0, 22.0]
    slopes = sorted((values[j] - values[i]) / (j - i) for i in range(7) for j in range(i + 1, 7))
    found = slope_of(points(values))
    assert found is not None
    assert (found.low, found.high) == (slopes[3], slopes[-4])


@given(
    st.lists(st.integers(0, 5).map(float), min_size=FEWEST, max_size=80),
    st.integers(1, 9),
    st.integers(-9, 9),
)
def test_changes_are_where_they_are_whatever_the_unit(values: list[float], scale: int, height: int) -> None:
    there, elsewhere = (
        change_points(blocks(values)),
        change_points(blocks([v * scale + height for v in values])),
    )
    assert there is not None
    assert elsewhere is not None
    assert [point.at for point in there] == [point.at for point in elsewhere]


@given(
    st.integers(12, 60),
    st.integers(12, 60),
    st.integers(100, 1000),
    st.randoms(use_true_random=False),
)
def test_a_clear_step_is_found_where_it_is(before: int, after: int, step: int, chance: random.Random) -> None:
    values = [chance.uniform(0, 10) for _ in range(before)] + [
        step + chance.uniform(0, 10) for _ in range(after)
    ]
    found = change_points(blocks(values))
    assert found
    assert NOON + timedelta(hours=before) in [point.at for point in found]


@given(st.integers(FEWEST, 100), st.floats(-5, 5))
@example(32, 1.8e-17)
def test_a_steady_level_and_a_steady_drift_have_no_changes(size: int, slope: float) -> None:
    assert change_points(blocks([7 + slope * index for index in range(size)])) == []


@given(st.lists(st.floats(-1e6, 1e6), max_size=FEWEST - 1))
def test_too_few_values_are_no_answer_rather_than_no_change(values: list[float]) -> None:
    assert change_points(blocks(values)) is None


@given(st.lists(st.integers(0, 100).map(float), min_size=FEWEST, max_size=100))
def test_levels_are_held_for_a_while(values: list[float]) -> None:
    found = change_points(blocks(values)) or []
    edges = [NOON, *(point.at for point in found), NOON + timedelta(hours=len(values))]
    assert all(later - earlier >= SHORTEST * timedelta(hours=1) for earlier, later in pairwise(edges))


def test_a_daily_rhythm_is_no_change_and_a_step_within_it_is() -> None:
    day = [10 + 5 * (8 <= hour < 20) for hour in range(24)]
    week = [float(value) for _ in range(7) for value in day]
    assert change_points(blocks(week), rhythm=24) == []
    stepped = [value + 3 * (index >= 100) for index, value in enumerate(week)]
    found = change_points(blocks(stepped), rhythm=24)
    assert found is not None
    assert [point.at for point in found] == [NOON + timedelta(hours=100)]
