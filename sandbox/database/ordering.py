"""Sort orders: `{"a": 1, "b": -1}` over documents, and their comparison keys.

An array sorts by its smallest element ascending and by its largest descending,
https://www.mongodb.com/docs/manual/reference/operator/aggregation/sort/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.database.errors import CommandError, Document, bad_value, type_mismatch
from sandbox.database.keys import extract
from sandbox.database.paths import split
from sandbox.database.values import SortKey, is_number, render, sort_key


class Reversed:
    """A component in descending order, for one component of a compound key."""

    __slots__ = ("key",)

    def __init__(self, key: SortKey) -> None:
        self.key = key

    def __lt__(self, other: object) -> Any:
        return other.key < self.key if isinstance(other, Reversed) else NotImplemented

    def __gt__(self, other: object) -> Any:
        return other.key > self.key if isinstance(other, Reversed) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reversed) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def parse(specification: Any) -> list[tuple[str, int]]:
    """`[(path, 1 or -1), ...]`; raises BadValue or TypeMismatch for anything else."""
    if not isinstance(specification, dict):
        raise type_mismatch(f"Expected field sort to be of type object, found: {render(specification)}")
    order: list[tuple[str, int]] = []
    for path, direction in specification.items():
        if isinstance(direction, dict):
            raise bad_value(f"Illegal key in $sort specification: {path}: {render(direction)}")
        if isinstance(direction, bool) or not is_number(direction) or direction not in (1, -1):
            raise CommandError(15975, "$sort key ordering must be 1 (for ascending) or -1 (for descending)")
        if not path or path.startswith("$"):
            raise CommandError(16410, f"FieldPath field names may not start with '$' or be empty: '{path}'")
        order.append((path, int(direction)))
    return order


def comparison_key(order: list[tuple[str, int]]) -> Callable[[Document], Any]:
    """A function from a document to its key: sort by it, ascending, to get the order."""
    fields = [split(path) for path, _ in order]
    descending = [direction < 0 for _, direction in order]

    def key(document: Document) -> tuple[Any, ...]:
        candidates, _ = extract(document, fields)
        keys = [
            tuple(Reversed(k) if down else k for k, down in zip(candidate, descending, strict=True))
            for candidate in candidates
        ]
        return keys[0] if len(keys) == 1 else min(keys)

    return key


def sort_documents(documents: Sequence[Document], order: list[tuple[str, int]]) -> list[Document]:
    return sorted(documents, key=comparison_key(order)) if order else list(documents)


def sort_items(items: list[Any], specification: Any) -> list[Any]:
    """`$push`'s `$sort`: by the elements themselves (1 or -1) or by fields of theirs."""
    if isinstance(specification, dict):
        return sort_documents(items, parse(specification))
    if specification not in (1, -1):
        raise bad_value("The $sort element value must be either 1 or -1")
    return sorted(items, key=sort_key, reverse=specification == -1)
