"""Collections and indexes: create, collMod, drop, createIndexes, dropIndexes and their lists."""

from __future__ import annotations

from typing import Any

from sandbox.database import index_options, matching
from sandbox.database.collection import ID_INDEX, Collection, check_name
from sandbox.database.commands.reading import batch_size
from sandbox.database.commands.registry import Context, boolean, command, mapping, refuse
from sandbox.database.errors import CommandError, Document, bad_value, type_mismatch
from sandbox.database.indexes import Index
from sandbox.database.steps import Steps
from sandbox.database.values import MISSING

_CREATE_NOT_HERE = (
    "capped", "size", "max", "timeseries", "expireAfterSeconds", "clusteredIndex", "viewOn", "pipeline",
    "storageEngine", "indexOptionDefaults", "changeStreamPreAndPostImages", "encryptedFields",
)  # fmt: skip
_MODIFY_NOT_HERE = (
    "viewOn", "pipeline", "cappedSize", "cappedMax", "timeseries", "expireAfterSeconds",
    "changeStreamPreAndPostImages",
)  # fmt: skip
_VALIDATION = "validator validationLevel validationAction"


@command(
    "create",
    fields=f"{_VALIDATION} {' '.join(_CREATE_NOT_HERE)} idIndex collation",
    action="createCollection",
    write=True,
)
def create(context: Context, body: Document) -> Document:
    refuse(body, *_CREATE_NOT_HERE, "idIndex")
    name = check_name(context.database, body["create"])
    if context.instance.collection(context.database, name) is not None:
        raise CommandError(48, f"Collection {context.database}.{name} already exists.")
    collection = Collection(f"{context.database}.{name}")
    _set_validation(collection, body)
    context.instance.add_collection(collection)
    return {}


def _set_validation(collection: Collection, body: Document) -> None:
    collection.set_validator(
        body.get("validator", MISSING),
        body.get("validationLevel", MISSING),
        body.get("validationAction", MISSING),
    )


@command(
    "collMod",
    fields=f"{_VALIDATION} index {' '.join(_MODIFY_NOT_HERE)}",
    action="collMod",
    write=True,
)
def modify(context: Context, body: Document) -> Document:
    refuse(body, *_MODIFY_NOT_HERE)
    collection = context.instance.existing_collection(context.database, body["collMod"])
    change = _index_change(collection, mapping(body, "index")) if "index" in body else None
    _set_validation(collection, body)
    if change is None:
        return {}
    index, options = change
    reply: Document = {}
    for option, value in options.items():
        default = False if option == "hidden" else None
        before = index.specification.get(option, default)
        if before == value:
            continue
        reply |= {f"{option}_old": before, f"{option}_new": value}
        collection.change_index(index, {option: None if value is False else value})
    return reply


def _index_change(collection: Collection, body: Document) -> tuple[Index, Document]:
    """The index and what to set on it, checked; raises IndexNotFound, InvalidOptions or 40415."""
    for field in body:
        if field in ("unique", "prepareUnique"):
            refuse(body, field)
        elif field not in ("name", "keyPattern", "hidden", "expireAfterSeconds"):
            raise CommandError(40415, f"BSON field 'collMod.index.{field}' is an unknown field.")
    if ("name" in body) == ("keyPattern" in body):
        raise CommandError(72, "Must specify either index name or key pattern, and not both.")
    index = collection.find_index(body.get("name", body.get("keyPattern")))
    options: Document = {}
    if "hidden" in body:
        if index.is_id:
            raise bad_value("can't hide _id index")
        options["hidden"] = boolean(body, "hidden")
    if "expireAfterSeconds" in body:
        index_options.check_expiry(body["expireAfterSeconds"], 72)
        if len(index.key) > 1 or index.is_id:
            raise CommandError(72, "TTL indexes are single-field indexes, and not on _id")
        options["expireAfterSeconds"] = body["expireAfterSeconds"]
    if not options:
        raise CommandError(72, "no expireAfterSeconds or hidden field")
    return index, options


@command("drop", action="dropCollection", write=True)
def drop(context: Context, body: Document) -> Document:
    """Since MongoDB 7.0 dropping what isn't there succeeds."""
    collection = context.instance.collection(context.database, body["drop"])
    if collection is None:
        return {}
    context.instance.drop(context.database, body["drop"])
    return {"nIndexesWas": len(collection.indexes), "ns": collection.namespace}


