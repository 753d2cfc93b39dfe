"""Phase 2: account, engine and seed, in slices; and the way back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.domain.errors import MisconfiguredError
from cutover.steps.migrate import migrate, sentence, undo
from tests.contract.fakes import FakeDatabase, FakeMigrator

SMOKE_USER = {"email": "smoke@example.com", "password": "right"}
APPLICATION = {"username": "app_user", "password": "secret"}
SEED = {
    "users": [
        {"_id": "u1", "email": "x", "password_hash": {"from_secret": "SMOKE_PASSWORD", "as": "scrypt"}}
    ],
    "models": [{"_id": "m1", "provider": "openai", "status": "active"}],
}


def migrated(
    database: FakeDatabase, migrator: FakeMigrator | None = None, seed: dict[str, Any] = SEED
) -> dict[str, Any]:
    engine = migrator or FakeMigrator()
    return migrate("d2", seed, APPLICATION, SMOKE_USER, migrator=engine, database=database)


def test_account_migrations_and_seed_are_made() -> None:
    database = FakeDatabase()
    answer = migrated(database, FakeMigrator(pending=["0009_drop_words"]))

    assert answer["status"] == "done"
    assert [gate["requirement"] for gate in answer["gates"]] == ["C2a", "C2c", "C2b"]
    assert {gate["verdict"] for gate in answer["gates"]} == {"Pass"}
    assert database.users == {"app_user": "secret"}
    assert database.documents["users"]["u1"]["email"] == "smoke@example.com"
    assert answer["contractions"] == ["0009_drop_words"]


def test_the_seed_waits_for_the_migrations() -> None:
    database, migrator = FakeDatabase(), FakeMigrator(slices=1)
    answer = migrated(database, migrator)

    assert (answer["status"], answer["found"]) == ("running", "0002_backfill 10 % (100,000 of 1,000,000)")
    assert database.documents == {}
    assert migrated(database, migrator)["status"] == "done"
    assert set(database.documents) == {"users", "models"}


def test_the_smoke_users_password_is_hashed_as_the_backend_hashes() -> None:
    from backend.passwords import verify_password

    database = FakeDatabase()
    migrated(database)
    assert verify_password("right", database.documents["users"]["u1"]["password_hash"])


def test_nothing_in_the_answer_is_secret() -> None:
    told = json.dumps(migrated(FakeDatabase()))
    assert "secret" not in told
    assert "right" not in told


def test_a_seed_that_is_there_stays_as_it_is() -> None:
    database = FakeDatabase()
    migrated(database)
    before = json.dumps(database.documents, sort_keys=True)
    answer = migrated(database)

    assert json.dumps(database.documents, sort_keys=True) == before
    assert answer["gates"][-1]["found"] == "0 inserted, 2 there already"


def test_a_secret_that_nobody_knows_is_named() -> None:
    seed = {"users": [{"_id": "u", "password_hash": {"from_secret": "OTHER", "as": "scrypt"}}]}
    with pytest.raises(MisconfiguredError, match="OTHER"):
        migrated(FakeDatabase(), seed=seed)


def test_what_has_no_way_back_closes_the_gate() -> None:
    answer = undo("d2", migrator=FakeMigrator(left=["0003_words"]))

    (gate,) = answer["gates"]
    assert gate["verdict"] == "Fail"
    assert answer["found"] == "taken back: 0002_backfill; left, for there is no way back: 0003_words"


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ({"done": 2, "total": 7, "current": None}, "2 of 7"),
        ({"current": "0003_x", "documents": 7, "of": None, "percent": None}, "0003_x (7 documents)"),
        (
            {"current": "0003_x", "documents": 410_000, "of": 1_000_000, "percent": 41.0},
            "0003_x 41 % (410,000 of 1,000,000)",
        ),
        ({"current": "index users.email"}, "index users.email"),
    ],
)
def test_people_read_how_far_it_is(progress: dict[str, Any], words: str) -> None:
    assert sentence(progress) == words
