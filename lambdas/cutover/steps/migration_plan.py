"""What a release has to do to a database, and what speaks against it: the plan of both phases, read only."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from cutover.domain.hazards import LATER, Used, look, writes
from cutover.domain.migrations import Migration, MigrationPlan, State, plan_migrations
from cutover.domain.queries import fields_in_use, read_queries
from cutover.domain.schema import Action, Do, Phase, Present, blocked, plan_schema
from cutover.schema_ports import Found, Ledger, Release, SchemaStore, Script

NUMBERS = {"int", "long", "double", "decimal"}


@dataclass(frozen=True)
class Work:
    """What a phase has to do. With a refusal none of it is done."""

    actions: tuple[Action, ...]
    migrations: MigrationPlan
    present: Present
    refused: tuple[str, ...]

    @property
    def steps(self) -> int:
        return len(self.actions) + len(self.migrations.pending)

    @property
    def is_done(self) -> bool:
        return not self.steps and not self.migrations.waiting


def look_at(release: Release, store: SchemaStore, ledger: Ledger, phase: Phase, watched: bool) -> Work:
    """`watched`: the release's watch has ended without a roll back."""
    present = store.present(release.schema)
    planned = plan_schema(release.schema, present, release.queries)
    actions = tuple(_checked(each, store, present) for each in planned if each.phase is phase)
    running = read_queries(json.loads(ledger.queries_text)) if ledger.queries_text else ()
    queries = release.queries if phase is Phase.CONTRACT else [*running, *release.queries]
    used = fields_in_use(queries, release.schema.indexes)
    migrations = [_looked_at(script, store, ledger, used) for script in release.scripts]
    found = plan_migrations(migrations, ledger.entries, phase, watched=watched)
    refused = [action.blocked for action in actions if action.blocked] + list(found.refused)
    if phase is Phase.EXPAND:
        # Better no release than one that can't be finished. (The running version may use what will go.)
        later = plan_schema(release.schema, replace(present, uses={}), release.queries)
        refused += [action.blocked for action in later if action.blocked and action.phase is Phase.CONTRACT]
    if phase is Phase.CONTRACT and actions and not watched:
        refused.append(f"{actions[0]} belongs after the watch, which has not ended; wait for its end")
    return Work(actions, found, present, tuple(dict.fromkeys(refused)))


def _checked(action: Action, store: SchemaStore, present: Present) -> Action:
    """What only the documents can say against an action."""
    if not present.documents.get(action.collection):
        return action
    building = (action.collection, action.name) in present.building  # then the server looks for them itself
    if action.index is not None and action.index.unique and not building and action.do is not Do.DROP:
        found = store.duplicates(action.index)
        if found is not None:
            return blocked(
                action,
                f"{action.index.label}: {found.count} values are there more than once: {_samples(found)}. "
                "A unique index can't be built over them; make them unique first",
            )
    if action.validator is not None and action.validator.schema:
        found = store.violations(action.validator)
        if found is not None:
            return blocked(
                action,
                f"{action.collection}: {found.count} documents would violate the new validator: "
                f"{_samples(found)}. Back-fill them in a migration first, or loosen the validator",
            )
    return action


def _samples(found: Found) -> str:
    return ", ".join(found.samples) + (", …" if found.count > len(found.samples) else "")


def _looked_at(script: Script, store: SchemaStore, ledger: Ledger, used: Used) -> Migration:
    migration = script.migration
    entry = ledger.entries.get(migration.name)
    if entry is not None and entry.state is State.APPLIED:
        return migration
    file = f"{migration.name}.py"
    hazards = [*look(script.source, file, migration.kind, used)]
    for write in writes(script.source):
        user = used.get(write.collection or "", {}).get(write.field)
        if user is None or write.collection is None:
            continue
        there = set(store.types(write.collection, write.field))
        if there and not _same_family(write.type, there):
            what = f"{write.collection}.{write.field}, which {user} uses, holds {' and '.join(sorted(there))}"
            what += f" and would become {write.type}"
            hazards.append(f"{file}:{write.line}: {what}; write it to a new field here, and {LATER}")
    return replace(migration, hazards=tuple(hazards))


def _same_family(kind: str, there: set[str]) -> bool:
    return kind in there or (kind in NUMBERS and bool(there & NUMBERS))
