"""MongoDB as its clients see it: pymongo over TLS and SCRAM against the embedded server's process.

With MONGO_URL against the server that it names: what this file expects is MongoDB's behaviour, not ours.
"""

import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import ASCENDING, DESCENDING, InsertOne, MongoClient, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from sandbox.database import launch
from tests.sandbox.database_kit import (
    DEADLINE_SECONDS,
    PASSWORD,
    REPOSITORY,
    USER,
    Client,
    Server,
    given,
    start,
    stop,
    wait_for,
)

DATABASES = ("shop", "other")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded server, or the one of MONGO_URL: what holds for one has to hold for the other."""
    started = given() or start(tmp_path_factory.mktemp("database"))
    with started.client() as client:
        taken = sorted(set(client.list_database_names()) & set(DATABASES))
        assert not taken, f"the tests would drop {taken} on {started.address}; give them another server"
    yield started
    stop(started)


@pytest.fixture
def embedded(server: Server) -> Server:
    if server.process is None:
        pytest.skip("this is about the embedded server's process; MONGO_URL names another")
    return server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as connected:
        yield connected
        for name in DATABASES:
            connected.drop_database(name)


@pytest.mark.parametrize("retry_writes", [True, False])
def test_a_connection_string_with_a_replica_set_and_tls_works(server: Server, retry_writes: bool) -> None:
    from urllib.parse import quote_plus

    if server.ca is None or server.replica_set is None:
        pytest.skip("the server of MONGO_URL has no TLS or no replica set")
    url = (
        f"mongodb://{quote_plus(server.user)}:{quote_plus(server.password)}@{server.address}/"
        f"?replicaSet={server.replica_set}&tls=true"
        f"&tlsCAFile={quote_plus(str(server.ca))}&w=majority&retryWrites={str(retry_writes).lower()}"
    )
    with MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=5000) as client:
        things = client.shop.things
        assert things.insert_one({"_id": "url", "retry": retry_writes}).acknowledged
        assert things.find_one_and_delete({"_id": "url"}) == {"_id": "url", "retry": retry_writes}
        assert client.topology_description.replica_set_name == server.replica_set


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_both_scram_mechanisms_let_the_right_password_in(server: Server, mechanism: str) -> None:
    with server.client(authMechanism=mechanism) as client:
        assert client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"] == [
            {"user": server.user, "db": "admin"}
        ]


@pytest.mark.parametrize(
    "options", [{}, {"authMechanism": "SCRAM-SHA-256"}, {"authMechanism": "SCRAM-SHA-1"}]
)
@pytest.mark.parametrize(("user", "password"), [(USER, "hunter2"), ("nobody", PASSWORD)])
def test_a_wrong_user_or_password_is_refused_alike_and_never_shown(
    server: Server, user: str, password: str, options: dict[str, Any]
) -> None:
    with server.client(user, password, **options) as client, pytest.raises(OperationFailure) as refused:
        client.shop.things.find_one()
    assert (refused.value.code, refused.value.details["codeName"]) == (18, "AuthenticationFailed")
    assert refused.value.details["errmsg"] == "Authentication failed."
    log = server.logged()
    assert password not in str(refused.value) + log
    assert server.password not in log


def test_a_client_without_tls_or_without_the_ca_gets_nowhere(embedded: Server) -> None:
    ignorant = replace(embedded, ca=None)
    for tls in (False, True):
        with (
            ignorant.client(tls=tls, serverSelectionTimeoutMS=500) as client,
            pytest.raises(ServerSelectionTimeoutError),
        ):
            client.admin.command("ping")


def test_a_client_without_a_login_is_refused(server: Server) -> None:
    host, port = server.address.split(":")
    tls = {"tls": True, "tlsCAFile": str(server.ca)} if server.ca else {}
    with (
        MongoClient[dict[str, Any]](host, int(port), **tls) as client,
        pytest.raises(OperationFailure) as refused,
    ):
        client.shop.things.find_one()
    assert (refused.value.code, refused.value.details["codeName"]) == (13, "Unauthorized")


def test_an_application_user_reads_and_writes_its_own_database_only(server: Server, client: Client) -> None:
    client.shop.command("createUser", "app", pwd="one", roles=["readWrite"])
    try:
        with server.client("app", "one", authSource="shop") as app:
            app.shop.things.insert_one({"_id": 1})
            app.shop.things.create_index("n", background=True)
            for forbidden in (
                lambda: app.other.things.insert_one({"_id": 1}),
                lambda: app.admin.command("serverStatus"),
                lambda: app.shop.command("createUser", "evil", pwd="x", roles=["root"]),
            ):
                with pytest.raises(OperationFailure) as refused:
                    forbidden()
                assert refused.value.code == 13
        client.shop.command("updateUser", "app", pwd="two")
        with server.client("app", "two", authSource="shop") as app:
            assert app.shop.things.count_documents({}) == 1
        with (
            server.client("app", "one", authSource="shop") as app,
            pytest.raises(OperationFailure) as refused,
        ):
            app.shop.things.find_one()
        assert refused.value.code == 18
    finally:
        client.shop.command("dropUser", "app")


@pytest.mark.parametrize(
    ("act", "code", "name"),
    [
        (lambda db: db.things.find_one({"a": {"$nope": 1}}), 2, "BadValue"),
        (lambda db: db.things.update_one({}, {"$nope": {"a": 1}}), 9, None),
        (lambda db: list(db.things.aggregate([{"$nope": {}}])), 40324, "Location40324"),
        (lambda db: db.command("nope"), 59, "CommandNotFound"),
        (lambda db: db.command("find", "things", nope=1), 40415, "Location40415"),
        (lambda db: db.things.create_index("a", nope=True), 197, "InvalidIndexSpecificationOption"),
        (lambda db: db.command("listIndexes", "nothing"), 26, "NamespaceNotFound"),
    ],
)
def test_what_mongodb_does_not_know_reaches_the_client_as_mongodbs_error(
    client: Client, act: Callable[[Any], Any], code: int, name: str | None
) -> None:
    with pytest.raises(OperationFailure) as refused:
        act(client.shop)
    assert refused.value.code == code
    if name is not None:
        assert refused.value.details["codeName"] == name


def test_a_duplicate_is_a_duplicate_key_error_that_names_the_key(client: Client) -> None:
    users = client.shop.users
    users.create_index([("email", ASCENDING)], unique=True)
    users.insert_one({"email": "a@b.c"})
    with pytest.raises(DuplicateKeyError) as refused:
        users.insert_one({"email": "a@b.c"})
    assert refused.value.details["keyPattern"] == {"email": 1}
    assert refused.value.details["keyValue"] == {"email": "a@b.c"}
    with pytest.raises(BulkWriteError) as bulk:
        users.bulk_write(
            [InsertOne({"email": "a@b.c"}), UpdateOne({"email": "x"}, {"$set": {"n": 1}}, upsert=True)],
            ordered=False,
        )
    assert (bulk.value.details["nUpserted"], len(bulk.value.details["writeErrors"])) == (1, 1)


def test_an_index_answers_a_query_as_explain_says(client: Client) -> None:
    orders = client.shop.orders
    orders.insert_many([{"customer": n % 10, "at": n} for n in range(500)])
    query = orders.find({"customer": 3}).sort("at", DESCENDING)
    before = query.clone().explain()["executionStats"]
    assert (before["executionStages"]["stage"], before["totalDocsExamined"]) == ("SORT", 500)
    orders.create_index([("customer", 1), ("at", -1)])
    after = query.clone().explain()["executionStats"]
    assert after["executionStages"]["inputStage"]["stage"] == "IXSCAN"
    assert (after["nReturned"], after["totalDocsExamined"], after["totalKeysExamined"]) == (50, 50, 50)
    assert [each["at"] for each in query][:3] == [493, 483, 473]
    uses = {each["name"]: each["accesses"]["ops"] for each in orders.aggregate([{"$indexStats": {}}])}
    assert uses["customer_1_at_-1"] == 1
    assert set(orders.index_information()) == {"_id_", "customer_1_at_-1"}


def test_others_read_and_write_while_an_index_is_built(embedded: Server, client: Client) -> None:
    orders = client.shop.orders
    for first in range(0, 50_000, 10_000):
        orders.insert_many([{"n": n} for n in range(first, first + 10_000)])
    building = threading.Thread(target=orders.create_index, args=("n",), kwargs={"unique": True})
    building.start()
    seen: list[dict[str, Any]] = []
    written = 0
    with embedded.client() as other:
        other.admin.command("ping")
        while building.is_alive():
            seen += other.admin.command(
                "currentOp", **{"command.createIndexes": "orders", "progress": {"$ne": None}}
            )["inprog"]
            other.shop.orders.insert_one({"n": -1 - written})
            written += 1
    building.join()
    shares = [each["progress"]["done"] / each["progress"]["total"] for each in seen]
    assert shares
    assert shares == sorted(shares)
    assert 0 < shares[0] < 1
    assert written > 1
    found = orders.find({"n": {"$lt": 0}}).explain()["executionStats"]
    assert (found["totalKeysExamined"], found["nReturned"]) == (written, written)


def test_a_large_result_comes_in_batches_below_mongodbs_limit(client: Client) -> None:
    blobs = client.shop.blobs
    blobs.insert_many([{"_id": n, "blob": b"x" * 3_000_000} for n in range(12)])
    found = [(each["_id"], len(each["blob"])) for each in blobs.find().sort("_id", 1)]
    assert found == [(n, 3_000_000) for n in range(12)]
    with pytest.raises(PyMongoError, match=r"BSON|too large"):
        blobs.insert_one({"blob": b"x" * (16 * 1024 * 1024)})


def test_increments_of_many_clients_at_once_all_count(server: Server, client: Client) -> None:
    counters = client.shop.counters
    failures: list[BaseException] = []

    def count() -> None:
        try:
            with server.client() as own:
                for _ in range(50):
                    own.shop.counters.update_one({"_id": "hits"}, {"$inc": {"n": 1}}, upsert=True)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert failures == []
    assert counters.find_one() == {"_id": "hits", "n": 200}


def test_sessions_work_and_transactions_are_refused(client: Client) -> None:
    with client.start_session() as session:
        client.shop.things.insert_one({"_id": 1}, session=session)
        assert client.shop.things.count_documents({}, session=session) == 1
        with pytest.raises(OperationFailure) as refused, session.start_transaction():
            client.shop.things.insert_one({"_id": 2}, session=session)
        assert refused.value.code == 20
    assert client.shop.things.count_documents({}) == 1


def test_monitoring_finds_what_it_asks_for(client: Client) -> None:
    assert client.server_info()["version"]
    status = client.admin.command("serverStatus")
    assert status["connections"]["current"] >= 1
    assert status["connections"]["available"] > 0
    assert status["repl"]["setName"] == client.admin.command("hello")["setName"]
    operations = client.admin.command("currentOp", **{"command.currentOp": 1})["inprog"]
    assert [each["command"]["currentOp"] for each in operations] == [1]
    assert any(each.get("active") for each in client.admin.aggregate([{"$currentOp": {}}]))
    assert client.admin.command("replSetGetStatus")["members"][0]["stateStr"] == "PRIMARY"


def test_garbage_closes_its_own_connection_and_no_other(embedded: Server, client: Client) -> None:
    host, port = embedded.address.split(":")
    context = ssl.create_default_context(cafile=str(embedded.ca))
    for garbage in (b"GET / HTTP/1.1\r\n\r\n" * 4, struct.pack("<4i", 26, 1, 0, 2012) + b"x" * 10):
        with (
            socket.create_connection((host, int(port)), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=host) as secured,
        ):
            secured.sendall(garbage)
            assert secured.recv(100) == b""
    assert client.admin.command("ping")["ok"] == 1.0


def test_expired_documents_go_by_themselves(tmp_path: Path) -> None:
    server = start(tmp_path, "--ttl-monitor-seconds", "0.05", tls=False)
    try:
        with server.client() as client:
            from datetime import UTC, datetime, timedelta

            client.shop.tokens.create_index("at", expireAfterSeconds=60)
            current = datetime.now(UTC)
            client.shop.tokens.insert_many(
                [{"_id": "old", "at": current - timedelta(minutes=2)}, {"_id": "new", "at": current}]
            )
            wait_for("the expiry", lambda: client.shop.tokens.count_documents({}) == 1)
            assert client.shop.tokens.find_one()["_id"] == "new"
    finally:
        stop(server)


def test_sigterm_ends_the_server_cleanly_with_connections_open(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        with server.client() as client:
            client.admin.command("ping")
            assert server.process is not None
            server.process.terminate()
            assert server.process.wait(DEADLINE_SECONDS) == 0
        assert server.ready_file is not None
        assert not server.ready_file.exists()
        assert "Traceback" not in server.logged()
    finally:
        stop(server)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sandbox.database", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"},
    )


def test_a_port_that_is_taken_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port), "--username", "u", "--password-file", str(tmp_path / "password"))
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"embedded database: 127.0.0.1:{port} is taken by another process; stop it or choose another --port"
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--password-file", "{}/none"], "--password-file {}/none can't be read"),
        (["--password-file", "{}/empty"], "--password-file {}/empty is empty"),
        (["--password-file", "{}/good", "--certificate", "{}/good"], "--certificate and --key go together"),
        (
            ["--password-file", "{}/good", "--certificate", "{}/none", "--key", "{}/good"],
            "--certificate {}/none is not a file",
        ),
        (
            ["--password-file", "{}/good", "--certificate", "{}/good", "--key", "{}/good"],
            "--certificate {}/good and --key {}/good can't be used",
        ),
    ],
)
def test_a_wrong_option_is_one_clear_message(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "good").write_text("s3cret")
    ended = run("--port", "0", "--username", "u", *(each.format(tmp_path) for each in arguments))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert words.replace("{}", str(tmp_path)) in line
    assert "s3cret" not in line


def test_a_real_mongod_that_does_not_start_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.real_server() is None
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    assert launch.real_server() == str(broken)
    (tmp_path / "password").write_text("s3cret")
    command = launch.database_command(
        host="127.0.0.1",
        port=1,
        username="u",
        password_file=tmp_path / "password",
        data_directory=tmp_path / "data",
        mongod=str(broken),
    )
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, cwd=REPOSITORY
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        "mongod: mongod ended with 3; its own messages are above\n",
    )
    assert (tmp_path / "data" / "member.key").stat().st_mode & 0o777 == 0o600


def test_a_real_mongod_is_ended_with_its_wrapper_even_while_it_is_set_up(tmp_path: Path) -> None:
    silent = tmp_path / "mongod"
    silent.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    silent.chmod(0o755)
    (tmp_path / "password").write_text("s3cret")
    command = launch.database_command(
        host="127.0.0.1",
        port=1,
        username="u",
        password_file=tmp_path / "password",
        data_directory=tmp_path / "data",
        mongod=str(silent),
    )
    wrapper = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        wait_for("mongod", lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
        wrapper.terminate()
        assert wrapper.wait(DEADLINE_SECONDS) == 0
    finally:
        wrapper.kill()
        wrapper.wait()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
