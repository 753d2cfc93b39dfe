"""Users and what their roles allow: MongoDB's built-in roles, on one database or on all.

https://www.mongodb.com/docs/manual/reference/built-in-roles/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.database.authentication import Credential
from sandbox.database.errors import CommandError, Document, bad_value
from sandbox.database.values import render

_READ = {"find", "listCollections", "listIndexes", "collStats", "dbStats", "killCursors"}
_READ_WRITE = _READ | {
    "insert",
    "update",
    "remove",
    "createCollection",
    "createIndex",
    "dropCollection",
    "dropIndex",
}
_DB_ADMIN = {
    "collMod", "collStats", "createCollection", "createIndex", "dbStats", "dropCollection", "dropDatabase",
    "dropIndex", "indexStats", "listCollections", "listIndexes", "bypassDocumentValidation",
}  # fmt: skip
_USER_ADMIN = {"createUser", "changePassword", "dropUser", "viewUser", "grantRole", "revokeRole"}
_MONITOR = {"serverStatus", "listDatabases", "inprog", "replSetGetStatus", "getCmdLineOpts"}
_MONITOR_ANYWHERE = {"collStats", "dbStats", "indexStats"}

# Roles on the database they are granted on. `dbOwner` is the three together.
_DATABASE_ROLES = {
    "read": _READ,
    "readWrite": _READ_WRITE,
    "dbAdmin": _DB_ADMIN,
    "userAdmin": _USER_ADMIN,
    "dbOwner": _READ_WRITE | _DB_ADMIN | _USER_ADMIN,
}
# Roles of `admin` that reach every database: (actions on databases, actions on the cluster).
_GLOBAL_ROLES = {
    "readAnyDatabase": (_READ, {"listDatabases"}),
    "readWriteAnyDatabase": (_READ_WRITE, {"listDatabases"}),
    "dbAdminAnyDatabase": (_DB_ADMIN, {"listDatabases"}),
    "userAdminAnyDatabase": (_USER_ADMIN, {"listDatabases"}),
    "clusterMonitor": (_MONITOR_ANYWHERE, _MONITOR),
}
_EVERYTHING = "root"


@dataclass
class User:
    name: str
    database: str
    credentials: dict[str, Credential]
    roles: list[Document] = field(default_factory=list)
    custom_data: Document | None = None

    @property
    def identifier(self) -> str:
        return f"{self.database}.{self.name}"

    def document(self) -> Document:
        """As `usersInfo` shows it: never with the credentials."""
        shown: Document = {
            "_id": self.identifier,
            "user": self.name,
            "db": self.database,
            "roles": self.roles,
            "mechanisms": list(self.credentials),
        }
        return shown | ({"customData": self.custom_data} if self.custom_data else {})

    def may(self, action: str, database: str | None) -> bool:
        """May the user do this on the database, or on the cluster when `database` is None?"""
        for role in self.roles:
            name, on = role["role"], role["db"]
            if name == _EVERYTHING:
                return True
            if name in _GLOBAL_ROLES:
                anywhere, cluster = _GLOBAL_ROLES[name]
                if action in (cluster if database is None else anywhere):
                    return True
            elif on == database and action in _DATABASE_ROLES.get(name, ()):
                return True
        return False


def parse_roles(raw: Any, database: str) -> list[Document]:
    """`["readWrite", {role, db}]` in full; raises RoleNotFound (31) for a role that isn't built in."""
    if not isinstance(raw, list):
        raise bad_value('"roles" had the wrong type. Expected array')
    roles: list[Document] = []
    for each in raw:
        role = {"role": each, "db": database} if isinstance(each, str) else each
        if not isinstance(role, dict) or set(role) != {"role", "db"}:
            raise bad_value(f"a role is a name or a document with 'role' and 'db', found: {render(each)}")
        is_global = role["role"] in _GLOBAL_ROLES or role["role"] == _EVERYTHING
        if not (role["role"] in _DATABASE_ROLES or (is_global and role["db"] == "admin")):
            raise CommandError(31, f"Could not find role: {role['role']}@{role['db']}")
        roles.append({"role": role["role"], "db": role["db"]})
    return roles


def unauthorized(database: str, command: Document) -> CommandError:
    name = next(iter(command))
    shown = f"{{ {name}: {render(command[name])}, $db: {render(database)} }}"
    return CommandError(13, f"not authorized on {database} to execute command {shown}")
