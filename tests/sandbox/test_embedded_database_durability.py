"""The embedded database with a data directory: killed and started again, and on a disk that is full.

The disk is full for the server by its limit of a file's size (RLIMIT_FSIZE), which can be set and lifted from
outside, while it runs, without root.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import BulkWriteError, OperationFailure

from sandbox.database import launch

REPOSITORY = Path(__file__).resolve().parents[2]
Client = MongoClient[dict[str, Any]]


@dataclass
class Server:
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        (self.folder / "password").write_text("s3cret")
        command = launch.database_command(
            host="127.0.0.1",
            port=0,
            username="root",
            password_file=self.folder / "password",
            data_directory=self.folder / "data",
            ready_file=ready,
        )
        self.process = subprocess.Popen(command, cwd=REPOSITORY)
        while not ready.exists():
            assert self.process.poll() is None
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        self.address = ready.read_text().strip()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def client(self) -> Client:
        return MongoClient(
            f"mongodb://root:s3cret@{self.address}/?replicaSet=rs0", serverSelectionTimeoutMS=5000
        )

    def allow(self, more_bytes: int | None) -> None:
        """How many bytes more may be written to the journal; None for any number."""
        assert self.process is not None
        size = (self.folder / "data" / "journal.bson").stat().st_size
        limit = resource.RLIM_INFINITY if more_bytes is None else size + more_bytes
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    started.start()
    yield started
    started.kill()


def contents(client: Client) -> dict[str, Any]:
    return {
        "documents": {name: list(client.shop[name].find()) for name in client.shop.list_collection_names()},
        "catalogue": [
            (each["name"], each["options"], each["info"]["uuid"]) for each in client.shop.list_collections()
        ],
        "indexes": {
            name: client.shop[name].index_information() for name in client.shop.list_collection_names()
        },
        "users": sorted(
            client.admin.command("usersInfo", {"forAllDBs": True})["users"], key=lambda user: user["_id"]
        ),
    }


def fill(client: Client) -> None:
    shop = client.shop
    shop.create_collection("strict", validator={"$jsonSchema": {"required": ["n"]}}, validationAction="error")
    shop.strict.insert_many([{"_id": n, "n": n, "tags": ["a", n]} for n in range(50)])
    shop.strict.create_index([("tags", 1), ("n", -1)], name="tags")
    shop.strict.create_index("n", unique=True)
    shop.strict.create_index("at", expireAfterSeconds=60, name="old")
    shop.command("collMod", "strict", index={"name": "old", "expireAfterSeconds": 90})
    shop.strict.create_index("gone")
    shop.strict.drop_index("gone_1")
    shop.strict.delete_one({"_id": 7})
    shop.strict.update_many({"n": {"$lt": 5}}, {"$set": {"low": True}})
    shop.dropped.insert_one({})
    shop.dropped.drop()
    shop.command("createUser", "app", pwd="one", roles=["readWrite"])
    shop.command("updateUser", "app", pwd="two")
    shop.command("createUser", "gone", pwd="one", roles=["readWrite"])
    shop.command("dropUser", "gone")


def test_a_killed_server_has_everything_again_after_its_next_start(server: Server) -> None:
    with server.client() as client:
        fill(client)
        before = contents(client)
    assert (server.folder / "data" / "journal.bson").stat().st_mode & 0o777 == 0o600
    for _ in range(2):  # the second start reads what the first one wrote anew
        server.kill()
        server.start()
        with server.client() as client:
            assert contents(client) == before
    with server.client() as client:
        with pytest.raises(OperationFailure) as refused:
            client.shop.strict.insert_one({"_id": "no n"})
        assert refused.value.code == 121
        assert client.shop.strict.find({"tags": 3}).explain()["executionStats"]["totalDocsExamined"] == 1
        assert client.shop.strict.insert_one({"n": 100}).acknowledged
    app: Client = MongoClient(f"mongodb://app:two@{server.address}/?replicaSet=rs0&authSource=shop")
    with app:
        assert app.shop.strict.count_documents({}) == 50


def test_an_entry_that_was_cut_off_is_left_out(server: Server) -> None:
    with server.client() as client:
        client.shop.things.insert_many([{"_id": 1}, {"_id": 2}])
    server.kill()
    journal = server.folder / "data" / "journal.bson"
    os.truncate(journal, journal.stat().st_size - 3)
    server.start()
    with server.client() as client:
        assert [each["_id"] for each in client.shop.things.find()] == [1]


def test_on_a_full_disk_every_write_is_refused_and_changes_nothing(server: Server) -> None:
    with server.client() as client:
        fill(client)
        before = contents(client)
        server.allow(0)
        shop = client.shop
        for write in (
            lambda: shop.strict.insert_one({"n": 200}),
            lambda: shop.strict.update_one({"_id": 1}, {"$set": {"n": -1}}),
            lambda: shop.strict.replace_one({"_id": "new"}, {"n": 300}, upsert=True),
            lambda: shop.strict.find_one_and_update({"_id": 1}, {"$inc": {"n": 1000}}),
            lambda: shop.strict.delete_one({"_id": 1}),
            lambda: shop.strict.create_index("more"),
            lambda: shop.strict.drop_index("tags"),
            lambda: shop.command("collMod", "strict", validator={}),
            lambda: shop.command("collMod", "strict", index={"name": "old", "expireAfterSeconds": 5}),
            lambda: shop.create_collection("new"),
            lambda: shop.other.insert_one({}),
            shop.strict.drop,
            lambda: shop.command("createUser", "late", pwd="x", roles=[]),
            lambda: shop.command("updateUser", "app", pwd="three"),
        ):
            with pytest.raises(OperationFailure, match="Not enough disk space") as refused:
                write()
            assert refused.value.code == 14031
        assert contents(client) == before
        server.allow(None)
        assert shop.strict.update_one({"_id": 1}, {"$set": {"n": -1}}).modified_count == 1


def test_a_disk_that_fills_up_within_a_batch_keeps_what_fitted(server: Server) -> None:
    with server.client() as client:
        client.shop.things.insert_one({"_id": "first"})
        server.allow(5000)
        with pytest.raises(BulkWriteError) as refused:
            client.shop.things.insert_many([{"_id": n, "text": "x" * 900} for n in range(20)])
        inserted = refused.value.details["nInserted"]
        assert 0 < inserted < 20
        assert refused.value.details["writeErrors"][0]["code"] == 14031
        found = list(client.shop.things.find())
        assert len(found) == inserted + 1
    server.kill()
    server.start()
    with server.client() as client:
        assert list(client.shop.things.find()) == found
