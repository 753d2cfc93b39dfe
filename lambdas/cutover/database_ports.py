"""What the steps need of the environment's database and of the secret that opens it.

The migration engine's own ports are in `cutover.schema_ports`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cutover.domain.queries import NamedQuery


class Accounts(Protocol):
    """The application's accounts in the environment's database."""

    def ensure_user(self, name: str, password: str) -> str:
        """readWrite on the database and nothing else; returns created or updated."""

    def log_in(self, name: str, password: str) -> None:
        """Logs in and reads. Raises AccessDeniedError."""


class RotatingSecret(Protocol):
    """A JSON secret: versions, each by its token, and stages (AWSCURRENT, AWSPENDING) that point at them."""

    name: str

    def read(self, stage: str, token: str | None = None) -> Mapping[str, str] | None:
        """None where no version has the stage, or not the one of the token."""

    def since(self) -> datetime:
        """Since when it has had its current value."""

    def random_password(self) -> str: ...
    def write(self, token: str, stage: str, value: Mapping[str, str]) -> None: ...

    def promote(self, token: str) -> None:
        """To AWSCURRENT."""


class Migrator(Protocol):
    """The migration engine with one release's declared state at hand. Each call works for some seconds.

    Answers {status: running, progress} or {status: done, progress, …}; progress is {phase, done, total,
    current, documents, of, percent}.
    """

    def expand(self, deployment: str) -> Mapping[str, Any]:
        """Done: and gates."""

    def contract(self, deployment: str) -> Mapping[str, Any]:
        """Done: and gates. Only for whoever knows that the watch has ended without a rollback."""

    def undo(self, deployment: str) -> Mapping[str, Any]:
        """Takes back what this deployment's expansion did. Done: and undone, left (names)."""

    def contractions(self) -> Sequence[str]:
        """The names of what a contraction would do now."""

    def plan(self) -> Mapping[str, Any]:
        """{steps, refused, estimate}: what both phases would do now step by step, what stands against it, and
        what holds for the moment only."""


class MigrationPlans(Protocol):
    """Asks the database, from outside its network, what a release's migrations would do now."""

    def look(self, source: str) -> Mapping[str, Any] | None:
        """{steps, refused}; None where the environment has no database yet. Raises MisconfiguredError for
        declarations that can't be read."""


class Database(Protocol):
    """The accounts and the seed of the environment's database."""

    def ensure_user(self, name: str, password: str) -> str:
        """readWrite on the database and nothing else; returns created or updated."""

    def insert_missing(self, collection: str, document: Mapping[str, Any]) -> bool:
        """By its _id; what is there stays as it is. True if it was inserted."""


@dataclass(frozen=True)
class Explained:
    """How the server would answer a query: the stages of its winning plan, from the outside in."""

    stages: Sequence[str]
    index: str | None

    @property
    def scans(self) -> bool:
        """Does it read every document?"""
        return "COLLSCAN" in self.stages

    @property
    def sorts(self) -> bool:
        """Does it sort in memory? An index that is in the wanted order needs no such stage."""
        return "SORT" in self.stages


class Queries(Protocol):
    """The questions which the query check asks."""

    def sample(self, collection: str) -> Mapping[str, Any] | None: ...

    def size(self, collection: str) -> int:
        """Documents, as far as the server knows without counting them."""

    def explain(self, query: NamedQuery) -> Explained: ...

    def milliseconds(self, query: NamedQuery, times: int) -> Sequence[float]: ...

    def connections(self) -> tuple[int, int] | None:
        """(in use, the most there may be); None when the server does not tell."""
