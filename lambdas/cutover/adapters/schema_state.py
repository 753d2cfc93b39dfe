"""The lock and the ledger of migrations, in one document.

In one, so that every write to the ledger holds the lock's fence in its own filter: a migrator that was
replaced can write nothing, however late it wakes up. MongoDB changes one document atomically; DocumentDB too:
https://docs.aws.amazon.com/documentdb/latest/developerguide/functional-differences.html

A lock is the holder's until it says nothing for as long as the lease, by the server's clock alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from cutover.domain.errors import LockLostError, MisconfiguredError
from cutover.domain.migrations import Entry, Migration
from cutover.domain.migrations import State as MigrationState
from cutover.domain.schema import Phase
from cutover.schema_ports import Changed, Ledger

Document = dict[str, Any]
COLLECTION = "cutover_schema"
LEASE_SECONDS = 60.0
ID = "state"
FORMAT = 1


class State:
    def __init__(self, database: Database[Document], lease_seconds: float) -> None:
        self._database = database
        self._collection = database[COLLECTION]
        self.lease_seconds = lease_seconds

    def read(self) -> Ledger:
        found = self._collection.find_one({"_id": ID}) or {}
        if found.get("format", FORMAT) != FORMAT:
            raise MisconfiguredError(
                f"{COLLECTION} was written by another version of Cutover (format {found['format']}, known is "
                f"{FORMAT}); deploy with that version"
            )
        entries = found.get("migrations", {})
        return Ledger(
            {name: _entry(name, told) for name, told in entries.items()},
            tuple(_change(key, told) for key, told in found.get("changes", {}).items()),
            str(found.get("queries", "")),
            found.get("holder"),
        )

    def claim(self, holder: str) -> int | str:
        """The fence, higher than any before; or the name of another who holds the lock.

        One statement: a lock that is not to be had does not match, so that its upsert meets the unique _id.
        """
        now = self._database.client["admin"].command("hello")["localTime"]
        free = [
            {"holder": None},
            {"holder": holder},
            {"renewed_at": {"$lte": now - timedelta(seconds=self.lease_seconds)}},
        ]
        try:
            found = self._collection.find_one_and_update(
                {"_id": ID, "$or": free},
                {
                    "$set": {"holder": holder, "format": FORMAT},
                    "$inc": {"fence": 1},
                    "$currentDate": {"renewed_at": True},
                },
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            held = self._collection.find_one({"_id": ID}, {"holder": 1}) or {}
            return str(held.get("holder") or "another deployment")
        return int((found or {})["fence"])

    def write(self, fence: int, set: Mapping[str, Any], unset: Sequence[str] = ()) -> None:
        """Under the fence; the lease is renewed with it. Raises LockLostError."""
        update: Document = {"$currentDate": {"renewed_at": True}}
        if set:
            update["$set"] = dict(set)
        if unset:
            update["$unset"] = dict.fromkeys(unset, "")
        if self._collection.update_one({"_id": ID, "fence": fence}, update).matched_count == 0:
            raise LockLostError(
                "the migrations' lock was taken over by another attempt, which goes on where this one stood"
            )

    def free(self, fence: int) -> None:
        self._collection.update_one({"_id": ID, "fence": fence}, {"$set": {"holder": None}})


def entry_of(migration: Migration, deployment: str, state: MigrationState) -> Document:
    return {
        "number": migration.number,
        "kind": str(migration.kind),
        "checksum": migration.checksum,
        "state": str(state),
        "deployment": deployment,
    }


def _entry(name: str, told: Mapping[str, Any]) -> Entry:
    return Entry(
        int(told["number"]),
        name,
        Phase(told["kind"]),
        str(told["checksum"]),
        MigrationState(told["state"]),
        str(told["deployment"]),
        told.get("resume", {}),
    )


def _change(key: str, told: Mapping[str, Any]) -> Changed:
    return Changed(
        key,
        str(told["action"]),
        str(told["collection"]),
        str(told["name"]),
        str(told["deployment"]),
        Phase(told["phase"]),
        told.get("before", {}),
    )
