"""What a command is, which fields it has, who may run it, and the way from a request to its reply.

A command that isn't registered is CommandNotFound (59); a field that a command doesn't have is MongoDB's
"unknown field" (40415). Nothing is accepted and then ignored, but for what changes nothing on one server in
memory: read preferences, cluster times, comments.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.database.authorization import User, unauthorized
from sandbox.database.errors import CommandError, Document, bad_value, not_implemented, type_mismatch
from sandbox.database.instance import Connection, Instance
from sandbox.database.steps import Steps, finish
from sandbox.database.values import as_integer, is_number, render, truthy, type_name

log = logging.getLogger(__name__)

# Every command may have these.
_COMMON = {
    "$db", "$clusterTime", "$readPreference", "apiDeprecationErrors", "apiStrict", "apiVersion", "comment",
    "lsid", "maxTimeMS", "readConcern", "writeConcern", "txnNumber", "autocommit", "startTransaction",
}  # fmt: skip
_READ_CONCERNS = {"local", "available", "majority", "linearizable"}


@dataclass(frozen=True)
class Context:
    """One request: the server, the connection it came in on and the database it is for."""

    instance: Instance
    connection: Connection
    database: str
    deadline: float | None = None

    @property
    def users(self) -> list[User]:
        """The connection's users as they are now: a dropped user has no rights left."""
        found = (self.instance.users.get(identifier) for identifier in self.connection.users.values())
        return [user for user in found if user is not None]

    @property
    def owner(self) -> str | None:
        return next((user.identifier for user in self.users), None)

    def require(self, action: str, command: Document, database: str | None) -> None:
        """Raise Unauthorized (13) unless a user of the connection may; `database` None: on the cluster."""
        if not any(user.may(action, database) for user in self.users):
            raise unauthorized(self.database, command)


# Most commands answer at once; one that may take long answers in steps, between which others run.
Handler = Callable[[Context, Document], Document | Steps[Document]]


@dataclass(frozen=True)
class Command:
    name: str
    handler: Handler
    fields: frozenset[str]
    required: tuple[str, ...]
    action: str | None  # None: the handler checks by itself, or every user may
    cluster: bool
    without_login: bool
    write: bool
    any_field: bool


_COMMANDS: dict[str, Command] = {}


def command(
    *names: str,
    fields: str = "",
    required: str = "",
    action: str | None = None,
    cluster: bool = False,
    without_login: bool = False,
    write: bool = False,
    any_field: bool = False,
) -> Callable[[Handler], Handler]:
    """Register a handler. `fields` and `required` are the command's own fields, separated by blanks; `write`
    commands take part in retries and write concerns; `cluster` means that the action isn't a database's."""

    def register(handler: Handler) -> Handler:
        needed = tuple(required.split())
        for name in names:
            _COMMANDS[name] = Command(
                name,
                handler,
                frozenset(fields.split()) | set(needed),
                needed,
                action,
                cluster,
                without_login,
                write,
                any_field,
            )
        return handler

    return register


def find(name: str) -> Command:
    """Raises CommandNotFound (59)."""
    found = _COMMANDS.get(name)
    if found is None:
        raise CommandError(59, f"no such command: '{name}'")
    return found


def run(instance: Instance, connection: Connection, body: Document) -> Document:
    """The reply to a request, with no other command in between."""
    return finish(steps(instance, connection, body))


def steps(instance: Instance, connection: Connection, body: Document) -> Steps[Document]:
    """The reply to a request, also when it fails; a fault of the server's own is InternalError (1)."""
    name = next(iter(body), "")
    connection.running, connection.running_since = body, time.monotonic()
    try:
        return (yield from _run(instance, connection, body, name))
    except CommandError as error:
        return error.document()
    except RecursionError:
        return CommandError(15, "The request is nested too deeply").document()
    except Exception:
        log.exception("the command %s failed inside the server", name)
        return CommandError(
            1, f"The command {name} failed inside the embedded server; see its log"
        ).document()
    finally:
        connection.running = None


def _run(instance: Instance, connection: Connection, body: Document, name: str) -> Steps[Document]:
    found = find(name)
    database = body.get("$db")
    if not isinstance(database, str):
        raise CommandError(40414, "BSON field 'OpMsg.$db' is missing but a required field")
    context = Context(instance, connection, database, _deadline(body))
    if not found.without_login and not context.users:
        raise CommandError(13, f"Command {name} requires authentication")
    check_fields(found, body)
    _check_options(found, body)
    if found.action is not None:
        context.require(found.action, body, None if found.cluster else database)
    instance.operations["command"] += name not in ("insert", "find", "update", "delete", "getMore")
    if not found.write:
        return {**(yield from _answer(context, found, body)), "ok": 1.0}
    return (yield from _run_write(context, found, body))


def _answer(context: Context, found: Command, body: Document) -> Steps[Document]:
    answer = found.handler(context, body)
    return answer if isinstance(answer, dict) else (yield from answer)


