"""Phase 2: what the release declares about the database is brought about (requirements C2a to C2c).

In slices: each call of the engine goes on where the last one stopped, so that the state machine can wait
between them, tell people how far it is, and lose nothing when a call is killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.database_ports import Database, Migrator
from cutover.domain.errors import MisconfiguredError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.passwords import hash_password

ACCOUNT, SEED, UNDO = (Subject(number, Persona.RELIABILITY) for number in ("C2a", "C2b", "C2"))
SMOKE_PASSWORD = "SMOKE_PASSWORD"  # noqa: S105  the name of a secret in the seed, not a secret


def migrate(
    deployment: str,
    seed: Mapping[str, Sequence[Mapping[str, Any]]],
    application: Mapping[str, str],
    smoke: Mapping[str, str],
    *,
    migrator: Migrator,
    database: Database,
) -> dict[str, Any]:
    """{status: running, found, progress}, or {status: done, found, progress, gates, contractions}.

    `application` and `smoke` are secrets: username/password, email/password. `contractions` names what waits
    for the end of the watch. The account comes first, for it takes no time; the seed comes last, under the
    indexes that are wanted.
    """
    name = application["username"]
    done = database.ensure_user(name, application["password"])
    told = migrator.expand(deployment)
    if told["status"] != "done":
        return {"status": "running", "found": sentence(told["progress"]), "progress": told["progress"]}
    account = ACCOUNT.judge(
        f"Account {name}", True, found=done, wanted="readWrite on the application's database"
    )
    gates = [account.as_json(), *told["gates"], _seed(seed, smoke, database).as_json()]
    return {
        "status": "done",
        "found": sentence(told["progress"]),
        "progress": told["progress"],
        "gates": gates,
        "contractions": list(migrator.contractions()),
    }


def undo(deployment: str, *, migrator: Migrator) -> dict[str, Any]:
    """As `migrate`. The gate is closed where something can't be taken back: a person has to look."""
    told = migrator.undo(deployment)
    if told["status"] != "done":
        return {"status": "running", "found": sentence(told["progress"]), "progress": told["progress"]}
    undone, left = list(told["undone"]), list(told["left"])
    words = f"taken back: {', '.join(undone) or 'nothing'}"
    if left:
        words += f"; left, for there is no way back: {', '.join(left)}"
    gate = UNDO.judge("The expansion is undone", not left, found=words, wanted="the schema as it was")
    return {"status": "done", "found": words, "progress": told["progress"], "gates": [gate.as_json()]}


def contracted(deployment: str, *, migrator: Migrator) -> dict[str, Any]:
    """As `migrate`, for the contract phase, after the watch; done: and applied, changed."""
    told = migrator.contract(deployment)
    answer = {"found": sentence(told["progress"]), "progress": told["progress"]}
    if told["status"] != "done":
        return {"status": "running", **answer}
    return {"status": "done", **answer, "applied": list(told["applied"]), "changed": list(told["changed"])}


def sentence(progress: Mapping[str, Any]) -> str:
    """`0007_backfill 41 % (410,000 of 1,000,000)`, as far as it is known; `3 of 7` where nothing goes on."""
    current, documents, of = (progress.get(key) for key in ("current", "documents", "of"))
    if not current:
        return f"{progress.get('done', 0)} of {progress.get('total', 0)}"
    percent = progress.get("percent")
    words = [str(current)]
    if percent is not None:
        words.append(f"{float(percent):.0f} %")
    if documents is not None:
        words.append(f"({documents:,} of {of:,})" if of else f"({documents:,} documents)")
    return " ".join(words)


def _seed(
    seed: Mapping[str, Sequence[Mapping[str, Any]]], smoke: Mapping[str, str], database: Database
) -> Gate:
    documents = [(collection, document) for collection, rows in seed.items() for document in rows]
    made = sum(
        database.insert_missing(collection, _filled(document, smoke)) for collection, document in documents
    )
    found = f"{made} inserted, {len(documents) - made} there already" if documents else "none is declared"
    return SEED.judge(
        "Seed data", True, found=found, wanted="every seed document", samples=max(1, len(documents))
    )


def _filled(document: Mapping[str, Any], smoke: Mapping[str, str]) -> Mapping[str, Any]:
    """A field {"from_secret": "SMOKE_PASSWORD", "as": "scrypt"} becomes that password's hash, and the account
    gets the secret's e-mail address, with which the smoke tests log in."""
    filled = dict(document)
    for field, value in document.items():
        if not isinstance(value, Mapping) or "from_secret" not in value:
            continue
        if value.get("from_secret") != SMOKE_PASSWORD or value.get("as") != "scrypt":
            raise MisconfiguredError(f"seed: {field} is {dict(value)}; known is {SMOKE_PASSWORD} as scrypt")
        filled[field] = hash_password(smoke["password"])
        filled["email"] = smoke["email"]
    return filled
