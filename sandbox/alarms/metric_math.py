"""The evaluation of metric math: scalars (S), time series (TS) and arrays of time series (TS[]).

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html#metric-math-syntax

Not carried here, and refused by name rather than silently left out: the functions that need more than the
queries of one request (METRICS, SEARCH, SLICE, SORT, ANOMALY_DETECTION_BAND and the like).
"""

from __future__ import annotations

import itertools
import math
import operator
import statistics as stdlib_statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sandbox.alarms.expressions import (
    Array,
    Binary,
    Call,
    ExpressionError,
    Keyword,
    Negative,
    Node,
    Number,
    Reference,
)

Series = dict[int, float]
Value = float | Series | list[Series]


@dataclass(frozen=True, slots=True)
class Grid:
    """The periods of a request: their starts in order, and their length, in CloudWatch seconds."""

    starts: tuple[int, ...]
    period: int


def evaluate(node: Node, values: Mapping[str, Series | float], grid: Grid) -> Value:
    """The value of an expression in which `values` stand for the ids.

    Raises ExpressionError for an unknown id or function and for operands an operator does not take.
    """
    match node:
        case Number(value=number):
            return number
        case Reference(id=name):
            if name not in values:
                raise ExpressionError(f"Error in expression: no query of this request has the id {name!r}")
            return values[name]
        case Keyword(name=name):
            raise ExpressionError(f"Error in expression: {name} means something in FILL only")
        case Negative(operand=operand):
            return _map(lambda number: -number, evaluate(operand, values, grid))
        case Array(items=items):
            return [_series(evaluate(item, values, grid), "an array") for item in items]
        case Binary(operator=symbol, left=left, right=right):
            return _binary(symbol, evaluate(left, values, grid), evaluate(right, values, grid))
        case Call():
            return _call(node, values, grid)


def _series(value: Value, where: str) -> Series:
    if isinstance(value, dict):
        return value
    raise ExpressionError(f"Error in expression: {where} takes a time series, not {_kind(value)}")


def _kind(value: Value) -> str:
    return "a scalar" if isinstance(value, float) else "an array of time series"


def _map(function: Callable[[float], float], value: Value) -> Value:
    """`function` of every data point; a point for which it has no real result is left out."""
    if isinstance(value, list):
        return [cast(Series, _map(function, each)) for each in value]
    if isinstance(value, dict):
        return _present({at: _number(function, number) for at, number in value.items()})
    result = _number(function, value)
    if result is None:
        raise ExpressionError("Error in expression: a scalar operation has no finite result")
    return result


def _number(function: Callable[..., float], *operands: float) -> float | None:
    try:
        result = function(*operands)
    except (ZeroDivisionError, ValueError, OverflowError):
        return None
    # A root of a negative number is complex in Python and nothing in CloudWatch.
    return None if isinstance(result, complex) or not math.isfinite(result) else float(result)


def _present(points: Mapping[int, float | None]) -> Series:
    return {at: number for at, number in points.items() if number is not None}


_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "AND": lambda left, right: bool(left) and bool(right),
    "OR": lambda left, right: bool(left) or bool(right),
}


def _binary(symbol: str, left: Value, right: Value) -> Value:
    """Two series meet where both have a data point; dividing by zero leaves none; comparisons give 0 or 1."""
    function = _OPERATORS[symbol]
    if isinstance(left, list) or isinstance(right, list):
        raise ExpressionError(f"Error in expression: {symbol!r} does not take an array of time series")
    if isinstance(left, dict) and isinstance(right, dict):
        return _present({at: _number(function, left[at], right[at]) for at in left if at in right})
    if isinstance(left, dict):
        scalar = cast(float, right)
        return _map(lambda number: function(number, scalar), left)
    fixed = left
    return _map(lambda number: function(fixed, number), right)


def _call(node: Call, values: Mapping[str, Series | float], grid: Grid) -> Value:
    name, arguments = node.function, node.arguments
    if name not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise ExpressionError(f"Error in expression: the function {name!r} is not supported; use {known}")
    if name == "FILL":
        _expect(name, arguments, 2)
        mode = arguments[1]
        filler = mode.name if isinstance(mode, Keyword) else evaluate(mode, values, grid)
        return _fill(evaluate(arguments[0], values, grid), filler, grid)
    if name == "IF":
        if len(arguments) not in {2, 3}:
            raise ExpressionError(f"Error in expression: IF takes 2 or 3 arguments, not {len(arguments)}")
        return _if([evaluate(each, values, grid) for each in arguments])
    _expect(name, arguments, 1)
    return _of_one(name, evaluate(arguments[0], values, grid), grid)


def _of_one(name: str, value: Value, grid: Grid) -> Value:
    """The functions of one argument."""
    if name in _REDUCTIONS:
        return _reduce(name, value)
    if name in _POINTWISE:
        return _map(_POINTWISE[name], value)
    if name in _SEQUENCES:
        return _SEQUENCES[name](_series(value, name))
    if name == "TIME_SERIES":
        return dict.fromkeys(grid.starts, value) if isinstance(value, float) else value
    _series(value, name)  # PERIOD
    return float(grid.period)


