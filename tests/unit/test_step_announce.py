"""Users hear of a release a day before it comes, once, and that it will not come when it is withdrawn."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cutover.domain.errors import InvalidInputError, NotReachableError
from cutover.domain.window import read_hours
from cutover.steps.announce import announce, withdraw
from tests.contract.fakes import FakeClock, FakeEvents, FakeJournal

HOURS = read_hours({"start": "02:00", "end": "04:00"}, "Asia/Seoul")


class Scene:
    def __init__(self) -> None:
        self.journal, self.events, self.clock = FakeJournal(), FakeEvents(), FakeClock()

    def announce(self, version: str = "v2", at: str | None = None) -> dict[str, Any]:
        return announce(
            version, at, "kim", hours=HOURS, journal=self.journal, events=self.events, clock=self.clock
        )

    def withdraw(self) -> dict[str, Any]:
        return withdraw("not ready", "kim", journal=self.journal, events=self.events, clock=self.clock)

    def kinds(self) -> list[str]:
        return self.events.kinds


def test_the_notice_goes_out_at_once_for_the_first_window_that_is_a_day_away() -> None:
    scene = Scene()
    answer = scene.announce()
    # It is noon of 4 March in UTC, 21:00 in Seoul: 02:00 on the 5th is too near, 02:00 on the 6th is not.
    assert answer["opening"] == "2026-03-05T17:00:00.000Z"
    assert scene.kinds() == ["ReleaseAnnounced"]
    assert scene.events.published[0][1]["version"] == "v2"


def test_an_announcement_that_is_repeated_tells_nobody_twice() -> None:
    scene = Scene()
    scene.announce()
    assert scene.announce()["status"] == "already"
    assert scene.kinds() == ["ReleaseAnnounced"]


def test_what_the_bus_did_not_hear_is_told_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()

    def deaf(_kind: str, _detail: dict[str, Any]) -> None:
        raise NotReachableError("the bus")

    with monkeypatch.context() as patched:
        patched.setattr(scene.events, "publish", deaf)
        with pytest.raises(NotReachableError):
            scene.announce()
    assert scene.announce()["status"] == "announced"
    with monkeypatch.context() as patched:
        patched.setattr(scene.events, "publish", deaf)
        with pytest.raises(NotReachableError):
            scene.withdraw()
    assert scene.withdraw()["status"] == "withdrawn"
    assert scene.kinds() == ["ReleaseAnnounced", "ReleaseWithdrawn"]


def test_a_withdrawn_release_is_told_once_and_leaves_room_for_another() -> None:
    scene = Scene()
    scene.announce()
    assert scene.withdraw() == {
        "status": "withdrawn",
        "version": "v2",
        "opening": "2026-03-05T17:00:00.000Z",
    }
    assert scene.withdraw() == {"status": "nothing"}
    assert scene.announce("v3")["status"] == "announced"
    assert scene.kinds() == ["ReleaseAnnounced", "ReleaseWithdrawn", "ReleaseAnnounced"]


def test_one_release_is_announced_at_a_time() -> None:
    scene = Scene()
    scene.announce()
    with pytest.raises(InvalidInputError, match=r"v2 is announced for .* withdraw it first"):
        scene.announce("v3")


def test_a_release_whose_hour_has_come_is_no_longer_pending() -> None:
    scene = Scene()
    scene.announce()
    scene.clock.sleep(timedelta(days=2).total_seconds())
    assert scene.withdraw() == {"status": "nothing"}
    assert scene.announce("v3")["status"] == "announced"


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        ("tomorrow", "is no moment"),
        ("2026-03-06T02:00", "has no zone"),
        ("2026-03-05T02:00+09:00", "less than 24 hours ahead"),
        ("2026-03-06T12:00+09:00", "outside the window"),
    ],
)
def test_a_moment_that_leaves_no_day_or_is_outside_the_window_is_refused(at: str, problem: str) -> None:
    scene = Scene()
    with pytest.raises(InvalidInputError, match=problem):
        scene.announce(at=at)
    assert scene.kinds() == []
    assert scene.announce(at="2026-03-07T02:30+09:00")["opening"] == "2026-03-06T17:30:00.000Z"
