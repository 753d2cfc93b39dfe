"""Indexes: the checked specification, the sorted entries, uniqueness and range look-ups.

Options and conflicts follow https://www.mongodb.com/docs/manual/reference/command/createIndexes/.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any, Final

from sandbox.database import matching
from sandbox.database import predicates as p
from sandbox.database.errors import CommandError, Document, failed_to_parse, not_implemented, type_mismatch
from sandbox.database.keys import extract
from sandbox.database.ordering import Reversed
from sandbox.database.paths import get, reach, split
from sandbox.database.values import (
    MISSING,
    as_integer,
    encode,
    is_number,
    now,
    render,
    same,
    sort_key,
    type_name,
)

Entry = tuple[tuple[Any, ...], int]  # (the key's components in stored order, record id)


class _Top:
    """Sorts after every component: makes the upper probe of a range of keys."""

    def __lt__(self, _: object) -> bool:
        return False

    def __gt__(self, _: object) -> bool:
        return True


TOP: Final = _Top()

_OPTIONS = {"v", "key", "name", "unique", "sparse", "partialFilterExpression", "expireAfterSeconds", "hidden",
            "background", "ns"}  # fmt: skip
_NOT_HERE = {"weights", "default_language", "language_override", "textIndexVersion", "2dsphereIndexVersion",
             "bits", "min", "max", "bucketSize", "wildcardProjection", "storageEngine", "prepareUnique",
             "clustered", "dropDups"}  # fmt: skip
_PLUGINS = {"text", "2d", "2dsphere", "hashed"}
_MAX_FIELDS = 32
_MAX_TTL_SECONDS = 2_147_483_647


class Index:
    """One index of a collection. The entries are sorted with the first field ascending; a field whose
    direction differs from the first's is stored reversed, so one list serves both scan directions."""

    def __init__(self, specification: Document) -> None:
        self.specification = specification
        self.name: str = specification["name"]
        self.key: list[tuple[str, int]] = [
            (path, 1 if direction > 0 else -1) for path, direction in specification["key"].items()
        ]
        self.fields = [split(path) for path, _ in self.key]
        self.flipped = [direction != self.key[0][1] for _, direction in self.key]
        self._any_flipped = any(self.flipped)
        self.is_id = self.name == "_id_"
        self.unique = self.is_id or bool(specification.get("unique"))
        self.sparse = bool(specification.get("sparse"))
        partial = specification.get("partialFilterExpression")
        self.partial: p.Predicate | None = None if partial is None else matching.parse(partial)
        self.entries: list[Entry] = []
        # Where arrays were met, per field: never forgotten, as in MongoDB, until the index is rebuilt.
        self.array_depths: list[set[int]] = [set() for _ in self.key]
        self.uses = 0
        self.since = now()

    @property
    def multikey(self) -> bool:
        return any(self.array_depths)

    @property
    def hidden(self) -> bool:
        return bool(self.specification.get("hidden"))

    @property
    def expire_after_seconds(self) -> float | None:
        return self.specification.get("expireAfterSeconds")

    @property
    def size_bytes(self) -> int:
        """An estimate: what the entries take as BSON, measured on a sample of a hundred."""
        sample = self.entries[:: max(1, len(self.entries) // 100)]
        each = sum(len(repr(key)) for key, _ in sample) / len(sample) if sample else 0
        return 4096 + int(each * len(self.entries))

    def keys_of(self, document: Document) -> list[tuple[Any, ...]]:
        """The stored keys of the document: none if the index is partial or sparse and leaves it out."""
        if self.partial is not None and not self.partial.matches(document):
            return []
        if self.sparse and all(
            value is MISSING for parts in self.fields for value in reach(document, parts, expand=False)
        ):
            return []
        keys, depths = extract(document, self.fields)
        for known, met in zip(self.array_depths, depths, strict=True):
            known |= met
        if not self._any_flipped:
            return list(keys)
        return [
            tuple(Reversed(k) if flip else k for k, flip in zip(key, self.flipped, strict=True))
            for key in keys
        ]

    def is_taken(self, key: tuple[Any, ...], by_other_than: int | None) -> int | None:
        """The record that has this key already; None if there is none but `by_other_than`."""
        at = bisect_left(self.entries, (key,))  # type: ignore[arg-type]
        while at < len(self.entries) and self.entries[at][0] == key:
            if self.entries[at][1] != by_other_than:
                return self.entries[at][1]
            at += 1
        return None

    def add(self, record_id: int, keys: list[tuple[Any, ...]]) -> None:
        for key in keys:
            insort(self.entries, (key, record_id))

    def discard(self, record_id: int, keys: list[tuple[Any, ...]]) -> None:
        for key in keys:
            at = bisect_left(self.entries, (key, record_id))
            if at < len(self.entries) and self.entries[at] == (key, record_id):
                del self.entries[at]

    def position(self, probe: tuple[Any, ...]) -> int:
        """Where the probe (a prefix of a stored key, perhaps with TOP behind it) would be inserted."""
        return bisect_left(self.entries, (probe,))  # type: ignore[arg-type]

    def first_duplicate(self) -> int | None:
        """A record whose key another record has too."""
        for before, after in zip(self.entries, self.entries[1:], strict=False):
            if before[0] == after[0] and before[1] != after[1]:
                return after[1]
        return None

    def duplicate_key_error(self, namespace: str, document: Document, prefix: str = "") -> CommandError:
        """E11000 with `keyPattern` and `keyValue`, for a write or (with a prefix) for an index build."""
        value: Document = {}
        for path, _ in self.key:
            found = get(document, path)
            if found is MISSING:
                reached = [each for each in reach(document, split(path)) if each is not MISSING]
                found = reached[0] if reached else None
            value[path] = self._duplicated_element(path, found)
        return CommandError(
            11000,
            f"{prefix}E11000 duplicate key error collection: {namespace} index: {self.name} "
            f"dup key: {render(value)}",
            keyPattern=dict(self.specification["key"]),
            keyValue=value,
        )

    def _duplicated_element(self, path: str, found: Any) -> Any:
        """For an array under a single-field index: the element that is taken."""
        if isinstance(found, list) and len(self.key) == 1:
            for item in found:
                if self.is_taken((sort_key(item),), None) is not None:
                    return item
        return found


def normalise(raw: Any) -> Document:
    """The specification as `listIndexes` shows it; raises MongoDB's error for what is wrong or unknown."""
    if not isinstance(raw, dict):
        raise type_mismatch("The elements of the 'indexes' array must be objects")
    for option in raw:
        if option == "collation" and raw["collation"] == {"locale": "simple"}:
            continue
        if option in _NOT_HERE or option == "collation":
            raise not_implemented(f"The index option '{option}'")
        if option not in _OPTIONS:
            raise CommandError(
                197,
                f"The field '{option}' is not valid for an index specification. Specification: {render(raw)}",
            )
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
    for flag in ("unique", "sparse", "hidden"):
        if flag in raw:
            if not isinstance(raw[flag], bool) and not is_number(raw[flag]):
                raise type_mismatch(
                    f"The field '{flag}' has value {flag}: {render(raw[flag])}, which is not convertible to bool"
                )
            if raw[flag]:
                specification[flag] = True
    _check_partial(raw, specification)
    _check_ttl(raw, specification)
    return specification


def _id_specification(raw: Document) -> Document:
    for option in raw:
        if option not in ("v", "key", "name", "ns", "collation", "background"):
            raise CommandError(
                197,
                f"The field '{option}' is not valid for an _id index specification. Specification: {render(raw)}",
            )
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
        if isinstance(direction, bool) or not is_number(direction) or direction == 0:
            raise CommandError(
                67,
                f"Values in v:2 index key pattern cannot be of type {type_name(direction)}. Only numbers > 0, "
                "numbers < 0, and strings are allowed.",
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
            "key": {path: 1 if direction > 0 else -1 for path, direction in specification["key"].items()},
            "partial": specification.get("partialFilterExpression"),
            "unique": bool(specification.get("unique")),
            "sparse": bool(specification.get("sparse")),
        }
    )


def _same_options(left: Document, right: Document) -> bool:
    return same(left.get("expireAfterSeconds"), right.get("expireAfterSeconds"))


def exists_already(requested: Document, existing: list[Index]) -> bool:
    """Is the very same index there? Raises IndexKeySpecsConflict (86) or IndexOptionsConflict (85) otherwise
    when the name or the signature is taken."""
    for index in existing:
        present = index.specification
        shown = f"Requested index: {render(requested)}, existing index: {render(present)}"
        if index.name == requested["name"]:
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
    for index in existing:
        present = index.specification
        if _signature(present) == _signature(requested):
            if _same_options(present, requested):
                raise CommandError(85, f"Index already exists with a different name: {index.name}")
            raise CommandError(
                85,
                "An equivalent index already exists with a different name and options. "
                f"Requested index: {render(requested)}, existing index: {render(present)}",
            )
    return False
