"""Who may do what on the embedded database, and how strictly it reads requests; without sockets."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Int64

from sandbox.database import commands, launch, mongod, wire
from sandbox.database.commands.users import add_user
from sandbox.database.instance import Connection, Instance

Document = dict[str, Any]
As = Callable[..., Callable[..., Document]]


@pytest.fixture
def instance() -> Instance:
    return Instance("127.0.0.1:27017")


@pytest.fixture
def login(instance: Instance) -> As:
    """A client with these roles, as `role@database`; none at all is a client that has not logged in."""

    def make(*roles: str) -> Callable[..., Document]:
        connection = Connection(len(instance.connections) + 1, "127.0.0.1:1")
        instance.connections[connection.id] = connection
        if roles:
            granted = [dict(zip(("role", "db"), role.split("@"), strict=True)) for role in roles]
            user = add_user(instance, f"user{connection.id}", "admin", "s3cret", granted)
            connection.users["admin"] = user.identifier

        def send(body: Document, database: str = "shop") -> Document:
            return commands.run(instance, connection, {**body, "$db": database})

        return send

    return make


INSERT = {"insert": "things", "documents": [{"_id": 1}]}


@pytest.mark.parametrize("command", [INSERT, {"find": "things"}, {"listDatabases": 1}, {"serverStatus": 1}])
def test_without_a_login_a_command_is_refused(login: As, command: Document) -> None:
    reply = login()(command, "admin")
    assert (reply["code"], reply["codeName"]) == (13, "Unauthorized")
    assert reply["errmsg"] == f"Command {next(iter(command))} requires authentication"


@pytest.mark.parametrize("command", [{"hello": 1}, {"ping": 1}, {"buildInfo": 1}])
def test_without_a_login_a_client_may_still_say_hello(login: As, command: Document) -> None:
    assert login()(command, "admin")["ok"] == 1.0


@pytest.mark.parametrize(
    ("role", "command", "database", "allowed"),
    [
        ("read@shop", {"find": "things"}, "shop", True),
        ("read@shop", INSERT, "shop", False),
        ("readWrite@shop", INSERT, "shop", True),
        ("readWrite@shop", INSERT, "other", False),
        ("readWrite@shop", {"createIndexes": "t", "indexes": [{"key": {"a": 1}, "name": "a"}]}, "shop", True),
        ("readWrite@shop", {"create": "t"}, "shop", True),
        ("readWrite@shop", {"collMod": "t"}, "shop", False),
        ("readWrite@shop", {"dropDatabase": 1}, "shop", False),
        ("readWrite@shop", {"serverStatus": 1}, "admin", False),
        ("readWrite@shop", {"createUser": "x", "pwd": "y", "roles": []}, "shop", False),
        (
            "readWrite@shop",
            {"aggregate": "t", "pipeline": [{"$indexStats": {}}], "cursor": {}},
            "shop",
            False,
        ),
        ("readWrite@shop", {"explain": {"find": "t"}}, "shop", True),
        ("readWrite@shop", {"explain": {"find": "t"}}, "other", False),
        ("dbAdmin@shop", {"dropDatabase": 1}, "shop", True),
        ("dbAdmin@shop", {"find": "things"}, "shop", False),
        ("clusterMonitor@admin", {"serverStatus": 1}, "admin", True),
        (
            "clusterMonitor@admin",
            {"aggregate": "t", "pipeline": [{"$indexStats": {}}], "cursor": {}},
            "shop",
            True,
        ),
        ("clusterMonitor@admin", {"currentOp": 1}, "admin", True),
        ("clusterMonitor@admin", {"find": "things"}, "shop", False),
        ("userAdmin@shop", {"createUser": "x", "pwd": "y", "roles": ["read"]}, "shop", True),
        ("readWriteAnyDatabase@admin", INSERT, "other", True),
        ("root@admin", {"dropDatabase": 1}, "other", True),
    ],
)
def test_a_role_allows_what_mongodbs_role_allows(
    login: As, role: str, command: Document, database: str, allowed: bool
) -> None:
    reply = login(role)(command, database)
    if allowed:
        assert reply["ok"] == 1.0, reply
    else:
        assert (reply["ok"], reply["codeName"]) == (0.0, "Unauthorized")
        assert reply["errmsg"].startswith(f"not authorized on {database} to execute command")


def test_a_refused_user_command_does_not_show_the_password(login: As) -> None:
    send = login("readWrite@shop")
    for command in (
        {"createUser": "x", "pwd": "hunter2", "roles": []},
        {"updateUser": "x", "pwd": "hunter2"},
    ):
        assert "hunter2" not in str(send(command))


def test_users_are_made_changed_shown_and_dropped(login: As, instance: Instance) -> None:
    root = login("root@admin")
    assert root({"createUser": "app", "pwd": "one", "roles": ["readWrite"]})["ok"] == 1.0
    assert root({"createUser": "app", "pwd": "one", "roles": []})["code"] == 51003
    assert root({"createUser": "x", "pwd": "one", "roles": ["nope"]})["code"] == 31
    (shown,) = root({"usersInfo": "app"})["users"]
    assert shown["roles"] == [{"role": "readWrite", "db": "shop"}]
    assert "credentials" not in shown
    before = instance.users["shop.app"].credentials
    assert root({"updateUser": "app", "pwd": "two"})["ok"] == 1.0
    assert instance.users["shop.app"].credentials != before
    assert root({"grantRolesToUser": "app", "roles": ["dbAdmin"]})["ok"] == 1.0
    assert root({"revokeRolesFromUser": "app", "roles": ["readWrite"]})["ok"] == 1.0
    assert [role["role"] for role in instance.users["shop.app"].roles] == ["dbAdmin"]
    assert root({"dropUser": "app"})["ok"] == 1.0
    assert root({"dropUser": "app"})["code"] == 11
    assert root({"usersInfo": 1})["users"] == []


def test_a_dropped_user_has_no_rights_left_on_an_open_connection(login: As, instance: Instance) -> None:
    send = login("readWrite@shop")
    assert send({"find": "things"})["ok"] == 1.0
    instance.users.clear()
    assert send({"find": "things"})["code"] == 13


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ({"nope": 1}, 59, "no such command: 'nope'"),
        ({"mapReduce": "things"}, 59, "no such command: 'mapReduce'"),
        ({"find": "things", "nope": 1}, 40415, "BSON field 'find.nope' is an unknown field."),
        ({"insert": "things"}, 40414, "'insert.documents' is missing"),
        ({"insert": "things", "documents": []}, 16, "between 1 and 100000"),
        ({"find": "things", "limit": -1}, 51024, "must be >= 0"),
        ({"find": "things", "filter": 1}, 14, "expected type 'object'"),
        ({"find": "things", "tailable": True}, 238, "tailable"),
        ({"find": "things", "collation": {"locale": "de"}}, 238, "Collation"),
        ({"find": "things", "readConcern": {"level": "nope"}}, 2, "nope"),
        ({"find": "things", "readConcern": {"level": "snapshot"}}, 238, "snapshot"),
        ({"find": "", "filter": {}}, 73, "Invalid namespace"),
        ({"aggregate": "things", "pipeline": []}, 9, "'cursor' option is required"),
        ({"update": "t", "updates": [{"q": {}, "u": {}, "nope": 1}]}, 40415, "update.updates.nope"),
        ({"delete": "t", "deletes": [{"q": {}, "limit": 2}]}, None, "must be 0 or 1"),
        ({"getMore": Int64(5), "collection": "things"}, 43, "cursor id 5 not found"),
        ({"explain": {"insert": "t", "documents": [{}]}}, 20, "not supported"),
        ({"find": "t", "startTransaction": True, "autocommit": False}, 20, "transactions"),
        ({"currentOp": 1}, 73, "admin"),
        ({}, 59, "no such command"),
    ],
)
def test_what_mongodb_does_not_know_is_refused_with_its_code(
    login: As, command: Document, code: int | None, words: str
) -> None:
    reply = login("root@admin")(command)
    if code is None:  # a statement's error, not the command's
        assert words in reply["writeErrors"][0]["errmsg"]
    else:
        assert (reply["ok"], reply["code"]) == (0.0, code)
        assert words in reply["errmsg"]


@pytest.mark.parametrize(
    ("concern", "code"),
    [({"w": "majority"}, None), ({"w": 1, "j": True}, None), ({"w": 2}, 100), ({"w": "nope"}, 79)],
)
def test_a_write_concern_is_met_by_one_member_or_reported(
    login: As, concern: Document, code: int | None
) -> None:
    reply = login("root@admin")({**INSERT, "writeConcern": concern})
    assert reply["n"] == 1
    assert reply.get("writeConcernError", {}).get("code") == code


def test_a_retried_write_is_run_once_and_answered_the_same(login: As) -> None:
    root = login("root@admin")
    session = {"lsid": {"id": Binary(b"s" * 16, 4)}}
    increment = {"update": "t", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}, "upsert": True}]}
    first = root({**increment, **session, "txnNumber": Int64(1)})
    assert root({**increment, **session, "txnNumber": Int64(1)}) == first
    root({**increment, **session, "txnNumber": Int64(2)})
    assert root({**increment, **session, "txnNumber": Int64(1)})["code"] == 225
    assert root({"count": "t", "query": {"n": 2}})["n"] == 1


def test_a_cursor_gives_its_batches_to_its_owner_only(login: As) -> None:
    root, other = login("root@admin"), login("read@shop")
    root({"insert": "things", "documents": [{"_id": n} for n in range(10)]})
    first = root({"find": "things", "batchSize": 4})["cursor"]
    assert (len(first["firstBatch"]), first["ns"]) == (4, "shop.things")
    more = {"getMore": first["id"], "collection": "things", "batchSize": 4}
    assert other(more)["code"] == 13
    assert len(root(more)["cursor"]["nextBatch"]) == 4
    last = root(more)["cursor"]
    assert (len(last["nextBatch"]), last["id"]) == (2, 0)
    assert root(more)["code"] == 43
    again = root({"find": "things", "batchSize": 4})["cursor"]["id"]
    assert root({"killCursors": "things", "cursors": [again]})["cursorsKilled"] == [again]


def test_server_status_counts_connections_and_operations(login: As) -> None:
    root = login("root@admin")
    before = root({"serverStatus": 1}, "admin")
    root({"insert": "t", "documents": [{}, {}]})
    root({"find": "t"})
    after = root({"serverStatus": 1}, "admin")
    assert after["connections"]["current"] + after["connections"]["available"] == 1000
    assert after["opcounters"]["insert"] - before["opcounters"]["insert"] == 2
    assert after["opcounters"]["query"] - before["opcounters"]["query"] == 1


def message(body: bytes, opcode: int = wire.OP_MSG, request_id: int = 7) -> bytes:
    return struct.pack("<4i", 16 + len(body), request_id, 0, opcode) + body


def test_a_message_with_a_document_sequence_is_one_command() -> None:
    head = bson.encode({"insert": "t", "$db": "shop"})
    documents = b"documents\0" + bson.encode({"a": 1}) + bson.encode({"a": 2})
    raw = message(
        struct.pack("<I", 0) + b"\0" + head + b"\1" + struct.pack("<i", 4 + len(documents)) + documents
    )
    assert wire.message_length(raw) == len(raw)
    request = wire.parse(raw)
    assert request.body == {"insert": "t", "$db": "shop", "documents": [{"a": 1}, {"a": 2}]}
    assert request.wants_reply


@pytest.mark.parametrize(
    "raw",
    [
        message(b"", opcode=2012),
        message(struct.pack("<I", 0)),
        message(struct.pack("<I", 1 << 5) + b"\0" + bson.encode({})),
        message(struct.pack("<I", 0) + b"\7" + bson.encode({})),
        message(struct.pack("<I", 0) + b"\0" + struct.pack("<i", 9999)),
        message(struct.pack("<I", 0) + b"\0\5\0\0\0\1"),
    ],
)
def test_a_malformed_message_is_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(wire.ProtocolError):
        wire.parse(raw)


def test_an_impossible_length_is_a_protocol_error() -> None:
    with pytest.raises(wire.ProtocolError):
        wire.message_length(struct.pack("<4i", 100_000_000, 0, 0, wire.OP_MSG))
    assert wire.message_length(b"\1\2") is None


def test_the_embedded_server_and_a_real_one_are_started_with_the_same_options(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "host": "127.1.10.5",
        "port": 27017,
        "username": "root",
        "password_file": tmp_path / "password",
        "data_directory": tmp_path / "data",
        "certificate": tmp_path / "c.pem",
        "key": tmp_path / "k.pem",
        "ready_file": tmp_path / "ready",
    }
    embedded = launch.database_command(**options)
    real = launch.database_command(**options, mongod="/opt/bin/mongod")
    assert embedded[1:3] == ["-m", "sandbox.database"]
    assert real[1:3] == ["-m", "sandbox.database.mongod"]
    assert real[3 : len(embedded)] == embedded[3:]
    assert real[len(embedded) :] == ["--mongod", "/opt/bin/mongod"]
    with pytest.raises(ValueError, match="go together"):
        launch.database_command(**{**options, "key": None})


def test_a_real_mongod_runs_with_access_control_a_replica_set_and_tls(tmp_path: Path) -> None:
    arguments = mongod.run_arguments("mongod", "127.1.10.5", 27017, tmp_path, tmp_path / "server.pem")
    assert "--auth" in arguments
    assert arguments[arguments.index("--replSet") + 1] == "rs0"
    assert arguments[arguments.index("--tlsMode") + 1] == "requireTLS"
    assert "--auth" not in mongod.setup_arguments("mongod", "127.1.10.5", 27017, tmp_path)
