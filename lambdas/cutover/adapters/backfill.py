"""`progress`: what a data migration changes documents with: in batches, resumable, never twice.

A back-fill walks a collection by ranges of `_id`. After each batch its place is written into the ledger under
the lock's fence, so that a migrator which was killed resumes there, and one that was replaced stops. Memory
is bounded by a batch, whatever the collection's size.

A batch may run twice (killed between it and the ledger). So an update must give the same when it is applied
again, as `$set` does; for one that does not, as `$inc`, say `once=True`: then each document is marked in the
very update that changes it, and the marks are taken away at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.binary import Binary
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from cutover.domain.errors import MisconfiguredError, ServiceRefusedError

Document = dict[str, Any]
Save = Callable[[Mapping[str, Any]], None]
BATCH = 1_000
REREADS = 10
# What a comparison such as $gt stays within: values of another bracket are not seen by it.
# https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
_BRACKETS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "bool"),
    ((int, float, Int64, Decimal128), "number"),
    ((str,), "string"),
    ((ObjectId,), "objectId"),
    ((bytes, Binary), "binData"),
    ((dict,), "object"),
    ((Timestamp,), "timestamp"),
    ((type(None),), "null"),
)


class OutOfTimeError(BaseException):
    """The budget is used up; the place is kept. Not an Exception, so that no migration swallows it."""


class Backfill:
    """`resume` is the migration's part of the ledger, `save` writes it (and raises LockLostError).

    resume: {"done": how many back-fills are complete, "after": the last _id, "sweep": marks are being
    removed, "once": a back-fill that must not run twice began, "documents": looked at so far}
    """

    def __init__(
        self,
        database: Database[Document],
        name: str,
        resume: Mapping[str, Any],
        save: Save,
        remaining: Callable[[], float],
        *,
        reserve: float = 5.0,
    ) -> None:
        self._database, self._name, self._save = database, name, save
        self._resume: dict[str, Any] = dict(resume)
        self._remaining, self._reserve, self._batch = remaining, reserve, BATCH
        self._call = 0
        self.documents = int(self._resume.get("documents", 0))
        self.total: int | None = None

    def check(self) -> None:
        """For a loop of one's own: raises when the lock was lost or the time is used up."""
        self._keep()
        self._pause()

    def update(
        self, collection: str, filter: Mapping[str, Any], update: Mapping[str, Any], *, once: bool = False
    ) -> None:
        """Apply an update document (no pipeline: DocumentDB has none) to every document of the filter."""
        self._refuse_pipeline(update)

        def change(found: Collection[Document], place: Document, mark: str) -> None:
            wanted: Document = {"$and": [place, dict(filter)]}
            changes = dict(update)
            if once:
                wanted["$and"].append({mark: {"$exists": False}})
                changes["$set"] = {**changes.get("$set", {}), mark: True}
            found.update_many(wanted, changes)

        self._walk(collection, change, once=once)

    def delete(self, collection: str, filter: Mapping[str, Any]) -> None:
        """Delete every document of the filter (contract migrations only)."""

        def change(found: Collection[Document], place: Document, _: str) -> None:
            found.delete_many({"$and": [place, dict(filter)]})

        self._walk(collection, change)

    def transform(
        self,
        collection: str,
        filter: Mapping[str, Any],
        reads: Sequence[str],
        function: Callable[[Document], Mapping[str, Any] | None],
        *,
        once: bool = False,
    ) -> None:
        """Apply the update document that `function` makes of a document's `_id` and `reads` fields; None
        leaves it. A document whose `reads` changed meanwhile is read again, so that no write gets lost."""

        def change(found: Collection[Document], place: Document, mark: str) -> None:
            wanted: Document = {"$and": [place, dict(filter)]}
            if once:
                wanted["$and"].append({mark: {"$exists": False}})
            for _ in range(REREADS):
                writes = []
                for document in found.find(wanted, dict.fromkeys(["_id", *reads], 1)).batch_size(self._batch):
                    update = function(dict(document))
                    if update is not None:
                        self._refuse_pipeline(update)
                        writes.append(_guarded(document, reads, update, mark if once else None))
                if not writes or found.bulk_write(writes, ordered=False).matched_count == len(writes):
                    return
            raise ServiceRefusedError(
                f"{self._name}: {collection}: documents changed again and again while they were transformed; "
                "deploy when there is less traffic"
            )

        self._walk(collection, change, once=once)

    def _refuse_pipeline(self, update: object) -> None:
        if not isinstance(update, Mapping) or not update or not all(str(k).startswith("$") for k in update):
            raise MisconfiguredError(
                f"migrations: {self._name}: an update is {{operator: {{field: value}}}}, as {{'$set': …}}; "
                f"found {type(update).__name__}"
            )

    def _walk(
        self, name: str, change: Callable[[Collection[Document], Document, str], None], *, once: bool = False
    ) -> None:
        """One back-fill; the calls of a migration are numbered in their order, which has to stay the same."""
        call, self._call = self._call, self._call + 1
        if call < int(self._resume.get("done", 0)):
            return
        collection = self._database[name]
        self.total = collection.estimated_document_count()
        mark = f"_cutover_{self._name[:4]}_{call}"
        if once and not self._resume.get("once"):
            self._keep(once=True)
        if not self._resume.get("sweep"):
            self._ranges(collection, lambda place: change(collection, place, mark))
        if once:
            if not self._resume.get("sweep"):
                self._keep(sweep=True, after=None, brackets=None, documents=0)
                self.documents = 0
            self._ranges(
                collection,
                lambda place: collection.update_many(
                    {"$and": [place, {mark: {"$exists": True}}]}, {"$unset": {mark: ""}}
                ),
            )
        self.documents = 0
        self._keep(done=call + 1, after=None, brackets=None, sweep=None, documents=0)

    def _ranges(self, collection: Collection[Document], change: Callable[[Document], object]) -> None:
        place = self._resume.get("after")  # {"id": …}, so that an _id of null is a place too
        while True:
            self._pause()
            if place is None:
                first = _first(collection, [])
                if first is None:
                    return
                bound: Document = {"$gte": first["_id"]}
            else:
                bound = {"$gt": place["id"]}
            batch = collection.find({"_id": bound}, {"_id": 1}).sort("_id", 1).limit(self._batch)
            found = [document["_id"] for document in batch]
            if found:
                change({"_id": {**bound, "$lte": found[-1]}})
                self.documents += len(found)
                place = {"id": found[-1]}
                self._keep(after=place, documents=self.documents)
            if len(found) < self._batch:
                # The bracket is at its end; another type of _id may follow.
                following = self._next_bracket(collection, place["id"]) if place else None
                if following is None:
                    return
                change({"_id": following})
                self.documents += 1
                place = {"id": following}
                self._keep(after=place, documents=self.documents)

    def _next_bracket(self, collection: Collection[Document], last: Any) -> Any:
        """The first _id of another type that sorts behind `last`; None when there is none."""
        highest = list(collection.find({}, {"_id": 1}).sort("_id", -1).limit(1))
        if not highest or _bracket(highest[0]["_id"]) == _bracket(last):
            return None
        seen = [*self._resume.get("brackets", []), _bracket(last)]
        self._resume["brackets"] = seen  # kept with the next place
        found = _first(collection, seen)
        return None if found is None else found["_id"]

    def _keep(self, **changed: Any) -> None:
        self._resume |= changed
        self._resume = {name: value for name, value in self._resume.items() if value is not None}
        self._save(self._resume)

    def _pause(self) -> None:
        if self._remaining() < self._reserve:
            raise OutOfTimeError


def _first(collection: Collection[Document], without: Sequence[str]) -> Document | None:
    wanted = {"$nor": [{"_id": {"$type": kind}} for kind in without]} if without else {}
    return next(iter(collection.find(wanted, {"_id": 1}).sort("_id", 1).limit(1)), None)


def _bracket(value: object) -> str:
    return next((name for kinds, name in _BRACKETS if isinstance(value, kinds)), "date")


def _guarded(
    document: Document, reads: Sequence[str], update: Mapping[str, Any], mark: str | None
) -> UpdateOne:
    """An update of this document as it was read."""
    wanted: Document = {"_id": document["_id"]}
    changes = dict(update)
    for path in reads:
        value: Any = document
        for part in path.split("."):
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        wanted[path] = {"$exists": False} if value is _MISSING else {"$eq": value}
    if mark:
        wanted[mark] = {"$exists": False}
        changes["$set"] = {**changes.get("$set", {}), mark: True}
    return UpdateOne(wanted, changes)


_MISSING = object()
