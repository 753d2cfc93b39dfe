"""Reports by themselves: scheduled when a release has come to stay, made once, kept, told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from config.model import load
from cutover.adapters.plots import Drawings
from cutover.domain.errors import InvalidInputError, NotReachableError
from cutover.domain.log_patterns import merged
from cutover.domain.moves import Spell
from cutover.domain.report import Kind
from cutover.handlers import report as handler
from cutover.steps.publish_report import publish_report, schedule_reports
from tests.contract.fake_history import FakeHistory, FakeSchedules
from tests.contract.fakes import FakeClock, FakeConfiguration, FakeDocuments, FakeEvents, FakeJournal
from tests.unit.report_scene import DAY, MIDNIGHT, Scene, busy_day

NOON = MIDNIGHT + timedelta(hours=12)


def shelf(scene: Scene) -> tuple[dict[str, Any], FakeDocuments, FakeEvents]:
    return scene.report(Kind.DAILY), FakeDocuments(), FakeEvents()


def test_the_first_hour_and_the_first_day_are_asked_for_once() -> None:
    scene, schedules, clock = busy_day(), FakeSchedules(), FakeClock(NOON + timedelta(minutes=20))
    for _ in range(2):
        schedule_reports("v2", journal=scene.journal, schedules=schedules, clock=clock)
    assert schedules.there == {
        "v2-checkpoint": (
            NOON + timedelta(minutes=65),
            {"action": "make", "kind": "checkpoint", "until": "2026-03-04T04:00:00.000Z"},
        ),
        "v2-daily": (
            NOON + DAY + timedelta(minutes=5),
            {"action": "make", "kind": "daily", "until": "2026-03-05T03:00:00.000Z"},
        ),
    }


def test_after_a_long_bake_the_first_hour_is_asked_for_at_once() -> None:
    scene, schedules, clock = busy_day(), FakeSchedules(), FakeClock(NOON + timedelta(hours=3))
    schedule_reports("v2", journal=scene.journal, schedules=schedules, clock=clock)
    assert schedules.there["v2-checkpoint"][0] == NOON + timedelta(hours=3, minutes=1)


@pytest.mark.parametrize("deployment", ["v1", "v3"])
def test_a_release_that_is_not_live_is_not_reported_on(deployment: str) -> None:
    schedules = FakeSchedules()
    told = schedule_reports(
        deployment, journal=busy_day().journal, schedules=schedules, clock=FakeClock(NOON)
    )
    assert (told, schedules.there) == ({"scheduled": {}}, {})


def test_a_report_is_kept_with_its_pages_and_pictures_and_told_to_the_bus() -> None:
    document, documents, events = shelf(busy_day())
    told = publish_report(document, documents=documents, plots=Drawings(), events=events)
    folder = "reports/2026-03-04T1500Z-daily"
    assert told == {
        "report": "2026-03-04T1500Z-daily",
        "location": f"s3://artifacts/{folder}/",
        "status": "published",
    }
    assert set(documents.objects) == {
        f"{folder}/{name}"
        for name in (
            "report.json",
            "report.en.html",
            "report.ko.html",
            "p95.png",
            "throughput.png",
            "error_rate.png",
        )
    }
    ((kind, detail),) = events.published
    assert (kind, detail["kind"], detail["deployment"]) == ("ReportReady", "daily", "v2")
    assert set(detail["files"].values()) == set(documents.objects)
    assert detail["text"]["ko"].startswith("24시간 보고서 · staging")
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
    assert len(json.dumps(detail).encode()) < 256 * 1024


def test_a_report_that_is_asked_for_five_times_is_told_once() -> None:
    document, documents, events = shelf(busy_day())
    told = [
        publish_report(document, documents=documents, plots=Drawings(), events=events)["status"]
        for _ in range(5)
    ]
    assert told == ["published", "nothing", "nothing", "nothing", "nothing"]
    assert events.kinds == ["ReportReady"]


def test_a_publication_that_dies_before_the_bus_heard_is_done_again() -> None:
    document, documents, events = shelf(busy_day())

    class Deaf(FakeEvents):
        def publish(self, kind: str, detail: Any) -> None:
            raise NotReachableError("the bus does not answer")

    with pytest.raises(NotReachableError):
        publish_report(document, documents=documents, plots=Drawings(), events=Deaf())
    publish_report(document, documents=documents, plots=Drawings(), events=events)
    assert events.kinds == ["ReportReady"]


def test_many_words_of_users_still_fit_into_an_event() -> None:
    scene = busy_day()
    for minute in range(60):
        scene.said(NOON + timedelta(minutes=minute), "느" * 1000, "bad")
    document, documents, events = shelf(scene)
    publish_report(document, documents=documents, plots=Drawings(), events=events)
    ((_, detail),) = events.published
    assert len(json.dumps(detail, ensure_ascii=False).encode()) < 256 * 1024


class FakeErrorLog:
    """Two instances, whose logs have no error."""

    def read(self, _spells: Sequence[Spell]) -> dict[str, Any]:
        return {**merged([]), "asked": 2, "answered": 2, "problems": [], "kept": []}


class Wired(SimpleNamespace):
    """The handler's world."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(
            variables=SimpleNamespace(cutover_environment="staging"),
            journal=scene.journal,
            metrics=scene.history,
            configuration=FakeConfiguration(**load("staging").for_lambdas()),
            documents=FakeDocuments(),
            plots=Drawings(),
            schedules=FakeSchedules(),
            events=FakeEvents(),
            error_log=FakeErrorLog(),
            clock=FakeClock(scene.now),
        )


@pytest.fixture
def wired(monkeypatch: pytest.MonkeyPatch) -> Wired:
    world = Wired(busy_day())
    monkeypatch.setattr(handler, "wiring", lambda: world)
    return world


def test_what_the_bus_says_makes_schedules_that_make_reports(wired: Wired) -> None:
    succeeded = {"detail-type": "DeploymentSucceeded", "detail": {"deployment": "v2", "version": "v2"}}
    handler.handler(succeeded, None)
    for at, asked in list(wired.schedules.there.values()):
        wired.clock.turn_to(at)
        assert handler.handler(asked, None)["status"] == "published"
    assert [detail["kind"] for _, detail in wired.events.published] == ["checkpoint", "daily"]


def test_what_else_the_bus_says_is_not_heard(wired: Wired) -> None:
    handler.handler({"detail-type": "RolledBack", "detail": {"deployment": "v2"}}, None)
    assert wired.schedules.there == {}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"kind": "hourly", "until": "2026-03-04T04:00:00Z"}, "kind: 'hourly' is not known"),
        ({"kind": "weekly"}, "until: None is no moment"),
        ({"kind": "weekly", "until": "<aws.scheduler.scheduled-time>"}, "is no moment in ISO 8601"),
    ],
)
def test_what_cannot_be_made_is_refused(wired: Wired, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        handler.handler({"action": "make", **asked}, None)


def test_an_environment_without_a_release_has_an_empty_report(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Wired(Scene())
    world.journal, world.metrics = FakeJournal(), FakeHistory()
    monkeypatch.setattr(handler, "wiring", lambda: world)
    until = datetime.fromisoformat("2026-03-05T00:00:00+09:00").isoformat()
    assert (
        handler.handler({"action": "make", "kind": "weekly", "until": until}, None)["status"] == "published"
    )
    ((_, detail),) = world.events.published
    assert "Nothing was live in this time" in detail["text"]["en"]
