"""The functions behind the expression operators: plain values in, a plain value out.

https://www.mongodb.com/docs/manual/reference/operator/aggregation/#alphabetical-listing-of-expression-operators
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson import Decimal128, Int64, ObjectId

from sandbox.database.errors import CommandError
from sandbox.database.values import MISSING, arithmetic, is_number, sort_key, to_float, truthy, type_name


def nullish(value: Any) -> bool:
    return value is None or value is MISSING


def _numbers(name: str, values: tuple[Any, ...], code: int) -> bool:
    """True if all are numbers, False if one is null or missing; anything else is a TypeMismatch."""
    for value in values:
        if not nullish(value) and not is_number(value):
            raise CommandError(code, f"{name} only supports numeric types, not {type_name(value)}")
    return not any(nullish(value) for value in values)


def _add(*values: Any) -> Any:
    if not _numbers("$add", values, 14):
        return None
    total: Any = 0
    for value in values:
        total = arithmetic("+", total, value)
    return total


def _multiply(*values: Any) -> Any:
    if not _numbers("$multiply", values, 14):
        return None
    product: Any = 1
    for value in values:
        product = arithmetic("*", product, value)
    return product


def _subtract(left: Any, right: Any) -> Any:
    return arithmetic("-", left, right) if _numbers("$subtract", (left, right), 14) else None


def _divide(left: Any, right: Any) -> Any:
    if not _numbers("$divide", (left, right), 14):
        return None
    if to_float(right) == 0:
        raise CommandError(2, "can't $divide by zero")
    if isinstance(left, Decimal128) or isinstance(right, Decimal128):
        whole = left.to_decimal() if isinstance(left, Decimal128) else left
        part = right.to_decimal() if isinstance(right, Decimal128) else right
        return Decimal128(whole / part)
    return left / right


def _mod(left: Any, right: Any) -> Any:
    if not _numbers("$mod", (left, right), 16611):
        return None
    if to_float(right) == 0:
        raise CommandError(16610, "can't $mod by zero")
    rest = abs(to_float(left)) % abs(to_float(right))
    signed = -rest if to_float(left) < 0 else rest
    if isinstance(left, int) and isinstance(right, int):
        exact = abs(left) % abs(right)
        return arithmetic("+", -exact if left < 0 else exact, Int64(0) if isinstance(left, Int64) else 0)
    return signed


def _absolute(value: Any) -> Any:
    if not _numbers("$abs", (value,), 28765):
        return None
    return arithmetic("*", value, -1) if to_float(value) < 0 else value


def _comparing(verdict: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    # A missing field sorts below null here, unlike in a query.
    def key(value: Any) -> Any:
        return (0.0,) if value is MISSING else sort_key(value)

    return lambda left, right: verdict(key(left), key(right))


def _cmp(left: Any, right: Any) -> int:
    lower = _comparing(lambda a, b: a < b)(left, right)
    return -1 if lower else int(_comparing(lambda a, b: a > b)(left, right))


def _concat(*values: Any) -> Any:
    if any(nullish(value) for value in values):
        return None
    for value in values:
        if not isinstance(value, str):
            raise CommandError(16702, f"$concat only supports strings, not {type_name(value)}")
    return "".join(values)


def _text(value: Any) -> str:
    if nullish(value):
        return ""
    if isinstance(value, str):
        return value
    converted = _to_string(value)
    return converted if isinstance(converted, str) else ""


def _to_string(value: Any) -> Any:
    if nullish(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) or is_number(value) or isinstance(value, ObjectId):
        return str(value)
    if type_name(value) == "date":
        return value.as_datetime().strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(value) % 1000:03d}Z"
    raise CommandError(241, f"Unsupported conversion from {type_name(value)} to string in $convert")


def _to_number(kind: str, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if nullish(value):
            return None
        if not isinstance(value, (str, bool)) and not is_number(value):
            raise CommandError(241, f"Unsupported conversion from {type_name(value)} to {kind} in $convert")
        try:
            return make(value.to_decimal() if isinstance(value, Decimal128) else value)
        except (ValueError, OverflowError):
            raise CommandError(241, f"Failed to parse number '{value}' in $convert") from None

    return convert


def _size(value: Any) -> int:
    if not isinstance(value, list):
        raise CommandError(
            17124, f"The argument to $size must be an array, but was of type: {type_name(value)}"
        )
    return len(value)


def _element(value: Any, position: Any) -> Any:
    if nullish(value) or nullish(position):
        return None
    if not isinstance(value, list):
        raise CommandError(
            28689, f"$arrayElemAt's first argument must be an array, but is {type_name(value)}"
        )
    if not isinstance(position, int):
        raise CommandError(28690, "$arrayElemAt's second argument must be a numeric value")
    return value[position] if -len(value) <= position < len(value) else MISSING


def _contains(item: Any, items: Any) -> bool:
    if not isinstance(items, list):
        raise CommandError(40081, f"$in requires an array as a second argument, found: {type_name(items)}")
    wanted = sort_key(item)
    return any(sort_key(candidate) == wanted for candidate in items)


def _merge(*values: Any) -> Any:
    merged: dict[str, Any] = {}
    for value in values:
        if nullish(value):
            continue
        if not isinstance(value, dict):
            raise CommandError(
                40400, f"$mergeObjects requires object inputs, but input is of type {type_name(value)}"
            )
        merged |= value
    return merged


def _concat_arrays(*values: Any) -> Any:
    if any(nullish(value) for value in values):
        return None
    for value in values:
        if not isinstance(value, list):
            raise CommandError(28664, f"$concatArrays only supports arrays, not {type_name(value)}")
    return [item for value in values for item in value]


def _split(value: Any, separator: Any) -> Any:
    if nullish(value) or nullish(separator):
        return None
    if not isinstance(value, str) or not isinstance(separator, str) or not separator:
        raise CommandError(40085, "$split requires a string and a non-empty string as separator")
    return value.split(separator)


def _if_null(*values: Any) -> Any:
    return next((value for value in values[:-1] if not nullish(value)), values[-1])


def _round(value: Any, places: Any = 0) -> Any:
    if not _numbers("$round", (value, places), 51081):
        return None
    if isinstance(value, Decimal128):
        return Decimal128(round(value.to_decimal(), places))
    rounded = round(value, places)
    return float(rounded) if isinstance(value, float) else rounded


_ANY = 1 << 30
FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "$add": (0, _ANY, _add),
    "$multiply": (0, _ANY, _multiply),
    "$subtract": (2, 2, _subtract),
    "$divide": (2, 2, _divide),
    "$mod": (2, 2, _mod),
    "$abs": (1, 1, _absolute),
    "$round": (1, 2, _round),
    "$eq": (2, 2, _comparing(lambda a, b: a == b)),
    "$ne": (2, 2, _comparing(lambda a, b: a != b)),
    "$gt": (2, 2, _comparing(lambda a, b: a > b)),
    "$gte": (2, 2, _comparing(lambda a, b: a >= b)),
    "$lt": (2, 2, _comparing(lambda a, b: a < b)),
    "$lte": (2, 2, _comparing(lambda a, b: a <= b)),
    "$cmp": (2, 2, _cmp),
    "$and": (0, _ANY, lambda *values: all(truthy(v) for v in values)),
    "$or": (0, _ANY, lambda *values: any(truthy(v) for v in values)),
    "$not": (1, 1, lambda value: not truthy(value)),
    "$ifNull": (2, _ANY, _if_null),
    "$concat": (0, _ANY, _concat),
    "$toLower": (1, 1, lambda value: _text(value).lower()),
    "$toUpper": (1, 1, lambda value: _text(value).upper()),
    "$toString": (1, 1, _to_string),
    "$toInt": (1, 1, _to_number("int", int)),
    "$toLong": (1, 1, _to_number("long", lambda v: Int64(int(v)))),
    "$toDouble": (1, 1, _to_number("double", float)),
    "$split": (2, 2, _split),
    "$strLenCP": (1, 1, lambda value: len(_text(value))),
    "$size": (1, 1, _size),
    "$isArray": (1, 1, lambda value: isinstance(value, list)),
    "$isNumber": (1, 1, is_number),
    "$type": (1, 1, type_name),
    "$arrayElemAt": (2, 2, _element),
    "$first": (1, 1, lambda value: _element(value, 0)),
    "$last": (1, 1, lambda value: _element(value, -1)),
    "$in": (2, 2, _contains),
    "$concatArrays": (0, _ANY, _concat_arrays),
    "$mergeObjects": (0, _ANY, _merge),
}
