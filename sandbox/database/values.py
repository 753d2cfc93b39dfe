"""BSON values: their types, their one order over all types, and arithmetic that keeps the number type.

Order: https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/.
Dates are `DatetimeMS` throughout, so a date outside Python's range is no special case.
"""

from __future__ import annotations

import datetime
import decimal
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import bson
from bson import (
    Binary,
    Code,
    DatetimeMS,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from bson.codec_options import CodecOptions, DatetimeConversion

from sandbox.database.errors import CommandError, Document, bad_value, failed_to_parse

CODEC: Final[CodecOptions[Document]] = CodecOptions(
    document_class=dict, datetime_conversion=DatetimeConversion.DATETIME_MS
)
MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024

SortKey = tuple[Any, ...]


class _Missing:
    """A path that leads nowhere; sorts and compares as null, but is not equal to an explicit null."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()

# Ranks of the types in MongoDB's order. NaN sorts below every number and matches no range of numbers.
RANK_MIN_KEY, RANK_UNDEFINED, RANK_NULL, RANK_NAN, RANK_NUMBER = -1.0, 0.5, 1.0, 1.5, 2.0
RANK_STRING, RANK_OBJECT, RANK_ARRAY, RANK_BINARY, RANK_OBJECT_ID = 3.0, 4.0, 5.0, 6.0, 7.0
RANK_BOOLEAN, RANK_DATE, RANK_TIMESTAMP, RANK_REGEX, RANK_CODE, RANK_MAX_KEY = (
    8.0,
    9.0,
    10.0,
    11.0,
    13.0,
    99.0,
)

NULL_KEY: Final[SortKey] = (RANK_NULL,)
UNDEFINED_KEY: Final[SortKey] = (RANK_UNDEFINED,)
MIN_KEY: Final[SortKey] = (RANK_MIN_KEY,)
MAX_KEY: Final[SortKey] = (RANK_MAX_KEY,)


def sort_key(value: Any) -> SortKey:  # noqa: PLR0911, PLR0912 - one branch per BSON type
    """A hashable tuple that compares as MongoDB compares the value; equal values have equal keys."""
    kind = type(value)
    if kind is str:
        return (RANK_STRING, value)
    if kind is int or kind is Int64:
        return (RANK_NUMBER, value)
    if kind is float:
        return (RANK_NUMBER, value) if value == value else (RANK_NAN,)  # noqa: PLR0124 - NaN is not itself
    if value is None or value is MISSING:
        return NULL_KEY
    if kind is ObjectId:
        return (RANK_OBJECT_ID, value.binary)
    if kind is bool:
        return (RANK_BOOLEAN, value)
    if kind is DatetimeMS:
        return (RANK_DATE, int(value))
    if isinstance(value, Mapping):
        return (RANK_OBJECT, tuple((k[0], name, k[1:]) for name, v in value.items() for k in (sort_key(v),)))
    if isinstance(value, list):
        return (RANK_ARRAY, tuple(sort_key(item) for item in value))
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return (RANK_NAN,) if number.is_nan() else (RANK_NUMBER, number)
    if isinstance(value, bytes):
        subtype = value.subtype if isinstance(value, Binary) else 0
        return (RANK_BINARY, len(value), subtype, bytes(value))
    if isinstance(value, datetime.datetime):
        return (RANK_DATE, int(DatetimeMS(value)))
    if isinstance(value, Timestamp):
        return (RANK_TIMESTAMP, value.time, value.inc)
    if isinstance(value, Regex):
        return (RANK_REGEX, value.pattern, value.flags)
    if isinstance(value, MinKey):
        return MIN_KEY
    if isinstance(value, MaxKey):
        return MAX_KEY
    if isinstance(value, Code):
        return (RANK_CODE, str(value))
    return sort_key_of_subclass(value)


def sort_key_of_subclass(value: Any) -> SortKey:
    """The key of a Python value that did not come from the wire (a subclass of a basic type)."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return sort_key(kind(value))
    raise bad_value(f"a value of type {type(value).__name__} cannot be compared")


def same(left: Any, right: Any) -> bool:
    return sort_key(left) == sort_key(right)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal128)) and not isinstance(value, bool)


def is_regex(value: Any) -> bool:
    return isinstance(value, Regex)


# BSON type names and numbers, https://www.mongodb.com/docs/manual/reference/bson-types/
TYPE_NUMBERS: Final = {
    "double": 1, "string": 2, "object": 3, "array": 4, "binData": 5, "undefined": 6, "objectId": 7,
    "bool": 8, "date": 9, "null": 10, "regex": 11, "dbPointer": 12, "javascript": 13, "symbol": 14,
    "javascriptWithScope": 15, "int": 16, "timestamp": 17, "long": 18, "decimal": 19, "minKey": -1,
    "maxKey": 127,
}  # fmt: skip
_TYPE_NAMES = {number: name for name, number in TYPE_NUMBERS.items()}
NUMBER_TYPES: Final = frozenset({"double", "int", "long", "decimal"})


