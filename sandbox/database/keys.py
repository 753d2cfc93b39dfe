"""The keys of a document under a compound key pattern: one tuple per element of the array it goes through.

https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/: two different arrays in one
compound key are an error (171); an empty array at the end of a path is stored as undefined, a missing field
as null.
"""

from __future__ import annotations

from typing import Any

from sandbox.database.errors import CommandError, Document
from sandbox.database.paths import Parts
from sandbox.database.values import MISSING, NULL_KEY, UNDEFINED_KEY, SortKey, sort_key

Key = tuple[SortKey, ...]
# For every field of the pattern: how many leading parts of its path lead to an array (none: empty set).
ArrayDepths = list[set[int]]


def extract(document: Document, fields: list[Parts]) -> tuple[list[Key], ArrayDepths]:
    """The distinct keys, in the order of the array's elements, and where arrays were met."""
    depths: ArrayDepths = [set() for _ in fields]
    simple: list[SortKey] = []
    for parts in fields:
        value: Any = document
        for part in parts:
            value = value.get(part, MISSING) if isinstance(value, dict) else MISSING
            if value.__class__ is list:
                break
            if value is MISSING:
                break
        if value.__class__ is list:
            break
        simple.append(sort_key(value))
    else:
        return [tuple(simple)], depths
    found: dict[Key, None] = {}
    _descend([document] * len(fields), fields, [0] * len(fields), depths, found)
    return list(found), depths


def _descend(
    values: list[Any], fields: list[Parts], at: list[int], depths: ArrayDepths, found: dict[Key, None]
) -> None:
    """Walk every field to its end or to an array; an array is gone through, for all fields that met it."""
    values, at = list(values), list(at)
    array: list[Any] | None = None
    through: list[int] = []
    for field, parts in enumerate(fields):
        values[field], at[field] = _walk(values[field], parts, at[field])
        value = values[field]
        if value.__class__ is _Element:
            continue
        if isinstance(value, list):
            if array is not None and value is not array:
                names = [fields[f][at[f] - 1] for f in (field, through[0])]
                raise CommandError(171, f"cannot index parallel arrays [{names[0]}] [{names[1]}]")
            array = value
            through.append(field)
            depths[field].add(at[field])
    if array is None:
        found[tuple(_key_of(value) for value in values)] = None
        return
    for item in array or [_EMPTY]:
        below = list(values)
        for field in through:
            ended = at[field] == len(fields[field])
            if item is _EMPTY:
                below[field] = _Element(UNDEFINED_KEY if ended else NULL_KEY)
            elif ended:
                below[field] = _Element(sort_key(item))
            else:
                # Only documents inside the array have the field; a scalar or a nested array is null.
                below[field] = item if isinstance(item, dict) else _Element(NULL_KEY)
        _descend(below, fields, at, depths, found)


class _Element:
    """A component that is final: its array has been gone through."""

    __slots__ = ("key",)

    def __init__(self, key: SortKey) -> None:
        self.key = key


_EMPTY = object()


def _key_of(value: Any) -> SortKey:
    key: SortKey = value.key if value.__class__ is _Element else sort_key(value)
    return key


def _walk(value: Any, parts: Parts, at: int) -> tuple[Any, int]:
    """Follow the path until it ends, leads nowhere (MISSING) or meets an array without a position."""
    while at < len(parts):
        if isinstance(value, dict):
            value = value.get(parts[at], MISSING)
            at += 1
        elif isinstance(value, list) and parts[at].isdigit() and int(parts[at]) < len(value):
            if any(isinstance(item, dict) and parts[at] in item for item in value):
                raise CommandError(16746, f"Ambiguous field name found in array: '{parts[at]}'")
            value = value[int(parts[at])]
            at += 1
        elif isinstance(value, list) or value.__class__ is _Element:
            return value, at
        else:
            return MISSING, len(parts)
    return value, at
