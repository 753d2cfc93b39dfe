"""The state of one running server: databases, users, cursors, sessions and counters; no sockets."""

from __future__ import annotations

import itertools
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bson import DatetimeMS, Int64
from bson.raw_bson import RawBSONDocument

from sandbox.database.authentication import Conversation
from sandbox.database.authorization import User
from sandbox.database.collection import Collection, check_name
from sandbox.database.errors import CommandError, Document
from sandbox.database.journal import FILE, Journal, entries, read_user, rewrite
from sandbox.database.values import encode, now

VERSION: Final = "7.0.14"
REPLICA_SET: Final = "rs0"
MAX_CONNECTIONS: Final = 1000
# A reply's documents stay below this, as in MongoDB, so that no reply is too long for the wire.
_MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
_FIRST_BATCH: Final = 101
_MAX_SESSIONS: Final = 10_000
_CURSOR_IDLE_SECONDS: Final = 600.0


@dataclass
class Connection:
    """What the server knows of one client connection."""

    id: int
    peer: str
    users: dict[str, str] = field(default_factory=dict)  # database: identifier, as authenticated
    conversation: Conversation | None = None
    conversation_database: str = "admin"
    application: str = ""
    opened: DatetimeMS = field(default_factory=now)
    running: Document | None = None  # the command at work
    running_since: float = 0.0  # time.monotonic()


@dataclass
class Cursor:
    namespace: str
    documents: list[bytes]
    position: int
    owner: str | None
    used: float


class Instance:
    """`address` is host:port, as the replica set's only member calls itself."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.started = time.monotonic()
        self.databases: dict[str, dict[str, Collection]] = {}
        self.users: dict[str, User] = {}
        self._journal = Journal()
        self.connections: dict[int, Connection] = {}
        self.connections_created = 0
        self.operations: Counter[str] = Counter()
        self._cursors: dict[int, Cursor] = {}
        # Starts at the clock, so that an old process's cursor is not found here by accident.
        self._cursor_ids = itertools.count(int(time.time() * 1000) << 8)
        self._retries: OrderedDict[bytes, tuple[int, Document]] = OrderedDict()
        self.sessions_ended = 0

    def keep_in(self, directory: Path) -> None:
        """Take over what the directory holds, and keep every change there from now on.

        Raises OSError, or OutOfDiskSpace when there is no room for a fresh copy of it.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / FILE
        descriptions: dict[str, Document] = {}
        records: dict[str, dict[int, bytes]] = {}
        for entry in entries(path):
            _replay(entry, descriptions, records, self.users)
        kept = [Collection(namespace) for namespace in descriptions]
        for collection in kept:
            collection.restore(descriptions[collection.namespace], records.get(collection.namespace, {}))
        journal = rewrite(path, kept, self.users)
        for collection in kept:
            self.add_collection(collection).keep_in(journal)
        self._journal = journal

    def set_users(self, *users: User) -> None:
        """Add users or replace those of the same identifiers."""
        self._keep_users(self.users | {user.identifier: user for user in users})

    def remove_user(self, identifier: str) -> None:
        self._keep_users({key: user for key, user in self.users.items() if key != identifier})

    def _keep_users(self, users: dict[str, User]) -> None:
        self._journal.users(users)
        self.users = users

    # -- databases and collections

    def collection(self, database: str, name: Any) -> Collection | None:
        return self.databases.get(database, {}).get(check_name(database, name))

    def collection_or_create(self, database: str, name: Any) -> Collection:
        check_name(database, name)
        found = self.databases.get(database, {}).get(name)
        return found if found is not None else self.add_collection(Collection(f"{database}.{name}"))

    def add_collection(self, collection: Collection) -> Collection:
        """Raises InvalidNamespace (73); the collection itself may have been prepared."""
        database, _, name = collection.namespace.partition(".")
        check_database(database)
        self._journal.describe(collection.namespace, collection.description())
        collection.keep_in(self._journal)
        self.databases.setdefault(database, {})[name] = collection
        return collection

    def existing_collection(self, database: str, name: Any) -> Collection:
        """Raises NamespaceNotFound (26)."""
        found = self.collection(database, name)
        if found is None:
            raise CommandError(26, f"ns does not exist: {database}.{name}")
        return found

    def drop(self, database: str, name: str) -> None:
        namespace = f"{database}.{name}"
        self._journal.drop(namespace)
        for build in self.databases[database].pop(name).builds:
            build.abort("the collection was dropped")
        if not self.databases[database]:
            del self.databases[database]
        self._cursors = {i: c for i, c in self._cursors.items() if c.namespace != namespace}

    def expire_documents(self) -> int:
        """One pass of the TTL monitor."""
        return sum(c.expire() for collections in self.databases.values() for c in collections.values())

    # -- cursors

    def open_cursor(
        self,
        namespace: str,
        documents: Iterable[Document | bytes],
        owner: str | None,
        batch_size: int | None = None,
        *,
        single_batch: bool = False,
    ) -> Document:
        """The reply's `cursor`: the first batch, and an id if more is left."""
        raw = [each if isinstance(each, bytes) else encode(each) for each in documents]
        size = _FIRST_BATCH if batch_size is None else batch_size
        stop = _batch_end(raw, 0, size)
        cursor_id = 0
        if stop < len(raw) and not single_batch:
            self._forget_idle_cursors()
            cursor_id = next(self._cursor_ids)
            self._cursors[cursor_id] = Cursor(namespace, raw, stop, owner, time.monotonic())
        return {"firstBatch": _batch(raw[:stop]), "id": Int64(cursor_id), "ns": namespace}

    def continue_cursor(
        self, cursor_id: int, namespace: str, owner: str | None, batch_size: int | None
    ) -> Document:
        """The next batch; raises CursorNotFound (43), or Unauthorized (13) for another user's cursor."""
        cursor = self._cursors.get(cursor_id)
        if cursor is None:
            raise CommandError(43, f"cursor id {cursor_id} not found")
        if cursor.owner != owner or cursor.namespace != namespace:
            raise CommandError(
                13,
                f"Requested getMore on namespace '{namespace}', but the cursor is another's",
            )
        stop = _batch_end(cursor.documents, cursor.position, batch_size or len(cursor.documents))
        batch = cursor.documents[cursor.position : stop]
        cursor.position, cursor.used = stop, time.monotonic()
        if stop == len(cursor.documents):
            del self._cursors[cursor_id]
            cursor_id = 0
        return {"nextBatch": _batch(batch), "id": Int64(cursor_id), "ns": namespace}

    def kill_cursor(self, cursor_id: int) -> bool:
        return self._cursors.pop(cursor_id, None) is not None

    @property
    def open_cursors(self) -> int:
        return len(self._cursors)

    def _forget_idle_cursors(self) -> None:
        oldest = time.monotonic() - _CURSOR_IDLE_SECONDS
        self._cursors = {i: c for i, c in self._cursors.items() if c.used >= oldest}

    # -- retryable writes

    def earlier_reply(self, session: bytes, number: int) -> Document | None:
        """The reply to this very write if it was run before; raises TransactionTooOld (225) if it is old."""
        last = self._retries.get(session)
        if last is None or last[0] < number:
            return None
        if last[0] > number:
            raise CommandError(
                225,
                f"Retryable write with txnNumber {number} is prohibited because a newer one with txnNumber "
                f"{last[0]} has already started.",
            )
        return last[1]

    def remember_reply(self, session: bytes, number: int, reply: Document) -> None:
        self._retries[session] = (number, reply)
        self._retries.move_to_end(session)
        while len(self._retries) > _MAX_SESSIONS:
            self._retries.popitem(last=False)

    def end_session(self, session: bytes) -> None:
        self._retries.pop(session, None)


