"""An event is told once on a channel, however often it is delivered and whatever the other side answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cutover.domain.errors import NotReachableError
from cutover.domain.notices import Channel, Notice
from cutover.domain.records import deployment_key
from cutover.steps.notify import LEASE, State, notice_key, notify
from tests.contract.fakes import FakeClock, FakeJournal
from tests.unit.test_notices import SETTINGS, event


@dataclass
class Slate:
    """Keeps what it took; `refusals` is how often it says no first."""

    refusals: int = 0
    taken: list[tuple[str, str, str | None]] = field(default_factory=list)

    def deliver(self, notice: Notice, text: str, place: str | None) -> str | None:
        if self.refusals:
            self.refusals -= 1
            raise NotReachableError("503")
        self.taken.append((notice.part, text, place))
        return place or "C1/1.0"


class Scene:
    def __init__(self, refusals: int = 0) -> None:
        self.journal, self.clock, self.slate = FakeJournal(), FakeClock(), Slate(refusals)

    def deliver(self, kind: str, id: str = "e1", channel: Channel = Channel.SLACK, **detail: object) -> dict:
        return notify(
            channel,
            event(kind, id, **detail),
            SETTINGS,
            journal=self.journal,
            messenger=self.slate,
            clock=self.clock,
        )


def test_an_event_delivered_five_times_is_told_once() -> None:
    scene = Scene()
    answers = [scene.deliver("PhaseCompleted") for _ in range(5)]
    assert [answer["told"] for answer in answers] == [1, 0, 0, 0, 0]
    assert len(scene.slate.taken) == 1


def test_what_was_refused_is_told_when_it_is_delivered_again() -> None:
    scene = Scene(refusals=2)
    for _ in range(2):
        with pytest.raises(NotReachableError):
            scene.deliver("PhaseCompleted")
    assert scene.deliver("PhaseCompleted")["told"] == 1
    item = next(item for key, item in scene.journal.items.items() if key.pk == "NOTICE#e1")
    assert (item["state"], item["attempts"]) == (State.SENT, 3)


def test_a_reply_that_failed_is_sent_without_repeating_the_edit() -> None:
    scene = Scene()
    scene.deliver("DeploymentStarted", "e0")
    scene.slate.refusals = 0
    deliver, scene.slate.deliver = scene.slate.deliver, None  # type: ignore[method-assign]

    def fails_on_replies(notice: Notice, text: str, place: str | None) -> str | None:
        if notice.part == "reply":
            raise NotReachableError("429")
        return deliver(notice, text, place)

    scene.slate.deliver = fails_on_replies  # type: ignore[method-assign]
    with pytest.raises(NotReachableError):
        scene.deliver("RolledBack")
    scene.slate.deliver = deliver  # type: ignore[method-assign]
    assert scene.deliver("RolledBack") == {"status": "told", "told": 1, "already": 1}
    assert [part for part, _, _ in scene.slate.taken] == ["main", "main", "reply"]


def test_a_deployment_has_one_live_message_that_grows() -> None:
    scene = Scene()
    scene.deliver("DeploymentStarted", "e1", mode="deploy")
    scene.deliver("PhaseCompleted", "e2", phase={"number": 1, "name": "Provision"}, passed=3)
    (_, first, nowhere), (_, second, place) = scene.slate.taken
    assert (nowhere, place) == (None, "C1/1.0")
    assert "has begun" in first
    assert "has begun" in second
    assert "Phase 1, Provision" in second


def test_a_rollbacks_event_names_the_version_that_the_journal_knows() -> None:
    scene = Scene()
    scene.journal.items[deployment_key("d1")] = {"version": "v7"}
    scene.deliver("RolledBack", channel=Channel.EMAIL, version=None)
    assert "Version v7 was taken back" in scene.slate.taken[0][1]


def test_who_finds_another_one_sending_waits_and_takes_over_from_the_dead() -> None:
    scene = Scene()
    (notice,) = _notices("PhaseCompleted")
    scene.journal.items[notice_key(notice)] = {
        "state": "SENDING",
        "at": scene.clock.now().isoformat(),
        "attempts": 1,
    }
    with pytest.raises(NotReachableError, match="already"):
        scene.deliver("PhaseCompleted")
    scene.clock.sleep(LEASE.total_seconds() + 1)
    assert scene.deliver("PhaseCompleted")["told"] == 1


def _notices(kind: str) -> list[Notice]:
    from cutover.domain.notices import notices

    return notices(Channel.SLACK, event(kind), SETTINGS, FakeClock().now())
