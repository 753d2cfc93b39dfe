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

from cutover.domain.errors import (
    AccessDeniedError,
    MisconfiguredError,
    NotReachableError,
    ServiceRefusedError,
)
from cutover.domain.indexes import Index
from cutover.ports import Explained

WAIT_MILLISECONDS = 10_000
# MongoDB's error codes: https://www.mongodb.com/docs/manual/reference/error-codes/
UNAUTHORIZED, AUTHENTICATION_FAILED, USER_NOT_FOUND, NAMESPACE_NOT_FOUND = 13, 18, 11, 26


def connect(
    host: str, port: int, user: str, password: str, ca_file: str | None = None
) -> MongoClient[dict[str, Any]]:
    """Nothing is connected before the first command. Without `ca_file` the system's trust store holds."""
    return MongoClient(
        host=host,
        port=port,
        username=user,
        password=password,
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
        if error.code in (UNAUTHORIZED, AUTHENTICATION_FAILED):
            raise AccessDeniedError(f"the database refused: {error}") from error
        raise ServiceRefusedError(f"the database refused: {error}") from error
    except (AutoReconnect, ConnectionFailure) as error:
        raise NotReachableError(f"the database does not answer: {error}") from error
    except ConfigurationError as error:
        raise MisconfiguredError(f"the database's address: {error}") from error
    except PyMongoError as error:
        raise ServiceRefusedError(f"the database: {error}") from error


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

    def indexes(self, collection: str) -> Sequence[Index]:
        with mongo_errors():
            try:
                found = list(self._database[collection].list_indexes())
            except OperationFailure as error:
                if error.code == NAMESPACE_NOT_FOUND:
                    return []
                raise
        return [
            Index(
                collection,
                tuple((field, int(direction)) for field, direction in index["key"].items()),
                bool(index.get("unique", False)),
                str(index["name"]),
            )
            for index in found
            # Text, hashed and geo indexes have words for directions; none of ours is one.
            if all(isinstance(direction, (int, float)) for direction in index["key"].values())
        ]

    def create_index(self, index: Index) -> None:
        """DocumentDB builds in the foreground, and blocks the collection, unless it is told otherwise."""
        with mongo_errors():
            self._database[index.collection].create_index(
                list(index.keys), name=index.name, unique=index.unique, background=True
            )

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

    def explain(
        self, collection: str, query: Mapping[str, Any], sort: Sequence[tuple[str, int]]
    ) -> Explained:
        find: dict[str, Any] = {"find": collection, "filter": dict(query), "limit": 20}
        if sort:
            find["sort"] = dict(sort)
        with mongo_errors():
            answer = self._database.command("explain", find, verbosity="queryPlanner")
        return _explained(answer["queryPlanner"]["winningPlan"])

    def milliseconds(
        self, collection: str, query: Mapping[str, Any], sort: Sequence[tuple[str, int]], times: int
    ) -> Sequence[float]:
        taken = []
        with mongo_errors():
            for _ in range(times):
                began = time.perf_counter()
                cursor = self._database[collection].find(dict(query)).limit(20)
                list(cursor.sort(list(sort)) if sort else cursor)
                taken.append((time.perf_counter() - began) * 1000)
        return taken

    def connections(self) -> tuple[int, int] | None:
        with mongo_errors():
            told = self._client["admin"].command("serverStatus").get("connections") or {}
        if "current" not in told or "available" not in told:
            return None
        current = int(told["current"])
        return current, current + int(told["available"])


def _explained(plan: Mapping[str, Any]) -> Explained:
    stages: list[str] = []
    index: str | None = None
    pending: list[Mapping[str, Any]] = [plan]
    while pending:
        stage = pending.pop(0)
        # MongoDB's newer engine wraps the classic plan.
        stage = stage.get("queryPlan", stage)
        if "stage" in stage:
            stages.append(str(stage["stage"]))
        index = index or stage.get("indexName")
        pending += stage.get("inputStages") or ([stage["inputStage"]] if "inputStage" in stage else [])
    return Explained(stages, index)
