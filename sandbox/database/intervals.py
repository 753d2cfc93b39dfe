"""Index bounds: what values of one field a predicate leaves possible, as intervals of sort keys.

The intervals may hold more values than match (the fetched document is always checked against the whole
filter) but never fewer. `explain` shows them in MongoDB's notation, e.g. `("b", {})`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson import Regex

from sandbox.database import predicates as p
from sandbox.database.values import (
    MAX_KEY,
    MIN_KEY,
    RANK_BOOLEAN,
    RANK_DATE,
    RANK_MAX_KEY,
    RANK_MIN_KEY,
    RANK_NULL,
    RANK_NUMBER,
    RANK_OBJECT_ID,
    RANK_STRING,
    SortKey,
    render,
    sort_key,
)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`; the texts are for `explain` only."""

    low: SortKey
    high: SortKey
    low_in: bool
    high_in: bool
    low_text: str
    high_text: str

    @property
    def is_point(self) -> bool:
        return self.low == self.high

    def holds(self, key: SortKey) -> bool:
        above = key > self.low or (self.low_in and key == self.low)
        return above and (key < self.high or (self.high_in and key == self.high))

    def text(self, step: int = 1) -> str:
        """MongoDB's notation; `step` -1 for a field that is scanned downwards."""
        first, last = (self.low_text, self.low_in), (self.high_text, self.high_in)
        if step < 0:
            first, last = last, first
        return f"{'[' if first[1] else '('}{first[0]}, {last[0]}{']' if last[1] else ')'}"


Bounds = tuple[Interval, ...]

ALL: Bounds = (Interval(MIN_KEY, MAX_KEY, True, True, "MinKey", "MaxKey"),)

# Where a type begins and ends, as `explain` writes it.
_EDGES = {
    RANK_NUMBER: ("-inf.0", "inf.0"),
    RANK_STRING: ('""', "{}"),
    RANK_OBJECT_ID: ("ObjectId('000000000000000000000000')", "ObjectId('ffffffffffffffffffffffff')"),
    RANK_BOOLEAN: ("false", "true"),
    RANK_DATE: ("new Date(-9223372036854775808)", "new Date(9223372036854775807)"),
}
_OPEN_ENDED = {RANK_STRING}  # shown with an excluded end: the next type's first value


def point(value: Any) -> Interval:
    key, text = sort_key(value), render(value)
    return Interval(key, key, True, True, text, text)


def _points(values: list[Any]) -> Bounds:
    distinct = {sort_key(value): value for value in values}
    return tuple(point(distinct[key]) for key in sorted(distinct))


def _type_edges(rank: float) -> tuple[SortKey, SortKey, str, str]:
    low_text, high_text = _EDGES.get(rank, ("MinKey", "MaxKey"))
    # No key has a rank in between, so this ends the type whatever its values are.
    return (rank,), (rank + 0.25,), low_text, high_text


def _range(operator: str, operand: Any) -> Bounds:
    key = sort_key(operand)
    if key[0] == RANK_NULL:
        return (point(None),) if operator in ("$gte", "$lte") else ()
    low, high, low_text, high_text = _type_edges(key[0])
    text = render(operand)
    if operator in ("$gt", "$gte"):
        shown_in = key[0] not in _OPEN_ENDED
        return (Interval(key, high, operator == "$gte", shown_in, text, high_text),)
    return (Interval(low, key, True, operator == "$lte", low_text, text),)


def _complement(points: Bounds) -> Bounds:
    """Everything but these points, which are in order."""
    gaps: list[Interval] = []
    low, low_text, low_in = MIN_KEY, "MinKey", True
    for each in points:
        gaps.append(Interval(low, each.low, low_in, False, low_text, each.low_text))
        low, low_text, low_in = each.low, each.low_text, False
    gaps.append(Interval(low, MAX_KEY, low_in, True, low_text, "MaxKey"))
    return tuple(gaps)


