"""Indexes: which are wanted, which are there, and what has to be done about the difference (requirement
C2c)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cutover.domain.errors import MisconfiguredError


@dataclass(frozen=True)
class Index:
    """A compound index; `keys` are (field, 1 | -1) in the index's order. Names do not tell indexes apart."""

    collection: str
    keys: tuple[tuple[str, int], ...]
    unique: bool = False
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        keys = ", ".join(f"{name}{'↓' if direction < 0 else ''}" for name, direction in self.keys)
        return f"{self.collection}{{{keys}}}{' unique' if self.unique else ''}"


@dataclass(frozen=True)
class Difference:
    """`conflicting` have the wanted keys but another uniqueness: nothing is dropped to mend that."""

    missing: tuple[Index, ...]
    present: tuple[Index, ...]
    conflicting: tuple[Index, ...]
    extra: tuple[Index, ...]


def difference(wanted: Iterable[Index], present: Iterable[Index]) -> Difference:
    """An index is told by its collection and its keys in their order, never by its name."""
    there = {(index.collection, index.keys): index for index in present}
    asked = {(index.collection, index.keys): index for index in wanted}
    return Difference(
        missing=tuple(index for key, index in asked.items() if key not in there),
        present=tuple(index for key, index in asked.items() if there.get(key) == index),
        conflicting=tuple(i for key, i in asked.items() if key in there and there[key].unique != i.unique),
        extra=tuple(i for key, i in there.items() if key not in asked and i.keys != (("_id", 1),)),
    )


def read_indexes(raw: object) -> tuple[Index, ...]:
    """From `{"users": [{"name": "email_unique", "keys": [["email", 1]], "unique": true}], …}`."""
    try:
        return tuple(
            _read_index(collection, entry)
            for collection, entries in raw.items()  # type: ignore[attr-defined]
            for entry in entries
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MisconfiguredError(
            f"indexes: {raw!r} does not fit; "
            "wanted {collection: [{name, keys: [[field, 1 or -1]], unique?}]}"
        ) from error


def _read_index(collection: str, entry: Mapping[str, Any]) -> Index:
    keys = tuple((str(name), int(direction)) for name, direction in entry["keys"])
    if not keys or any(direction not in (1, -1) for _, direction in keys):
        raise ValueError(keys)
    return Index(collection, keys, bool(entry.get("unique", False)), str(entry["name"]))
