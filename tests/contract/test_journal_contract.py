"""What every journal keeps: the one in memory, and DynamoDB's."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.adapters.journal import DynamoJournal
from cutover.domain.errors import ConflictError, LockLostError
from cutover.domain.lock import Lock
from cutover.domain.records import LOCK, Key
from cutover.ports import Change, Journal
from tests.contract.fakes import FakeJournal

A, B = Key("DEPLOYMENT#a", "RECORD"), Key("DEPLOYMENT#b", "RECORD")
MINE = Lock("me", 3)


@pytest.fixture(params=["memory", "dynamodb"])
def journal(request: pytest.FixtureRequest) -> Journal:
    if request.param == "memory":
        return FakeJournal()
    aws = request.getfixturevalue("aws")
    client, name = aws.client("dynamodb"), aws.unique("journal")
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return DynamoJournal(client, name)


def read(journal: Journal, key: Key) -> dict[str, Any] | None:
    """Without the key itself, which a table keeps in the item."""
    item = journal.read(key)
    return {name: value for name, value in item.items() if name not in ("pk", "sk")} if item else None


def hold(journal: Journal, holder: str | None, fence: int) -> None:
    journal.write([Change("put", LOCK, {"holder": holder, "fence": fence})])


def test_what_was_never_written_is_none(journal: Journal) -> None:
    assert journal.read(A) is None


def test_an_item_comes_back_as_it_went_in(journal: Journal) -> None:
    item = {
        "text": "é",
        "empty": "",
        "whole": 7,
        "part": 0.25,
        "yes": True,
        "nothing": None,
        "list": [{"gates": [{"found": "1", "samples": 3}]}, 1, "x"],
        "map": {"name": "reserved", "status": "words"},
    }
    journal.write([Change("put", A, item)])

    assert read(journal, A) == item


def test_an_update_sets_its_fields_and_leaves_the_others(journal: Journal) -> None:
    journal.write([Change("put", A, {"status": "RUNNING", "version": "v1"})])
    journal.write([Change("update", A, {"status": "FAILED", "name": "reserved word"})])

    assert read(journal, A) == {"status": "FAILED", "version": "v1", "name": "reserved word"}


def test_a_put_replaces_the_whole_item(journal: Journal) -> None:
    journal.write([Change("put", A, {"x": 1, "y": 2})])
    journal.write([Change("put", A, {"x": 3})])

    assert read(journal, A) == {"x": 3}


def test_a_write_is_whole_or_not_at_all(journal: Journal) -> None:
    journal.write([Change("put", B, {"x": 1})])
    with pytest.raises(ConflictError, match="DEPLOYMENT#b"):
        journal.write([Change("put", A, {"x": 1}), Change("update", B, {"x": 2}, expect={"x": 9})])

    assert journal.read(A) is None
    assert read(journal, B) == {"x": 1}


def test_an_item_that_must_be_absent_is_not_overwritten(journal: Journal) -> None:
    journal.write([Change("put", A, {"x": 1}, absent=True)])
    with pytest.raises(ConflictError):
        journal.write([Change("put", A, {"x": 2}, absent=True)])

    assert read(journal, A) == {"x": 1}


def test_a_check_writes_nothing_and_can_refuse(journal: Journal) -> None:
    journal.write([Change("put", A, {"live": "d1", "rolled_back": False})])
    journal.write(
        [Change("check", A, expect={"live": "d1", "rolled_back": False}), Change("put", B, {"x": 1})]
    )
    with pytest.raises(ConflictError):
        journal.write([Change("check", A, expect={"rolled_back": True}), Change("put", B, {"x": 2})])

    assert read(journal, B) == {"x": 1}
    assert read(journal, A) == {"live": "d1", "rolled_back": False}


@pytest.mark.parametrize("free", [{"holder": None, "fence": 3}, {"fence": 3}])
def test_nothing_may_be_expected_as_null_or_as_absence(journal: Journal, free: dict[str, Any]) -> None:
    journal.write([Change("put", LOCK, free)])
    taken = {"holder": "me", "fence": 4}
    journal.write([Change("put", LOCK, taken, expect={"holder": None, "fence": 3})])
    with pytest.raises(ConflictError):
        journal.write([Change("put", LOCK, taken, expect={"holder": None, "fence": 4})])

    assert read(journal, LOCK) == taken


def test_the_holder_of_the_lock_may_write(journal: Journal) -> None:
    hold(journal, "me", 3)
    journal.write([Change("update", A, {"x": 1})], lock=MINE)

    assert read(journal, A) == {"x": 1}


@pytest.mark.parametrize(("holder", "fence"), [("me", 4), ("other", 3), (None, 3), (None, None)])
def test_who_lost_the_lock_writes_nothing_however_late(
    journal: Journal, holder: str | None, fence: int | None
) -> None:
    if fence is not None:
        hold(journal, holder, fence)
    with pytest.raises(LockLostError, match="me no longer holds"):
        journal.write([Change("put", A, {"x": 1}), Change("put", B, {"x": 1})], lock=MINE)

    assert journal.read(A) is None
    assert journal.read(B) is None


def test_a_lost_lock_is_told_before_a_conflict(journal: Journal) -> None:
    with pytest.raises(LockLostError):
        journal.write([Change("put", A, {"x": 1}, expect={"x": 9})], lock=MINE)


def test_the_newest_of_a_partition_come_first_and_no_more_than_asked(journal: Journal) -> None:
    for number in (1, 3, 2):
        journal.write([Change("put", Key("DEPLOYMENTS", f"2026-03-0{number}"), {"id": f"d{number}"})])
    journal.write([Change("put", A, {"id": "another partition"})])

    assert [item["id"] for item in journal.newest("DEPLOYMENTS", 2)] == ["d3", "d2"]
    assert list(journal.newest("NOTHING", 2)) == []
