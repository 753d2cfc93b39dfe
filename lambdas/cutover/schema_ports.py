"""What the migration engine (steps/migrations.py) needs of a database, and of a release."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cutover.domain.indexes import Index
from cutover.domain.migrations import Entry, Migration, State
from cutover.domain.queries import NamedQuery
from cutover.domain.schema import Action, Phase, Present, Schema, Validator

Way = Callable[[Any, Any], None]


class Script(Protocol):
    @property
    def migration(self) -> Migration: ...
    @property
    def source(self) -> str: ...
    def load(self) -> tuple[Way, Way | None]:
        """(up, down)"""


class Release(Protocol):
    @property
    def schema(self) -> Schema: ...
    @property
    def scripts(self) -> Sequence[Script]: ...
    @property
    def queries(self) -> Sequence[NamedQuery]: ...
    @property
    def queries_text(self) -> str:
        """As JSON, to be remembered."""


@dataclass(frozen=True)
class Found:
    """What speaks against a change: how many, and some of them to look at."""

    count: int
    samples: Sequence[str]


@dataclass(frozen=True)
class Changed:
    """A change of the schema that a deployment made, or was about to make. `before`: what to put back."""

    key: str
    action: str
    collection: str
    name: str
    deployment: str
    phase: Phase
    before: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ledger:
    """`queries_text` is of the release that was completed last; empty when none was."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    changes: Sequence[Changed] = ()
    queries_text: str = ""
    holder: str | None = None


class Progress(Protocol):
    """What a migration's `progress` tells its runner."""

    documents: int
    total: int | None


class Session(Protocol):
    """The lock, held. Everything raises LockLostError once another has taken it over, and writes nothing."""

    def wait(self, migrations: Sequence[Migration], deployment: str) -> None:
        """They are known; their phase has not come."""

    def begin(
        self, migration: Migration, deployment: str, state: State, resume: Mapping[str, Any]
    ) -> None: ...
    def end(self, migration: Migration, state: State) -> None: ...
    def intend(self, changes: Sequence[Changed]) -> None:
        """Known before they are made, so that they can be taken back however far they came."""

    def forget(self, changes: Sequence[Changed]) -> None: ...
    def complete(self, queries_text: str) -> None:
        """The release stays: nothing of it is taken back any more, and its queries are the running ones."""

    def run(
        self, script: Script, way: Way, resume: Mapping[str, Any], remaining: Callable[[], float]
    ) -> Progress | None:
        """Run a migration's function from where it stands. None: done; else how far it came in its time.
        Raises MigrationFailedError naming the file and the line."""

    def apply(self, action: Action, remaining: Callable[[], float]) -> float | None:
        """None: done; else the share (0 to 1) of a long build that is."""

    def take_back(self, change: Changed) -> None: ...
    def close(self, *, free: bool = True) -> None:
        """Stop renewing the lock, and free it if it is still held."""


class SchemaStore(Protocol):
    def ledger(self) -> Ledger: ...
    def present(self, schema: Schema) -> Present: ...
    def duplicates(self, index: Index) -> Found | None:
        """Documents that a unique index would not take; None when there are none."""

    def violations(self, validator: Validator) -> Found | None: ...
    def types(self, collection: str, path: str) -> Mapping[str, int]:
        """{BSON type: how many} of a field in a sample of documents, null and missing ones left out."""

    def claim(self, holder: str) -> Session | str:
        """The lock, or who holds it. The same holder takes its own over, and the older attempt is out."""
