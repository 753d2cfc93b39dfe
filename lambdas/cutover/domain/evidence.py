"""The evidence of a deployment: entries that each carry the SHA-256 of the one before.

An entry is one JSON document in one canonical form (keys sorted, no white space between, UTF-8), so that
there is one row of bytes for it. The journal keeps the digest of every entry: an altered byte, an entry
that was removed, moved or added is found, and named, with the journal as the witness.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

#: What the first entry says of the one before.
BEGINNING = "0" * 64
FOLDER = "evidence"


@dataclass(frozen=True)
class Chain:
    """What the journal knows: the entries' names and digests, in their order."""

    deployment: str
    entries: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, deployment: str, item: Mapping[str, Any] | None) -> Self:
        kept = (item or {}).get("entries") or []
        return cls(deployment, tuple((str(entry["name"]), str(entry["sha256"])) for entry in kept))

    @property
    def head(self) -> str:
        return self.entries[-1][1] if self.entries else BEGINNING

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.entries)

    def key(self, sequence: int) -> str:
        """Where an entry is; counted from 1."""
        return f"{FOLDER}/{self.deployment}/{sequence:04d}.json"

    def entry(self, name: str, content: Any) -> bytes:
        """The next entry's bytes."""
        return canonical(
            {
                "deployment": self.deployment,
                "sequence": len(self.entries) + 1,
                "name": name,
                "previous": self.head,
                "content": content,
            }
        )

    def with_entry(self, body: bytes) -> Self:
        """Raises ValueError for what is not the next entry of this chain."""
        entry = json.loads(body)
        wanted = (self.deployment, len(self.entries) + 1, self.head)
        if (entry.get("deployment"), entry.get("sequence"), entry.get("previous")) != wanted:
            raise ValueError(f"{entry.get('name')} does not follow entry {len(self.entries)}")
        return type(self)(self.deployment, (*self.entries, (str(entry["name"]), digest(body))))

    def item(self) -> dict[str, Any]:
        return {
            "head": self.head,
            "count": len(self.entries),
            "entries": [{"name": name, "sha256": value} for name, value in self.entries],
        }


def canonical(document: Any) -> bytes:
    """The one form in which a document is kept."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def problems(chain: Chain, found: Mapping[str, bytes]) -> list[str]:
    """Everything that is wrong with the objects (by their keys), each with its entry.

    Each object is held to the digest that the journal has for its place. What is in another's place is told
    as moved, and what the journal does not know as added.
    """
    wrong: list[str] = []
    places = {value: number for number, (_, value) in enumerate(chain.entries, 1)}
    for number, (name, value) in enumerate(chain.entries, 1):
        key = chain.key(number)
        body = found.get(key)
        if body is None:
            wrong.append(f"{key} ({name}): removed; the journal has it as {value[:12]}")
        elif (actual := digest(body)) != value:
            other = places.get(actual)
            wrong.append(
                f"{key} ({name}): altered; it is {actual[:12]}, the journal has {value[:12]}"
                if other is None
                else f"{key} ({name}): moved; it holds entry {other} ({chain.entries[other - 1][0]})"
            )
        elif fault := _link(chain, number, body):
            wrong.append(f"{key} ({name}): {fault}")
    known = {chain.key(number) for number in range(1, len(chain.entries) + 1)}
    wrong += [f"{key}: added; the journal knows of no such entry" for key in sorted(set(found) - known)]
    return wrong


def _link(chain: Chain, number: int, body: bytes) -> str | None:
    """What is wrong with an entry that the journal knows: then it was written so."""
    previous = chain.entries[number - 2][1] if number > 1 else BEGINNING
    try:
        entry = json.loads(body)
    except ValueError:
        return "no JSON document"
    if not isinstance(entry, Mapping) or canonical(entry) != body:
        return "not in its canonical form"
    if entry.get("previous") != previous or entry.get("sequence") != number:
        return "does not follow the entry before it"
    return None
