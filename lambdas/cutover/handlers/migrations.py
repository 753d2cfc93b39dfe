"""A release's migrations as the engine takes them, from the files of its source's folder `migrations`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cutover.adapters.migration_files import Release, load_release
from cutover.adapters.schema_store import SchemaStore
from cutover.domain.errors import MisconfiguredError
from cutover.domain.release_files import FOLDER, Files
from cutover.ports import Clock
from cutover.steps import migrations

SEED = "seed.json"


class Engine:
    """The port Migrator. Each call works for about `seconds`."""

    def __init__(self, release: Release, store: SchemaStore, clock: Clock, seconds: float) -> None:
        self._release, self._store, self._clock = release, store, clock
        self._until = clock.monotonic() + seconds

    def expand(self, deployment: str) -> Mapping[str, Any]:
        return migrations.run(
            self._release,
            self._store,
            kind="expand",
            deployment=deployment,
            remaining=self._remaining,
            clock=self._clock,
        )

    def contract(self, deployment: str) -> Mapping[str, Any]:
        return migrations.run(
            self._release,
            self._store,
            kind="contract",
            deployment=deployment,
            remaining=self._remaining,
            clock=self._clock,
            watched=True,
        )

    def undo(self, deployment: str) -> Mapping[str, Any]:
        return migrations.undo(
            self._release, self._store, deployment=deployment, remaining=self._remaining, clock=self._clock
        )

    def contractions(self) -> Sequence[str]:
        planned = migrations.plan(self._release, self._store, "contract")
        return [
            *(str(action["what"]) for action in planned["actions"]),
            *(str(migration["name"]) for migration in planned["migrations"]),
        ]

    def plan(self) -> Mapping[str, Any]:
        planned = migrations.plan(self._release, self._store)
        actions = [
            {"name": each["collection"], **{key: str(each[key]) for key in ("phase", "what", "risk")}}
            for each in planned["actions"]
        ]
        scripts = [
            {"phase": each["kind"], "name": each["name"], "what": each["summary"]}
            for each in planned["migrations"]
        ]
        # Reasons count documents, and so hold for the moment only.
        reasons = {each["what"]: each["reason"] for each in planned["actions"]}
        return {
            "steps": [*actions, *scripts],
            "refused": list(planned["refused"]),
            "estimate": {"reasons": reasons},
        }

    def _remaining(self) -> float:
        return self._until - self._clock.monotonic()


def declared(files: Files) -> Release:
    """Raises MisconfiguredError and MigrationRefusedError, naming the file and the way out."""
    with tempfile.TemporaryDirectory(prefix="migrations-") as directory:
        for name, content in files.items():
            (Path(directory) / name).write_bytes(content)
        return load_release(Path(directory))


def seed(files: Files) -> dict[str, list[dict[str, Any]]]:
    """Dates are written as {"$date": "…"}, MongoDB's extended JSON. Empty where there is no such file."""
    from bson import json_util  # noqa: PLC0415  of pymongo, which only the database function needs

    if SEED not in files:
        return {}
    try:
        documents: dict[str, list[dict[str, Any]]] = json_util.loads(files[SEED])
    except (ValueError, TypeError) as error:
        raise MisconfiguredError(
            f"{FOLDER}/{SEED}: no extended JSON ({error}); mend it in the source"
        ) from error
    return documents
