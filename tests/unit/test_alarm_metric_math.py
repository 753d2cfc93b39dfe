"""Metric math: what its operators and functions make of time series.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html#metric-math-syntax
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.alarms.expressions import ExpressionError, parse, references
from sandbox.alarms.metric_math import FUNCTIONS, Grid, Series, evaluate

GRID = Grid((0, 60, 120, 180), 60)
M1: Series = {0: 1.0, 60: 2.0, 180: 4.0}
M2: Series = {0: 10.0, 60: 0.0, 120: 30.0, 180: 40.0}


def value(expression: str, **series: Series) -> Any:
    return evaluate(parse(expression), {"m1": M1, "m2": M2, "none": {}, **series}, GRID)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("-2 ^ 2", -4.0),
        ("2 ^ -1", 0.5),
        ("8 / 4 / 2", 1.0),
        ("1.5e3 + .5", 1500.5),
        ("1 + 1 == 2", 1.0),
        ("3 > 2 AND 1 > 2", 0.0),
        ("3 > 2 || 1 > 2 && 0", 1.0),
        ("1 != 1", 0.0),
    ],
)
def test_operators_bind_as_in_arithmetic(expression: str, expected: float) -> None:
    assert value(expression) == expected


def test_two_series_meet_where_both_have_a_data_point() -> None:
    assert value("m1 + m2") == {0: 11.0, 60: 2.0, 180: 44.0}
    assert value("m1 + none") == {}


def test_a_scalar_meets_every_data_point() -> None:
    assert value("m1 * 2") == {0: 2.0, 60: 4.0, 180: 8.0}
    assert value("8 / m1") == {0: 8.0, 60: 4.0, 180: 2.0}
    assert value("-m1") == {0: -1.0, 60: -2.0, 180: -4.0}


def test_a_division_by_zero_has_no_data_point() -> None:
    assert value("m1 / m2") == {0: 0.1, 180: 0.1}
    with pytest.raises(ExpressionError, match="finite"):
        value("1 / 0")


def test_a_comparison_gives_one_or_zero() -> None:
    assert value("m1 >= 2") == {0: 0.0, 60: 1.0, 180: 1.0}
    assert value("m1 < m2") == {0: 1.0, 60: 0.0, 180: 1.0}
    assert value("m1 > 1 AND m2 > 0") == {0: 0.0, 60: 0.0, 180: 1.0}


def test_fill_gives_missing_data_points_a_value() -> None:
    assert value("FILL(m1, 0)") == {0: 1.0, 60: 2.0, 120: 0.0, 180: 4.0}
    assert value("FILL(m1, REPEAT)") == {0: 1.0, 60: 2.0, 120: 2.0, 180: 4.0}
    assert value("FILL(m1, LINEAR)") == {0: 1.0, 60: 2.0, 120: 3.0, 180: 4.0}
    assert value("FILL(m1, m2)") == {0: 1.0, 60: 2.0, 120: 30.0, 180: 4.0}
    assert value("FILL(none, 7)") == {0: 7.0, 60: 7.0, 120: 7.0, 180: 7.0}
    assert value("FILL(none, REPEAT)") == {}


def test_repeat_and_linear_invent_nothing_before_the_first_data_point() -> None:
    late: Series = {120: 5.0}
    assert value("FILL(late, REPEAT)", late=late) == {120: 5.0, 180: 5.0}
    assert value("FILL(late, LINEAR)", late=late) == {120: 5.0}


def test_if_chooses_point_by_point() -> None:
    assert value("IF(m2 > 0, m1, 0)") == {0: 1.0, 60: 0.0, 180: 4.0}
    assert value("IF(m1 > 1, 100, 200)") == {0: 200.0, 60: 100.0, 180: 100.0}
    assert value("IF(m1 > 1, m2)") == {60: 0.0, 180: 40.0}
    assert value("IF(1, m1, m2)") == M1
    assert value("IF(0, m1, m2)") == M2


def test_a_function_of_one_series_gives_a_scalar() -> None:
    assert value("SUM(m1)") == 7.0
    assert value("AVG(m2)") == 20.0
    assert (value("MIN(m2)"), value("MAX(m2)")) == (0.0, 40.0)
    assert value("DATAPOINT_COUNT(m1)") == 3.0
    assert value("m1 > AVG(m1)") == {0: 0.0, 60: 0.0, 180: 1.0}
    assert value("m1 / PERIOD(m1)") == {0: 1 / 60, 60: 2 / 60, 180: 4 / 60}


def test_a_function_of_an_array_gives_a_series_over_the_points_that_exist() -> None:
    assert value("SUM([m1, m2])") == {0: 11.0, 60: 2.0, 120: 30.0, 180: 44.0}
    assert value("AVG([m1, m2])") == {0: 5.5, 60: 1.0, 120: 30.0, 180: 22.0}
    assert value("MAX([m1, m2])") == {0: 10.0, 60: 2.0, 120: 30.0, 180: 40.0}
    assert value("MIN([m1, m2])") == {0: 1.0, 60: 0.0, 120: 30.0, 180: 4.0}


def test_no_data_never_becomes_a_minimum_or_an_average() -> None:
    for function in ("MIN", "MAX", "AVG", "FIRST", "LAST"):
        assert value(f"{function}(none)") == {}
        assert value(f"m2 > {function}(none)") == {}


def test_rate_is_the_change_per_second_since_the_data_point_before() -> None:
    assert value("RATE(m1)") == {60: 1 / 60, 180: 2 / 120}
    assert value("DIFF(m1)") == {60: 1.0, 180: 2.0}
    assert value("RUNNING_SUM(m1)") == {0: 1.0, 60: 3.0, 180: 7.0}


def test_pointwise_functions_leave_out_what_has_no_value() -> None:
    assert value("ABS(-m1)") == M1
    assert value("CEIL(m1 / 4)") == {0: 1.0, 60: 1.0, 180: 1.0}
    assert value("LOG10(m2)") == pytest.approx({0: 1.0, 120: 1.4771212547, 180: 1.6020599913})


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("SEARCH(m1)", "'SEARCH'"),
        ("METRICS()", "'METRICS'"),
        ("sum(m1)", "'sum'"),
        ("m9 + 1", "'m9'"),
        ("FILL(m1)", "FILL takes 2 arguments, not 1"),
        ("SUM(m1, m2)", "SUM takes 1 argument, not 2"),
        ("SUM(5)", "takes a time series, not a scalar"),
        ("[m1, m2] + 1", "array"),
        ("m1 + REPEAT", "REPEAT"),
        ("IF(m1)", "IF takes 2 or 3"),
        ("SUM([])", "at least one"),
        ("RATE([m1])", "not an array"),
    ],
)
def test_what_has_no_meaning_is_an_error_that_names_it(expression: str, told: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        value(expression)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "expression", ["", "m1 +", "(m1", "m1 m2", "m1 @ 2", "IF(m1,", "+ 1", "m1 = 2", "1..2"]
)
def test_what_cannot_be_read_is_an_error_that_shows_the_expression(expression: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse(expression)
    assert repr(expression) in str(refused.value)


def test_the_ids_an_expression_uses_are_known() -> None:
    assert set(references(parse("IF(a > 1, SUM([b, c]) / d, FILL(-e, REPEAT))"))) == {"a", "b", "c", "d", "e"}


def test_every_function_named_as_known_is_carried_out() -> None:
    arguments = {"FILL": "m1, 0", "IF": "m1, 1, 0"}
    for function in FUNCTIONS:
        assert value(f"{function}({arguments.get(function, 'm1')})") is not None
