"""The schema of a MongoDB or DocumentDB database as it is, and the way to the lock under which it changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bson import json_util
from pymongo import MongoClient, ReadPreference
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from cutover.adapters.mongo import mongo_errors
from cutover.adapters.schema_catalogue import builds, indexes, read_validator
from cutover.adapters.schema_session import SchemaSession
from cutover.adapters.schema_state import LEASE_SECONDS, State
from cutover.domain.indexes import Index
from cutover.domain.schema import Present, Schema, Validator
from cutover.schema_ports import Found, Ledger

Document = dict[str, Any]
SAMPLES = 5
LOOKED_AT = 200
# Words for what BSON calls the types that Python's driver returns.
_TYPES = {
    "str": "string", "int": "int", "Int64": "long", "float": "double", "bool": "bool", "datetime": "date",
    "ObjectId": "objectId", "dict": "object", "list": "array", "Decimal128": "decimal", "bytes": "binData",
}  # fmt: skip


class SchemaStore:
    """The port of that name. `lease_seconds`: how long a lock outlives a holder that says nothing."""

    def __init__(
        self, client: MongoClient[Document], name: str, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._database: Database[Document] = client.get_database(
            name, read_preference=ReadPreference.PRIMARY, write_concern=WriteConcern("majority")
        )
        self._state = State(self._database, lease_seconds)

    def ledger(self) -> Ledger:
        with mongo_errors():
            return self._state.read()

    def claim(self, holder: str) -> SchemaSession | str:
        with mongo_errors():
            fence = self._state.claim(holder)
            if isinstance(fence, str):
                return fence
        return SchemaSession(self._database, self._state, holder, fence)

    def present(self, schema: Schema) -> Present:
        with mongo_errors():
            # Not filtered by the server: DocumentDB's listCollections has no filter by type.
            # https://docs.aws.amazon.com/documentdb/latest/developerguide/mongo-apis.html
            collections = [c for c in self._database.list_collections() if c["type"] == "collection"]
            options = {each["name"]: each.get("options", {}) for each in collections}
            there = [name for name in schema.collections if name in options]
            building = builds(self._database)
            return Present(
                indexes=tuple(
                    index
                    for name in there
                    for index in indexes(self._database, name)
                    if (name, index.name) not in building
                ),
                validators=tuple(
                    found for name in there if (found := read_validator(name, options[name])) is not None
                ),
                documents={name: self._database[name].estimated_document_count() for name in there},
                uses={(drop.collection, drop.name): self._uses(drop.collection, drop.name)
                      for drop in schema.drops if drop.collection in there},
                building=frozenset(building),
            )  # fmt: skip

    def _uses(self, collection: str, name: str) -> int:
        for told in self._database[collection].aggregate([{"$indexStats": {}}]):
            if told["name"] == name:
                return int(told["accesses"]["ops"])
        return 0

    def duplicates(self, index: Index) -> Found | None:
        fields = [path for path, _ in index.keys]
        wanted: Document = json_util.loads(index.partial) if index.partial else {}
        if index.sparse:
            wanted = {"$and": [wanted, {"$or": [{path: {"$exists": True}} for path in fields]}]}
        # A unique index takes a missing field for null.
        key = {f"k{number}": {"$ifNull": [f"${path}", None]} for number, path in enumerate(fields)}
        pipeline: list[Document] = [
            {"$match": wanted},
            {"$group": {"_id": key, "count": {"$sum": 1}}},
            {"$match": {"count": {"$gt": 1}}},
        ]
        count = 0
        samples: list[str] = []
        with mongo_errors():
            for each in self._database[index.collection].aggregate(pipeline):
                count += 1
                if len(samples) < SAMPLES:
                    values = [shown(each["_id"][f"k{number}"]) for number in range(len(fields))]
                    samples.append(f"{', '.join(values)} in {each['count']} documents")
        return Found(count, samples) if count else None

    def violations(self, validator: Validator) -> Found | None:
        wanted = {"$nor": [{"$jsonSchema": json.loads(validator.schema)}]}
        with mongo_errors():
            found = self._database[validator.collection]
            count = found.count_documents(wanted)
            if not count:
                return None
            return Found(
                count, [f"_id {shown(e['_id'])}" for e in found.find(wanted, {"_id": 1}).limit(SAMPLES)]
            )

    def types(self, collection: str, path: str) -> Mapping[str, int]:
        types: dict[str, int] = {}
        with mongo_errors():
            for document in (
                self._database[collection].find({path: {"$ne": None}}, {path: 1}).limit(LOOKED_AT)
            ):
                value: Any = document
                for part in path.split("."):
                    value = value.get(part) if isinstance(value, dict) else None
                name = _TYPES.get(type(value).__name__)
                if name is not None:
                    types[name] = types.get(name, 0) + 1
        return types


def shown(value: object) -> str:
    """A value from the database for a person, not longer than a line."""
    text = json.dumps(value) if isinstance(value, (str, int, float, bool, type(None))) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
