"""What the tests of the migration engine share: releases made of texts, a database of one's own, and a client
that dies at a given statement."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from cutover.adapters.clock import SystemClock
from cutover.adapters.migration_files import Release, load_release
from cutover.adapters.schema_store import SchemaStore
from cutover.steps import migrations

Client = MongoClient[dict[str, Any]]
# Said before a client is anybody's, or when it says farewell: none of them is a statement of ours.
UNCOUNTED = {"hello", "saslStart", "saslContinue", "endSessions", "killCursors", "ping"}


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    """A release's files: JSON from values, everything else from text."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def released(folder: Path, files: Mapping[str, Any]) -> Release:
    return load_release(write(folder, files))


def script(kind: str, *lines: str, down: str = "", summary: str = "A test.") -> str:
    """A migration file with these lines as the body of `up`."""
    body = "\n    ".join(lines)
    text = f'"""{summary}"""\n\nkind = "{kind}"\n\n\ndef up(database, progress):\n    {body}\n'
    return text + (f"\n\ndef down(database, progress):\n    {down}\n" if down else "")


@dataclass
class Site:
    """A database of the test's own on a server, and the ways to reach it."""

    connect: Callable[..., Client]
    name: str
    client: Client

    @property
    def database(self) -> Any:
        return self.client[self.name]

    def store(self, client: Client | None = None, **options: Any) -> SchemaStore:
        return SchemaStore(client or self.client, self.name, **options)

    def run(self, release: Release, kind: str = "expand", **options: Any) -> dict[str, Any]:
        told = {"deployment": "d-1", "remaining": lambda: 600.0, "clock": SystemClock(), **options}
        store = told.pop("store", None) or self.store()
        return migrations.run(release, store, kind=kind, **told)

    def undo(self, release: Release, **options: Any) -> dict[str, Any]:
        told = {"deployment": "d-1", "remaining": lambda: 600.0, "clock": SystemClock(), **options}
        return migrations.undo(release, told.pop("store", None) or self.store(), **told)

    def state(self) -> dict[str, Any]:
        return self.database["cutover_schema"].find_one({"_id": "state"}) or {}

    def everything(self) -> dict[str, Any]:
        """All that a migration could change, to be compared."""
        return {
            name: (
                sorted(self.database[name].find(), key=repr),
                self.database[name].index_information(),
                self.database[name].options(),
            )
            for name in sorted(self.database.list_collection_names())
        }


@contextmanager
def site(connect: Callable[..., Client]) -> Iterator[Site]:
    client = connect()
    made = Site(connect, f"migrations_{uuid4().hex[:8]}", client)
    try:
        yield made
    finally:
        client.drop_database(made.name)
        client.close()


class Killed(BaseException):
    """What a process that is killed does not do: go on."""


class Killer(CommandListener):
    """Lets the client die before or after its nth statement; from then on nothing reaches the server.

    `really`: the whole process, by SIGKILL.
    """

    def __init__(self, at: int, moment: str = "before", *, really: bool = False) -> None:
        self.at, self.moment, self.really = at, moment, really
        self.count, self.dead = 0, False
        self.lock = threading.Lock()
        self.statements: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in UNCOUNTED and not self.dead:
            return
        with self.lock:
            self.count += 1
            self.statements.append(event.command_name)
            if self.dead or (self.moment == "before" and self.count == self.at):
                self._die()

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if event.command_name not in UNCOUNTED and self.moment == "after" and self.count >= self.at:
            self._die()

    def failed(self, event: CommandFailedEvent) -> None:
        if event.command_name not in UNCOUNTED and self.moment == "after" and self.count >= self.at:
            self._die()

    def _die(self) -> None:
        self.dead = True
        if self.really:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Killed
