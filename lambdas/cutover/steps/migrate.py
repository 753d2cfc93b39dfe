"""Account, indexes and seed data of the database (requirements C2a to C2c). What is there stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.domain.errors import MisconfiguredError, ServiceRefusedError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.indexes import Index, difference
from cutover.domain.passwords import hash_password
from cutover.ports import Database

ACCOUNT, INDEXES, SEED = (Subject(number, Persona.RELIABILITY) for number in ("C2a", "C2c", "C2b"))
SMOKE_PASSWORD = "SMOKE_PASSWORD"  # noqa: S105  the name of a secret in the seed, not a secret


def migrate(
    wanted: Sequence[Index],
    seed: Mapping[str, Sequence[Mapping[str, Any]]],
    application: Mapping[str, str],
    smoke: Mapping[str, str],
    *,
    database: Database,
) -> dict[str, Any]:
    """{gates}. `application` and `smoke` are secrets: username/password, email/password.

    The account is made (or given its present password again), the missing indexes are built in the
    background, the missing documents are inserted. Nothing is dropped and nothing overwritten.
    """
    name = application["username"]
    done = database.ensure_user(name, application["password"])
    gates = [
        ACCOUNT.judge(f"Account {name}", True, found=done, wanted="readWrite on the application's database")
    ]
    gates += _indexes(wanted, database)
    gates.append(_seed(seed, smoke, database))
    return {"gates": [gate.as_json() for gate in gates]}


def _indexes(wanted: Sequence[Index], database: Database) -> list[Gate]:
    """One gate an index, judged by what the database lists afterwards."""
    collections = sorted({index.collection for index in wanted})
    before = difference(wanted, [i for name in collections for i in database.indexes(name)])
    refused: dict[Index, str] = {}
    for index in before.missing:
        try:
            database.create_index(index)
        except ServiceRefusedError as error:
            refused[index] = str(error)
    after = difference(wanted, [i for name in collections for i in database.indexes(name)])
    gates = []
    for index in wanted:
        there = index in after.present
        found = "there" if index in before.present else "made" if there else refused.get(index, "missing")
        if index in after.conflicting:
            kind = "not unique" if index.unique else "unique"
            found = f"there is one with these keys that is {kind}; drop it by hand"
        gates.append(INDEXES.judge(f"Index {index}", there, found=found, wanted="there"))
    return gates


def _seed(
    seed: Mapping[str, Sequence[Mapping[str, Any]]], smoke: Mapping[str, str], database: Database
) -> Gate:
    documents = [(collection, document) for collection, rows in seed.items() for document in rows]
    made = sum(
        database.insert_missing(collection, _filled(document, smoke)) for collection, document in documents
    )
    found = f"{made} inserted, {len(documents) - made} there already"
    return SEED.judge("Seed data", True, found=found, wanted="every seed document", samples=len(documents))


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
