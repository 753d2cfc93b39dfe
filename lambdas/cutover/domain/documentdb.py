"""What DocumentDB 5.0 cannot do with indexes and validators, each limit with the page that states it.

MongoDB can do some of it; what is refused here is refused everywhere, so that a release which passed the
sandbox does not fail in production.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

GUIDE = "https://docs.aws.amazon.com/documentdb/latest/developerguide"
INDEXES = f"{GUIDE}/mongo-apis.html#mongo-apis-indexes"
PARTIAL = f"{GUIDE}/partial-index.html"
VALIDATION = f"{GUIDE}/json-schema-validation.html"
LIMITS = f"{GUIDE}/limits.html"

MOST_FIELDS = 32
MOST_COLLECTION_NAME = 57  # bytes
MOST_QUALIFIED_NAME = 255  # bytes of COLLECTION$INDEX
OPTIONS = {"name", "keys", "unique", "sparse", "expire_after_seconds", "partial", "rebuild"}
UNSUPPORTED_TYPES = {"hashed", "2d", "geoHaystack"}
UNSUPPORTED_OPTIONS = {
    "collation": "case-insensitive and collated indexes need DocumentDB 8.0",
    "hidden": "indexes can't be hidden",
    "wildcardProjection": "there are no wildcard indexes",
    "storageEngine": "there is one storage engine",
    "dropDups": "duplicates are never dropped by an index build",
    "commitQuorum": "an index is built by the primary alone",
}
PARTIAL_OPERATORS = {"$eq", "$exists", "$gt", "$gte", "$lt", "$lte"}


def index_refusals(collection: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """Why DocumentDB 5.0 would not have this declared index; each reason ends with its source."""
    name = str(entry.get("name"))
    for field, direction in entry.get("keys", []):
        if "$**" in str(field):
            yield f"{name}: there are no wildcard indexes; name the fields ({INDEXES})"
        if direction in UNSUPPORTED_TYPES:
            yield f"{name}: an index of type {direction!r} is not supported; use 1 or -1 ({INDEXES})"
    if len(entry.get("keys", [])) > MOST_FIELDS:
        yield f"{name}: {len(entry['keys'])} fields; at most {MOST_FIELDS} ({LIMITS})"
    for option in sorted(set(entry) & set(UNSUPPORTED_OPTIONS)):
        yield f"{name}: {option}: {UNSUPPORTED_OPTIONS[option]}; leave it out ({INDEXES})"
    if len(collection.encode()) > MOST_COLLECTION_NAME:
        yield f"{collection}: the collection's name has more than {MOST_COLLECTION_NAME} bytes ({LIMITS})"
    if len(f"{collection}${name}".encode()) > MOST_QUALIFIED_NAME:
        yield f"{name}: with its collection's name it has over {MOST_QUALIFIED_NAME} bytes ({LIMITS})"
    yield from _partial_refusals(name, entry.get("partial"), top=True)


def _partial_refusals(name: str, expression: object, *, top: bool) -> Iterator[str]:
    if not isinstance(expression, Mapping):
        return
    for field, condition in expression.items():
        if field == "$and" and top and isinstance(condition, list):
            for each in condition:
                yield from _partial_refusals(name, each, top=False)
        elif str(field).startswith("$"):
            where = " below the top" if field == "$and" else ""
            yield f"{name}: partial: {field}{where} is not supported ({PARTIAL})"
        elif isinstance(condition, Mapping):
            for operator in condition:
                if str(operator).startswith("$") and operator not in PARTIAL_OPERATORS:
                    known = ", ".join(sorted(PARTIAL_OPERATORS))
                    yield f"{name}: partial: {operator} is not supported; there are {known} ({PARTIAL})"


def validator_refusals(collection: str, schema: Mapping[str, Any]) -> Iterator[str]:
    """A validator is a JSON schema and nothing else."""
    for word in schema:
        if str(word).startswith("$"):
            yield f"{collection}: {word}: a validator holds a JSON schema, not query operators ({VALIDATION})"