def _batch(documents: list[bytes]) -> list[RawBSONDocument]:
    """The documents as the reply's encoder takes them over unchanged."""
    return [RawBSONDocument(each) for each in documents]


def _batch_end(documents: list[bytes], start: int, count: int) -> int:
    """Where a batch of at most `count` documents and 16 MiB ends; at least one document if any is left."""
    total = 0
    stop = start
    for stop in range(start, min(len(documents), start + count)):
        total += len(documents[stop])
        if total > _MAX_BATCH_BYTES and stop > start:
            return stop
    return min(len(documents), start + count)


def _replay(
    entry: Document,
    descriptions: dict[str, Document],
    records: dict[str, dict[int, bytes]],
    users: dict[str, User],
) -> None:
    do, namespace = entry["do"], entry.get("to", "")
    if do == "put":
        records.setdefault(namespace, {})[entry["id"]] = encode(entry["document"])
    elif do == "delete":
        records[namespace].pop(entry["id"], None)
    elif do == "describe":
        descriptions[namespace] = entry["description"]
    elif do == "drop":
        descriptions.pop(namespace, None)
        records.pop(namespace, None)
    else:
        users.clear()
        users.update((user.identifier, user) for user in map(read_user, entry["users"]))


def check_database(name: str) -> None:
    """Raises InvalidNamespace (73)."""
    if not name or len(name) > 63 or any(c in name for c in '/\\. "$\0'):
        raise CommandError(73, f"Invalid database name: '{name}'")
