"""What holds for every alarm and every stretch of data, whatever the numbers."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sandbox.alarms.clock import Clock
from sandbox.alarms.evaluation import DataPoint, MissingData, Rule, State, decide, evaluation_range
from sandbox.alarms.expressions import parse
from sandbox.alarms.metric_math import Grid, evaluate
from sandbox.alarms.statistics import Samples, StatisticSet, statistic

SIGNS = st.sampled_from([None, 0.0, 9.0])
STATES = st.sampled_from(list(State))


@st.composite
def rules(draw: st.DrawFn, treatment: MissingData | None = None) -> Rule:
    n = draw(st.integers(1, 8))
    m = draw(st.none() | st.integers(1, n))
    return Rule("GreaterThanThreshold", 5.0, n, m, treatment or draw(st.sampled_from(list(MissingData))))


@st.composite
def windows(draw: st.DrawFn, rule: Rule) -> list[DataPoint]:
    length = evaluation_range(rule.evaluation_periods)
    values = draw(st.lists(SIGNS, min_size=length, max_size=length))
    return [DataPoint(at * 60, value, None if value is None else 1.0) for at, value in enumerate(values)]


@st.composite
def cases(draw: st.DrawFn, treatment: MissingData | None = None) -> tuple[Rule, list[DataPoint], State]:
    rule = draw(rules(treatment))
    return rule, draw(windows(rule)), draw(STATES)


def breaches_in(window: list[DataPoint]) -> int:
    return sum(each.value == 9.0 for each in window)


@given(cases())
def test_the_state_before_matters_only_when_the_evaluation_keeps_it(
    case: tuple[Rule, list[DataPoint], State],
) -> None:
    rule, window, current = case
    verdict = decide(rule, window, current)
    if verdict.retained:
        assert verdict.state is current
    assert all(decide(rule, window, other).retained == verdict.retained for other in State)
    if not verdict.retained:
        assert {decide(rule, window, other).state for other in State} == {verdict.state}


@given(cases())
def test_the_evaluated_and_the_filled_data_points_are_n_together(
    case: tuple[Rule, list[DataPoint], State],
) -> None:
    rule, window, current = case
    verdict = decide(rule, window, current)
    assert len(verdict.evaluated) + verdict.filled == rule.evaluation_periods
    real = [each for each in window if each.value is not None]
    assert verdict.filled == max(0, rule.evaluation_periods - len(real))
    assert list(verdict.evaluated) == real[-rule.evaluation_periods :]


@given(cases())
def test_enough_real_data_makes_the_treatment_of_missing_data_irrelevant(
    case: tuple[Rule, list[DataPoint], State],
) -> None:
    rule, window, current = case
    if sum(each.value is not None for each in window) < rule.evaluation_periods:
        return
    states = {
        decide(
            Rule(rule.operator, 5.0, rule.evaluation_periods, rule.datapoints_to_alarm, each), window, current
        ).state
        for each in MissingData
    }
    assert len(states) == 1


@given(cases())
def test_an_alarm_never_sounds_without_a_breach_unless_missing_data_is_one(
    case: tuple[Rule, list[DataPoint], State],
) -> None:
    rule, window, current = case
    verdict = decide(rule, window, current)
    if (
        verdict.state is State.ALARM
        and not verdict.retained
        and rule.missing_data is not MissingData.BREACHING
    ):
        assert breaches_in(window) > 0
        if rule.missing_data is MissingData.NOT_BREACHING:
            assert breaches_in(window) >= rule.needed


@given(cases())
def test_only_a_lack_of_data_that_is_treated_as_missing_is_insufficient(
    case: tuple[Rule, list[DataPoint], State],
) -> None:
    rule, window, current = case
    verdict = decide(rule, window, current)
    if verdict.state is State.INSUFFICIENT_DATA and not verdict.retained:
        assert rule.missing_data is MissingData.MISSING
        assert verdict.filled > 0
        assert not any(each.value == 0.0 for each in verdict.evaluated)


@given(cases(MissingData.BREACHING), st.data())
def test_one_more_breach_never_ends_an_alarm(
    case: tuple[Rule, list[DataPoint], State], data: st.DataObject
) -> None:
    rule, window, current = case
    good = [at for at, each in enumerate(window) if each.value == 0.0]
    if not good or decide(rule, window, current).state is not State.ALARM:
        return
    worse = list(window)
    at = data.draw(st.sampled_from(good))
    worse[at] = DataPoint(window[at].start, 9.0, 1.0)
    assert decide(rule, worse, current).state is State.ALARM


NUMBERS = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=50), st.floats(0, 100))
def test_a_percentile_lies_between_the_smallest_and_the_largest_value(
    values: list[float], rank: float
) -> None:
    samples = Samples()
    for value in values:
        samples.add(value)
    found = statistic(samples, f"p{rank:.4f}" if rank < 100 else "p100")
    assert found is not None
    assert min(values) <= found * (1 + 1e-12)
    assert found <= max(values) * (1 + 1e-12)


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_splitting_the_samples_and_merging_them_changes_no_statistic(values: list[float]) -> None:
    whole, parts = Samples(), [Samples(), Samples()]
    for number, value in enumerate(values):
        whole.add(value)
        parts[number % 2].add(value)
    merged = Samples.merged(parts)
    for name in ("SampleCount", "Minimum", "Maximum", "p50", "p95"):
        assert statistic(merged, name) == statistic(whole, name)
    assert math.isclose(statistic(merged, "Sum") or 0.0, statistic(whole, "Sum") or 0.0, rel_tol=1e-9)


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_a_statistic_set_gives_the_statistics_of_its_values(values: list[float]) -> None:
    one, other = Samples(), Samples()
    for value in values:
        one.add(value)
    other.add_set(StatisticSet(len(values), sum(values), min(values), max(values)))
    for name in ("SampleCount", "Minimum", "Maximum"):
        assert statistic(one, name) == statistic(other, name)
    assert math.isclose(statistic(one, "Average") or 0.0, statistic(other, "Average") or 0.0, rel_tol=1e-9)


SERIES = st.dictionaries(st.sampled_from([0, 60, 120, 180]), st.floats(-1e6, 1e6, allow_nan=False))
GRID = Grid((0, 60, 120, 180), 60)


@given(SERIES, SERIES)
def test_math_gives_no_data_point_where_an_operand_has_none(
    one: dict[int, float], other: dict[int, float]
) -> None:
    for operator in "+-*/":
        found = evaluate(parse(f"a {operator} b"), {"a": one, "b": other}, GRID)
        assert isinstance(found, dict)
        common = set(one) & set(other)
        if operator == "/":
            common = {at for at in common if other[at] != 0 and math.isfinite(one[at] / other[at])}
        assert set(found) == common
        assert all(math.isfinite(each) for each in found.values())


@given(SERIES)
def test_filled_series_keep_their_own_data_points(one: dict[int, float]) -> None:
    for filler in ("0", "REPEAT", "LINEAR"):
        found = evaluate(parse(f"FILL(a, {filler})"), {"a": one}, GRID)
        assert isinstance(found, dict)
        assert {at: found[at] for at in one} == one


@given(st.floats(1.6e9, 2.2e9), st.sampled_from([60.0, 10.0, 1.0, 0.5, 0.1]))
def test_a_moment_lies_in_the_second_the_clock_gives_it(real: float, minute_seconds: float) -> None:
    clock = Clock(minute_seconds)
    second = clock.second(real)
    length = clock.to_real(1)
    assert clock.to_real(second) - 0.01 * length <= real + 1e-6
    assert real < clock.to_real(second + 1) + 1e-6
