"""Index specifications: what may be asked for, in which form it is kept, and what conflicts.

https://www.mongodb.com/docs/manual/reference/command/createIndexes/
"""

from __future__ import annotations

import math
from typing import Any

from sandbox.database import matching
from sandbox.database import predicates as p
from sandbox.database.errors import CommandError, Document, failed_to_parse, not_implemented, type_mismatch
from sandbox.database.paths import split
from sandbox.database.values import as_integer, encode, is_number, render, same, to_float, truthy, type_name

_OPTIONS = {"v", "key", "name", "unique", "sparse", "partialFilterExpression", "expireAfterSeconds", "hidden",
            "background", "ns"}  # fmt: skip
_NOT_HERE = {"weights", "default_language", "language_override", "textIndexVersion", "2dsphereIndexVersion",
             "bits", "min", "max", "bucketSize", "wildcardProjection", "storageEngine", "prepareUnique",
             "clustered", "dropDups"}  # fmt: skip
_PLUGINS = {"text", "2d", "2dsphere", "hashed"}
_MAX_FIELDS = 32
_MAX_TTL_SECONDS = 2_147_483_647


def normalise(raw: Any) -> Document:
    """The specification as `listIndexes` shows it; raises MongoDB's error for what is wrong or unknown."""
    if not isinstance(raw, dict):
        raise type_mismatch("The elements of the 'indexes' array must be objects")
    _check_options(raw)
    if "key" not in raw:
        raise failed_to_parse("The 'key' field is a required property of an index specification")
    if not isinstance(raw.get("name"), str):
        raise failed_to_parse("The 'name' field is a required property of an index specification")
    if not raw["name"] or raw["name"] == "*":
        raise CommandError(67, f"The index name '{raw['name']}' is not valid.")
    _check_key(raw["key"])
    if list(raw["key"]) == ["_id"]:
        return _id_specification(raw)
    specification: Document = {"v": 2, "key": dict(raw["key"]), "name": raw["name"]}
    specification |= {flag: True for flag in ("unique", "sparse", "hidden") if _is_set(raw, flag)}
    _check_partial(raw, specification)
    _check_ttl(raw, specification)
    return specification


def _check_options(raw: Document) -> None:
    for option in raw:
        if option == "collation" and raw["collation"] == {"locale": "simple"}:
            continue
        if option in _NOT_HERE or option == "collation":
            raise not_implemented(f"The index option '{option}'")
        if option not in _OPTIONS:
            raise _invalid_option(option, "an index", raw)


def _invalid_option(option: str, kind: str, raw: Document) -> CommandError:
    return CommandError(
        197, f"The field '{option}' is not valid for {kind} specification. Specification: {render(raw)}"
    )


def _is_set(raw: Document, flag: str) -> bool:
    value = raw.get(flag, False)
    if not isinstance(value, bool) and not is_number(value):
        raise type_mismatch(
            f"The field '{flag}' has value {flag}: {render(value)}, which is not convertible to bool"
        )
    return truthy(value)


def _id_specification(raw: Document) -> Document:
    for option in raw:
        if option not in ("v", "key", "name", "ns", "collation", "background"):
            raise _invalid_option(option, "an _id index", raw)
    return {"v": 2, "key": {"_id": 1}, "name": "_id_"}


def _check_key(key: Any) -> None:
    if not isinstance(key, dict):
        raise type_mismatch("The field 'key' must be an object")
    if not key:
        raise CommandError(67, "Index keys cannot be an empty object.")
    if len(key) > _MAX_FIELDS:
        raise CommandError(67, f"Index key pattern has {len(key)} fields, the limit is {_MAX_FIELDS}")
    for path, direction in key.items():
        if not path or any(not part for part in split(path)):
            raise CommandError(67, "Index keys cannot contain an empty field.")
        if any(part.startswith("$") for part in split(path)) or "$**" in path:
            raise (
                not_implemented("A wildcard index")
                if "$**" in path
                else CommandError(
                    67, f"Index key contains an illegal field name: field name starts with '$': {path}"
                )
            )
        if isinstance(direction, str):
            if direction in _PLUGINS:
                raise not_implemented(f"An index of type '{direction}'")
            raise CommandError(67, f"Unknown index plugin '{direction}'")
        if not is_number(direction) or to_float(direction) == 0 or math.isnan(to_float(direction)):
            raise CommandError(
                67,
                f"Values in v:2 index key pattern cannot be of type {type_name(direction)}. "
                "Only numbers > 0, numbers < 0, and strings are allowed.",
            )


