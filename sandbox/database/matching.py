"""MongoDB's query language, parsed into predicates; what it doesn't know is MongoDB's own error.

https://www.mongodb.com/docs/manual/reference/operator/query/. A filter is parsed before any document is
read, so a wrong operator is refused on an empty collection too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bson import Decimal128, Regex

from sandbox.database import expressions, schema
from sandbox.database.errors import (
    CommandError,
    Document,
    bad_value,
    failed_to_parse,
    not_implemented,
    type_mismatch,
)
from sandbox.database.predicates import (
    And,
    Comparison,
    Computed,
    ElementMatches,
    Everything,
    Exists,
    In,
    Modulo,
    Nor,
    Not,
    Or,
    Predicate,
    RegexMatch,
    Size,
    TypeIs,
)
from sandbox.database.values import as_integer, is_number, render, resolve_type, truthy

_LOGICAL: dict[str, type[And | Or | Nor]] = {"$and": And, "$or": Or, "$nor": Nor}
_UNSUPPORTED_TOP_LEVEL = {"$text", "$where", "$sampleRate"}
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "u": re.UNICODE}


def parse(query: Any) -> Predicate:
    """The filter as a predicate; raises MongoDB's BadValue, FailedToParse or TypeMismatch."""
    if not isinstance(query, dict):
        raise type_mismatch(f"Expected the filter to be an object, found: {render(query)}")
    parts: list[Predicate] = []
    for name, operand in query.items():
        if name.startswith("$"):
            part = _top_level(name, operand)
            if part is not None:
                parts.append(part)
        else:
            parts += parse_field(name, operand)
    return _all(parts)


def _all(parts: list[Predicate]) -> Predicate:
    if not parts:
        return Everything()
    return parts[0] if len(parts) == 1 else And(parts)


def _top_level(name: str, operand: Any) -> Predicate | None:
    if name in _LOGICAL:
        if not isinstance(operand, list):
            raise bad_value(f"{name} must be an array")
        if not operand:
            raise bad_value("$and/$or/$nor must be a nonempty array")
        if not all(isinstance(item, dict) for item in operand):
            raise bad_value("$and/$or/$nor entries need to be full objects")
        return _LOGICAL[name]([parse(item) for item in operand])
    if name == "$comment":
        return None
    if name == "$expr":
        expression = expressions.parse(operand)
        return Computed(
            lambda document: truthy(expressions.evaluate(expression, document)), {"$expr": operand}
        )
    if name == "$jsonSchema":
        return Computed(schema.parse(operand), {"$jsonSchema": operand})
    if name in ("$alwaysTrue", "$alwaysFalse"):
        if operand != 1:
            raise failed_to_parse(f"{name} must be an integer value of 1")
        return Everything() if name == "$alwaysTrue" else Nor([Everything()])
    if name in _UNSUPPORTED_TOP_LEVEL:
        raise not_implemented(f"The query operator {name}")
    raise bad_value(
        f"unknown top level operator: {name}. If you have a field name that starts with a '$' symbol, "
        "consider using $getField or $setField."
    )


def is_operators(operand: Any) -> bool:
    """Is it `{"$gt": 5, ...}`, rather than a document to be equal to (or a DBRef)?"""
    if not isinstance(operand, dict) or not operand:
        return False
    first = next(iter(operand))
    return first.startswith("$") and first not in ("$ref", "$id", "$db")


def parse_field(path: str, operand: Any) -> list[Predicate]:
    """The predicates on one field, for both `{field: value}` and `{field: {operator: value}}`."""
    if isinstance(operand, Regex):
        return [_regex(path, operand, None)]
    if not is_operators(operand):
        return [Comparison(path, "$eq", operand)]
    return [
        part
        for name, argument in operand.items()
        for part in _operator(path, name, argument, operand)
        if part is not None
    ]


def _operator(path: str, name: str, argument: Any, siblings: Document) -> list[Predicate]:
    if name in ("$gt", "$gte", "$lt", "$lte"):
        if isinstance(argument, Regex):
            raise bad_value(f"Can't have RegEx as arg to predicate over field '{path}'.")
        return [Comparison(path, name, argument)]
    parser = _PARSERS.get(name)
    if parser is None:
        raise bad_value(f"unknown operator: {name}")
    return parser(path, argument, siblings)


def _equal(path: str, argument: Any, _: Document) -> list[Predicate]:
    return [Comparison(path, "$eq", argument)]


def _not_equal(path: str, argument: Any, _: Document) -> list[Predicate]:
    if isinstance(argument, Regex):
        raise bad_value("Can't have regex as arg to $ne.")
    return [Not(path, Comparison(path, "$eq", argument))]


def _in(path: str, argument: Any, _: Document) -> list[Predicate]:
    return [_in_list(path, argument, "$in")]


def _not_in(path: str, argument: Any, _: Document) -> list[Predicate]:
    return [Not(path, _in_list(path, argument, "$nin"))]


def _in_list(path: str, argument: Any, name: str) -> In:
    if not isinstance(argument, list):
        raise bad_value(f"{name} needs an array")
    if any(is_operators(item) for item in argument):
        raise bad_value(f"cannot nest $ under {name}")
    return In(path, argument, [_regex(path, item, None) for item in argument if isinstance(item, Regex)])


