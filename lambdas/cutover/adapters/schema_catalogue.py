"""Indexes, validators and builds as the server lists them, as the values of the domain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bson import json_util
from pymongo.database import Database
from pymongo.errors import OperationFailure

from cutover.adapters.mongo import NAMESPACE_NOT_FOUND, UNAUTHORIZED
from cutover.domain.indexes import Index, canonical
from cutover.domain.schema import Validator

Document = dict[str, Any]
COMMAND_NOT_FOUND = 59


def indexes(database: Database[Document], collection: str) -> Sequence[Index]:
    """Those that hold plain fields; text, vector and geo indexes are nobody's business here."""
    try:
        found = list(database[collection].list_indexes())
    except OperationFailure as error:
        if error.code == NAMESPACE_NOT_FOUND:
            return []
        raise
    return [read_index(collection, each) for each in found if _is_plain(each)]


def _is_plain(told: Mapping[str, Any]) -> bool:
    directions = told["key"].values()
    return told["name"] != "_id_" and all(isinstance(each, (int, float)) for each in directions)


def read_index(collection: str, told: Mapping[str, Any]) -> Index:
    """From `listIndexes`."""
    partial, expiry = told.get("partialFilterExpression"), told.get("expireAfterSeconds")
    return Index(
        collection,
        tuple((path, 1 if direction > 0 else -1) for path, direction in told["key"].items()),
        bool(told.get("unique", False)),
        str(told["name"]),
        bool(told.get("sparse", False)),
        None if expiry is None else int(expiry),
        None if partial is None else canonical(json.loads(json_util.dumps(partial))),
    )


def read_validator(collection: str, options: Mapping[str, Any]) -> Validator | None:
    """From `listCollections`. One that is no JSON schema counts as another."""
    told = options.get("validator")
    if not told:
        return None
    schema = told["$jsonSchema"] if set(told) == {"$jsonSchema"} else dict(told)
    return Validator(
        collection,
        canonical(json.loads(json_util.dumps(schema))),
        str(options.get("validationLevel", "strict")),
        str(options.get("validationAction", "error")),
    )


def builds(database: Database[Document]) -> dict[tuple[str, str], float | None]:
    """{(collection, index): share done} of the index builds that are under way; none where the server does
    not tell (a user without the right to ask).

    https://docs.aws.amazon.com/documentdb/latest/developerguide/managing-indexes.html
    """
    try:
        told = database.client["admin"].command({"currentOp": 1, "command.createIndexes": {"$exists": True}})
    except OperationFailure as error:
        if error.code in (COMMAND_NOT_FOUND, UNAUTHORIZED):
            return {}
        raise
    found: dict[tuple[str, str], float | None] = {}
    for operation in told.get("inprog", []):
        command = operation.get("command", {})
        if not isinstance(command, Mapping) or command.get("$db", database.name) != database.name:
            continue
        progress = operation.get("progress") or {}
        done, total = progress.get("done"), progress.get("total")
        for index in command.get("indexes", []):
            share = float(done) / float(total) if done is not None and total else None
            found[str(command.get("createIndexes")), str(index.get("name"))] = share
    return found
