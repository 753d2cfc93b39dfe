"""The query planner: which index answers a query, over what bounds, and whether it saves the sort.

A plan never changes the result: it only narrows down the documents that are checked against the whole
filter (tests/properties/test_query_planner.py holds it to that). Among the indexes that can be used, the one
with the fewest keys to examine wins; as in MongoDB a usable index always wins over a scan of the collection.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.database import intervals
from sandbox.database import predicates as p
from sandbox.database.errors import CommandError, bad_value
from sandbox.database.implication import guarantees_presence, implies
from sandbox.database.indexes import TOP, Index
from sandbox.database.intervals import ALL, Bounds, Interval
from sandbox.database.ordering import Reversed

Order = list[tuple[str, int]]

# More points than this in a compound prefix aren't looked up one by one, but filtered from a wider range.
_MAX_PREFIXES = 5000


@dataclass(frozen=True)
class CollectionScan:
    step: int = 1


@dataclass(frozen=True)
class IdLookup:
    """`{_id: value}` and nothing else: MongoDB's IDHACK."""

    value: Any


@dataclass(frozen=True)
class IndexScan:
    """`ranges` are positions in the index's entries, in the order of the scan; `step` is 1 or -1 along them.
    `key_checks` are bounds of later fields, checked on the key before the document is fetched."""

    index: Index
    bounds: tuple[Bounds, ...]
    step: int
    sorted: bool
    ranges: tuple[tuple[int, int], ...]
    key_checks: tuple[tuple[int, Bounds], ...]

    @property
    def direction(self) -> str:
        return "forward" if self.step == self.index.key[0][1] else "backward"

    @property
    def keys(self) -> int:
        return sum(stop - start for start, stop in self.ranges)


@dataclass(frozen=True)
class Union:
    """A rooted `$or` whose every branch has an index."""

    branches: tuple[IndexScan, ...]
    sorted: bool = False


Access = CollectionScan | IdLookup | IndexScan | Union


def choose(
    predicate: p.Predicate, order: Order, indexes: Sequence[Index], *, hint: Any = None, limit: int = 0
) -> tuple[Access, list[IndexScan]]:
    """The access to use, and the index scans that were considered and lost.

    Raises BadValue when the hint names no index.
    """
    if hint is not None:
        return _hinted(predicate, order, indexes, hint), []
    fixed_id = _only_id(predicate)
    if fixed_id is not None and not order:
        return IdLookup(fixed_id.operand), []
    candidates = _candidates(predicate, order, [index for index in indexes if not index.hidden])
    if candidates:
        candidates.sort(key=lambda scan: _cost(scan, order, limit))
        return candidates[0], candidates[1:]
    if isinstance(predicate, p.Or):
        branches = [
            _candidates(child, [], [i for i in indexes if not i.hidden]) for child in predicate.children
        ]
        if all(branches):
            best = tuple(min(found, key=lambda scan: _cost(scan, [], 0)) for found in branches)
            return Union(best), []
    return CollectionScan(), []


def _only_id(predicate: p.Predicate) -> p.Comparison | None:
    if isinstance(predicate, p.Comparison) and predicate.path == "_id" and predicate.operator == "$eq":
        return predicate
    return None


def _hinted(predicate: p.Predicate, order: Order, indexes: Sequence[Index], hint: Any) -> Access:
    if isinstance(hint, dict) and list(hint) == ["$natural"]:
        if hint["$natural"] not in (1, -1):
            raise bad_value("$natural hint must be either 1 or -1")
        return CollectionScan(int(hint["$natural"]))
    if not isinstance(hint, (str, dict)):
        raise CommandError(9, "Hint must be a string or an object")
    for index in indexes:
        if index.hidden:
            continue
        if hint == index.name or (
            isinstance(hint, dict) and list(hint.items()) == list(index.specification["key"].items())
        ):
            if index.partial is not None and not implies(predicate, index.partial):
                raise CommandError(
                    291, "error processing query: planner returned error :: caused by :: No query solutions"
                )
            return _scan(index, intervals.by_path(predicate), order)
    raise bad_value(
        "error processing query: planner returned error :: caused by :: "
        "hint provided does not correspond to an existing index"
    )


def _candidates(predicate: p.Predicate, order: Order, indexes: Sequence[Index]) -> list[IndexScan]:
    constrained = intervals.by_path(predicate)
    found: list[IndexScan] = []
    for index in indexes:
        leading = index.key[0][0] in constrained
        if not leading and not (order and order[0][0] == index.key[0][0]):
            continue
        if index.partial is not None and not implies(predicate, index.partial):
            continue
        if index.sparse and not any(
            guarantees_presence(part) for path, _ in index.key for _, part in constrained.get(path, ())
        ):
            continue
        scan = _scan(index, constrained, order)
        if leading or scan.sorted:
            found.append(scan)
    return found


