"""What every database does with accounts, seeds and questions: the one in memory, and a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from pymongo.errors import OperationFailure

from cutover.adapters.mongo import AUTHENTICATION_FAILED, MongoDatabase, connect
from cutover.domain.errors import AccessDeniedError, NotReachableError
from cutover.domain.queries import NamedQuery
from tests.contract.fakes import FakeDatabase
from tests.sandbox.database_kit import PASSWORD, USER, Server


@dataclass(frozen=True)
class Subject:
    """`login` tries a user's password in the database, and says whether it may."""

    database: MongoDatabase | FakeDatabase
    login: Callable[[str, str], bool]


def administered(server: Server, name: str) -> MongoDatabase:
    host, port = server.address.split(":")
    return MongoDatabase(connect(host, int(port), server.user, server.password, str(server.ca)), name)


@pytest.fixture
def name(database_server: Server) -> Iterator[str]:
    """A database of the test's own, gone with its users at the end: the server may be somebody's."""
    unique = f"db_{uuid4().hex[:8]}"
    yield unique
    with database_server.client() as client:
        client[unique].command("dropAllUsersFromDatabase")
        client.drop_database(unique)


@pytest.fixture(params=["memory", "mongodb"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "memory":
        fake = FakeDatabase()
        return Subject(fake, lambda user, password: fake.users.get(user) == password)
    server, name = request.getfixturevalue("database_server"), request.getfixturevalue("name")

    def login(user: str, password: str) -> bool:
        client = server.client(user, password, authSource=name)
        try:
            client[name]["models"].insert_one({"_id": uuid4().hex})
        except OperationFailure as error:
            if error.code != AUTHENTICATION_FAILED:
                raise
            return False
        finally:
            client.close()
        return True

    return Subject(administered(server, name), login)


def test_an_account_can_log_in_with_its_present_password_only(subject: Subject) -> None:
    subject.database.ensure_user("app_user", "first")
    assert subject.login("app_user", "first")

    subject.database.ensure_user("app_user", "second")
    assert subject.login("app_user", "second")
    assert not subject.login("app_user", "first")


def test_what_is_there_is_not_inserted_again(subject: Subject) -> None:
    assert subject.database.insert_missing("models", {"_id": "m1", "name": "first"})
    assert not subject.database.insert_missing("models", {"_id": "m1", "name": "second"})

    found = subject.database.sample("models")
    assert found is not None
    assert found["name"] == "first"


def test_an_empty_collection_has_no_sample(subject: Subject) -> None:
    assert subject.database.sample("nowhere") is None


def test_a_sample_makes_a_collection_one_document_large(subject: Subject) -> None:
    assert subject.database.size("models") == 0
    subject.database.insert_missing("models", {"_id": "m1"})
    assert subject.database.size("models") == 1


def test_connections_are_told_with_their_limit(subject: Subject) -> None:
    connections = subject.database.connections()
    assert connections is not None
    assert 0 < connections[0] < connections[1]


def test_a_query_by_its_index_says_which(database_server: Server, name: str) -> None:
    database_server.client()[name]["evaluations"].create_index(
        [("user_id", 1), ("created_at", -1)], name="user_newest"
    )
    database = administered(database_server, name)
    database.insert_missing("evaluations", {"_id": "e1", "user_id": "u1", "created_at": 1})

    newest = NamedQuery("newest", "evaluations", {"user_id": "u1"}, (("created_at", -1),))
    explained = database.explain(newest)
    assert (explained.index, explained.scans, explained.sorts) == ("user_newest", False, False)
    assert len(database.milliseconds(newest, 3)) == 3


def test_a_query_without_an_index_is_a_scan_and_a_sort(database_server: Server, name: str) -> None:
    database = administered(database_server, name)
    database.insert_missing("evaluations", {"_id": "e1", "score": 1})

    explained = database.explain(NamedQuery("q", "evaluations", {"score": 1}, (("created_at", -1),)))
    assert (explained.index, explained.scans, explained.sorts) == (None, True, True)


def test_a_wrong_password_is_access_denied(database_server: Server) -> None:
    host, port = database_server.address.split(":")
    database = MongoDatabase(
        connect(host, int(port), database_server.user, "wrong", str(database_server.ca)), "db"
    )
    with pytest.raises(AccessDeniedError):
        database.sample("users")


def test_a_server_that_is_not_there_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutover.adapters.mongo.WAIT_MILLISECONDS", 200)
    database = MongoDatabase(connect("127.0.0.1", 1, USER, PASSWORD), "db")
    with pytest.raises(NotReachableError):
        database.sample("users")
