"""Reports against the requests that they are about, recomputed one by one; empty days, and days with gaps."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Any

import pytest

from cutover.domain.errors import InvalidInputError
from cutover.domain.report import Kind
from cutover.domain.report_page import as_html, as_text, page_of
from cutover.domain.report_words import LOCALES, WORDS, Speech
from cutover.steps.report import Wish
from tests.contract.fake_history import statistic
from tests.unit.report_scene import DAY, MIDNIGHT, Request, Scene, busy_day

NOON, EVENING = MIDNIGHT + timedelta(hours=12), MIDNIGHT + timedelta(hours=18)
FIVE = timedelta(minutes=5)
ZONE = "Asia/Seoul"


@pytest.fixture(scope="module")
def scene() -> Scene:
    return busy_day()


@pytest.fixture(scope="module")
def daily(scene: Scene) -> dict[str, Any]:
    return scene.report()


def users(scene: Scene) -> list[Request]:
    """What users asked for, and somebody saw."""
    blind = (EVENING, EVENING + timedelta(hours=3))
    return [
        each
        for each in scene.requests
        if each.colour == ("blue" if each.at < NOON else "green") and not blind[0] <= each.at < blind[1]
    ]


def test_totals_are_those_of_the_requests(scene: Scene, daily: dict[str, Any]) -> None:
    seen = users(scene)
    failed = sum(each.failed for each in seen)
    assert daily["totals"]["requests"] == len(seen)
    assert daily["totals"]["errors"] == failed > 0
    assert daily["totals"]["error_rate"] == pytest.approx(failed / len(seen))
    assert daily["totals"]["availability"] == pytest.approx(1 - failed / len(seen))


def test_times_are_those_of_the_requests_period_by_period(scene: Scene, daily: dict[str, Any]) -> None:
    periods: dict[int, list[float]] = defaultdict(list)
    for each in users(scene):
        periods[(each.at - MIDNIGHT) // FIVE].append(each.milliseconds)
    p95 = {index: statistic(times, "p95") for index, times in periods.items()}
    worst = max(p95, key=lambda index: p95[index])
    found = daily["figures"]["p95"]
    assert found["median"] == pytest.approx(median(p95.values()))
    assert found["mean"] == pytest.approx(fmean(p95.values()))
    assert found["highest"] == pytest.approx(p95[worst])
    assert datetime.fromisoformat(found["highest_at"]) == MIDNIGHT + worst * FIVE


def test_throughput_is_the_mean_of_what_was_seen(scene: Scene, daily: dict[str, Any]) -> None:
    assert daily["figures"]["throughput"]["mean"] == pytest.approx(len(users(scene)) / (21 * 3600))


def test_a_gap_is_said_and_is_not_zero(daily: dict[str, Any]) -> None:
    coverage = daily["coverage"]
    assert (coverage["wanted"], coverage["seen"]) == (288, 252)
    assert [(each["since"], each["until"]) for each in coverage["gaps"]] == [
        ("2026-03-04T09:00:00.000Z", "2026-03-04T12:00:00.000Z")
    ]
    assert daily["figures"]["throughput"]["lowest"] > 0
    inside = [value for at, value in daily["series"]["throughput"] if "T09:00" <= at[10:16] < "T12:00"]
    assert inside
    assert set(inside) == {None}
    english = as_text(page_of(daily, Speech("en", ZONE)))
    assert "No data for 36 of 288 periods of 300 s" in english
    assert "2026-03-04 18:00 KST – 2026-03-04 21:00 KST" in english
    assert "288개 중 36개에 데이터가 없습니다" in as_text(page_of(daily, Speech("ko", ZONE)))


def test_the_slower_release_is_a_change_of_level_at_noon(daily: dict[str, Any]) -> None:
    changes = daily["changes"]["p95"]
    assert [each["at"] for each in changes] == ["2026-03-04T03:00:00.000Z"]
    assert changes[0]["after"] > 2 * changes[0]["before"]
    advice = [(each["code"], each["measure"]) for each in daily["improvements"]]
    assert ("changed", "p95") in advice


def test_errors_above_the_limit_make_the_release_not_ready(daily: dict[str, Any]) -> None:
    readiness = daily["readiness"]
    verdicts = {each["measure"]: each["verdict"] for each in readiness["reasons"]}
    assert verdicts["p95"] == "Pass"
    # Nobody saw three hours of it, and no image was scanned.
    assert (verdicts["seen"], verdicts["findings"], verdicts["cpu"]) == ("Inconclusive",) * 3
    assert readiness["verdict"] == ("not_ready" if verdicts["errors"] == "Fail" else "undecided")


def test_a_calm_day_of_a_scanned_release_is_ready() -> None:
    scene = Scene()
    board = {"rows": [{"measure": "findings", "verdict": "Pass", "evidence": {"value": 0}}]}
    scene.deployed("v1", MIDNIGHT - DAY, "blue", None, board=board)
    scene.live("v1", MIDNIGHT - DAY, "blue")
    scene.traffic(MIDNIGHT, MIDNIGHT + DAY, "blue", milliseconds=60, errors=0, seed=4)
    scene.see(MIDNIGHT, MIDNIGHT + DAY)
    found = scene.report()
    assert found["readiness"]["verdict"] == "ready"
    assert found["coverage"]["gaps"] == []
    assert "READY for production" in as_text(page_of(found, Speech("en", ZONE)))


def test_a_rollback_makes_the_day_not_ready_and_the_traffic_goes_with_it() -> None:
    scene = Scene()
    back = NOON + timedelta(minutes=30)
    rollback = {"to": "blue", "clock": {"modified_at": back.isoformat()}, "cause": "alarm <b>errors</b>"}
    scene.deployed("v1", MIDNIGHT - DAY, "blue", None)
    scene.deployed("v2", NOON, "green", "blue", rollback=rollback)
    scene.live("v1", back, "blue", rolled_back=True)
    scene.traffic(MIDNIGHT, MIDNIGHT + DAY, "blue", milliseconds=60, errors=0, seed=5)
    scene.traffic(NOON, back, "green", milliseconds=60, errors=1, seed=6)
    scene.see(MIDNIGHT, MIDNIGHT + DAY)
    found = scene.report()
    assert [(each["colour"], each["since"][11:16]) for each in found["traffic"]] == [
        ("blue", "15:00"),
        ("green", "03:00"),
        ("blue", "03:30"),
    ]
    green = sum(each.colour == "green" for each in scene.requests)
    assert found["totals"]["errors"] == green
    assert found["errors"][0]["since"] == "2026-03-04T03:00:00.000Z"
    assert found["readiness"]["verdict"] == "not_ready"
    page = page_of(found, Speech("en", ZONE))
    assert "Version v2 was rolled back at 2026-03-04 12:30 KST" in as_text(page)
    assert "&lt;b&gt;errors" in as_html(page, "en", lambda name: None, str)
    assert "<b>" not in as_html(page, "en", lambda name: None, str)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_day_that_nobody_saw_is_empty_and_never_a_zero(kind: Kind) -> None:
    scene = Scene()
    scene.deployed("v1", MIDNIGHT - 10 * DAY, "blue", None)
    scene.live("v1", MIDNIGHT - 10 * DAY, "blue")
    found = scene.report(kind)
    assert found["coverage"]["seen"] == 0 < found["coverage"]["wanted"]
    assert set(found["totals"].values()) == {None}
    assert set(found["figures"].values()) == {None}
    assert found["readiness"]["verdict"] != "ready"
    english = as_text(page_of(found, Speech("en", ZONE)))
    assert "No data: in none of the" in english
    assert "No answer with 5xx" not in english
    assert "데이터 없음" in as_text(page_of(found, Speech("ko", ZONE)))


def test_a_quiet_day_that_was_seen_is_one_without_requests() -> None:
    scene = Scene()
    scene.deployed("v1", MIDNIGHT - DAY, "blue", None)
    scene.live("v1", MIDNIGHT - DAY, "blue")
    scene.see(MIDNIGHT, MIDNIGHT + DAY)
    found = scene.report()
    assert found["coverage"]["gaps"] == []
    assert (found["totals"]["requests"], found["totals"]["error_rate"]) == (0, None)
    assert found["readiness"]["verdict"] == "undecided"


def test_before_the_first_release_there_is_nothing_to_report_on() -> None:
    found = Scene().report()
    assert found["traffic"] == []
    assert page_of(found, Speech("en", ZONE)).sections == ()
    assert "Nothing was live in this time" in as_text(page_of(found, Speech("en", ZONE)))


def test_what_is_given_back_after_a_drill_that_died_is_no_rollback(scene: Scene) -> None:
    back = NOON + timedelta(hours=3)
    rollback = {"to": "green", "clock": {"modified_at": back.isoformat()}}
    scene.deployed("drill", NOON + timedelta(hours=2), "blue", "green", mode="drill", rollback=rollback)
    assert scene.report()["rollbacks"] == []


def test_the_checkpoint_is_of_the_first_hour(scene: Scene) -> None:
    found = scene.report(Kind.CHECKPOINT, until=None)
    assert (found["since"], found["until"]) == ("2026-03-04T03:00:00.000Z", "2026-03-04T04:00:00.000Z")
    assert found["period_seconds"] == 60
    wanted = sum(NOON <= each.at < NOON + timedelta(hours=1) for each in users(scene))
    assert found["totals"]["requests"] == wanted


def test_in_its_first_minute_a_release_has_nothing_to_report_on_yet(scene: Scene) -> None:
    scene.now = NOON + timedelta(seconds=20)
    with pytest.raises(InvalidInputError, match="live for less than a minute; ask again in a minute"):
        scene.report(Kind.CHECKPOINT, until=None)


def test_the_last_minutes_are_awaited_and_are_no_gap(scene: Scene) -> None:
    """CloudWatch shows a metric some minutes late."""
    late = busy_day()
    late.now = MIDNIGHT + DAY + timedelta(minutes=2)
    found = late.report(Kind.TREND, until=None, length=timedelta(hours=1))
    assert found["coverage"]["gaps"] == []
    assert found["coverage"]["wanted"] == 58


def test_a_week_tells_slopes_by_the_day() -> None:
    scene = Scene(now=MIDNIGHT + 7 * DAY)
    scene.deployed("v1", MIDNIGHT - DAY, "blue", None)
    scene.live("v1", MIDNIGHT - DAY, "blue")
    own = {"Environment": "staging", "Service": "backend", "Colour": "blue"}
    for hour in range(7 * 24):
        for minute in range(0, 60, 5):
            at = MIDNIGHT + timedelta(hours=hour, minutes=minute)
            scene.history.put("Cutover", "Requests", own, at, 300 + 30 * (hour // 24) + 100 * (hour % 24 > 8))
            scene.history.put("Cutover", "Errors", own, at, 0)
    found = scene.report(Kind.WEEKLY, until=MIDNIGHT + 7 * DAY)
    slope = found["trends"]["throughput"]
    assert (slope["blocks"], slope["per_seconds"], slope["direction"]) == (7, 86400, "rising")
    assert slope["slope"] == pytest.approx(30 / 300)
    assert found["trends"]["p95"]["slope"] is None
    text = as_text(page_of(found, Speech("en", ZONE)))
    assert "Throughput: +0.1/s a day (95% interval +0.1/s to +0.1/s, from 7 values): rises" in text
    assert "p95 response time: too little data for a slope" in text


def test_what_users_wrote_is_counted_and_rendered_inert(scene: Scene) -> None:
    mine = busy_day()
    mine.said(NOON, "<script>alert(1)</script>", "bad")
    mine.said(NOON + timedelta(hours=1), "빠릅니다", "good")
    mine.said(MIDNIGHT - timedelta(hours=1), "the day before", "bad")
    found = mine.report()
    assert {key: found["feedback"][key] for key in ("total", "good", "bad")} == {
        "total": 2,
        "good": 1,
        "bad": 1,
    }
    page = as_html(page_of(found, Speech("ko", ZONE)), "ko", lambda name: None, str)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_every_text_has_its_values_in_both_languages(daily: dict[str, Any]) -> None:
    for locale in LOCALES:
        for kind in Kind:
            assert "{" not in as_text(page_of({**daily, "kind": kind.value}, Speech(locale, ZONE)))
    for key, (english, korean) in WORDS.items():
        assert sorted(part.split("}")[0] for part in english.split("{")[1:]) == sorted(
            part.split("}")[0] for part in korean.split("{")[1:]
        ), key


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"lines": ("p95", "latency")}, "metrics: 'latency' is not known"),
        ({"length": timedelta(minutes=1)}, "period: 0:01:00"),
        ({"length": timedelta(days=90)}, "60 days"),
    ],
)
def test_what_cannot_be_reported_on_is_refused(wish: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        Wish(Kind.TREND, **wish)
