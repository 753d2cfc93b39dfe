"""Indexes, and how a release declares them (requirement C2c)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cutover.domain import documentdb
from cutover.domain.errors import MisconfiguredError

SHAPE = (
    "{collection: [{name, keys: [[field, 1 or -1]], unique?, sparse?, partial?, …} or {name, drop: true}]}"
)


@dataclass(frozen=True)
class Index:
    """A compound index; `keys` are (field, 1 | -1) in the index's order.

    `name` does not tell indexes apart here; the plan of a migration does count it (domain/schema.py).
    `partial` is the filter as canonical JSON. `rebuild`: the release lets it be dropped and made again.
    """

    collection: str
    keys: tuple[tuple[str, int], ...]
    unique: bool = False
    name: str = field(default="", compare=False)
    sparse: bool = False
    expire_after_seconds: int | None = None
    partial: str | None = None
    rebuild: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        keys = ", ".join(f"{name}{'↓' if direction < 0 else ''}" for name, direction in self.keys)
        flags = [" unique" * self.unique, " sparse" * self.sparse]
        if self.expire_after_seconds is not None:
            flags.append(f" expiring after {self.expire_after_seconds} s")
        if self.partial is not None:
            flags.append(f" where {self.partial}")
        return f"{self.collection}{{{keys}}}{''.join(flags)}"

    @property
    def label(self) -> str:
        return f"{self.collection}.{self.name}"

    def same_but_expiry(self, other: Index) -> bool:
        """Do they differ in nothing but when documents expire? That alone can be changed in place."""
        return replace(self, expire_after_seconds=other.expire_after_seconds) == other

    def as_json(self) -> dict[str, Any]:
        """As `indexes.json` declares it."""
        told: dict[str, Any] = {"name": self.name, "keys": [list(key) for key in self.keys]}
        told |= {flag: True for flag in ("unique", "sparse") if getattr(self, flag)}
        if self.expire_after_seconds is not None:
            told["expire_after_seconds"] = self.expire_after_seconds
        return told | ({} if self.partial is None else {"partial": json.loads(self.partial)})


@dataclass(frozen=True)
class Drop:
    """An index that a release declares to be there no longer; the only way to have one dropped."""

    collection: str
    name: str


def canonical(value: object) -> str:
    """JSON in one way only, so that equal filters are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def read_indexes(raw: object) -> tuple[Index, ...]:
    """From `{"users": [{"name": "email_unique", "keys": [["email", 1]], "unique": true}], …}`."""
    return tuple(each for each in read_declared_indexes(raw) if isinstance(each, Index))


def read_declared_indexes(raw: object) -> tuple[Index | Drop, ...]:
    """Raises MisconfiguredError for what does not fit, for what DocumentDB 5.0 does not have, and for two
    declarations that can't both be."""
    try:
        entries = [(str(collection), dict(e)) for collection, each in raw.items() for e in each]  # type: ignore[attr-defined]
        declared = [_read_entry(collection, entry) for collection, entry in entries]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MisconfiguredError(f"indexes: {raw!r} does not fit; wanted {SHAPE}") from error
    _refuse_twins(declared)
    return tuple(declared)


def _read_entry(collection: str, entry: Mapping[str, Any]) -> Index | Drop:
    name = str(entry["name"])
    if entry.get("drop"):
        if set(entry) != {"name", "drop"}:
            raise MisconfiguredError(f"indexes: {collection}.{name}: drop stands alone; take the rest out")
        return Drop(collection, name)
    refused = list(documentdb.index_refusals(collection, entry))
    if refused:
        raise MisconfiguredError(f"indexes: {collection}: DocumentDB 5.0: {'; '.join(refused)}")
    unknown = sorted(set(entry) - documentdb.OPTIONS)
    if unknown:
        known = ", ".join(sorted(documentdb.OPTIONS))
        raise MisconfiguredError(
            f"indexes: {collection}.{name}: {unknown[0]} is not known; there are {known}"
        )
    keys = tuple((str(path), direction) for path, direction in entry["keys"])
    if not keys or any(direction not in (1, -1) for _, direction in keys):
        raise ValueError(keys)
    if entry.get("expire_after_seconds") is not None and len(keys) > 1:
        raise MisconfiguredError(
            f"indexes: {collection}.{name}: only an index of one field can expire documents"
        )
    return index_of(collection, entry)


def index_of(collection: str, entry: Mapping[str, Any]) -> Index:
    """From `Index.as_json`: one that is or was there, whoever could have it."""
    expiry, partial = entry.get("expire_after_seconds"), entry.get("partial")
    return Index(
        collection,
        tuple((str(path), int(direction)) for path, direction in entry["keys"]),
        bool(entry.get("unique", False)),
        str(entry["name"]),
        bool(entry.get("sparse", False)),
        None if expiry is None else int(expiry),
        None if partial is None else canonical(partial),
        bool(entry.get("rebuild", False)),
    )


def _refuse_twins(declared: list[Index | Drop]) -> None:
    names: set[tuple[str, str]] = set()
    keys: dict[tuple[str, object], str] = {}
    for each in declared:
        if (each.collection, each.name) in names:
            raise MisconfiguredError(f"indexes: {each.collection}.{each.name} is declared twice; keep one")
        names.add((each.collection, each.name))
        if isinstance(each, Index):
            other = keys.setdefault((each.collection, each.keys), each.name)
            if other != each.name:
                raise MisconfiguredError(
                    f"indexes: {each.collection}: {other} and {each.name} have the same keys; keep one"
                )
