"""Numbered data migrations: which are pending, and which must not be run, with what to do about each.

A migration is `expand` (before the release; the running version must not notice) or `contract` (after the
watch, when nobody goes back any more). Within a phase they run in the order of their numbers. A contract
migration that a release brings waits in the ledger for its phase, so numbers above it may be applied first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cutover.domain.errors import MisconfiguredError
from cutover.domain.schema import Phase


@dataclass(frozen=True)
class Migration:
    """A file of the release. `checksum` is its SHA-256; `hazards` are what a look at its source found: of a
    contract migration too before its time has come, for better no release than one that can't be finished."""

    number: int
    name: str
    kind: Phase
    checksum: str
    summary: str = ""
    reversible: bool = False
    hazards: tuple[str, ...] = ()


class State(StrEnum):
    """WAITING: known, its phase has not come. UNDONE: taken back, hence pending again."""

    WAITING = "waiting"
    RUNNING = "running"
    APPLIED = "applied"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True)
class Entry:
    """A migration as the ledger has it. `resume`: where its back-fills stand."""

    number: int
    name: str
    kind: Phase
    checksum: str
    state: State
    deployment: str
    resume: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class MigrationPlan:
    """`pending` in order; with a refusal none of them is run."""

    pending: tuple[Migration, ...]
    waiting: tuple[Migration, ...]
    refused: tuple[str, ...]


def check_numbers(names: Sequence[tuple[int, str]]) -> None:
    """Raises MisconfiguredError for two files with one number, and for a number that is left out."""
    counted = Counter(number for number, _ in names)
    for number, times in sorted(counted.items()):
        if times > 1:
            both = " and ".join(sorted(name for each, name in names if each == number))
            raise MisconfiguredError(
                f"migrations: {both} have the same number; give the one that is not applied anywhere yet "
                f"the next free one, {max(counted) + 1:04}"
            )
    for expected, number in enumerate(sorted(counted), start=1):
        if number != expected:
            name = next(name for each, name in names if each == number)
            raise MisconfiguredError(
                f"migrations: {name} has number {number:04}, but there is no {expected:04}; numbers start at "
                f"0001 and leave none out: put {expected:04} back, or renumber"
            )


def plan_migrations(
    files: Sequence[Migration], ledger: Mapping[str, Entry], phase: Phase, *, watched: bool = False
) -> MigrationPlan:
    """`watched`: the release's watch has ended without a roll back."""
    files = sorted(files, key=lambda each: each.number)
    pending = [m for m in files if m.kind is phase and not _is_applied(ledger.get(m.name))]
    waiting = [m for m in files if m.kind is Phase.CONTRACT and m.name not in ledger]
    refused = [*_history(files, ledger), *_out_of_order(files, ledger)]
    looked_at = [m for m in files if m in pending or (phase is Phase.EXPAND and m in waiting)]
    refused += [hazard for migration in looked_at for hazard in migration.hazards]
    if phase is Phase.CONTRACT:
        refused += _too_early(files, pending, ledger, watched)
    return MigrationPlan(tuple(pending), tuple(waiting), tuple(refused))


def _is_applied(entry: Entry | None) -> bool:
    return entry is not None and entry.state is State.APPLIED


def _counts(entry: Entry) -> bool:
    """Has it left something in the database?"""
    return entry.state not in (State.WAITING, State.UNDONE)


def _history(files: Sequence[Migration], ledger: Mapping[str, Entry]) -> Iterator[str]:
    by_name = {each.name: each for each in files}
    newest = max((each.number for each in files), default=0)
    for name, entry in sorted(ledger.items()):
        file = by_name.get(name)
        if file is None:
            # An older release under a newer schema: expand migrations are made to be lived with.
            if _counts(entry) and not (entry.number > newest and entry.kind is Phase.EXPAND):
                yield (
                    f"{name} was applied (by {entry.deployment}) but is not in this release; put the file "
                    "back: what has run is history"
                )
        elif entry.state is State.APPLIED and entry.checksum != file.checksum:
            yield (
                f"{name} was edited after it was applied (by {entry.deployment}); put it back as it was and "
                "write what is new in a migration with the next number"
            )
        elif _counts(entry) and entry.checksum != file.checksum and entry.resume.get("once"):
            yield (
                f"{name} was edited while it was under way, and a part of it must not run twice; put it back "
                "as it was, let it finish, and write what is new in a migration with the next number"
            )


def _out_of_order(files: Sequence[Migration], ledger: Mapping[str, Entry]) -> Iterator[str]:
    highest = max((e.number for e in ledger.values() if _counts(e)), default=0)
    last = next((e.name for e in ledger.values() if e.number == highest and _counts(e)), "")
    free = max([highest, *(each.number for each in files)]) + 1
    for migration in files:
        if migration.name not in ledger and migration.number < highest:
            yield (
                f"{migration.name} is new, but {last} with a higher number was applied already; give it the "
                f"next free number, {free:04}"
            )


def _too_early(
    files: Sequence[Migration], pending: Sequence[Migration], ledger: Mapping[str, Entry], watched: bool
) -> Iterator[str]:
    if pending and not watched:
        yield (
            f"{pending[0].name} is a contract migration and the watch of its release has not ended; it runs "
            "by itself when the watch ends without a roll back: wait for that"
        )
    for migration in pending:
        before = [m.name for m in files if m.kind is Phase.EXPAND and m.number < migration.number]
        missing = [name for name in before if not _is_applied(ledger.get(name))]
        if missing:
            yield f"{migration.name} comes after {missing[0]}, which is not applied; release that first"
