"""The data directory: every change is appended to a journal before it is made in memory.

The journal is read at the next start, so a server that was killed has all that it acknowledged. A write that
the disk has no room for is refused and changes nothing, with the code that DocumentDB has for it, 14031
(https://repost.aws/knowledge-center/documentdb-index-failures). Without a directory nothing is kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bson
from bson.raw_bson import RawBSONDocument

from sandbox.database.authentication import Credential
from sandbox.database.authorization import User
from sandbox.database.errors import CommandError, Document
from sandbox.database.values import CODEC

if TYPE_CHECKING:
    from sandbox.database.collection import Collection

FILE: Final = "journal.bson"
# No room on the volume, over the user's quota, over the process's limit of a file's size.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Journal:
    """Entries are BSON documents; `do` says which change it is, and `to` the namespace that it is made to.

    All writing methods raise OutOfDiskSpace (14031), or InternalError (1) for a broken disk.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Appends to the file; keeps nothing without one. Raises OSError."""
        self._file = None if path is None else path.open("ab", buffering=0)
        self._length = 0 if self._file is None else self._file.tell()

    def put(self, namespace: str, record_id: int, record: bytes) -> None:
        self._append({"do": "put", "to": namespace, "id": record_id, "document": RawBSONDocument(record)})

    def delete(self, namespace: str, record_id: int) -> None:
        self._append({"do": "delete", "to": namespace, "id": record_id})

    def describe(self, namespace: str, description: Document) -> None:
        """All about a collection that isn't its documents; replaces what was written before."""
        self._append({"do": "describe", "to": namespace, "description": description})

    def drop(self, namespace: str) -> None:
        self._append({"do": "drop", "to": namespace})

    def users(self, users: dict[str, User]) -> None:
        self._append({"do": "users", "users": [dataclasses.asdict(user) for user in users.values()]})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _append(self, entry: Document) -> None:
        if self._file is None:
            return
        data = bson.encode(entry, codec_options=CODEC)
        try:
            # A write that the disk has no more room for may be a short one; the rest then fails.
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError as problem:
            # Giving room back works on a full disk; the file holds whole entries only.
            with contextlib.suppress(OSError):
                self._file.truncate(self._length)
            if problem.errno in _FULL:
                raise CommandError(14031, f"Not enough disk space: {problem.strerror}") from None
            raise CommandError(1, f"The journal can't be written: {problem.strerror}") from None
        self._length += len(data)


def entries(path: Path) -> Iterator[Document]:
    """What the file holds, in order; a last entry that was cut off, as by a crash, is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while len(head := file.read(4)) == 4:
            size = int.from_bytes(head, "little")
            rest = file.read(size - 4)
            if len(rest) < size - 4:
                return
            yield bson.decode(head + rest, CODEC)


def rewrite(path: Path, collections: list[Collection], users: dict[str, User]) -> Journal:
    """Replace the file by one that holds only what is there now; the journal that goes on with it."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    journal = Journal(fresh)
    for collection in collections:
        journal.describe(collection.namespace, collection.description())
        for record_id, record in collection.records.items():
            journal.put(collection.namespace, record_id, record)
    journal.users(users)
    fresh.replace(path)
    return journal


def read_user(stored: Any) -> User:
    credentials = {name: Credential(**each) for name, each in stored["credentials"].items()}
    return User(**{**stored, "credentials": credentials})