def _expect(name: str, arguments: Sequence[Node], count: int) -> None:
    if len(arguments) != count:
        plural = "" if count == 1 else "s"
        raise ExpressionError(
            f"Error in expression: {name} takes {count} argument{plural}, not {len(arguments)}"
        )


def _fill(value: Value, filler: Value | str, grid: Grid) -> Value:
    """FILL: missing data points get a number, another series' point, the last one, or a straight line."""
    if isinstance(value, list):
        return [cast(Series, _fill(each, filler, grid)) for each in value]
    series = _series(value, "FILL")
    if filler == "REPEAT":
        return _repeat(series, grid)
    if filler == "LINEAR":
        return _linear(series, grid)
    if isinstance(filler, float):
        return {at: series.get(at, filler) for at in grid.starts}
    if isinstance(filler, dict):
        merged = {**filler, **series}
        return {at: merged[at] for at in grid.starts if at in merged}
    raise ExpressionError("Error in expression: FILL takes a number, a time series, REPEAT or LINEAR")


def _repeat(series: Series, grid: Grid) -> Series:
    found: Series = {}
    last: float | None = None
    for at in grid.starts:
        last = series.get(at, last)
        if last is not None:
            found[at] = last
    return found


def _linear(series: Series, grid: Grid) -> Series:
    found = dict(series)
    known = sorted(series)
    for left, right in itertools.pairwise(known):
        slope = (series[right] - series[left]) / (right - left)
        found.update({at: series[left] + slope * (at - left) for at in grid.starts if left < at < right})
    return dict(sorted(found.items()))


def _if(arguments: list[Value]) -> Value:
    """IF(condition, trueValue, falseValue): 0 is false; without falseValue no point comes of it."""
    condition, when_true = arguments[0], arguments[1]
    when_false: Value = arguments[2] if len(arguments) == 3 else {}
    if any(isinstance(each, list) for each in arguments):
        raise ExpressionError("Error in expression: IF does not take an array of time series")
    if isinstance(condition, float):
        return when_true if condition else when_false
    found: Series = {}
    for at, number in cast(Series, condition).items():
        chosen = when_true if number else when_false
        point = chosen.get(at) if isinstance(chosen, dict) else cast(float, chosen)
        if point is not None:
            found[at] = point
    return found


_REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "SUM": math.fsum,
    "AVG": stdlib_statistics.fmean,
    "MIN": min,
    "MAX": max,
    "STDDEV": stdlib_statistics.pstdev,
    "DATAPOINT_COUNT": lambda numbers: float(len(numbers)),
    "FIRST": lambda numbers: numbers[0],
    "LAST": lambda numbers: numbers[-1],
}


def _reduce(name: str, value: Value) -> Value:
    """One series becomes a scalar; an array becomes a series, point by point over those that have one.

    A series without data has no minimum and no average: where the result has to be a number it is 0 for SUM
    and DATAPOINT_COUNT, and an empty series otherwise, so that it reads as missing and never as a value.
    """
    function = _REDUCTIONS[name]
    if isinstance(value, list):
        if not value:
            raise ExpressionError(f"Error in expression: {name} takes at least one time series")
        if name in {"FIRST", "LAST"}:
            return value[0] if name == "FIRST" else value[-1]
        moments = sorted({at for each in value for at in each})
        return {at: float(function([each[at] for each in value if at in each])) for at in moments}
    numbers = [number for _, number in sorted(_series(value, name).items())]
    if not numbers and name not in {"SUM", "DATAPOINT_COUNT"}:
        return {}
    return float(function(numbers))


def _steps(series: Series) -> list[tuple[int, int, float]]:
    """(moment, seconds since the data point before, difference to it) of each data point but the first."""
    moments = sorted(series)
    return [(at, at - before, series[at] - series[before]) for before, at in itertools.pairwise(moments)]


def _running_sum(series: Series) -> Series:
    total, found = 0.0, {}
    for at in sorted(series):
        total += series[at]
        found[at] = total
    return found


_SEQUENCES: dict[str, Callable[[Series], Series]] = {
    "RATE": lambda series: {at: change / seconds for at, seconds, change in _steps(series)},
    "DIFF": lambda series: {at: change for at, _, change in _steps(series)},
    "DIFF_TIME": lambda series: {at: float(seconds) for at, seconds, _ in _steps(series)},
    "RUNNING_SUM": _running_sum,
}
_POINTWISE: dict[str, Callable[[float], float]] = {
    "ABS": abs,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "LOG": math.log,
    "LOG10": math.log10,
}
FUNCTIONS = tuple(sorted({"FILL", "IF", "PERIOD", "TIME_SERIES", *_REDUCTIONS, *_SEQUENCES, *_POINTWISE}))
