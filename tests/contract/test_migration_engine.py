"""The migration engine against a server: what it does to a database, and what it says of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from bson import encode
from pymongo.errors import WriteError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from cutover.adapters import backfill, schema_session
from cutover.adapters.schema_catalogue import builds
from cutover.domain.errors import MigrationFailedError, MigrationRefusedError, ServiceRefusedError
from cutover.steps import migrations
from tests.contract.migration_kit import Site, released, script

INDEXES: dict[str, Any] = {
    "users": [{"name": "email_unique", "keys": [["email", 1]], "unique": True}],
    "events": [
        {"name": "expiry", "keys": [["at", 1]], "expire_after_seconds": 3600},
        {"name": "open", "keys": [["kind", 1], ["at", -1]], "partial": {"closed": {"$eq": False}}},
        {"name": "tag", "keys": [["tag", 1]], "sparse": True},
    ],
}


def specification(site: Site, collection: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = site.database[collection].index_information()[name]
    return found


def test_the_first_run_makes_what_is_wanted_and_the_second_does_nothing(
    migrated: Site, tmp_path: Path
) -> None:
    release = released(tmp_path, {"indexes.json": INDEXES})
    first = migrated.run(release)

    assert first["status"] == "done"
    assert sorted(first["changed"]) == [
        "create events.expiry", "create events.open", "create events.tag", "create users.email_unique"
    ]  # fmt: skip
    assert [gate["found"] for gate in first["gates"]] == ["made"] * 4
    assert specification(migrated, "events", "expiry")["expireAfterSeconds"] == 3600
    assert specification(migrated, "events", "open")["partialFilterExpression"] == {"closed": {"$eq": False}}
    assert specification(migrated, "events", "tag")["sparse"]

    before = migrated.everything()
    again = migrated.run(release, deployment="d-2")
    assert again["changed"] == []
    assert [gate["found"] for gate in again["gates"]] == ["there"] * 4
    assert migrated.everything() == before


def test_planning_reads_only(migrated: Site, tmp_path: Path) -> None:
    files = {"indexes.json": INDEXES, "0001_a.py": script("expand", "pass", summary="Do nothing.")}
    told = migrations.plan(released(tmp_path, files), migrated.store())
    assert {action["what"] for action in told["actions"]} >= {"create users.email_unique"}
    assert told["migrations"] == [
        {"name": "0001_a", "kind": "expand", "summary": "Do nothing.", "reversible": False}
    ]
    assert told["refused"] == []
    assert migrated.database.list_collection_names() == []


def test_a_rebuild_that_is_allowed_replaces_the_index(migrated: Site, tmp_path: Path) -> None:
    migrated.database["users"].insert_one({"_id": 1, "email": "a"})
    migrated.database["users"].create_index([("email", 1)], name="old_name")
    wanted = {"users": [{**INDEXES["users"][0], "rebuild": True}]}
    assert migrated.run(released(tmp_path, {"indexes.json": wanted}))["changed"] == [
        "rebuild users.email_unique"
    ]
    assert set(migrated.database["users"].index_information()) == {"_id_", "email_unique"}

    migrated.undo(released(tmp_path, {"indexes.json": wanted}))
    assert set(migrated.database["users"].index_information()) == {"_id_", "old_name"}


def test_documents_may_expire_later_at_once_and_earlier_only_after_the_watch(
    migrated: Site, tmp_path: Path
) -> None:
    def release(seconds: int) -> Any:
        index = {**INDEXES["events"][0], "expire_after_seconds": seconds}
        return released(tmp_path, {"indexes.json": {"events": [index]}})

    migrated.database["events"].insert_one({"_id": 1})
    migrated.run(release(3600))
    assert migrated.run(release(7200), deployment="d-2")["changed"] == ["expire events.expiry"]
    assert specification(migrated, "events", "expiry")["expireAfterSeconds"] == 7200
    migrated.undo(release(7200), deployment="d-2")
    assert specification(migrated, "events", "expiry")["expireAfterSeconds"] == 3600

    assert migrated.run(release(60), deployment="d-3")["changed"] == []
    assert migrated.run(release(60), "contract", deployment="d-3", watched=True)["changed"] == [
        "expire events.expiry"
    ]
    assert specification(migrated, "events", "expiry")["expireAfterSeconds"] == 60


def test_a_validator_is_set_on_an_empty_collection_and_tightened_after_the_watch(
    migrated: Site, tmp_path: Path
) -> None:
    def release(*required: str) -> Any:
        schema = {"bsonType": "object", "required": list(required)}
        return released(tmp_path, {"validators.json": {"users": {"schema": schema}}})

    assert migrated.run(release("email"))["changed"] == ["validate users.validator"]
    with pytest.raises(WriteError):
        migrated.database["users"].insert_one({"_id": 1})
    migrated.database["users"].insert_one({"_id": 1, "email": "a", "name": "b"})

    tighter = release("email", "name")
    assert migrated.run(tighter, deployment="d-2")["changed"] == []
    migrated.database["users"].insert_one({"_id": 2, "email": "as the running version writes it"})
    migrated.database["users"].delete_one({"_id": 2})
    assert migrated.run(tighter, "contract", deployment="d-2", watched=True)["status"] == "done"
    with pytest.raises(WriteError):
        migrated.database["users"].insert_one({"_id": 2, "email": "c"})

    migrated.run(release("email"), deployment="d-3")
    migrated.database["users"].insert_one({"_id": 2, "email": "c"})


def test_an_index_is_dropped_only_when_it_is_declared_to_go_and_after_the_watch(
    migrated: Site, tmp_path: Path
) -> None:
    migrated.database["users"].create_index("legacy", name="legacy")
    migrated.database["users"].create_index("by_hand", name="by_hand")
    release = released(tmp_path, {"indexes.json": {"users": [{"name": "legacy", "drop": True}]}})
    migrated.run(release)
    assert "legacy" in migrated.database["users"].index_information()
    migrated.run(release, "contract", watched=True)
    assert set(migrated.database["users"].index_information()) == {"_id_", "by_hand"}


def test_undo_takes_back_what_this_deployment_did_and_no_more(migrated: Site, tmp_path: Path) -> None:
    users = migrated.database["users"]
    users.insert_many({"_id": n, "email": str(n)} for n in range(5))
    first = released(
        tmp_path / "1", {"0001_a.py": script("expand", 'progress.update("users", {}, {"$set": {"a": 1}})')}
    )
    migrated.run(first)
    files = {
        "indexes.json": {"users": INDEXES["users"]},
        "0001_a.py": first.scripts[0].source,
        "0002_b.py": script(
            "expand",
            'progress.update("users", {}, {"$set": {"b": 1}})',
            down='progress.update("users", {}, {"$unset": {"b": ""}})',
        ),
        "0003_c.py": script("expand", 'progress.update("users", {}, {"$set": {"c": 1}})'),
    }
    second = released(tmp_path / "2", files)
    migrated.run(second, deployment="d-2")
    told = migrated.undo(second, deployment="d-2")

    assert told["undone"] == ["0002_b", "create users.email_unique"]
    assert told["left"] == ["0003_c"]
    assert users.find_one({"_id": 1}) == {"_id": 1, "email": "1", "a": 1, "c": 1}
    assert set(users.index_information()) == {"_id_"}
    assert migrated.undo(second, deployment="d-2")["undone"] == []

    # The next deployment does again what was undone.
    assert migrated.run(second, deployment="d-3")["applied"] == ["0002_b"]
    assert users.count_documents({"b": 1}) == 5


def test_a_contract_migration_waits_below_expand_ones_that_run_before_it(
    migrated: Site, tmp_path: Path
) -> None:
    files = {
        "0001_a.py": script("expand", "pass"),
        "0002_old.py": script("contract", 'progress.update("users", {}, {"$unset": {"old": ""}})'),
        "0003_c.py": script("expand", "pass"),
    }
    release = released(tmp_path, files)
    assert migrated.run(release)["applied"] == ["0001_a", "0003_c"]
    assert migrated.run(release, deployment="d-2")["applied"] == []
    assert migrated.run(release, "contract", deployment="d-2", watched=True)["applied"] == ["0002_old"]


def test_an_older_release_lives_with_the_newer_ones_expand_migrations(migrated: Site, tmp_path: Path) -> None:
    old = {"0001_a.py": script("expand", "pass")}
    migrated.run(released(tmp_path / "new", {**old, "0002_b.py": script("expand", "pass")}))
    assert migrated.run(released(tmp_path / "old", old), deployment="d-2")["status"] == "done"


def test_the_running_releases_queries_protect_its_fields(migrated: Site, tmp_path: Path) -> None:
    migrated.database["users"].insert_one({"_id": 1, "nick": "text"})
    query = [{"name": "by nick", "collection": "users", "filter": {"nick": "x"}}]
    migrated.run(released(tmp_path / "1", {"queries.json": query}), "contract", watched=True)
    rewrite = {"0001_a.py": script("expand", 'progress.update("users", {}, {"$set": {"nick": 1}})')}
    with pytest.raises(MigrationRefusedError, match="“by nick” uses, holds string and would become int"):
        migrated.run(released(tmp_path / "2", rewrite), deployment="d-2")


def test_a_migration_that_breaks_says_where_and_goes_on_when_it_is_mended(
    migrated: Site, tmp_path: Path
) -> None:
    migrated.database["users"].insert_many({"_id": n} for n in range(3))
    first = 'progress.update("users", {}, {"$set": {"a": 1}})'
    with pytest.raises(MigrationFailedError, match=r"0001_a\.py:8: ZeroDivisionError: division by zero\. "):
        migrated.run(released(tmp_path, {"0001_a.py": script("expand", first, "1 / 0")}))
    assert migrated.run(released(tmp_path, {"0001_a.py": script("expand", first)}))["applied"] == ["0001_a"]


def test_a_refusal_of_the_server_names_the_migration(migrated: Site, tmp_path: Path) -> None:
    migrated.database["users"].insert_many({"_id": n, "email": n} for n in range(3))
    migrated.database["users"].create_index("email", unique=True)
    files = {"0001_a.py": script("expand", 'progress.update("users", {}, {"$set": {"email": 1}})')}
    with pytest.raises(ServiceRefusedError, match=r"0001_a\.py:7: duplicate key"):
        migrated.run(released(tmp_path, files))


def test_when_its_time_is_used_up_it_says_how_far_it_came_and_goes_on_from_there(
    migrated: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "BATCH", 10)
    migrated.database["users"].insert_many({"_id": n} for n in range(100))
    release = released(
        tmp_path,
        {"0001_a.py": script("expand", 'progress.update("users", {}, {"$inc": {"a": 1}}, once=True)')},
    )
    seen, calls = [], 0
    while True:
        left = iter([600.0] * 6)
        told = migrated.run(release, remaining=lambda left=left: next(left, 0.0))  # type: ignore[misc]
        calls += 1
        assert calls < 30
        if told["status"] == "done":
            break
        seen.append((told["progress"]["current"], told["progress"]["documents"], told["progress"]["of"]))
    assert calls > 3
    assert seen[0] == ("0001_a", seen[0][1], 100)
    assert 0 < seen[0][1] < 100
    assert migrated.database["users"].count_documents({"a": 1}) == 100


def test_every_type_of_id_is_walked(migrated: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison of MongoDB's stays within one type of value."""
    from bson import ObjectId
    from bson.binary import Binary

    monkeypatch.setattr(backfill, "BATCH", 2)
    ids = [None, 1, 2.5, 7, "a", "b", "c", {"x": 1}, ObjectId(), ObjectId(), Binary(b"1"), True, False]
    migrated.database["users"].insert_many({"_id": each} for each in ids)
    migrated.run(
        released(
            tmp_path,
            {"0001_a.py": script("expand", 'progress.update("users", {}, {"$inc": {"a": 1}}, once=True)')},
        )
    )
    assert list(migrated.database["users"].find({}, {"_id": 0})) == [{"a": 1}] * len(ids)