def _check_partial(raw: Document, specification: Document) -> None:
    if "partialFilterExpression" not in raw:
        return
    expression = raw["partialFilterExpression"]
    if not isinstance(expression, dict):
        raise type_mismatch("The field 'partialFilterExpression' must be an object")
    if specification.get("sparse"):
        raise CommandError(67, 'cannot mix "partialFilterExpression" and "sparse" options')
    _check_supported(matching.parse(expression))
    specification["partialFilterExpression"] = expression


def _check_supported(predicate: p.Predicate) -> None:
    """Only what MongoDB allows in a partial index: equality, ranges, $exists: true, $type, $in, $and, $or."""
    if isinstance(predicate, (p.And, p.Or)):
        for child in predicate.children:
            _check_supported(child)
    elif not isinstance(predicate, (p.Comparison, p.In, p.Exists, p.TypeIs, p.Everything)) or (
        isinstance(predicate, p.In) and predicate.patterns
    ):
        raise CommandError(67, f"Expression not supported in partial index: {render(predicate.describe())}")


def _check_ttl(raw: Document, specification: Document) -> None:
    if "expireAfterSeconds" not in raw:
        return
    check_expiry(raw["expireAfterSeconds"], 67)
    if len(raw["key"]) > 1:
        raise CommandError(67, "TTL indexes are single-field indexes, compound indexes do not support TTL")
    specification["expireAfterSeconds"] = raw["expireAfterSeconds"]


def check_expiry(seconds: Any, code: int) -> None:
    """Raise unless it is a number of seconds that a TTL index can have."""
    if not is_number(seconds):
        raise type_mismatch("TTL index 'expireAfterSeconds' option must be numeric")
    if not 0 <= as_integer(seconds, "expireAfterSeconds") <= _MAX_TTL_SECONDS:
        raise CommandError(
            code, f"TTL index 'expireAfterSeconds' option must be within the range [0, {_MAX_TTL_SECONDS}]"
        )


def _signature(specification: Document) -> bytes:
    """What makes two indexes the same one, whatever they are called."""
    return encode(
        {
            "key": {
                path: 1 if to_float(direction) > 0 else -1 for path, direction in specification["key"].items()
            },
            "partial": specification.get("partialFilterExpression"),
            "unique": bool(specification.get("unique")),
            "sparse": bool(specification.get("sparse")),
        }
    )


def _same_options(left: Document, right: Document) -> bool:
    return same(left.get("expireAfterSeconds"), right.get("expireAfterSeconds"))


def exists_already(requested: Document, existing: list[Document]) -> bool:
    """Is the very same index there? Raises IndexKeySpecsConflict (86) or IndexOptionsConflict (85) otherwise
    when the name or the signature is taken."""
    for present in existing:
        shown = f"Requested index: {render(requested)}, existing index: {render(present)}"
        if present["name"] == requested["name"]:
            if _signature(present) != _signature(requested):
                raise CommandError(
                    86,
                    "An existing index has the same name as the requested index. When index names are not "
                    "specified, they are auto generated and can cause conflicts. Please refer to our "
                    f"documentation. {shown}",
                )
            if not _same_options(present, requested):
                raise CommandError(
                    85,
                    f"An equivalent index already exists with the same name but different options. {shown}",
                )
            return True
    for present in existing:
        if _signature(present) == _signature(requested):
            if _same_options(present, requested):
                raise CommandError(85, f"Index already exists with a different name: {present['name']}")
            raise CommandError(
                85,
                "An equivalent index already exists with a different name and options. "
                f"Requested index: {render(requested)}, existing index: {render(present)}",
            )
    return False