def _indexable(value: Any) -> bool:
    """An index holds an array's elements and not the array, so equality to an array has no bounds here."""
    return not isinstance(value, (list, Regex))


def of_predicate(predicate: p.Predicate) -> Bounds | None:  # noqa: PLR0911 - one return per kind
    """The bounds of one predicate on one field; None if an index can't narrow it down."""
    if isinstance(predicate, p.Comparison):
        if not _indexable(predicate.operand):
            return None
        if predicate.operator == "$eq":
            return (point(predicate.operand),)
        if predicate.key[0] in (RANK_MIN_KEY, RANK_MAX_KEY):
            return None
        return _range(predicate.operator, predicate.operand)
    if isinstance(predicate, p.In):
        return _points(predicate.operands) if all(map(_indexable, predicate.operands)) else None
    if isinstance(predicate, p.RegexMatch):
        return _of_regex(predicate)
    if isinstance(predicate, p.Exists):
        return ALL
    if isinstance(predicate, p.Not):
        return _of_negation(predicate.child)
    if isinstance(predicate, p.ElementMatches) and not predicate.of_objects:
        # One element satisfies every part, so the parts' bounds hold together even for an array.
        bounds: Bounds | None = None
        for part in p.conjuncts(predicate.child):
            if isinstance(part, (p.Comparison, p.In)) and (found := of_predicate(part)) is not None:
                bounds = found if bounds is None else intersect(bounds, found)
        return bounds
    return None


def _of_regex(predicate: p.RegexMatch) -> Bounds:
    itself = point(Regex(predicate.pattern, predicate.options))
    prefix = predicate.literal_prefix()
    if prefix:
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        strings = Interval(sort_key(prefix), sort_key(after), True, False, render(prefix), render(after))
    else:
        low, high, low_text, high_text = _type_edges(RANK_STRING)
        strings = Interval(low, high, True, False, low_text, high_text)
    return (strings, itself)


def _of_negation(child: p.Predicate) -> Bounds | None:
    """`$ne` and `$nin`; not of null: a document stored under null may still match (an array of scalars)."""
    if isinstance(child, p.Comparison) and child.operator == "$eq":
        values = [child.operand]
    elif isinstance(child, p.In):
        values = child.operands
    else:
        return None
    if any(value is None or not _indexable(value) for value in values):
        return None
    return _complement(_points(values))


def intersect(left: Bounds, right: Bounds) -> Bounds:
    """The intervals common to both, in order."""
    found: list[Interval] = []
    for a in left:
        for b in right:
            low = max(a, b, key=lambda i: (i.low, not i.low_in))
            high = min(a, b, key=lambda i: (i.high, i.high_in))
            if low.low < high.high or (low.low == high.high and low.low_in and high.high_in):
                found.append(
                    Interval(low.low, high.high, low.low_in, high.high_in, low.low_text, high.high_text)
                )
    return tuple(sorted(found, key=lambda i: i.low))


def by_path(predicate: p.Predicate) -> dict[str, list[tuple[Bounds, p.Predicate]]]:
    """For every field the filter constrains: the bounds of each of its predicates."""
    found: dict[str, list[tuple[Bounds, p.Predicate]]] = {}
    for path, part in _leaves(predicate, ""):
        bounds = of_predicate(part)
        if bounds is not None:
            found.setdefault(path, []).append((bounds, part))
    return found


def _leaves(predicate: p.Predicate, prefix: str) -> Iterator[tuple[str, p.Predicate]]:
    for part in p.conjuncts(predicate):
        if isinstance(part, p.ElementMatches) and part.of_objects:
            yield from (
                (path, leaf)
                for path, leaf in _leaves(part.child, f"{prefix}{part.path}.")
                if not isinstance(leaf, p.Not)
            )
        elif isinstance(part, (p.Leaf, p.Not)):
            yield prefix + part.path, part