def _run_write(context: Context, found: Command, body: Document) -> Steps[Document]:
    """Run a write once: the same session and number again, as after a lost reply, gives the first reply."""
    instance = context.instance
    session, number = body.get("lsid"), body.get("txnNumber")
    if isinstance(session, dict) and isinstance(number, int):
        key = bytes(session["id"]) if isinstance(session.get("id"), bytes) else b""
        earlier = instance.earlier_reply(key, number)
        if earlier is not None:
            return earlier
    else:
        key = None
    reply = {**(yield from _answer(context, found, body)), "ok": 1.0}
    concern = _write_concern_error(body.get("writeConcern"))
    if concern is not None:
        reply["writeConcernError"] = concern
    if key is not None and isinstance(number, int):
        instance.remember_reply(key, number, reply)
    return reply


def check_fields(found: Command, body: Document) -> None:
    """Raises Location40415 for a field that the command doesn't have, 40414 for a missing one."""
    for field in body:
        if field != found.name and field not in found.fields and field not in _COMMON and not found.any_field:
            raise CommandError(40415, f"BSON field '{found.name}.{field}' is an unknown field.")
    for field in found.required:
        if field not in body:
            raise CommandError(40414, f"BSON field '{found.name}.{field}' is missing but a required field")


def _check_options(found: Command, body: Document) -> None:
    if "startTransaction" in body or "autocommit" in body:
        raise CommandError(20, "The sandbox's embedded database has no multi-document transactions")
    if "txnNumber" in body and not found.write:
        raise CommandError(
            50768,
            "txnNumber may only be provided for multi-document transactions and retryable write commands.",
        )
    if body.get("apiVersion", "1") != "1":
        raise CommandError(322, 'API version must be "1"')
    concern = body.get("readConcern")
    if concern is not None:
        if not isinstance(concern, dict):
            raise type_mismatch("BSON field 'readConcern' is the wrong type, expected type 'object'")
        level = concern.get("level", "local")
        if level == "snapshot":
            raise not_implemented("Read concern 'snapshot'")
        if level not in _READ_CONCERNS:
            raise bad_value(
                f"Enumeration value '{level}' for field 'readConcern.level' is not a valid value."
            )
    collation = body.get("collation")
    if collation is not None and collation != {"locale": "simple"}:
        raise not_implemented("Collation")
    if body.get("let"):
        raise not_implemented("The option 'let'")


def _deadline(body: Document) -> float | None:
    if not body.get("maxTimeMS"):
        return None
    milliseconds = as_integer(body["maxTimeMS"], "maxTimeMS")
    if milliseconds < 0:
        raise bad_value(f"{milliseconds} value for maxTimeMS is out of range")
    return time.monotonic() + milliseconds / 1000


def _write_concern_error(concern: Any) -> Document | None:
    """One member acknowledges what it holds; a concern that needs more can't be satisfied."""
    if concern is None:
        return None
    if not isinstance(concern, dict):
        raise type_mismatch("BSON field 'writeConcern' is the wrong type, expected type 'object'")
    members = concern.get("w", 1)
    if members == "majority" or (is_number(members) and members <= 1):
        return None
    if isinstance(members, str):
        error = CommandError(
            79, f"No write concern mode named '{members}' found in replica set configuration"
        )
    else:
        error = CommandError(100, "Not enough data-bearing nodes")
    return {"code": error.code, "codeName": error.code_name, "errmsg": error.message}


# -- reading fields of a request


def integer(body: Document, field: str, default: int = 0) -> int:
    """A whole number, at least 0; raises TypeMismatch or Location51024."""
    if body.get(field) is None:
        return default
    if not is_number(body[field]):
        raise type_mismatch(
            f"BSON field '{field}' is the wrong type '{type_name(body[field])}', expected type 'long'"
        )
    number = as_integer(body[field], field)
    if number < 0:
        raise CommandError(51024, f"BSON field '{field}' value must be >= 0, actual value '{number}'")
    return number


def boolean(body: Document, field: str, default: bool = False) -> bool:
    value = body.get(field, default)
    if isinstance(value, bool):
        return value
    if is_number(value):
        return truthy(value)
    raise type_mismatch(f"BSON field '{field}' is the wrong type '{type_name(value)}', expected type 'bool'")


def mapping(body: Document, field: str) -> Document:
    """A document; an absent or null field is the empty one."""
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise type_mismatch(
            f"BSON field '{field}' is the wrong type '{type_name(value)}', expected type 'object'"
        )
    return value


def statements(body: Document, field: str, allowed: str) -> list[Document]:
    """The statements of a write command, 1 to 100,000 of them, with only the fields that they may have."""
    items = body[field]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise type_mismatch(f"BSON field '{field}' must be an array of objects")
    if not 1 <= len(items) <= 100_000:
        raise CommandError(
            16, f"Write batch sizes must be between 1 and 100000. Got {len(items)} operations."
        )
    if allowed:
        known = set(allowed.split())
        for item in items:
            for name in item:
                if name not in known:
                    raise CommandError(
                        40415, f"BSON field '{next(iter(body))}.{field}.{name}' is an unknown field."
                    )
    return items


def refuse(body: Document, *options: str) -> None:
    """NotImplemented for options that MongoDB has and this server doesn't, when they are set."""
    for option in options:
        if body.get(option) not in (None, False, 0):
            raise not_implemented(f"The option '{option}' ({render(body[option])})")
