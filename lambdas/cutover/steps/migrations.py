"""The migration engine: plan, run and undo a release's schema and data migrations (requirements C2a, C2c).

Every call looks at the database and decides afresh: no state but the ledger's, so that a call which was
killed anywhere is simply made again. A refused plan changes nothing, not even the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cutover.domain.errors import MigrationRefusedError, ServiceRefusedError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.indexes import canonical
from cutover.domain.migrations import Migration, State
from cutover.domain.schema import Action, Do, Phase, Present
from cutover.ports import Clock
from cutover.schema_ports import Changed, Ledger, Release, SchemaStore, Script, Session
from cutover.steps.migration_plan import Work, look_at

INDEXES = Subject("C2c", Persona.RELIABILITY)
ASK_AGAIN_SECONDS = 0.2
RESERVE_SECONDS = 5.0
Remaining = Callable[[], float]


def plan(
    release: Release, store: SchemaStore, phase: str | None = None, *, watched: bool = True
) -> dict[str, Any]:
    """{actions, migrations, refused}; reads only. Without a phase both of them, as if the watch had ended."""
    ledger = store.ledger()
    works = [look_at(release, store, ledger, each, watched) for each in Phase if phase in (None, each)]
    if phase is None:
        # What contract will find only shows when expand has run; what is certain already, expand refuses.
        works[1] = replace(works[1], refused=())
    return {
        "actions": [action.as_json() for work in works for action in work.actions],
        "migrations": [
            {"name": m.name, "kind": str(m.kind), "summary": m.summary, "reversible": m.reversible}
            for work in works
            for m in work.migrations.pending
        ],
        "refused": list(dict.fromkeys(reason for work in works for reason in work.refused)),
    }


def run(
    release: Release,
    store: SchemaStore,
    *,
    kind: str,
    deployment: str,
    remaining: Remaining,
    clock: Clock,
    watched: bool = False,
) -> dict[str, Any]:
    """{status: "done", progress, applied, changed, gates}, or {status: "running", progress} when the time is
    used up: then call again. `remaining` gives seconds; the last five are kept to end in. `watched`:
    the release's watch has ended without a roll back; contract needs it.

    Raises MigrationRefusedError, MigrationFailedError, LockLostError, and the database's errors.
    """
    return _Run(release, store, Phase(kind), deployment, remaining, clock, watched).run()


def undo(
    release: Release, store: SchemaStore, *, deployment: str, remaining: Remaining, clock: Clock
) -> dict[str, Any]:
    """Take back what this deployment's expand phase did, the newest first. {status, progress, undone, left}:
    `left` are migrations without a `down`; they only added."""
    return _Run(release, store, Phase.EXPAND, deployment, remaining, clock, False).undo()


# -- running it


class _OutOfTime(Exception):
    """The budget is used up; what was done is in the ledger."""

    def __init__(self, current: str, documents: int = 0, of: int | None = None, share: float | None = None):
        super().__init__(current)
        self.current, self.documents, self.of, self.share = current, documents, of, share


@dataclass
class _Run:
    release: Release
    store: SchemaStore
    phase: Phase
    deployment: str
    remaining: Remaining
    clock: Clock
    watched: bool

    def run(self) -> dict[str, Any]:
        work = self._work()
        left_locked = self.store.ledger().holder == self.deployment  # by an attempt that died at its very end
        if not work.is_done or self.phase is Phase.CONTRACT or left_locked:
            try:
                session = self._claim()
            except _OutOfTime as pause:
                return self._running(pause, work.steps)
            free = True
            try:
                work = self._work()
                self._do(work, session)
                changed = self._changed(self.store.ledger())
                if self.phase is Phase.CONTRACT:
                    session.complete(self.release.queries_text)
            except _OutOfTime as pause:
                free = False  # it stays this deployment's until its lease ends
                return self._running(pause, self._work(begun=True).steps)
            finally:
                session.close(free=free)
            return self._done(changed)
        return self._done(self._changed(self.store.ledger()))

    def _work(self, *, begun: bool = False) -> Work:
        work = look_at(self.release, self.store, self.store.ledger(), self.phase, self.watched)
        if work.refused:
            count = "" if len(work.refused) == 1 else f"{len(work.refused)} reasons: "
            before = "what was done before stays" if begun else "nothing was changed"
            raise MigrationRefusedError(f"{before}; {count}{'; '.join(work.refused)}")
        return work

    def _claim(self) -> Session:
        """Waits for another holder to end, or for its lease to."""
        while True:
            claimed = self.store.claim(self.deployment)
            if not isinstance(claimed, str):
                return claimed
            if self.remaining() < RESERVE_SECONDS:
                raise _OutOfTime(f"waiting for {claimed}, which holds the migrations' lock")
            self.clock.sleep(ASK_AGAIN_SECONDS)

    def _do(self, work: Work, session: Session) -> None:
        """Expand: the schema first, so that back-fills find their indexes. Contract: the data first, while
        the indexes that it may want are still there."""
        if work.migrations.waiting:
            session.wait(work.migrations.waiting, self.deployment)
        if self.phase is Phase.EXPAND:
            self._change_schema(work, session)
            self._migrate(work.migrations.pending, session)
        else:
            self._migrate(work.migrations.pending, session)
            self._change_schema(work, session)

    def _migrate(self, pending: Sequence[Migration], session: Session) -> None:
        scripts = {script.migration.name: script for script in self.release.scripts}
        loaded = [(scripts[m.name], scripts[m.name].load()[0]) for m in pending]
        for script, up in loaded:
            self._one_way(script, up, State.RUNNING, session)
            session.end(script.migration, State.APPLIED)

    def _one_way(self, script: Script, way: Any, state: State, session: Session) -> None:
        migration = script.migration
        entry = self.store.ledger().entries.get(migration.name)
        goes_on = entry is not None and entry.state is state and entry.checksum == migration.checksum
        resume = entry.resume if entry is not None and goes_on else {}
        if self.remaining() < RESERVE_SECONDS:
            raise _OutOfTime(migration.name)
        session.begin(migration, self.deployment, state, resume)
        progress = session.run(script, way, resume, self.remaining)
        if progress is not None:
            raise _OutOfTime(migration.name, progress.documents, progress.total)

    def _change_schema(self, work: Work, session: Session) -> None:
        """The plan is made again until nothing is left of it; a rebuild may change what the rest is."""
        actions, seen = work.actions, set[str]()
        present = work.present
        while actions:
            session.intend([self._change(each, present) for each in actions])
            for action in actions:
                if str(action) in seen:
                    raise ServiceRefusedError(
                        f"{action} was done, and yet the server shows something else: {action.reason}"
                    )
                seen.add(str(action))
                if self.remaining() < RESERVE_SECONDS:
                    raise _OutOfTime(str(action))
                share = session.apply(action, self.remaining)
                if share is not None:
                    raise _OutOfTime(str(action), share=share)
                if action.do is Do.REBUILD:
                    break
            work = self._work(begun=True)
            actions, present = work.actions, work.present

    def _change(self, action: Action, present: Present) -> Changed:
        before: dict[str, Any] = {}
        there = [i for i in present.indexes if i.collection == action.collection]
        if action.do in (Do.REBUILD, Do.EXPIRE, Do.DROP):
            names = {*action.replaces, action.name}
            before["indexes"] = [index.as_json() for index in there if index.name in names]
        if action.do is Do.VALIDATE:
            for each in present.validators:
                if each.collection == action.collection:
                    before = {"schema": each.schema, "level": each.level, "action": each.action}
        key = _key(action)
        return Changed(
            key, str(action.do), action.collection, action.name, self.deployment, self.phase, before
        )

    # -- taking it back

    def undo(self) -> dict[str, Any]:
        scripts = {script.migration.name: script for script in self.release.scripts}
        undone: list[str] = []
        if not self._mine(self.store.ledger()) and not self._my_changes(self.store.ledger()):
            return {"status": "done", "progress": self._progress(0), "undone": [], "left": []}
        try:
            session = self._claim()
        except _OutOfTime as pause:
            return self._running(pause, 1)
        free = True
        try:
            left = [name for name in self._mine(self.store.ledger()) if _down(scripts.get(name)) is None]
            for name in self._mine(self.store.ledger()):
                if name not in left:
                    self._take_back(scripts[name], session)
                    undone.append(name)
            for change in reversed(self._my_changes(self.store.ledger())):
                if self.remaining() < RESERVE_SECONDS:
                    raise _OutOfTime(f"taking back {change.action} {change.collection}.{change.name}")
                session.take_back(change)
                session.forget([change])
                undone.append(f"{change.action} {change.collection}.{change.name}")
        except _OutOfTime as pause:
            free = False
            return self._running(pause, 1)
        finally:
            session.close(free=free)
        return {"status": "done", "progress": self._progress(0), "undone": undone, "left": left}

    def _take_back(self, script: Script, session: Session) -> None:
        entry = self.store.ledger().entries[script.migration.name]
        up, down = script.load()
        if entry.state is State.RUNNING and entry.resume.get("once"):
            # Half of it must not be taken back as if it were the whole.
            self._one_way(script, up, State.RUNNING, session)
        self._one_way(script, down, State.UNDOING, session)
        session.end(script.migration, State.UNDONE)

    def _mine(self, ledger: Ledger) -> list[str]:
        """This deployment's migrations of the phase, the newest first."""
        states = (State.RUNNING, State.APPLIED, State.UNDOING)
        entries = [e for e in ledger.entries.values() if e.state in states and e.kind is self.phase]
        mine = [entry for entry in entries if entry.deployment == self.deployment]
        return [entry.name for entry in sorted(mine, key=lambda entry: -entry.number)]

    def _my_changes(self, ledger: Ledger) -> list[Changed]:
        mine = [each for each in ledger.changes if each.deployment == self.deployment]
        return [change for change in mine if change.phase is self.phase]

    # -- telling of it

    def _changed(self, ledger: Ledger) -> list[str]:
        return [f"{each.action} {each.collection}.{each.name}" for each in self._my_changes(ledger)]

    def _applied(self, ledger: Ledger) -> list[str]:
        entries = [ledger.entries[name] for name in self._mine(ledger)]
        return [entry.name for entry in reversed(entries) if entry.state is State.APPLIED]

    def _done(self, changed: list[str]) -> dict[str, Any]:
        ledger = self.store.ledger()
        return {
            "status": "done",
            "progress": self._progress(0),
            "applied": self._applied(ledger),
            "changed": changed,
            "gates": [gate.as_json() for gate in self._gates(changed)],
        }

    def _gates(self, changed: Sequence[str]) -> list[Gate]:
        """One for each wanted index, judged by what the database lists afterwards."""
        there = {(index.label, index) for index in self.store.present(self.release.schema).indexes}
        gates = []
        for index in self.release.schema.indexes:
            made = any(f"{do} {index.label}" in changed for do in (Do.CREATE, Do.REBUILD))
            found = "missing" if (index.label, index) not in there else "made" if made else "there"
            gates.append(INDEXES.judge(f"Index {index}", found != "missing", found=found, wanted="there"))
        return gates

    def _running(self, pause: _OutOfTime, left: int) -> dict[str, Any]:
        return {"status": "running", "progress": self._progress(left, pause)}

    def _progress(self, left: int, pause: _OutOfTime | None = None) -> dict[str, Any]:
        """For people: steps done and left, and how far the one under way is."""
        ledger = self.store.ledger()
        done = len(self._applied(ledger)) + len(self._my_changes(ledger))
        share = pause.share if pause else None
        if pause and pause.of:
            share = min(1.0, pause.documents / pause.of)
        return {
            "phase": str(self.phase),
            "done": done,
            "total": done + left,
            "current": pause.current if pause else None,
            "documents": pause.documents if pause else None,
            "of": pause.of if pause else None,
            "percent": None if share is None else round(100 * share, 1),
        }


def _down(script: Script | None) -> object:
    return script.load()[1] if script is not None else None


def _key(action: Action) -> str:
    """A change's name in the ledger: the same for the same change."""
    return hashlib.sha256(canonical([action.do, action.collection, action.name]).encode()).hexdigest()[:16]