@command("dropDatabase", action="dropDatabase", write=True)
def drop_database(context: Context, body: Document) -> Document:
    if body["dropDatabase"] != 1:
        raise CommandError(2, "have to pass 1 as db parameter")
    collections = context.instance.databases.get(context.database)
    if collections is None:
        return {}
    for name in list(collections):
        context.instance.drop(context.database, name)
    return {"dropped": context.database}


@command("listCollections", fields="filter nameOnly authorizedCollections cursor", action="listCollections")
def list_collections(context: Context, body: Document) -> Document:
    wanted = matching.parse(mapping(body, "filter"))
    name_only = boolean(body, "nameOnly")
    shown: list[Document] = []
    for name, collection in context.instance.databases.get(context.database, {}).items():
        entry: Document = {"name": name, "type": "collection"}
        full = entry | {
            "options": collection.options(),
            "info": {"readOnly": False, "uuid": collection.uuid},
            "idIndex": ID_INDEX,
        }
        if wanted.matches(full):
            shown.append(entry if name_only else full)
    return _list_cursor(context, f"{context.database}.$cmd.listCollections", shown, body)


def _list_cursor(context: Context, namespace: str, shown: list[Document], body: Document) -> Document:
    size = batch_size(mapping(body, "cursor"))
    return {"cursor": context.instance.open_cursor(namespace, shown, context.owner, size)}


@command(
    "createIndexes",
    fields="commitQuorum ignoreUnknownIndexOptions",
    required="indexes",
    action="createIndex",
    write=True,
)
def create_indexes(context: Context, body: Document) -> Steps[Document]:
    refuse(body, "ignoreUnknownIndexOptions")
    wanted = body["indexes"]
    if not isinstance(wanted, list):
        raise type_mismatch("BSON field 'createIndexes.indexes' is the wrong type, expected type 'array'")
    if not wanted:
        raise bad_value("Must specify at least one index to create")
    for specification in wanted:
        index_options.normalise(specification)
    is_new = context.instance.collection(context.database, body["createIndexes"]) is None
    collection = context.instance.collection_or_create(context.database, body["createIndexes"])
    created = yield from collection.create_indexes_in_steps(wanted, context.deadline)
    after = len(collection.indexes)
    reply: Document = {
        "numIndexesBefore": after - created,
        "numIndexesAfter": after,
        "createdCollectionAutomatically": is_new,
    }
    return reply if created else reply | {"note": "all indexes already exist"}


@command("dropIndexes", "deleteIndexes", fields="index", required="index", action="dropIndex", write=True)
def drop_indexes(context: Context, body: Document) -> Document:
    name = body[next(iter(body))]
    collection = context.instance.collection(context.database, name)
    if collection is None:
        raise CommandError(26, f"ns not found {context.database}.{name}")
    before = len(collection.indexes)
    wanted: Any = body["index"]
    if wanted == "*":
        chosen = [index for index in collection.indexes.values() if not index.is_id]
        collection.abort_builds(None)
    else:
        named = wanted if isinstance(wanted, list) else [wanted]
        chosen = [collection.find_index(each) for each in named if not collection.abort_builds(each)]
    if any(index.is_id for index in chosen):
        raise CommandError(72, "cannot drop _id index")
    for index in {index.name: index for index in chosen}.values():
        collection.drop_index(index)
    reply: Document = {"nIndexesWas": before}
    return reply | ({"msg": "non-_id indexes dropped for collection"} if wanted == "*" else {})


@command("listIndexes", fields="cursor includeBuildUUIDs includeIndexBuildInfo", action="listIndexes")
def list_indexes(context: Context, body: Document) -> Document:
    refuse(body, "includeBuildUUIDs", "includeIndexBuildInfo")
    collection = context.instance.existing_collection(context.database, body["listIndexes"])
    # As in MongoDB, an index that is still being built is listed too.
    building = [index for build in collection.builds for index in build.indexes]
    shown = [index.specification for index in [*collection.indexes.values(), *building]]
    return _list_cursor(context, collection.namespace, shown, body)