class Replies(CommandListener):
    """The largest reply that a client got, in bytes."""

    largest = 0

    def started(self, event: CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self.largest = max(self.largest, len(encode(event.reply)))

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def test_no_more_than_a_batch_of_ids_and_wanted_fields_is_ever_fetched(
    migrated: Site, tmp_path: Path
) -> None:
    """That is what bounds the memory; bench/backfill.py measures it over 1,000,000 documents."""
    migrated.database["users"].insert_many({"_id": n, "name": "a", "big": "x" * 20_000} for n in range(500))
    lines = (
        'progress.update("users", {}, {"$set": {"a": 1}})',
        'progress.transform("users", {}, ["name"], lambda it: {"$set": {"b": it["name"]}})',
    )
    replies = Replies()
    with migrated.connect(event_listeners=[replies]) as client:
        migrated.run(
            released(tmp_path, {"0001_a.py": script("expand", *lines)}), store=migrated.store(client)
        )
    assert migrated.database["users"].count_documents({"a": 1, "b": "a"}) == 500
    assert 5_000 < replies.largest < 40_000


@pytest.fixture
def many(migrated: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Enough documents for an index build that can be watched."""
    monkeypatch.setattr(schema_session, "LOOK_EVERY_SECONDS", 0.02)
    for first in range(0, 40_000, 10_000):
        migrated.database["events"].insert_many({"_id": n, "k": n} for n in range(first, first + 10_000))
    return migrated


KEYS = {"events": [{"name": "k", "keys": [["k", 1]]}, {"name": "k2", "keys": [["k", -1]]}]}


def test_an_index_that_another_attempt_is_building_is_waited_for(many: Site, tmp_path: Path) -> None:
    """As after a function's time was used up: the server builds on, and asking again would be one too many."""
    builder = threading.Thread(
        target=lambda: many.database["events"].create_index("k", name="k", background=True)
    )
    builder.start()
    while builder.is_alive() and not builds(many.database):
        continue
    assert builds(many.database)
    told = many.run(released(tmp_path, {"indexes.json": KEYS}))
    builder.join()
    assert told["status"] == "done"
    assert set(many.database["events"].index_information()) == {"_id_", "k", "k2"}


def test_a_long_build_is_handed_from_one_call_to_the_next_with_its_share(many: Site, tmp_path: Path) -> None:
    release = released(tmp_path, {"indexes.json": KEYS})
    left = iter([600.0, 600.0])
    told = many.run(release, remaining=lambda: next(left, 0.0))
    assert told["status"] == "running"
    assert told["progress"]["current"].startswith("create events.k")
    assert 0 <= told["progress"]["percent"] <= 100
    assert many.run(release)["status"] == "done"
    assert set(many.database["events"].index_information()) == {"_id_", "k", "k2"}


def test_a_transformation_reads_again_what_the_application_changed_meanwhile(
    migrated: Site, tmp_path: Path
) -> None:
    users = migrated.database["users"]
    users.insert_many({"_id": n, "name": f"first {n}"} for n in range(5))
    users.insert_one({"_id": "told"})
    lines = (
        "def initials(document):",
        '    if document["_id"] == 3 and document["name"].startswith("first"):',
        '        database["users"].update_one({"_id": 3}, {"$set": {"name": "second"}})',
        '    return {"$set": {"initial": document.get("name", "-")[:1]}}',
        'progress.transform("users", {"initial": {"$exists": False}}, ["name"], initials)',
    )
    migrated.run(released(tmp_path, {"0001_a.py": script("expand", *lines)}))
    assert users.find_one({"_id": 3}) == {"_id": 3, "name": "second", "initial": "s"}
    assert users.find_one({"_id": "told"}) == {"_id": "told", "initial": "-"}


def test_undo_puts_back_an_index_that_could_not_be_declared(migrated: Site, tmp_path: Path) -> None:
    """What a database held before Cutover came is not bound by DocumentDB's limits."""
    users = migrated.database["users"]
    users.insert_one({"_id": 1, "email": "a"})
    users.create_index([("email", 1)], name="email", partialFilterExpression={"kind": {"$in": ["a", "b"]}})
    before = users.index_information()
    wanted = {"users": [{"name": "email", "keys": [["email", 1]], "rebuild": True}]}
    release = released(tmp_path, {"indexes.json": wanted})
    migrated.run(release)
    assert users.index_information() != before
    migrated.undo(release)
    assert users.index_information() == before
