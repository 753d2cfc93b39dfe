"""collStats, dbStats, currentOp and the aggregation sources of the same names."""

from __future__ import annotations

import time
from typing import Any

from bson import Int64

from sandbox.database import matching
from sandbox.database.collection import Collection
from sandbox.database.commands.registry import Context, boolean, command, integer
from sandbox.database.errors import CommandError, Document, bad_value
from sandbox.database.instance import Connection
from sandbox.database.values import render


def _sizes(collection: Collection | None, namespace: str, scale: int) -> Document:
    """Bytes of the documents as BSON, exact; bytes of the indexes, estimated. Memory has no overhead."""
    count = len(collection.records) if collection else 0
    size = collection.size_bytes if collection else 0
    per_index = (
        {name: index.size_bytes // scale for name, index in collection.indexes.items()} if collection else {}
    )
    total_index = sum(per_index.values())
    return {
        "ns": namespace,
        "size": size // scale,
        "count": count,
        **({"avgObjSize": size // count} if count else {}),
        "storageSize": size // scale,
        "freeStorageSize": 0,
        "capped": False,
        "nindexes": len(per_index),
        "indexBuilds": [index.name for build in collection.builds for index in build.indexes]
        if collection
        else [],
        "totalIndexSize": total_index,
        "totalSize": size // scale + total_index,
        "indexSizes": per_index,
        "scaleFactor": scale,
    }


def _scale(body: Document) -> int:
    scale = integer(body, "scale", 1)
    if scale < 1:
        raise bad_value("scale has to be >= 1")
    return scale


@command("collStats", "collstats", fields="scale", action="collStats")
def collection_statistics(context: Context, body: Document) -> Document:
    name = body[next(iter(body))]
    return _sizes(
        context.instance.collection(context.database, name), f"{context.database}.{name}", _scale(body)
    )


@command("dbStats", "dbstats", fields="scale freeStorage", action="dbStats")
def database_statistics(context: Context, body: Document) -> Document:
    scale = _scale(body)
    all_sizes = [
        _sizes(collection, collection.namespace, 1)
        for collection in context.instance.databases.get(context.database, {}).values()
    ]
    objects = sum(each["count"] for each in all_sizes)
    size = sum(each["size"] for each in all_sizes)
    index_size = sum(each["totalIndexSize"] for each in all_sizes)
    return {
        "db": context.database,
        "collections": len(all_sizes),
        "views": 0,
        "objects": objects,
        "avgObjSize": size / objects if objects else 0.0,
        "dataSize": size / scale,
        "storageSize": size / scale,
        "indexes": sum(each["nindexes"] for each in all_sizes),
        "indexSize": index_size / scale,
        "totalSize": (size + index_size) / scale,
        "scaleFactor": scale,
    }


def index_stage(context: Context, body: Document, argument: Any) -> list[Document]:
    """`$indexStats`: how many queries used each index since it was built."""
    if argument != {}:
        raise CommandError(
            28803, f"The $indexStats stage specification must be an empty object, found: {render(argument)}"
        )
    context.require("indexStats", body, context.database)
    collection = context.instance.collection(context.database, body["aggregate"])
    return [
        {
            "name": index.name,
            "key": dict(index.specification["key"]),
            "host": context.instance.address,
            "accesses": {"ops": Int64(index.uses), "since": index.since},
            "spec": index.specification,
        }
        for index in (collection.indexes.values() if collection else ())
    ]


def collection_stage(context: Context, body: Document, argument: Any) -> list[Document]:
    """`$collStats` with `storageStats` and `count`."""
    if not isinstance(argument, dict):
        raise CommandError(5447000, "the $collStats stage specification must be an object")
    for option in argument:
        if option not in ("storageStats", "count"):
            raise CommandError(40415, f"BSON field '$collStats.{option}' is an unknown field.")
    context.require("collStats", body, context.database)
    namespace = f"{context.database}.{body['aggregate']}"
    sizes = _sizes(context.instance.existing_collection(context.database, body["aggregate"]), namespace, 1)
    result: Document = {"ns": namespace, "host": context.instance.address}
    if "storageStats" in argument:
        result["storageStats"] = {k: v for k, v in sizes.items() if k != "ns"}
    if "count" in argument:
        result["count"] = sizes["count"]
    return [result]


def operations_stage(context: Context, body: Document, argument: Any) -> list[Document]:
    """`$currentOp`: on `admin` only."""
    if not isinstance(argument, dict):
        raise CommandError(9, "$currentOp options must be specified in an object")
    for option in argument:
        if option not in ("allUsers", "idleConnections", "idleCursors", "idleSessions", "localOps"):
            raise CommandError(9, f"Unrecognized option '{option}' in $currentOp stage.")
    return _operations(context, body, idle=argument.get("idleConnections") is True)


@command("currentOp", any_field=True)
def current_operations(context: Context, body: Document) -> Document:
    """Fields that aren't the command's own filter what is shown, e.g. `"command.createIndexes"`."""
    own = {"currentOp", "$all", "$ownOps", "$db", "lsid", "comment", "$readPreference", "$clusterTime"}
    wanted = matching.parse({field: value for field, value in body.items() if field not in own})
    shown = _operations(context, body, idle=boolean(body, "$all"))
    return {"inprog": [each for each in shown if wanted.matches(each)]}


def _operations(context: Context, body: Document, *, idle: bool) -> list[Document]:
    """Index builds and what waits for them, and this very command: all others run one at a time."""
    if context.database != "admin":
        raise CommandError(73, "$currentOp must be run against the 'admin' database")
    context.require("inprog", body, None)
    host = context.instance.address
    return [
        _connection_operation(connection, host)
        for connection in context.instance.connections.values()
        if connection.running is not None or idle
    ] + [
        build.operation(host)
        for collections in context.instance.databases.values()
        for collection in collections.values()
        for build in collection.builds
    ]


def _connection_operation(connection: Connection, host: str) -> Document:
    running = connection.running
    shown: Document = {
        "type": "op",
        "host": host,
        "desc": f"conn{connection.id}",
        "connectionId": connection.id,
        "client": connection.peer,
        "appName": connection.application,
        "active": running is not None,
        "opid": connection.id,
        "op": "none",
        "ns": "",
        "command": {},
    }
    if running is None:
        return shown
    microseconds = int((time.monotonic() - connection.running_since) * 1_000_000)
    return shown | {
        "op": "command",
        "ns": f"{running.get('$db')}.$cmd",
        "command": {k: v for k, v in running.items() if k != "lsid"},
        "secs_running": Int64(microseconds // 1_000_000),
        "microsecs_running": Int64(microseconds),
    }
