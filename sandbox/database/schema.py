"""`$jsonSchema`: the draft 4 keywords that collection validators use; an unknown keyword is an error.

https://www.mongodb.com/docs/manual/reference/operator/query/jsonSchema/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.database.errors import Document, failed_to_parse, not_implemented, type_mismatch
from sandbox.database.values import as_integer, is_number, resolve_type, sort_key, type_name

Check = Callable[[Any], bool]

# JSON Schema's own type names, for `type`; "integer" is not supported by MongoDB either.
_JSON_TYPES = {
    "object": "object", "array": "array", "number": "number", "boolean": "bool", "string": "string",
    "null": "null",
}  # fmt: skip
_ANNOTATIONS = {"title", "description"}
_NOT_HERE = {"patternProperties", "dependencies", "minProperties", "maxProperties", "multipleOf",
             "additionalItems", "encrypt", "encryptMetadata"}  # fmt: skip


def parse(document: Any) -> Check:
    """A function that tells whether a value satisfies the schema; raises FailedToParse or TypeMismatch."""
    if not isinstance(document, dict):
        raise type_mismatch("$jsonSchema must be an object")
    checks: list[Check] = []
    for keyword, operand in document.items():
        if keyword in _ANNOTATIONS:
            if not isinstance(operand, str):
                raise type_mismatch(f"$jsonSchema keyword '{keyword}' must be of type string")
            continue
        if keyword in ("exclusiveMinimum", "exclusiveMaximum"):
            _flag(keyword, operand, document)
            continue
        if keyword in _NOT_HERE:
            raise not_implemented(f"The $jsonSchema keyword '{keyword}'")
        maker = _KEYWORDS.get(keyword)
        if maker is None:
            raise failed_to_parse(f"Unknown $jsonSchema keyword: {keyword}")
        checks.append(maker(operand, document))
    return lambda value: all(check(value) for check in checks)


def _flag(keyword: str, operand: Any, document: Document) -> None:
    """Draft 4: `exclusiveMinimum` is a boolean next to `minimum`."""
    needed = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}[keyword]
    if not isinstance(operand, bool):
        raise type_mismatch(f"$jsonSchema keyword '{keyword}' must be a boolean")
    if needed not in document:
        raise failed_to_parse(f"$jsonSchema keyword '{needed}' must be a present if {keyword} is present")


def _types(keyword: str, aliases: Any, known: dict[str, str] | None) -> Check:
    names: set[str] = set()
    for alias in aliases if isinstance(aliases, list) else [aliases]:
        if not isinstance(alias, str):
            raise type_mismatch(
                f"$jsonSchema keyword '{keyword}' must be either a string or an array of strings"
            )
        if known is not None:
            if alias not in known:
                raise failed_to_parse(f"Unknown type name alias: {alias}")
            names |= resolve_type(known[alias])
        else:
            names |= resolve_type(alias)
    return lambda value: type_name(value) in names


def _bson_type(operand: Any, document: Document) -> Check:
    if "type" in document:
        raise failed_to_parse("Cannot specify both $jsonSchema keywords 'type' and 'bsonType'")
    return _types("bsonType", operand, None)


def _json_type(operand: Any, _: Document) -> Check:
    return _types("type", operand, _JSON_TYPES)


def _required(operand: Any, _: Document) -> Check:
    if not isinstance(operand, list):
        raise type_mismatch("$jsonSchema keyword 'required' must be an array")
    if not operand or not all(isinstance(name, str) for name in operand):
        raise failed_to_parse("$jsonSchema keyword 'required' must be a non-empty array of strings")
    return lambda value: not isinstance(value, dict) or all(name in value for name in operand)


def _properties(operand: Any, _: Document) -> Check:
    if not isinstance(operand, dict):
        raise type_mismatch("$jsonSchema keyword 'properties' must be an object")
    checks = {name: parse(part) for name, part in operand.items()}
    return lambda value: (
        not isinstance(value, dict) or all(check(value[n]) for n, check in checks.items() if n in value)
    )


def _additional(operand: Any, document: Document) -> Check:
    declared = set(document.get("properties", {}))
    if isinstance(operand, bool):
        return lambda value: operand or not isinstance(value, dict) or set(value) <= declared
    check = parse(operand)
    return lambda value: (
        not isinstance(value, dict) or all(check(v) for n, v in value.items() if n not in declared)
    )


def _enum(operand: Any, _: Document) -> Check:
    if not isinstance(operand, list) or not operand:
        raise failed_to_parse("$jsonSchema keyword 'enum' must be a non-empty array")
    keys = {sort_key(item) for item in operand}
    return lambda value: sort_key(value) in keys


def _bound(keyword: str, smallest: bool) -> Callable[[Any, Document], Check]:
    exclusive = "exclusiveMinimum" if smallest else "exclusiveMaximum"

    def make(operand: Any, document: Document) -> Check:
        if not is_number(operand):
            raise type_mismatch(f"$jsonSchema keyword '{keyword}' must be a number")
        limit = sort_key(operand)
        strict = bool(document.get(exclusive))

        def check(value: Any) -> bool:
            if not is_number(value):
                return True
            key = sort_key(value)
            if key == limit:
                return not strict
            return key > limit if smallest else key < limit

        return check

    return make


def _length(
    keyword: str, kind: type[str] | type[list[Any]], smallest: bool
) -> Callable[[Any, Document], Check]:
    def make(operand: Any, _: Document) -> Check:
        limit = as_integer(operand, keyword)
        if limit < 0:
            raise failed_to_parse(f"$jsonSchema keyword '{keyword}' must be a non-negative number")
        return lambda value: (
            not isinstance(value, kind) or (len(value) >= limit if smallest else len(value) <= limit)
        )

    return make


def _pattern(operand: Any, _: Document) -> Check:
    if not isinstance(operand, str):
        raise type_mismatch("$jsonSchema keyword 'pattern' must be a string")
    try:
        compiled = re.compile(operand)
    except re.error as problem:
        raise failed_to_parse(f"$jsonSchema keyword 'pattern' is invalid: {problem}") from None
    return lambda value: not isinstance(value, str) or compiled.search(value) is not None


def _items(operand: Any, _: Document) -> Check:
    if isinstance(operand, list):
        checks = [parse(part) for part in operand]
        return lambda value: (
            not isinstance(value, list)
            or all(check(item) for check, item in zip(checks, value, strict=False))
        )
    check = parse(operand)
    return lambda value: not isinstance(value, list) or all(check(item) for item in value)


def _unique(operand: Any, _: Document) -> Check:
    if not isinstance(operand, bool):
        raise type_mismatch("$jsonSchema keyword 'uniqueItems' must be a boolean")
    return lambda value: (
        not operand or not isinstance(value, list) or len({sort_key(item) for item in value}) == len(value)
    )


def _combined(keyword: str, verdict: Callable[[int, int], bool]) -> Callable[[Any, Document], Check]:
    def make(operand: Any, _: Document) -> Check:
        if not isinstance(operand, list) or not operand:
            raise failed_to_parse(f"$jsonSchema keyword '{keyword}' must be a non-empty array")
        checks = [parse(part) for part in operand]
        return lambda value: verdict(sum(check(value) for check in checks), len(checks))

    return make


def _not(operand: Any, _: Document) -> Check:
    check = parse(operand)
    return lambda value: not check(value)


_KEYWORDS: dict[str, Callable[[Any, Document], Check]] = {
    "bsonType": _bson_type,
    "type": _json_type,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "enum": _enum,
    "minimum": _bound("minimum", True),
    "maximum": _bound("maximum", False),
    "minLength": _length("minLength", str, True),
    "maxLength": _length("maxLength", str, False),
    "minItems": _length("minItems", list, True),
    "maxItems": _length("maxItems", list, False),
    "pattern": _pattern,
    "items": _items,
    "uniqueItems": _unique,
    "allOf": _combined("allOf", lambda held, of: held == of),
    "anyOf": _combined("anyOf", lambda held, _: held > 0),
    "oneOf": _combined("oneOf", lambda held, _: held == 1),
    "not": _not,
}


def failed_keywords(document: Document, value: Document) -> list[Document]:
    """Which top-level rules of the schema the document breaks, for `errInfo.details`."""
    broken: list[Document] = []
    for keyword, operand in document.items():
        if keyword in _ANNOTATIONS or keyword in ("exclusiveMinimum", "exclusiveMaximum"):
            continue
        if parse({keyword: operand, **_companions(keyword, document)})(value):
            continue
        rule: Document = {"operatorName": keyword}
        if keyword == "required":
            rule |= {
                "specifiedAs": {keyword: operand},
                "missingProperties": [n for n in operand if n not in value],
            }
        elif keyword == "properties":
            rule["propertiesNotSatisfied"] = [
                {"propertyName": n, "consideredValue": value[n]}
                for n, part in operand.items()
                if n in value and not parse(part)(value[n])
            ]
        else:
            rule["specifiedAs"] = {keyword: operand}
        broken.append(rule)
    return broken


def _companions(keyword: str, document: Document) -> Document:
    """The keywords that change the meaning of this one."""
    wanted = {
        "minimum": ("exclusiveMinimum",),
        "maximum": ("exclusiveMaximum",),
        "additionalProperties": ("properties",),
    }.get(keyword, ())
    return {name: document[name] for name in wanted if name in document}