def _cost(scan: IndexScan, order: Order, limit: int) -> tuple[float, int, int]:
    """Keys to examine, with a penalty for a blocking sort; then prefer more bounds and fewer fields."""
    keys: float = scan.keys
    if order and not scan.sorted:
        keys = keys * 1.5 + 1
    elif limit and scan.sorted:
        # If the bounds say all of the filter the scan stops at the limit, but that isn't known here.
        keys = max(min(keys, limit), keys * 0.5)
    bounded = sum(bounds is not ALL for bounds in scan.bounds)
    return (keys, -bounded, len(scan.index.key))


def _scan(index: Index, constrained: dict[str, list[tuple[Bounds, p.Predicate]]], order: Order) -> IndexScan:
    bounds = _bounds(index, constrained)
    step = _sorted_step(index, bounds, order)
    ranges, key_checks = _ranges(index, bounds)
    chosen = step if step is not None else index.key[0][1]
    return IndexScan(
        index=index,
        bounds=tuple(bounds),
        step=chosen,
        sorted=bool(order) and step is not None,
        ranges=tuple(ranges if chosen > 0 else reversed(ranges)),
        key_checks=tuple(key_checks),
    )


def _bounds(index: Index, constrained: dict[str, list[tuple[Bounds, p.Predicate]]]) -> list[Bounds]:
    """Per field of the index. Two predicates on an array may be met by two different elements, so their
    bounds aren't combined, neither on one field nor on two fields inside the same array."""
    result: list[Bounds] = []
    arrays_used: set[tuple[str, ...]] = set()
    for position, (path, _) in enumerate(index.key):
        options = [bounds for bounds, _ in constrained.get(path, ())]
        arrays = {index.fields[position][:depth] for depth in index.array_depths[position]}
        if not options or arrays & arrays_used:
            result.append(ALL)
            continue
        if arrays:
            result.append(min(options, key=_width))
        else:
            combined = options[0]
            for other in options[1:]:
                combined = intervals.intersect(combined, other)
            result.append(combined)
        if result[-1] is not ALL:
            arrays_used |= arrays
    return result


def _width(bounds: Bounds) -> tuple[bool, int, int]:
    return (bounds is ALL, sum(not each.is_point for each in bounds), len(bounds))


def _single_point(bounds: Bounds) -> bool:
    return len(bounds) == 1 and bounds[0].is_point


def _sorted_step(index: Index, bounds: list[Bounds], order: Order) -> int | None:
    """The direction along the entries that yields the order; None if neither does."""
    if not order:
        return None
    fixed = {
        path
        for (path, _), each, depths in zip(index.key, bounds, index.array_depths, strict=True)
        if _single_point(each) and not depths
    }
    wanted = [(path, direction) for path, direction in order if path not in fixed]
    steps: set[int] = set()
    position = 0
    for path, direction in wanted:
        while (
            position < len(index.key) and index.key[position][0] != path and _single_point(bounds[position])
        ):
            position += 1
        if position == len(index.key) or index.key[position][0] != path or index.array_depths[position]:
            return None
        steps.add(-direction if index.flipped[position] else direction)
        position += 1
    if not wanted:
        return index.key[0][1]
    return steps.pop() if len(steps) == 1 else None


def _ranges(index: Index, bounds: list[Bounds]) -> tuple[list[tuple[int, int]], list[tuple[int, Bounds]]]:
    """Positions of the entries within the bounds, in stored order, and the bounds to be checked per key."""
    prefixes: list[tuple[Any, ...]] = [()]
    position = 0
    too_many = False
    while position < len(bounds) and all(each.is_point for each in bounds[position]):
        points = _stored(index, position, bounds[position])
        too_many = position > 0 and len(prefixes) * len(points) > _MAX_PREFIXES
        if too_many:
            break
        flip = index.flipped[position]
        prefixes = [
            (*prefix, Reversed(each.low) if flip else each.low)
            for prefix, each in itertools.product(prefixes, points)
        ]
        position += 1
    ranges: list[tuple[int, int]] = []
    if position == len(bounds) or bounds[position] is ALL or too_many:
        for prefix in prefixes:
            ranges.append((index.position(prefix), index.position((*prefix, TOP))))
    else:
        for prefix in prefixes:
            for each in _stored(index, position, bounds[position]):
                start, stop = _probes(each, index.flipped[position])
                ranges.append((index.position(prefix + start), index.position(prefix + stop)))
    unchecked = position if too_many else position + 1
    later = [(at, bounds[at]) for at in range(unchecked, len(bounds)) if bounds[at] is not ALL]
    return [(start, stop) for start, stop in ranges if start < stop], later


def _stored(index: Index, position: int, bounds: Bounds) -> Sequence[Interval]:
    return tuple(reversed(bounds)) if index.flipped[position] else bounds


def _probes(interval: Interval, flipped: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The probes around an interval: everything from the first up to, without, the second."""
    low: Any = interval.low
    high: Any = interval.high
    first, last = interval.low_in, interval.high_in
    if flipped:
        low, high, first, last = Reversed(high), Reversed(low), last, first
    return ((low,) if first else (low, TOP)), ((high, TOP) if last else (high,))