def type_name(value: Any) -> str:  # noqa: PLR0911, PLR0912 - one branch per BSON type
    """The BSON type's name, as `$type` and error messages give it; "missing" for no value."""
    if value is MISSING:
        return "missing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Int64):
        return "long"
    if isinstance(value, int):
        return "int" if -(2**31) <= value < 2**31 else "long"
    if isinstance(value, float):
        return "double"
    if isinstance(value, Code):
        return "javascript"
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, ObjectId):
        return "objectId"
    if isinstance(value, (DatetimeMS, datetime.datetime)):
        return "date"
    if isinstance(value, Decimal128):
        return "decimal"
    if isinstance(value, bytes):
        return "binData"
    if isinstance(value, Timestamp):
        return "timestamp"
    if isinstance(value, Regex):
        return "regex"
    if isinstance(value, MinKey):
        return "minKey"
    if isinstance(value, MaxKey):
        return "maxKey"
    raise bad_value(f"a value of type {type(value).__name__} has no BSON type")


def resolve_type(alias: Any) -> frozenset[str]:
    """The type names that `$type`'s alias or number stands for; raises BadValue for an unknown one."""
    if alias == "number":
        return NUMBER_TYPES
    if isinstance(alias, str):
        if alias not in TYPE_NUMBERS:
            raise bad_value(f"Unknown type name alias: {alias}")
        return frozenset({alias})
    if is_number(alias) and not isinstance(alias, Decimal128):
        if alias not in _TYPE_NAMES:
            raise bad_value(f"Invalid numerical type code: {alias}")
        return frozenset({_TYPE_NAMES[int(alias)]})
    raise CommandError(14, "type must be represented as a number or a string")


def as_integer(value: Any, field: str) -> int:
    """A whole number out of any number type; FailedToParse names the field otherwise."""
    if is_number(value):
        number = value.to_decimal() if isinstance(value, Decimal128) else value
        if number == number and abs(number) != float("inf") and number == int(number):  # noqa: PLR0124 - NaN
            return int(number)
    raise failed_to_parse(f"Expected an integer: {field}: {render(value)}")


def truthy(value: Any) -> bool:
    """MongoDB's truth: everything but false, null, zero and a missing field."""
    if value is None or value is MISSING or value is False:
        return False
    if isinstance(value, Decimal128):
        return value.to_decimal() != 0
    return not (is_number(value) and value == 0)


def _narrow(value: int, *operands: Any) -> Any:
    """An integer result: 32 bits stay 32 unless an operand was 64 or the result overflows."""
    if not -(2**63) <= value < 2**63:
        raise bad_value(f"Failed to apply arithmetic: the result {value} does not fit 64 bits")
    wide = any(isinstance(o, Int64) for o in operands) or not -(2**31) <= value < 2**31
    return Int64(value) if wide else value


def arithmetic(operation: str, left: Any, right: Any) -> Any:
    """`left operation right` for "+", "-" and "*", in the wider of the two number types."""
    if isinstance(left, Decimal128) or isinstance(right, Decimal128):
        with decimal.localcontext(bson.decimal128.create_decimal128_context()):
            return Decimal128(_apply(operation, _decimal(left), _decimal(right)))
    result = _apply(operation, left, right)
    return result if isinstance(result, float) else _narrow(result, left, right)


def _apply(operation: str, left: Any, right: Any) -> Any:
    if operation == "+":
        return left + right
    return left - right if operation == "-" else left * right


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal128):
        return value.to_decimal()
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def to_float(value: Any) -> float:
    return float(value.to_decimal()) if isinstance(value, Decimal128) else float(value)


def now() -> DatetimeMS:
    return DatetimeMS(int(time.time() * 1000))


def encode(document: Mapping[str, Any]) -> bytes:
    """BSON of the document; raises BSONObjectTooLarge above 16 MiB."""
    raw = bson.encode(document, codec_options=CODEC)
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise CommandError(
            10334, f"BSONObj size: {len(raw)} is invalid. Size must be between 0 and {MAX_DOCUMENT_BYTES}"
        )
    return raw


def decode(raw: bytes) -> Document:
    return bson.decode(raw, CODEC)


def render(value: Any) -> str:  # noqa: PLR0911 - one branch per notation
    """The value in MongoDB's shell notation, for messages: `{ email: "a@b.c" }`."""
    if value is None or value is MISSING:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        inside = ", ".join(f"{k}: {render(v)}" for k, v in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[ {', '.join(render(v) for v in value)} ]" if value else "[]"
    if isinstance(value, ObjectId):
        return f"ObjectId('{value}')"
    if isinstance(value, DatetimeMS):
        return f"new Date({int(value)})"
    if isinstance(value, MinKey):
        return "MinKey"
    if isinstance(value, MaxKey):
        return "MaxKey"
    if isinstance(value, Regex):
        return f"/{value.pattern}/"
    return str(value)
