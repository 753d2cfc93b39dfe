"""What is kept of a deployment: entries that follow one another, added once, found whole or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.domain.errors import ConflictError, NotReachableError, ThrottledError
from cutover.domain.evidence import BEGINNING, Chain, digest, problems
from cutover.domain.records import approval_key, checklist_key, deployment_key, evidence_key
from cutover.steps.evidence import Sources, collect
from tests.contract.fakes import FakeAlarms, FakeClock, FakeDocuments, FakeJournal, FakePlans
from tests.contract.scenes import locked

PHASE = {"number": 1, "name": "Provision", "verdict": "Pass", "gates": [{"name": "x", "verdict": "Pass"}]}


class Desk:
    def __init__(self, **record: Any) -> None:
        self.journal, self.store, self.plans = FakeJournal(), FakeDocuments(), FakePlans()
        locked(self.journal, **{"input": {"version": "v2", "settings": {"JWT": "secret"}}, **record})
        self.plans.keep("a" * 64, {"sha256": "a" * 64, "cost": {"monthly": 5}})
        self.alarms = FakeAlarms()

    def set(self, **values: Any) -> None:
        self.journal.items[deployment_key("d2")].update(values)

    def collect(self) -> dict[str, Any]:
        sources = Sources(self.journal, self.plans, self.alarms, FakeClock())
        return collect("d2", "sandbox", store=self.store, sources=sources)

    @property
    def chain(self) -> Chain:
        return Chain.read("d2", self.journal.items.get(evidence_key("d2")))

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(self.store.objects[key]) for key in sorted(self.store.objects)]


def test_entries_come_as_the_deployment_goes_and_each_follows_the_one_before() -> None:
    desk = Desk()
    assert desk.collect()["added"] == ["input"]
    desk.set(phases=[PHASE])
    assert desk.collect()["added"] == ["phase 1 Provision"]
    desk.set(status="SUCCEEDED", finished="2026-03-04T12:30:00.000Z", plan={"sha256": "a" * 64})
    assert desk.collect()["added"] == ["plan", "outcome SUCCEEDED"]

    entries = desk.entries()
    assert [each["sequence"] for each in entries] == [1, 2, 3, 4]
    bodies = [desk.store.objects[key] for key in sorted(desk.store.objects)]
    assert [each["previous"] for each in entries] == [BEGINNING, *(digest(body) for body in bodies[:-1])]
    assert desk.chain.head == digest(bodies[-1])
    assert problems(desk.chain, desk.store.objects) == []


def test_an_event_that_comes_again_adds_nothing() -> None:
    desk = Desk(phases=[PHASE])
    first = desk.collect()
    again = desk.collect()
    assert (again["added"], again["head"]) == ([], first["head"])
    assert len(desk.store.objects) == 2


def test_the_outcome_tells_alarms_timings_dora_and_cost() -> None:
    desk = Desk(status="SUCCEEDED", finished="2026-03-04T12:30:00.000Z", plan={"sha256": "a" * 64})
    desk.collect()
    (outcome,) = (each["content"] for each in desk.entries() if each["name"] == "outcome SUCCEEDED")
    assert outcome["timings"]["seconds"] == 1800
    assert set(outcome["alarms"].values()) == {None}
    assert (outcome["dora"]["days"], outcome["dora"]["deployments"]) == (30, 0)
    assert outcome["cost"] == {"monthly": 5}


def test_alarms_that_can_not_be_read_are_told_so_and_hold_nothing_up() -> None:
    desk = Desk(status="FAILED", finished="2026-03-04T12:30:00.000Z")

    def away(_names: object) -> Any:
        raise NotReachableError("CloudWatch does not answer")

    desk.alarms.find = away  # type: ignore[method-assign]
    desk.collect()
    assert desk.entries()[-1]["content"]["alarms"] == {
        "unread": "NotReachableError: CloudWatch does not answer"
    }


def test_failures_and_rollbacks_have_evidence_and_a_late_rollback_is_added() -> None:
    desk = Desk(status="SUCCEEDED", finished="2026-03-04T12:30:00.000Z")
    desk.collect()
    desk.set(status="ROLLED_BACK", rollback={"action": "rolled_back", "clock": {}})
    added = desk.collect()["added"]
    assert added[0].startswith("rollback ")
    assert added[1] == "outcome ROLLED_BACK"
    desk.set(rollback={"action": "rolled_back", "clock": {"ms": 80}})
    assert len(desk.collect()["added"]) == 1
    assert problems(desk.chain, desk.store.objects) == []


def test_neither_settings_nor_the_token_of_an_approval_are_in_it() -> None:
    desk = Desk(approval={"status": "APPROVED"})
    desk.journal.items[approval_key("d2")] = {"status": "APPROVED", "by": "arn:kim", "token": "t0ken"}
    desk.collect()
    text = b"".join(desk.store.objects.values()).decode()
    assert "arn:kim" in text
    assert "JWT" in text
    assert "t0ken" not in text
    assert "secret" not in text


def test_answers_of_people_are_added_one_by_one() -> None:
    desk = Desk()
    given = {"by": "kim", "note": "read it", "at": "2026-03-04T13:00:00.000Z"}
    desk.journal.items[checklist_key("d2")] = {"answers": {"G3.6": given}, "count": 1}
    assert desk.collect()["added"][-1] == "answer G3.6 2026-03-04T13:00:00.000Z"


def test_whoever_dies_between_object_and_journal_leaves_one_that_is_adopted() -> None:
    desk = Desk()
    body = Chain("d2").entry("input", {"written": "by the one who died"})
    desk.store.add("evidence/d2/0001.json", body)
    desk.collect()
    assert desk.entries()[0]["content"] == {"written": "by the one who died"}
    assert problems(desk.chain, desk.store.objects) == []


def test_two_at_once_make_one_chain() -> None:
    desk = Desk(phases=[PHASE])
    write, busy = desk.journal.write, [True]

    def while_another_adds(changes: Any, *, lock: Any = None) -> None:
        if busy and busy.pop():
            desk.journal.write = write  # type: ignore[method-assign]
            desk.collect()
        write(changes, lock=lock)

    desk.journal.write = while_another_adds  # type: ignore[method-assign]
    desk.collect()
    assert [name for name, _ in desk.chain.entries] == ["input", "phase 1 Provision"]
    assert problems(desk.chain, desk.store.objects) == []


def test_an_object_that_does_not_follow_is_told_and_not_written_over() -> None:
    desk = Desk()
    desk.store.add(
        "evidence/d2/0001.json", b'{"name":"forged","sequence":1,"previous":"0","deployment":"d2"}'
    )
    with pytest.raises(ConflictError, match="forged does not follow entry 0"):
        desk.collect()
    assert b"forged" in desk.store.objects["evidence/d2/0001.json"]


def test_an_object_that_vanishes_between_two_looks_is_tried_again() -> None:
    desk = Desk()
    desk.store.add("evidence/d2/0001.json", b"{}")
    desk.store.read = lambda key: None  # type: ignore[method-assign]
    with pytest.raises(ThrottledError):
        desk.collect()


def test_a_deployment_that_nobody_knows_has_no_evidence() -> None:
    desk = Desk()
    del desk.journal.items[deployment_key("d2")]
    assert desk.collect() == {"deployment": "d2", "head": None, "count": 0, "added": []}
    assert desk.store.objects == {}
