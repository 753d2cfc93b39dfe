"""Building indexes on a collection that goes on being read and written.

As in MongoDB the build doesn't lock the collection, checks uniqueness at its end, goes on when its client has
gone, and is aborted by dropping one of its indexes or the collection:
https://www.mongodb.com/docs/manual/core/index-creation/
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, Final

from bson import Int64

from sandbox.database.errors import CommandError, Document
from sandbox.database.indexes import Index
from sandbox.database.steps import Steps

if TYPE_CHECKING:
    from sandbox.database.collection import Collection

# Documents per step: what other clients wait for, some 10 ms.
_STEP: Final = 1000
_numbers = itertools.count(1)


class IndexBuild:
    """One createIndexes at work: `done` of `total` documents are in its indexes."""

    def __init__(self, collection: Collection, specifications: list[Document]) -> None:
        self.number = next(_numbers)
        self.indexes = [Index(specification) for specification in specifications]
        self.done = 0
        self.total = len(collection.records)
        self.started = time.monotonic()
        self._collection = collection
        self._aborted: str | None = None
        self._scanned = 0
        self._last = next(reversed(collection.records), 0)

    def covers(self, record_id: int) -> bool:
        """Must a write of this record change the indexes? What is still to be scanned is read then."""
        return record_id <= self._scanned or record_id > self._last

    def abort(self, reason: str) -> None:
        self._aborted = reason

    def steps(self, deadline: float | None = None) -> Steps[None]:
        """Raises DuplicateKey (11000), IndexBuildAborted (276), MaxTimeMSExpired (50), or 171 for a key."""
        records = self._collection.records
        ids = list(records)
        for at in range(0, len(ids), _STEP):
            if at:
                yield 0.0
            self._check(deadline)
            chunk = ids[at : at + _STEP]
            found = [(each, records[each].document) for each in chunk if each in records]
            for index in self.indexes:
                index.entries.update(
                    (key, record_id) for record_id, document in found for key in index.keys_of(document)
                )
            self._scanned = chunk[-1]
            self.done = at + len(chunk)
        self._scanned = self._last
        for index in self.indexes:
            duplicate = index.first_duplicate() if index.unique else None
            if duplicate is not None:
                raise index.duplicate_key_error(
                    self._collection.namespace, records[duplicate].document, self._prefix()
                )

    def _check(self, deadline: float | None) -> None:
        if self._aborted is not None:
            raise CommandError(276, f"{self._prefix()}{self._aborted}")
        if deadline is not None and time.monotonic() > deadline:
            raise CommandError(50, f"{self._prefix()}operation exceeded time limit")

    def _prefix(self) -> str:
        identifier = self._collection.uuid.as_uuid()
        return f"Index build failed: {identifier}: Collection {self._collection.namespace} :: caused by :: "

    def shares(self, specification: Document) -> bool:
        """Does it build an index of this name or this key pattern?"""
        return any(
            index.name == specification["name"] or same_pattern(index, specification["key"])
            for index in self.indexes
        )

    def operation(self, host: str) -> Document:
        """As `currentOp` shows it, https://www.mongodb.com/docs/manual/reference/command/currentOp/."""
        seconds = time.monotonic() - self.started
        database, _, name = self._collection.namespace.partition(".")
        message = "Index Build: scanning collection"
        percent = 100 * self.done // self.total if self.total else 100
        return {
            "type": "op",
            "host": host,
            "desc": f"IndexBuildsCoordinatorMongod-{self.number}",
            "active": True,
            "opid": 1_000_000 + self.number,
            "secs_running": Int64(int(seconds)),
            "microsecs_running": Int64(int(seconds * 1_000_000)),
            "op": "command",
            "ns": self._collection.namespace,
            "command": {
                "createIndexes": name,
                "indexes": [index.specification for index in self.indexes],
                "$db": database,
            },
            "msg": f"{message} {message}: {self.done}/{self.total} {percent}%",
            "progress": {"done": self.done, "total": self.total},
        }


def same_pattern(index: Index, key: Any) -> bool:
    return isinstance(key, dict) and list(index.specification["key"].items()) == list(key.items())
