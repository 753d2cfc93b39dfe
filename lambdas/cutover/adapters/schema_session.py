"""The migrations' lock, held: what changes a database, each step of it written into the ledger first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from bson import json_util
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from cutover.adapters.backfill import Backfill, OutOfTimeError
from cutover.adapters.migration_files import told, where
from cutover.adapters.mongo import NAMESPACE_NOT_FOUND, mongo_errors
from cutover.adapters.schema_catalogue import builds
from cutover.adapters.schema_state import State, entry_of
from cutover.domain.errors import CutoverError, LockLostError, MigrationFailedError
from cutover.domain.indexes import Index, index_of
from cutover.domain.migrations import Migration
from cutover.domain.migrations import State as MigrationState
from cutover.domain.schema import Action, Do, Validator
from cutover.schema_ports import Changed, Progress, Script, Way

Document = dict[str, Any]
INDEX_NOT_FOUND = 27
RESERVE_SECONDS = 5.0  # of the budget, to come to an end in
LOOK_EVERY_SECONDS = 1.0


class SchemaSession:
    """The port Session. A thread renews the lease, so that one long statement does not lose the lock."""

    def __init__(self, database: Database[Document], state: State, holder: str, fence: int) -> None:
        self._database, self._state, self._holder, self.fence = database, state, holder, fence
        self._ended, self._lost = Event(), Event()
        self._heartbeat = Thread(target=self._renew, name="migration lock", daemon=True)
        self._heartbeat.start()

    def _renew(self) -> None:
        while not self._ended.wait(self._state.lease_seconds / 4):
            try:
                self._state.write(self.fence, {})
            except LockLostError:
                self._lost.set()
                return
            except PyMongoError:
                continue  # the next write in the foreground says what is wrong

    def close(self, *, free: bool = True) -> None:
        self._ended.set()
        if free and not self._lost.is_set():
            with suppress(PyMongoError):  # else it ends with its lease
                self._state.free(self.fence)

    def _write(self, set: Mapping[str, Any], unset: Sequence[str] = ()) -> None:
        with mongo_errors():
            self._state.write(self.fence, set, unset)

    # -- the ledger

    def wait(self, migrations: Sequence[Migration], deployment: str) -> None:
        entries = [(m.name, entry_of(m, deployment, MigrationState.WAITING)) for m in migrations]
        self._write({f"migrations.{name}": entry for name, entry in entries})

    def begin(
        self, migration: Migration, deployment: str, state: MigrationState, resume: Mapping[str, Any]
    ) -> None:
        entry = entry_of(migration, deployment, state) | {"resume": dict(resume)}
        self._write({f"migrations.{migration.name}": entry})

    def end(self, migration: Migration, state: MigrationState) -> None:
        place = f"migrations.{migration.name}"
        self._write({f"{place}.state": str(state)}, [f"{place}.resume"])

    def intend(self, changes: Sequence[Changed]) -> None:
        self._write(
            {
                f"changes.{change.key}": {
                    "action": change.action,
                    "collection": change.collection,
                    "name": change.name,
                    "deployment": change.deployment,
                    "phase": str(change.phase),
                    "before": dict(change.before),
                }
                for change in changes
            }
        )

    def forget(self, changes: Sequence[Changed]) -> None:
        self._write({}, [f"changes.{change.key}" for change in changes])

    def complete(self, queries_text: str) -> None:
        self._write({"queries": queries_text}, ["changes"])

    # -- data migrations

    def run(
        self, script: Script, way: Way, resume: Mapping[str, Any], remaining: Callable[[], float]
    ) -> Progress | None:
        name = script.migration.name
        progress = Backfill(
            self._database,
            name,
            resume,
            lambda place: self._write({f"migrations.{name}.resume": place}),
            remaining,
            reserve=RESERVE_SECONDS,
        )
        try:
            with mongo_errors():
                way(self._database, progress)
        except OutOfTimeError:
            return progress
        except CutoverError as error:
            raise type(error)(f"{where(error, f'{name}.py')}: {error}") from error
        except Exception as error:
            raise MigrationFailedError(
                f"{where(error, f'{name}.py')}: {told(error)}. What it did before stays and is "
                "known; mend the file and deploy again: it goes on from there"
            ) from error
        return None

    # -- the schema

    def apply(self, action: Action, remaining: Callable[[], float]) -> float | None:
        with mongo_errors():
            if action.do is Do.VALIDATE and action.validator is not None:
                self._validate(action.validator)
            elif action.do is Do.EXPIRE and action.index is not None:
                self._expire(action.index)
            elif action.do is Do.DROP:
                self._drop(action.collection, action.name)
            elif action.index is not None:
                for name in action.replaces:
                    self._drop(action.collection, name)
                return self._build(action.index, remaining)
        return None

    def take_back(self, change: Changed) -> None:
        with mongo_errors():
            if change.action in (Do.CREATE, Do.REBUILD):
                self._drop(change.collection, change.name)
            for entry in change.before.get("indexes", []):
                index = index_of(change.collection, entry)
                if change.action == Do.EXPIRE:
                    self._expire(index)
                else:
                    self._build(index, lambda: float("inf"))
            if change.action == Do.VALIDATE:
                before = change.before
                schema = str(before.get("schema", ""))
                level, action = before.get("level", "strict"), before.get("action", "error")
                self._validate(Validator(change.collection, schema, str(level), str(action)))

    def _drop(self, collection: str, name: str) -> None:
        try:
            self._database[collection].drop_index(name)
        except OperationFailure as error:
            if error.code not in (INDEX_NOT_FOUND, NAMESPACE_NOT_FOUND):
                raise

    def _expire(self, index: Index) -> None:
        change = {"keyPattern": dict(index.keys), "expireAfterSeconds": index.expire_after_seconds}
        self._database.command("collMod", index.collection, index=change)

    def _validate(self, validator: Validator) -> None:
        wanted: Document = {"validator": {}}
        if validator.schema:
            wanted = {
                "validator": {"$jsonSchema": json.loads(validator.schema)},
                "validationLevel": validator.level,
                "validationAction": validator.action,
            }
        try:
            self._database.command("collMod", validator.collection, **wanted)
        except OperationFailure as error:
            if error.code != NAMESPACE_NOT_FOUND:
                raise
            if validator.schema:
                self._database.command("create", validator.collection, **wanted)

    def _build(self, index: Index, remaining: Callable[[], float]) -> float | None:
        """In a thread of its own, so that a build may outlast this process's time: the server goes on with
        it, and the next attempt finds it under way. DocumentDB builds one index of a collection at a time."""
        failure: list[BaseException] = []

        def build() -> None:
            try:
                self._create(index)  # also tells whether one that was under way came to a good end
            except BaseException as error:
                failure.append(error)

        thread = Thread(target=build, name=f"build {index.label}", daemon=True)
        building = self._builds(index.collection)
        if not building:
            thread.start()
            thread.join(LOOK_EVERY_SECONDS)
        while building or thread.is_alive():
            if self._lost.is_set():
                raise LockLostError("the migrations' lock was taken over while an index was built")
            if remaining() < RESERVE_SECONDS:
                return self._builds(index.collection).get(index.name) or 0.0
            if thread.is_alive():
                thread.join(LOOK_EVERY_SECONDS)
                continue
            self._ended.wait(LOOK_EVERY_SECONDS)
            building = self._builds(index.collection)
            if not building:
                thread.start()
                thread.join(LOOK_EVERY_SECONDS)
        if failure:
            raise failure[0]
        return None

    def _builds(self, collection: str) -> dict[str, float | None]:
        """{index: share done} of the builds on a collection; not looked for where there are no documents."""
        if not self._database[collection].estimated_document_count():
            return {}
        return {name: share for (on, name), share in builds(self._database).items() if on == collection}

    def _create(self, index: Index) -> None:
        """DocumentDB builds in the foreground, and blocks the collection, unless it is told otherwise.
        https://docs.aws.amazon.com/documentdb/latest/developerguide/managing-indexes.html"""
        options: Document = {"name": index.name, "background": True}
        if index.unique:
            options["unique"] = True
        if index.sparse:
            options["sparse"] = True
        if index.expire_after_seconds is not None:
            options["expireAfterSeconds"] = index.expire_after_seconds
        if index.partial is not None:
            options["partialFilterExpression"] = json_util.loads(index.partial)
        self._database[index.collection].create_index(list(index.keys), **options)
