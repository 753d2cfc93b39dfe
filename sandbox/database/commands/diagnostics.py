"""buildInfo, serverStatus, replSetGetStatus and listDatabases: what monitoring asks for."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bson import Int64

from sandbox.database import matching
from sandbox.database.commands.registry import Context, boolean, command, mapping
from sandbox.database.errors import CommandError, Document
from sandbox.database.instance import MAX_CONNECTIONS, REPLICA_SET, VERSION
from sandbox.database.values import MAX_DOCUMENT_BYTES, now

_STORAGE_ENGINE = "sandbox-in-memory"
_OPCOUNTERS = ("insert", "query", "update", "delete", "getmore", "command")


@command("buildInfo", "buildinfo", without_login=True)
def build_info(_: Context, __: Document) -> Document:
    return {
        "version": VERSION,
        "versionArray": [*(int(part) for part in VERSION.split(".")), 0],
        "gitVersion": "sandbox-embedded",
        "modules": ["sandbox-embedded"],
        "storageEngines": [_STORAGE_ENGINE],
        "bits": 64,
        "debug": False,
        "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
    }


def _resident_megabytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // (1024 * 1024)


@command("serverStatus", action="serverStatus", cluster=True, any_field=True)
def server_status(context: Context, _: Document) -> Document:
    """The sections there are; switching sections on and off by name changes nothing here."""
    instance = context.instance
    uptime = time.monotonic() - instance.started
    return {
        "host": instance.address,
        "version": VERSION,
        "process": "sandbox-embedded-database",
        "pid": Int64(os.getpid()),
        "uptime": uptime,
        "uptimeMillis": Int64(uptime * 1000),
        "localTime": now(),
        "connections": {
            "current": len(instance.connections),
            "available": max(0, MAX_CONNECTIONS - len(instance.connections)),
            "totalCreated": instance.connections_created,
            "active": 1,
        },
        "opcounters": {name: Int64(instance.operations[name]) for name in _OPCOUNTERS},
        "metrics": {"cursor": {"open": {"total": Int64(instance.open_cursors)}}},
        "mem": {"bits": 64, "resident": _resident_megabytes()},
        "repl": {
            "setName": REPLICA_SET,
            "setVersion": 1,
            "isWritablePrimary": True,
            "secondary": False,
            "hosts": [instance.address],
            "primary": instance.address,
            "me": instance.address,
        },
        "storageEngine": {"name": _STORAGE_ENGINE, "persistent": False},
    }


@command("replSetGetStatus", action="replSetGetStatus", cluster=True)
def replica_set_status(context: Context, _: Document) -> Document:
    if context.database != "admin":
        raise CommandError(13, "replSetGetStatus may only be run against the admin database.")
    uptime = int(time.monotonic() - context.instance.started)
    member = {
        "_id": 0,
        "name": context.instance.address,
        "health": 1.0,
        "state": 1,
        "stateStr": "PRIMARY",
        "uptime": uptime,
        "self": True,
    }
    return {"set": REPLICA_SET, "date": now(), "myState": 1, "members": [member]}


@command("listDatabases", fields="filter nameOnly authorizedDatabases")
def list_databases(context: Context, body: Document) -> Document:
    if context.database != "admin":
        raise CommandError(13, "listDatabases may only be run against the admin database.")
    allowed_all = any(user.may("listDatabases", None) for user in context.users)
    wanted = matching.parse(mapping(body, "filter"))
    shown: list[Document] = []
    for name, collections in sorted(context.instance.databases.items()):
        if not allowed_all and not any(user.may("find", name) for user in context.users):
            continue
        size = sum(collection.size_bytes for collection in collections.values())
        entry: Document = {"name": name, "sizeOnDisk": Int64(size), "empty": not collections}
        if wanted.matches(entry):
            shown.append({"name": name} if boolean(body, "nameOnly") else entry)
    if boolean(body, "nameOnly"):
        return {"databases": shown}
    total = sum(entry["sizeOnDisk"] for entry in shown)
    return {"databases": shown, "totalSize": Int64(total), "totalSizeMb": Int64(total // 1024**2)}
