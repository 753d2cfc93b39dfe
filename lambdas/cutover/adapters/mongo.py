"""The environment's database: DocumentDB, or any MongoDB.

What DocumentDB lacks or does otherwise: https://docs.aws.amazon.com/documentdb/latest/developerguide/functional-differences.html
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from cutover.adapters.explain import explained
from cutover.database_ports import Explained
from cutover.domain.errors import (
    AccessDeniedError,
    MisconfiguredError,
    NotReachableError,
    ServiceRefusedError,
    TerminalError,
)
from cutover.domain.queries import NamedQuery

WAIT_MILLISECONDS = 10_000
# MongoDB's error codes: https://www.mongodb.com/docs/manual/reference/error-codes/
OUT_OF_DISK_SPACE = 14031
UNAUTHORIZED, AUTHENTICATION_FAILED, NAMESPACE_NOT_FOUND = 13, 18, 26


def connect(
    host: str, port: int, user: str, password: str, ca_file: str | None = None, *, source: str = "admin"
) -> MongoClient[dict[str, Any]]:
    """Nothing is connected before the first command. Without `ca_file` the system's trust store holds.
    `source` is the database that knows the user."""
    return MongoClient(
        host=host,
        port=port,
        username=user,
        password=password,
        authSource=source,
        tls=True,
        tlsCAFile=ca_file,
        replicaSet="rs0",
        # DocumentDB has none.
        retryWrites=False,
        serverSelectionTimeoutMS=WAIT_MILLISECONDS,
        connectTimeoutMS=WAIT_MILLISECONDS,
        socketTimeoutMS=600_000,  # an index build may take its time
        tz_aware=True,
        appname="cutover",
    )


@contextmanager
def mongo_errors() -> Iterator[None]:
    """The driver's errors as ours. None of them holds a password."""
    try:
        yield
    except DuplicateKeyError as error:
        raise ServiceRefusedError(
            f"duplicate key: {error.details.get('keyValue') if error.details else error}"
        ) from error
    except OperationFailure as error:
        raise _refusal(error) from error
    except (AutoReconnect, ConnectionFailure) as error:
        raise _connection(str(error)) from error
    except ConfigurationError as error:
        raise MisconfiguredError(f"the database's address: {error}") from error
    except PyMongoError as error:
        raise ServiceRefusedError(f"the database: {error}") from error


def _refusal(error: OperationFailure) -> TerminalError:
    failures: list[dict[str, Any]] = (error.details or {}).get("writeErrors") or []
    codes = {error.code, *(failure.get("code") for failure in failures)}
    if codes & {UNAUTHORIZED, AUTHENTICATION_FAILED}:
        return AccessDeniedError(f"the database refused: {error}")
    if OUT_OF_DISK_SPACE in codes:
        return ServiceRefusedError(
            "the database's disk is full; DocumentDB builds indexes on the instance's local disk "
            "(FreeLocalStorage): take a larger instance class, or free space, and deploy again "
            f"(the server's words: {_first_words(str(error))})"
        )
    if failures:
        return ServiceRefusedError(f"the database refused a write: {failures[0].get('errmsg', error)}")
    return ServiceRefusedError(f"the database refused: {error}")


def _connection(told: str) -> TerminalError | NotReachableError:
    """A certificate that is not trusted won't be in a moment either."""
    if "CERTIFICATE_VERIFY_FAILED" in told or "certificate verify failed" in told:
        return MisconfiguredError(
            f"the database's certificate is not trusted ({_first_words(told)}); the function's trust store "
            "must hold the authority that issued it, and the address must be the one it was issued for"
        )
    return NotReachableError(f"the database does not answer: {_first_words(told)}")


def _first_words(told: str) -> str:
    """Without the driver's description of the topology."""
    return told.partition(", Timeout:")[0].partition(", full error:")[0]


class MongoDatabase:
    """Both of the ports Database and Queries."""

    def __init__(self, client: MongoClient[dict[str, Any]], name: str) -> None:
        self._client = client
        self._database = client[name]

    def ensure_user(self, name: str, password: str) -> str:
        """In the database itself, so that a client which names it in its address authenticates against it."""
        roles = [{"role": "readWrite", "db": self._database.name}]
        with mongo_errors():
            known = self._database.command("usersInfo", {"user": name, "db": self._database.name})
            there = bool(known.get("users"))
            command = "updateUser" if there else "createUser"
            self._database.command(command, name, pwd=password, roles=roles)
        return "there already, its password set again" if there else "created"

    def insert_missing(self, collection: str, document: Mapping[str, Any]) -> bool:
        with mongo_errors():
            found = self._database[collection]
            if found.find_one({"_id": document["_id"]}, {"_id": 1}) is not None:
                return False
            try:
                found.insert_one(dict(document))
            except DuplicateKeyError as error:
                # Another attempt was faster; a duplicate of anything but the _id is a real one.
                if (error.details or {}).get("keyPattern", {"_id": 1}) != {"_id": 1}:
                    raise
                return False
        return True

    def sample(self, collection: str) -> Mapping[str, Any] | None:
        with mongo_errors():
            return self._database[collection].find_one({})

    def size(self, collection: str) -> int:
        with mongo_errors():
            return self._database[collection].estimated_document_count()

    def explain(self, query: NamedQuery) -> Explained:
        find: dict[str, Any] = {"find": query.collection, "filter": dict(query.filter), "limit": query.limit}
        if query.sort:
            find["sort"] = dict(query.sort)
        with mongo_errors():
            return explained(self._database.command("explain", find, verbosity="queryPlanner"))

    def milliseconds(self, query: NamedQuery, times: int) -> Sequence[float]:
        taken = []
        with mongo_errors():
            for _ in range(times):
                began = time.perf_counter()
                cursor = self._database[query.collection].find(dict(query.filter)).limit(query.limit)
                list(cursor.sort(list(query.sort)) if query.sort else cursor)
                taken.append((time.perf_counter() - began) * 1000)
        return taken

    def connections(self) -> tuple[int, int] | None:
        with mongo_errors():
            told = self._client["admin"].command("serverStatus").get("connections") or {}
        if "current" not in told or "available" not in told:
            return None
        current = int(told["current"])
        return current, current + int(told["available"])


class MongoAccounts:
    """The port Accounts. `admin` is (user, password)."""

    def __init__(
        self, host: str, port: int, name: str, admin: tuple[str, str], ca_file: str | None = None
    ) -> None:
        self._host, self._port, self._name, self._ca_file = host, port, name, ca_file
        self._database = MongoDatabase(connect(host, port, *admin, ca_file), name)

    def ensure_user(self, name: str, password: str) -> str:
        return self._database.ensure_user(name, password)

    def log_in(self, name: str, password: str) -> None:
        client = connect(self._host, self._port, name, password, self._ca_file, source=self._name)
        try:
            with mongo_errors():
                client[self._name].command("listCollections", nameOnly=True)
        finally:
            client.close()
