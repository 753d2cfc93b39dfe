"""Indexes: the sorted entries, uniqueness and range look-ups.

Their specifications are checked in index_options.py.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

from sortedcontainers import SortedList

from sandbox.database import matching
from sandbox.database import predicates as p
from sandbox.database.errors import CommandError, Document
from sandbox.database.keys import extract
from sandbox.database.ordering import Reversed
from sandbox.database.paths import get, reach, split
from sandbox.database.values import (
    MISSING,
    now,
    render,
    sort_key,
    to_float,
)

Entry = tuple[tuple[Any, ...], int]  # (the key's components in stored order, record id)


class _Top:
    """Sorts after every component: makes the upper probe of a range of keys."""

    def __lt__(self, _: object) -> bool:
        return False

    def __gt__(self, _: object) -> bool:
        return True


TOP: Final = _Top()


class Index:
    """One index of a collection. The entries are sorted with the first field ascending; a field whose
    direction differs from the first's is stored reversed, so one list serves both scan directions."""

    def __init__(self, specification: Document) -> None:
        self.specification = specification
        self.name: str = specification["name"]
        self.key: list[tuple[str, int]] = [
            (path, 1 if to_float(direction) > 0 else -1) for path, direction in specification["key"].items()
        ]
        self.fields = [split(path) for path, _ in self.key]
        self.flipped = [direction != self.key[0][1] for _, direction in self.key]
        self._any_flipped = any(self.flipped)
        self.is_id = self.name == "_id_"
        self.unique = self.is_id or bool(specification.get("unique"))
        self.sparse = bool(specification.get("sparse"))
        partial = specification.get("partialFilterExpression")
        self.partial: p.Predicate | None = None if partial is None else matching.parse(partial)
        # Sorted Entry tuples; a plain list would move half a million places for one insertion in a million.
        self.entries: SortedList = SortedList()
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
        every = max(1, len(self.entries) // 100)
        sample = [self.entries[at] for at in range(0, len(self.entries), every)]
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
            known.update(met)
        if not self._any_flipped:
            return list(keys)
        return [
            tuple(Reversed(k) if flip else k for k, flip in zip(key, self.flipped, strict=True))
            for key in keys
        ]

    def is_taken(self, key: tuple[Any, ...], by_other_than: int | None) -> int | None:
        """The record that has this key already; None if there is none but `by_other_than`."""
        for found, record_id in self.entries.irange(minimum=(key,)):
            if found != key:
                return None
            if record_id != by_other_than:
                other: int = record_id
                return other
        return None

    def add(self, record_id: int, keys: list[tuple[Any, ...]]) -> None:
        for key in keys:
            self.entries.add((key, record_id))

    def discard(self, record_id: int, keys: list[tuple[Any, ...]]) -> None:
        for key in keys:
            self.entries.discard((key, record_id))

    def position(self, probe: tuple[Any, ...]) -> int:
        """Where the probe (a prefix of a stored key, perhaps with TOP behind it) would be inserted."""
        place: int = self.entries.bisect_left((probe,))
        return place

    def first_duplicate(self) -> int | None:
        """A record whose key another record has too."""
        for before, after in itertools.pairwise(self.entries):
            if before[0] == after[0] and before[1] != after[1]:
                other: int = after[1]
                return other
        return None

    def duplicate_key_error(self, namespace: str, document: Document, prefix: str = "") -> CommandError:
        """E11000 with `keyPattern` and `keyValue`, for a write or (with a prefix) for an index build."""
        value: Document = {}
        for path, _ in self.key:
            found = get(document, path)
            if found is MISSING:
                reached = [each for each in reach(document, split(path)) if each is not MISSING]
                found = reached[0] if reached else None
            value[path] = self._duplicated_element(found)
        return CommandError(
            11000,
            f"{prefix}E11000 duplicate key error collection: {namespace} index: {self.name} "
            f"dup key: {render(value)}",
            keyPattern=dict(self.specification["key"]),
            keyValue=value,
        )

    def _duplicated_element(self, found: Any) -> Any:
        """For an array under a single-field index: the element that is taken."""
        if isinstance(found, list) and len(self.key) == 1:
            for item in found:
                if self.is_taken((sort_key(item),), None) is not None:
                    return item
        return found
