"""Index builds beside other clients' commands, without sockets: the steps are taken one at a time."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.database import commands, index_builds
from sandbox.database.commands.users import add_user
from sandbox.database.instance import Connection, Instance
from sandbox.database.steps import Steps, finish

Document = dict[str, Any]
DOCUMENTS = 2500


class Clients:
    """Two clients of one server; `build` asks for an index and takes the first step."""

    def __init__(self) -> None:
        self.instance = Instance("127.0.0.1:27017")
        identifier = add_user(
            self.instance, "root", "admin", "s3cret", [{"role": "root", "db": "admin"}]
        ).identifier
        self.connections = [
            Connection(number, f"127.0.0.1:{number}", users={"admin": identifier}) for number in (1, 2)
        ]
        for connection in self.connections:
            self.instance.connections[connection.id] = connection
        documents = [{"_id": n, "n": n, "pair": n // 2} for n in range(DOCUMENTS)]
        self.run({"insert": "things", "documents": documents})

    def run(self, body: Document, database: str = "shop") -> Document:
        return commands.run(self.instance, self.connections[0], {**body, "$db": database})

    def start(self, key: Document, client: int = 1, **options: Any) -> Steps[Document]:
        specification = {"key": key, "name": "built", **options}
        body = {"createIndexes": "things", "indexes": [specification], "$db": "shop"}
        steps = commands.steps(self.instance, self.connections[client], body)
        next(steps)
        return steps

    def builds(self) -> list[Document]:
        shown: list[Document] = self.run(
            {"currentOp": 1, "desc": {"$regex": "^IndexBuilds"}, "command.createIndexes": "things"}, "admin"
        )["inprog"]
        return shown

    def names(self) -> set[str]:
        return set(self.instance.databases["shop"]["things"].indexes)

    def entries_are_right(self) -> bool:
        things = self.instance.databases["shop"]["things"]
        return all(
            list(index.entries)
            == sorted(
                (key, at) for at, record in things.records.items() for key in index.keys_of(record.document)
            )
            for index in things.indexes.values()
        )


@pytest.fixture
def clients() -> Clients:
    return Clients()


def test_a_build_is_seen_in_current_op_with_its_progress_until_it_is_done(clients: Clients) -> None:
    steps = clients.start({"n": 1})
    (shown,) = clients.builds()
    assert shown["progress"] == {"done": 1000, "total": DOCUMENTS}
    assert shown["msg"].endswith("1000/2500 40%")
    assert shown["ns"] == "shop.things"
    assert clients.names() == {"_id_"}, "no query may use half an index"
    assert finish(steps)["numIndexesAfter"] == 2
    assert clients.builds() == []
    assert clients.names() == {"_id_", "built"}


def test_the_client_that_waits_for_the_build_is_active_too(clients: Clients) -> None:
    steps = clients.start({"n": 1})
    shown = clients.run({"currentOp": 1}, "admin")["inprog"]
    assert [each["desc"] for each in shown][:2] == ["conn1", "conn2"]
    assert shown[1]["command"]["createIndexes"] == "things"
    finish(steps)


def test_writes_during_a_build_are_in_the_index(clients: Clients) -> None:
    steps = clients.start({"n": -1, "pair": 1})
    clients.run({"insert": "things", "documents": [{"_id": "new", "n": 7}]})
    for scanned_or_not in (10, 2400):
        clients.run(
            {"update": "things", "updates": [{"q": {"_id": scanned_or_not}, "u": {"$set": {"n": -5}}}]}
        )
        clients.run({"delete": "things", "deletes": [{"q": {"_id": scanned_or_not + 1}, "limit": 1}]})
    clients.run({"delete": "things", "deletes": [{"q": {"_id": "new"}, "limit": 1}]})
    clients.run({"insert": "things", "documents": [{"_id": "newer", "n": 8}]})
    finish(steps)
    assert clients.names() == {"_id_", "built"}
    assert clients.entries_are_right()


def test_a_duplicate_fails_the_build_at_its_end_and_leaves_no_index(clients: Clients) -> None:
    reply = finish(clients.start({"pair": 1}, unique=True))
    assert (reply["code"], reply["keyPattern"]) == (11000, {"pair": 1})
    assert clients.names() == {"_id_"}
    assert clients.builds() == []


def test_a_duplicate_that_goes_before_the_end_of_the_build_does_not_matter(clients: Clients) -> None:
    clients.run({"insert": "things", "documents": [{"_id": "twin", "n": 3}]})
    steps = clients.start({"n": 1}, unique=True)
    clients.run({"delete": "things", "deletes": [{"q": {"_id": "twin"}, "limit": 1}]})
    assert finish(steps)["ok"] == 1.0


def test_who_asks_for_the_same_index_waits_for_it(clients: Clients) -> None:
    first = clients.start({"n": 1})
    second = clients.start({"n": 1}, client=0)
    assert len(clients.builds()) == 1
    assert finish(first)["numIndexesAfter"] == 2
    assert finish(second)["note"] == "all indexes already exist"


@pytest.mark.parametrize(
    "drop",
    [
        {"dropIndexes": "things", "index": "built"},
        {"dropIndexes": "things", "index": {"n": 1}},
        {"dropIndexes": "things", "index": "*"},
        {"drop": "things"},
        {"dropDatabase": 1},
    ],
)
def test_a_drop_aborts_the_build(clients: Clients, drop: Document) -> None:
    steps = clients.start({"n": 1})
    assert clients.run(drop)["ok"] == 1.0
    reply = finish(steps)
    assert (reply["code"], reply["codeName"]) == (276, "IndexBuildAborted")
    assert clients.builds() == []


def test_an_index_that_is_being_built_is_listed_as_in_mongodb(clients: Clients) -> None:
    steps = clients.start({"n": 1})
    listed = clients.run({"listIndexes": "things"})["cursor"]["firstBatch"]
    assert [each["name"] for each in listed] == ["_id_", "built"]
    assert clients.run({"collStats": "things"})["indexBuilds"] == ["built"]
    finish(steps)


def test_a_build_ends_when_its_time_is_over(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    specification = {"key": {"n": 1}, "name": "built"}
    body = {"createIndexes": "things", "indexes": [specification], "maxTimeMS": 60_000, "$db": "shop"}
    steps = commands.steps(clients.instance, clients.connections[1], body)
    next(steps)
    later = time.monotonic() + 61
    monkeypatch.setattr(index_builds, "time", SimpleNamespace(monotonic=lambda: later))
    assert finish(steps)["code"] == 50
    assert clients.names() == {"_id_"}
