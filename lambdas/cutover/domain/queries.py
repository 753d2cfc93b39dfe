"""The application's named queries: what a release asks of its database (queries.json)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cutover.domain.errors import MisconfiguredError
from cutover.domain.indexes import Index

SHAPE = "[{name, collection, filter: {field: value}, sort?: [[field, 1 or -1]], limit?}]"


@dataclass(frozen=True)
class NamedQuery:
    """`filter` is MongoDB's; `sort` is (field, 1 | -1) in order."""

    name: str
    collection: str
    filter: Mapping[str, Any] = field(hash=False)
    sort: tuple[tuple[str, int], ...] = ()
    limit: int = 20

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that the query looks at, each once, in order."""
        return tuple(dict.fromkeys([*_paths(self.filter), *(name for name, _ in self.sort)]))

    def could_use(self, keys: Iterable[tuple[str, int]]) -> bool:
        """Would an index with these keys serve it? One does whose first field is filtered or sorted by."""
        first = next(iter(keys))[0]
        return first in _paths(self.filter) or (bool(self.sort) and self.sort[0][0] == first)


def _paths(condition: Mapping[str, Any]) -> Iterator[str]:
    for name, value in condition.items():
        if name in ("$and", "$or", "$nor"):
            for each in value:
                yield from _paths(each)
        elif not name.startswith("$"):
            yield name


def read_queries(raw: object) -> tuple[NamedQuery, ...]:
    """Raises MisconfiguredError for what does not fit, and for two of one name."""
    try:
        queries = tuple(
            NamedQuery(
                str(entry["name"]),
                str(entry["collection"]),
                dict(entry.get("filter", {})),
                tuple((str(name), int(direction)) for name, direction in entry.get("sort", [])),
                int(entry.get("limit", 20)),
            )
            for entry in raw  # type: ignore[attr-defined]
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MisconfiguredError(f"queries: {raw!r} does not fit; wanted {SHAPE}") from error
    names = [query.name for query in queries]
    for name in names:
        if names.count(name) > 1:
            raise MisconfiguredError(f"queries: {name!r} is there twice; give each query its own name")
    return queries


def fields_in_use(
    queries: Iterable[NamedQuery], indexes: Iterable[Index] = ()
) -> Mapping[str, Mapping[str, str]]:
    """{collection: {field: who uses it}}, from the queries and from the indexes that are wanted."""
    used: dict[str, dict[str, str]] = {}
    for query in queries:
        for name in query.fields:
            used.setdefault(query.collection, {}).setdefault(name, f"the query “{query.name}”")
    for index in indexes:
        for name, _ in index.keys:
            used.setdefault(index.collection, {}).setdefault(name, f"the index {index.label}")
    return used
