"""Aggregation expressions (`"$field"`, `{"$add": [...]}`): parsed once, evaluated per document.

https://www.mongodb.com/docs/manual/reference/operator/aggregation/#expression-operators. The set is what
migrations and reports need; any other operator is MongoDB's "Unrecognized expression" (168).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.database.errors import CommandError
from sandbox.database.expression_functions import FUNCTIONS, nullish
from sandbox.database.paths import Parts, split
from sandbox.database.values import (
    MISSING,
    now,
    truthy,
    type_name,
)

Variables = Mapping[str, Any]
Expression = Callable[[Variables], Any]
_KNOWN_VARIABLES = {"ROOT", "CURRENT", "NOW", "REMOVE"}


def evaluate(expression: Expression, document: Any) -> Any:
    """The expression's value for one document; MISSING if it refers to a field that isn't there."""
    return expression({"ROOT": document, "CURRENT": document})


def parse(source: Any, names: frozenset[str] = frozenset()) -> Expression:
    """Parse an expression; `names` are the variables that `$let`, `$map` and `$filter` bring into scope."""
    if isinstance(source, str) and source.startswith("$"):
        return _variable(source[2:], names) if source.startswith("$$") else _field(source[1:])
    if isinstance(source, dict):
        first = next(iter(source), "")
        if first.startswith("$"):
            if len(source) != 1:
                raise CommandError(
                    15983, "an object representing an expression must have exactly one field: " + str(source)
                )
            return _operator(first, source[first], names)
        fields = {name: parse(part, names) for name, part in source.items()}
        return lambda scope: {
            name: value for name, part in fields.items() if (value := part(scope)) is not MISSING
        }
    if isinstance(source, list):
        items = [parse(part, names) for part in source]
        return lambda scope: [_null(item(scope)) for item in items]
    return lambda _: source


def _null(value: Any) -> Any:
    return None if value is MISSING else value


def _field(path: str) -> Expression:
    if not path or any(not part for part in split(path)):
        raise CommandError(40353, "FieldPath must not end with a '.' or be empty.")
    parts = split(path)
    return lambda scope: follow(scope["CURRENT"], parts)


def follow(value: Any, parts: Parts) -> Any:
    """A field path in an expression: through an array it gives the array of what each element has there."""
    for at, part in enumerate(parts):
        if isinstance(value, list):
            found = (follow(item, parts[at:]) for item in value)
            return [item for item in found if item is not MISSING]
        if not isinstance(value, dict):
            return MISSING
        value = value.get(part, MISSING)
    return value


def _variable(path: str, names: frozenset[str]) -> Expression:
    name, *rest = split(path)
    parts = tuple(rest)
    if name not in _KNOWN_VARIABLES and name not in names:
        raise CommandError(17276, f"Use of undefined variable: {name}")
    if name == "NOW":
        return lambda _: now()
    if name == "REMOVE":
        return lambda _: MISSING
    return lambda scope: follow(scope[name], parts)


def _operator(name: str, argument: Any, names: frozenset[str]) -> Expression:
    if name in ("$literal", "$const"):
        return lambda _: argument
    if name in _SPECIAL:
        return _SPECIAL[name](argument, names)
    if name not in FUNCTIONS:
        raise CommandError(168, f"Unrecognized expression '{name}'")
    least, most, function = FUNCTIONS[name]
    sources = argument if isinstance(argument, list) else [argument]
    if not least <= len(sources) <= most:
        wanted = f"exactly {least}" if least == most else f"at least {least}"
        raise CommandError(
            16020, f"Expression {name} takes {wanted} arguments. {len(sources)} were passed in."
        )
    arguments = [parse(part, names) for part in sources]
    return lambda scope: function(*(part(scope) for part in arguments))


def _cond(argument: Any, names: frozenset[str]) -> Expression:
    if isinstance(argument, dict):
        for name in argument:
            if name not in ("if", "then", "else"):
                raise CommandError(17083, f"Unrecognized parameter to $cond: {name}")
        for at, name in enumerate(("if", "then", "else")):
            if name not in argument:
                raise CommandError(17080 + at, f"Missing '{name}' parameter to $cond")
        argument = [argument["if"], argument["then"], argument["else"]]
    if not isinstance(argument, list) or len(argument) != 3:
        raise CommandError(16020, "Expression $cond takes exactly 3 arguments.")
    test, then, otherwise = (parse(part, names) for part in argument)
    return lambda scope: then(scope) if truthy(test(scope)) else otherwise(scope)


def _switch(argument: Any, names: frozenset[str]) -> Expression:
    if not isinstance(argument, dict) or not isinstance(argument.get("branches"), list):
        raise CommandError(40060, "$switch requires an object with an array of 'branches'")
    branches = [(parse(b["case"], names), parse(b["then"], names)) for b in argument["branches"]]
    default = parse(argument["default"], names) if "default" in argument else None

    def run(scope: Variables) -> Any:
        for case, then in branches:
            if truthy(case(scope)):
                return then(scope)
        if default is None:
            raise CommandError(
                40066, "$switch could not find a matching branch for an input, and no default was specified."
            )
        return default(scope)

    return run


def _over_array(name: str, wanted: set[str], argument: Any) -> None:
    if not isinstance(argument, dict):
        raise CommandError(16878, f"{name} only supports an object as its argument")
    for field in argument:
        if field not in wanted | {"as"}:
            raise CommandError(16879, f"Unrecognized parameter to {name}: {field}")
    for field in wanted:
        if field not in argument:
            raise CommandError(16880, f"Missing '{field}' parameter to {name}")


def _map(argument: Any, names: frozenset[str]) -> Expression:
    _over_array("$map", {"input", "in"}, argument)
    variable = argument.get("as", "this")
    source = parse(argument["input"], names)
    body = parse(argument["in"], names | {variable})

    def run(scope: Variables) -> Any:
        items = _array(source(scope), "$map")
        return None if items is None else [_null(body({**scope, variable: item})) for item in items]

    return run


def _filter(argument: Any, names: frozenset[str]) -> Expression:
    _over_array("$filter", {"input", "cond"}, argument)
    variable = argument.get("as", "this")
    source = parse(argument["input"], names)
    body = parse(argument["cond"], names | {variable})

    def run(scope: Variables) -> Any:
        items = _array(source(scope), "$filter")
        return None if items is None else [i for i in items if truthy(body({**scope, variable: i}))]

    return run


def _array(value: Any, name: str) -> list[Any] | None:
    if nullish(value):
        return None
    if not isinstance(value, list):
        raise CommandError(16883, f"input to {name} must be an array not {type_name(value)}")
    return value


_SPECIAL: dict[str, Callable[[Any, frozenset[str]], Expression]] = {
    "$cond": _cond,
    "$switch": _switch,
    "$map": _map,
    "$filter": _filter,
}
