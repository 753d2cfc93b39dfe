"""Dotted paths through documents: what a query sees, what an index stores, how an update sets a field.

Arrays fan out as MongoDB's do: `a.b` on `{a: [{b: 1}, {b: 2}]}` reaches 1 and 2; `a.0` is a position.
https://www.mongodb.com/docs/manual/tutorial/query-array-of-documents/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sandbox.database.errors import CommandError, Document
from sandbox.database.values import MISSING

Parts = tuple[str, ...]


@lru_cache(maxsize=4096)
def split(path: str) -> Parts:
    return tuple(path.split("."))


def reach(value: Any, parts: Parts, *, expand: bool = True, at: int = 0) -> list[Any]:
    """All values at the path; MISSING where a document on the way lacks the field.

    With `expand`, an array at the end gives its elements and then itself; without, itself alone.
    """
    while at < len(parts):
        if isinstance(value, dict):
            value = value.get(parts[at], MISSING)
            if value is MISSING:
                return [MISSING]
            at += 1
        elif isinstance(value, list):
            position = parts[at]
            positional = position.isdigit() and int(position) < len(value)
            found: list[Any] = []
            for item in value:
                if isinstance(item, dict) and (position in item or not positional):
                    found += reach(item, parts, expand=expand, at=at)
            if positional:
                found += reach(value[int(position)], parts, expand=expand, at=at + 1)
            return found
        else:
            return [MISSING]
    return [*value, value] if expand and isinstance(value, list) else [value]


def get(document: Any, path: str) -> Any:
    """The value at the path without fanning out over arrays (positions work); MISSING if there is none."""
    value = document
    for part in split(path):
        if isinstance(value, Mapping):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


# An array index far beyond the end would fill memory with nulls; MongoDB has the same limit.
_MAX_BACKFILL = 1_500_000


def put(document: Document, path: str, new: Any) -> None:
    """Set the value at the path in place, making documents on the way; PathNotViable through a scalar."""
    parts = split(path)
    holder: Any = document
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(holder, dict):
            if last:
                holder[part] = new
                return
            holder = holder.setdefault(part, {})
        elif isinstance(holder, list) and part.isdigit():
            position = int(part)
            if position > _MAX_BACKFILL:
                raise CommandError(34, f"can't backfill array to larger than {_MAX_BACKFILL} elements")
            holder.extend([None] * (position + 1 - len(holder)))
            if last:
                holder[position] = new
                return
            if holder[position] is None:
                holder[position] = {}
            holder = holder[position]
        else:
            name = parts[depth - 1] if depth else path
            raise CommandError(28, f"Cannot create field '{part}' in element {{{name}: {holder!r}}}")


def remove(document: Document, path: str) -> None:
    """Take the field away in place; an array's element becomes null, as MongoDB's `$unset` does."""
    *way, last = split(path)
    holder = get(document, ".".join(way)) if way else document
    if isinstance(holder, dict):
        holder.pop(last, None)
    elif isinstance(holder, list) and last.isdigit() and int(last) < len(holder):
        holder[int(last)] = None


def with_value(document: Any, parts: Sequence[str], new: Any) -> Any:
    """A copy of the document with the value set at the path; everything else is shared, not copied.

    As in `$set` stages: an array on the way is set in each of its elements; MISSING takes the field away.
    """
    if not parts:
        return new
    if isinstance(document, list):
        return [with_value(item, parts, new) for item in document]
    result = dict(document) if isinstance(document, dict) else {}
    if len(parts) == 1:
        if new is MISSING:
            result.pop(parts[0], None)
        else:
            result[parts[0]] = new
        return result
    if new is MISSING and not isinstance(result.get(parts[0]), (dict, list)):
        return result
    result[parts[0]] = with_value(result.get(parts[0], {}), parts[1:], new)
    return result
