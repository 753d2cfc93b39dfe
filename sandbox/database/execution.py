"""Running a planned query: scan, fetch, filter, sort, skip, limit, and count what was examined."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from sandbox.database import matching, ordering
from sandbox.database import predicates as p
from sandbox.database.collection import Collection, Record
from sandbox.database.errors import CommandError, Document, bad_value
from sandbox.database.ordering import Reversed
from sandbox.database.planner import (
    Access,
    CollectionScan,
    IdLookup,
    IndexScan,
    Order,
    Union,
    choose,
)
from sandbox.database.values import sort_key

Found = list[tuple[int, Record]]

# How many documents pass between two looks at the clock.
_CLOCK_INTERVAL = 256


@dataclass(frozen=True)
class Query:
    """A parsed query. `limit` 0 means all; `deadline` is in `time.monotonic()` seconds."""

    predicate: p.Predicate
    order: Order = field(default_factory=list)
    skip: int = 0
    limit: int = 0
    hint: Any = None
    deadline: float | None = None


def parse(
    query: Any,
    sort: Any = None,
    *,
    skip: int = 0,
    limit: int = 0,
    hint: Any = None,
    deadline: float | None = None,
) -> Query:
    if skip < 0:
        raise bad_value(f"BSON field 'skip' value must be >= 0, actual value '{skip}'")
    if isinstance(sort, dict) and list(sort) == ["$natural"]:
        if sort["$natural"] not in (1, -1):
            raise bad_value("$natural sort cannot be set to a value other than -1 or 1.")
        sort, hint = None, hint if hint is not None else sort
    order = ordering.parse(sort) if sort else []
    return Query(matching.parse(query), order, skip, limit, hint, deadline)


@dataclass
class Statistics:
    """What an execution did; `branches` are one per branch of a Union."""

    keys_examined: int = 0
    docs_examined: int = 0
    duplicates: int = 0
    matched: int = 0
    returned: int = 0
    branches: list[Statistics] = field(default_factory=list)


def plan(collection: Collection | None, query: Query) -> tuple[Access, list[IndexScan]]:
    """The access for the query; a collection that doesn't exist is scanned, in no time."""
    if collection is None:
        return CollectionScan(), []
    wanted = query.skip + query.limit if query.limit else 0
    return choose(
        query.predicate, query.order, list(collection.indexes.values()), hint=query.hint, limit=wanted
    )


def run(
    collection: Collection | None,
    query: Query,
    access: Access | None = None,
    statistics: Statistics | None = None,
) -> Found:
    """The matching records in order, after skip and limit. Raises MaxTimeMSExpired (50)."""
    if collection is None:
        return []
    statistics = statistics if statistics is not None else Statistics()
    if access is None:
        access, _ = plan(collection, query)
        _count_use(access)
    sorts = bool(query.order) and not _is_sorted(access)
    enough = query.skip + query.limit if query.limit and not sorts else None
    found: Found = []
    everything = isinstance(query.predicate, p.Everything)
    matches = query.predicate.matches
    for record_id in _candidates(collection, access, statistics):
        record = collection.records[record_id]
        statistics.docs_examined += 1
        if (
            query.deadline
            and statistics.docs_examined % _CLOCK_INTERVAL == 0
            and time.monotonic() > query.deadline
        ):
            raise CommandError(50, "operation exceeded time limit")
        if everything or matches(record.document):
            found.append((record_id, record))
            if len(found) == enough:
                break
    statistics.matched = len(found)
    if sorts:
        key = ordering.comparison_key(query.order)
        found.sort(key=lambda each: key(each[1].document))
    if query.skip or query.limit:
        found = found[query.skip : query.skip + query.limit if query.limit else None]
    statistics.returned = len(found)
    return found


def _is_sorted(access: Access) -> bool:
    return isinstance(access, IndexScan) and access.sorted


def _count_use(access: Access) -> None:
    """`$indexStats` counts the queries that used the index; `explain` doesn't count."""
    scans = access.branches if isinstance(access, Union) else (access,)
    for scan in scans:
        if isinstance(scan, IndexScan):
            scan.index.uses += 1


def _candidates(collection: Collection, access: Access, statistics: Statistics) -> Iterator[int]:
    if isinstance(access, CollectionScan):
        return iter(collection.records) if access.step > 0 else reversed(collection.records)
    if isinstance(access, IdLookup):
        return iter(_look_up(collection, access.value, statistics))
    if isinstance(access, IndexScan):
        return _scan(access, statistics, set() if access.index.multikey else None)
    return _union(access, statistics)


def _look_up(collection: Collection, value: Any, statistics: Statistics) -> list[int]:
    index = collection.indexes["_id_"]
    index.uses += 1
    record_id = index.is_taken((sort_key(value),), None)
    statistics.keys_examined += 1
    return [] if record_id is None else [record_id]


def _union(access: Union, statistics: Statistics) -> Iterator[int]:
    seen: set[int] = set()
    for branch in access.branches:
        own = Statistics()
        statistics.branches.append(own)
        for record_id in _scan(branch, own, seen):
            own.returned += 1
            yield record_id
        statistics.keys_examined += own.keys_examined
        statistics.duplicates += own.duplicates


def _scan(scan: IndexScan, statistics: Statistics, seen: set[int] | None) -> Iterator[int]:
    """Record ids within the bounds, in the scan's direction; each only once when `seen` is given."""
    entries = scan.index.entries
    for start, stop in scan.ranges:
        for key, record_id in entries.islice(start, stop, reverse=scan.step < 0):
            statistics.keys_examined += 1
            if scan.key_checks and not _within(key, scan):
                continue
            if seen is not None:
                if record_id in seen:
                    statistics.duplicates += 1
                    continue
                seen.add(record_id)
            yield record_id


def _within(key: tuple[Any, ...], scan: IndexScan) -> bool:
    for position, bounds in scan.key_checks:
        component = key[position]
        plain = component.key if isinstance(component, Reversed) else component
        if not any(each.holds(plain) for each in bounds):
            return False
    return True


def records(found: Found) -> list[Record]:
    return [record for _, record in found]


class Documents(Sequence[Document]):
    """What was found, decoded one by one as it is read: a million documents at once would not fit."""

    def __init__(self, found: Found) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Document]:
        return (record.document for _, record in self._found)

    @overload
    def __getitem__(self, at: int) -> Document: ...
    @overload
    def __getitem__(self, at: slice) -> Documents: ...
    def __getitem__(self, at: int | slice) -> Document | Documents:
        return Documents(self._found[at]) if isinstance(at, slice) else self._found[at][1].document