def _exists(path: str, argument: Any, _: Document) -> list[Predicate]:
    return [Exists(path) if truthy(argument) else Not(path, Exists(path))]


def _regex_operator(path: str, argument: Any, siblings: Document) -> list[Predicate]:
    return [_regex(path, argument, siblings.get("$options"))]


def _options(_path: str, _argument: Any, siblings: Document) -> list[Predicate]:
    if "$regex" not in siblings:
        raise bad_value("$options needs a $regex")
    return []


def _regex(path: str, pattern: Any, options: Any) -> RegexMatch:
    if options is not None and not isinstance(options, str):
        raise bad_value("$options has to be a string")
    if isinstance(pattern, Regex):
        own = "".join(letter for letter, flag in _FLAGS.items() if pattern.flags & flag and letter != "u")
        if own and options:
            raise CommandError(51075, "options set in both $regex and $options")
        text, letters = pattern.pattern, own or options or ""
    elif isinstance(pattern, str):
        text, letters = pattern, options or ""
    else:
        raise bad_value("$regex has to be a string")
    flags = 0
    for letter in letters:
        if letter not in _FLAGS:
            raise CommandError(51108, f"invalid flag in regex options: {letter}")
        flags |= _FLAGS[letter]
    try:
        return RegexMatch(path, text, letters, re.compile(text, flags))
    except re.error as problem:
        raise CommandError(51091, f"Regular expression is invalid: {problem}") from None


def _not(path: str, argument: Any, _: Document) -> list[Predicate]:
    if isinstance(argument, Regex):
        return [Not(path, _regex(path, argument, None))]
    if not isinstance(argument, dict):
        raise bad_value("$not needs a regex or a document")
    if not argument:
        raise bad_value("$not cannot be empty")
    if not is_operators(argument):
        raise bad_value(f"unknown operator: {next(iter(argument))}")
    return [Not(path, _all(parse_field(path, argument)))]


def _size(path: str, argument: Any, _: Document) -> list[Predicate]:
    if not is_number(argument):
        raise failed_to_parse(f"Failed to parse $size. Expected a number in: $size: {render(argument)}")
    length = as_integer(argument, "$size")
    if length < 0:
        raise failed_to_parse(f"Failed to parse $size. Expected a non-negative number in: $size: {length}")
    return [Size(path, length)]


def _type(path: str, argument: Any, _: Document) -> list[Predicate]:
    aliases = argument if isinstance(argument, list) else [argument]
    if not aliases:
        raise failed_to_parse(f"{path} must match at least one type")
    names = frozenset[str]().union(*(resolve_type(alias) for alias in aliases))
    return [TypeIs(path, names, argument)]


def _modulo(path: str, argument: Any, _: Document) -> list[Predicate]:
    if not isinstance(argument, list):
        raise bad_value("malformed mod, needs to be an array")
    if len(argument) != 2:
        raise bad_value(f"malformed mod, {'not enough' if len(argument) < 2 else 'too many'} elements")
    for which, number in zip(("divisor", "remainder"), argument, strict=True):
        if not is_number(number):
            raise bad_value(f"malformed mod, {which} not a number")
    divisor, remainder = (
        int(n.to_decimal()) if isinstance(n, Decimal128) else _whole(n, w)
        for n, w in zip(argument, ("divisor", "remainder"), strict=True)
    )
    if divisor == 0:
        raise bad_value("divisor cannot be 0")
    return [Modulo(path, divisor, remainder)]


def _whole(number: float, which: str) -> int:
    try:
        return int(number)
    except (ValueError, OverflowError):
        raise bad_value(f"malformed mod, {which} value is invalid") from None


def _element_match(path: str, argument: Any, _: Document) -> list[Predicate]:
    if not isinstance(argument, dict):
        raise bad_value("$elemMatch needs an Object")
    if is_operators(argument) and next(iter(argument)) not in (*_LOGICAL, "$expr"):
        return [ElementMatches(path, _all(parse_field(path, argument)), False, argument)]
    return [ElementMatches(path, parse(argument), True, argument)]


def _every(path: str, argument: Any, _: Document) -> list[Predicate]:
    if not isinstance(argument, list):
        raise bad_value("$all needs an array")
    if not argument:
        return [In(path, [], [])]
    parts: list[Predicate] = []
    for item in argument:
        if is_operators(item):
            if list(item) != ["$elemMatch"]:
                raise bad_value("no $ expressions in $all")
            parts += _element_match(path, item["$elemMatch"], item)
        else:
            parts += parse_field(path, item)
    return parts


_PARSERS: dict[str, Callable[[str, Any, Document], list[Predicate]]] = {
    "$eq": _equal,
    "$ne": _not_equal,
    "$in": _in,
    "$nin": _not_in,
    "$exists": _exists,
    "$regex": _regex_operator,
    "$options": _options,
    "$not": _not,
    "$size": _size,
    "$type": _type,
    "$mod": _modulo,
    "$elemMatch": _element_match,
    "$all": _every,
}
