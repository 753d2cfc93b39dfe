"""Asking for an approval, and every way to answer it too often, too late or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.errors import InvalidInputError, LockLostError, NotReachableError, NotWaitingError
from cutover.domain.records import LOCK, approval_key, deployment_key
from cutover.steps.approve import Answer, answer_approval, request_approval
from tests.contract.fakes import FakeClock, FakeEvents, FakeJournal, FakeTasks
from tests.contract.scenes import DEPLOYMENT, locked

PLAN = {
    "sha256": "a" * 64,
    "location": "s3://artifacts/plans/a.json",
    "console": "https://console/plans/a.json",
    "allow_destructive": ["Database"],
}


class Desk:
    def __init__(self) -> None:
        self.journal, self.tasks = locked(FakeJournal()), FakeTasks()
        self.events, self.clock = FakeEvents(), FakeClock()

    def ask(self, token: str = "token-1") -> dict[str, Any]:
        self.tasks.waiting.add(token)
        return request_approval(
            DEPLOYMENT,
            {"approval": {"expires_minutes": 60}},
            PLAN,
            token,
            journal=self.journal,
            events=self.events,
            clock=self.clock,
        )

    def answer(
        self,
        answer: Answer = Answer.APPROVED,
        by: object = "arn:kim",
        reason: object = "read",
        of: object = "d2",
    ) -> dict[str, Any]:
        return answer_approval(
            of,
            answer,
            by,
            reason,
            journal=self.journal,
            tasks=self.tasks,
            events=self.events,
            clock=self.clock,
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_request_says_which_plan_and_until_when(desk: Desk) -> None:
    assert desk.ask()["expires_at"] == "2026-03-04T13:00:00.000Z"
    assert desk.journal.items[approval_key("d2")]["plan"] == PLAN
    assert desk.events.published[0][1]["plan"] == PLAN


def test_a_second_attempt_to_ask_is_answered_under_its_own_token(desk: Desk) -> None:
    desk.ask("token-1")
    desk.ask("token-2")
    desk.answer()
    assert list(desk.tasks.answers) == ["token-2"]


def test_a_deployment_without_its_lock_asks_nobody(desk: Desk) -> None:
    desk.journal.items[LOCK]["fence"] = 99
    with pytest.raises(LockLostError):
        desk.ask()


def test_an_approval_is_in_the_journal_with_who_when_and_why(desk: Desk) -> None:
    desk.ask()
    desk.answer()
    given = {"status": "APPROVED", "by": "arn:kim", "at": "2026-03-04T12:00:00.000Z", "reason": "read"}
    assert desk.journal.items[deployment_key("d2")]["approval"] == given
    assert desk.tasks.answers["token-1"] == {"deployment": "d2", **given, "plan": PLAN}


def test_whoever_answers_is_told_what_the_plan_may_destroy(desk: Desk) -> None:
    desk.ask()
    assert desk.answer()["plan"]["allow_destructive"] == ["Database"]


def test_a_rejection_fails_the_task_by_its_name(desk: Desk) -> None:
    desk.ask()
    desk.answer(Answer.REJECTED, reason="too late in the day")
    error, cause = desk.tasks.answers["token-1"]
    assert error == "ApprovalRejectedError"
    assert cause == "rejected by arn:kim at 2026-03-04T12:00:00.000Z: too late in the day"


@pytest.mark.parametrize("second", [Answer.APPROVED, Answer.REJECTED])
def test_the_first_answer_stands(desk: Desk, second: Answer) -> None:
    desk.ask()
    desk.answer(by="arn:lee")
    with pytest.raises(NotWaitingError, match=r"approved by arn:lee at 2026-03-04T12:00:00.000Z: read"):
        desk.answer(second)
    assert desk.journal.items[deployment_key("d2")]["approval"]["by"] == "arn:lee"


def test_an_answer_that_was_lost_on_its_way_is_sent_again(desk: Desk) -> None:
    desk.ask()
    succeed = desk.tasks.succeed

    def broken(token: str, output: Any) -> None:
        raise NotReachableError("gone")

    desk.tasks.succeed = broken  # type: ignore[method-assign]
    with pytest.raises(NotReachableError):
        desk.answer(by="arn:lee")
    desk.tasks.succeed = succeed  # type: ignore[method-assign]
    assert desk.answer(by="arn:kim")["by"] == "arn:lee"
    assert desk.tasks.answers["token-1"]["by"] == "arn:lee"  # type: ignore[call-overload]


def test_a_task_that_is_gone_does_not_take_the_answer(desk: Desk) -> None:
    desk.ask()
    desk.tasks.waiting.clear()
    with pytest.raises(NotWaitingError, match=r"does not wait any more: it asked at .* until 2026-03-04T13"):
        desk.answer()


def test_an_unknown_deployment_is_told(desk: Desk) -> None:
    with pytest.raises(NotWaitingError, match="deployment d9 is not known"):
        desk.answer(of="d9")


def test_a_deployment_that_needs_no_approval_is_told(desk: Desk) -> None:
    with pytest.raises(NotWaitingError, match="d2 does not wait for an approval: it is RUNNING"):
        desk.answer()


@pytest.mark.parametrize(
    ("field", "value"), [("by", ""), ("reason", "  "), ("reason", "x" * 1001), ("of", None)]
)
def test_an_answer_without_a_person_or_a_reason_is_none(desk: Desk, field: str, value: object) -> None:
    desk.ask()
    with pytest.raises(InvalidInputError):
        desk.answer(**{field: value})
    assert desk.tasks.answers == {}
