"""What the status page shows, to whom it answers, and that nothing of the inside is in it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest

from cutover.domain.announcement import Announcement
from cutover.domain.colours import Colour
from cutover.domain.errors import InvalidInputError, ThrottledError
from cutover.domain.records import LIVE, Key, deployment_key, history_key
from cutover.domain.status_view import BUDGETS, public, view
from cutover.domain.times import text
from cutover.domain.window import read_hours
from cutover.handlers import status as handler
from cutover.steps.dora import MOST_DEPLOYMENTS
from cutover.steps.feedback import LONGEST, MOST_PER_MINUTE, PARTITION, give_feedback
from tests.browser.stage import Stage
from tests.contract.fakes import NOON, FakeClock, FakeJournal

WINDOW = read_hours({"start": "02:00", "end": "04:00"}, "Asia/Seoul")
#: What must never be in an answer: ARNs, account numbers, inner addresses, keys, tokens.
INNER = re.compile(
    r"arn:aws|\b\d{12}\b|\b(?:10|127|172|192)\.\d+\.\d+\.\d+|AKIA|eyJ|xoxb|mongodb|password|token", re.I
)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def shown(*records: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"former": None, "frozen": False, "announced": None, "window": WINDOW, "now": NOON, **more}
    return view("staging", None, records, **about)


def record(**more: Any) -> dict[str, Any]:
    base = {
        "id": "d1",
        "version": "v2",
        "status": "RUNNING",
        "started": "2026-03-04T11:00:00.000Z",
        "phases": [],
    }
    return {**base, **more}


def phase(number: int, verdict: str = "Pass", minutes: int = 2, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "name": "x",
        "started": "2026-03-04T11:00:00.000Z",
        "finished": f"2026-03-04T11:{minutes:02}:00.000Z",
        "verdict": verdict,
        "gates": [],
        **more,
    }


def test_the_first_phase_that_has_not_ended_is_the_one_under_way() -> None:
    phases = shown(record(phases=[phase(1)]))["deployment"]["phases"]
    assert [each["state"] for each in phases] == ["done", "running", *["waiting"] * 5]
    assert phases[1]["started"] == "2026-03-04T11:02:00.000Z"


def test_a_failed_phase_is_followed_by_none_under_way() -> None:
    phases = shown(record(status="FAILED", phases=[phase(1), phase(2, "Fail")]))["deployment"]["phases"]
    assert [each["state"] for each in phases][:3] == ["done", "failed", "waiting"]


def test_the_expected_end_is_the_former_runs_and_else_the_budget() -> None:
    first = shown(record())["deployment"]
    assert first["phases"][0]["expected_seconds"] == BUDGETS[1] * 60
    assert not first["expected_is_measured"]
    measured = shown(record(), former=record(phases=[phase(1, minutes=3)]))["deployment"]
    assert measured["phases"][0]["expected_seconds"] == 180
    assert measured["expected_is_measured"]


def test_an_announced_release_is_shown_until_its_hour_has_come() -> None:
    coming = Announcement("v9", "2026-03-06T17:00:00.000Z", "kim", "2026-03-04T12:00:00.000Z")
    assert shown(announced=coming)["announced"] == {"version": "v9", "opening": coming.opening}
    assert shown(announced=coming, now=NOON + timedelta(days=3))["announced"] is None


def test_looks_and_plans_are_no_deployments() -> None:
    assert shown(record(input={"mode": "verify"}))["deployment"] is None


def test_a_rollback_is_an_incident_with_its_cause() -> None:
    (incident,) = shown(record(status="ROLLED_BACK", cause="p95 above 2 s"))["incidents"]
    assert (incident["rolled_back"], incident["cause"]) == (True, "p95 above 2 s")


@pytest.mark.parametrize(
    "inner",
    [
        "arn:aws:states:ap-northeast-2:123456789012:execution:cutover-staging-deploy:d1",
        "account 123456789012",
        "10.1.10.4:8000 refused",
        "mongodb://user:secret@host/db",
        "xoxb-1234-abcd",
        "AKIAABCDEFGHIJKLMNOP",
        "cutover.cluster-x.docdb.amazonaws.com:27017",
    ],
)
def test_what_names_the_inside_is_left_out_of_a_text(inner: str) -> None:
    assert public(f"it failed: {inner} at last").startswith("it failed:")
    assert not INNER.search(public(f"it failed: {inner} at last"))
    assert "secret" not in public(f"it failed: {inner}")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr(handler, "wiring", made.wiring)
    return made


def test_no_answer_of_the_api_names_an_arn_an_account_an_address_or_a_secret(stage: Stage) -> None:
    stage.fail(
        "arn:aws:lambda:ap-northeast-2:123456789012:function:x at 10.1.10.4: token eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln"
    )
    answer = stage.ask("GET", "/api/status")
    assert answer["statusCode"] == 200
    found = answer["body"].replace("token …", "")
    assert not INNER.search(found), INNER.search(found)


def test_who_has_the_answer_already_is_told_so_in_a_few_bytes(stage: Stage) -> None:
    stage.start("v2")
    tag = stage.ask("GET", "/api/status")["headers"]["etag"]
    again = stage.ask("GET", "/api/status", headers={"If-None-Match": tag})
    assert (again["statusCode"], again.get("body")) == (304, None)
    stage.finish_phase(1)
    assert stage.ask("GET", "/api/status", headers={"If-None-Match": tag})["statusCode"] == 200


def test_an_unreachable_journal_is_answered_without_its_words(stage: Stage) -> None:
    stage.journal.broken = True
    answer = stage.ask("GET", "/api/status")
    assert answer["statusCode"] == 503
    assert "table" not in answer["body"]


def test_no_script_or_style_stands_in_the_page_and_none_could(stage: Stage) -> None:
    page = stage.ask("GET", "/")
    policy = page["headers"]["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", page["body"])
    script = stage.ask("GET", "/page.js")["body"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_only_the_pages_own_files_are_served(stage: Stage) -> None:
    for path in ("/../handlers/status.py", "/__init__.py", "/page/index.html", "/api"):
        assert stage.ask("GET", path)["statusCode"] == 404


def test_both_languages_of_the_page_have_the_same_words() -> None:
    source = files("cutover.page").joinpath("words.js").read_text()
    korean, english = source.partition("en: {")[::2]
    keys = re.compile(r"(?:^|[{,\s])(\w+): \"")
    assert sorted(keys.findall(korean)) == sorted(keys.findall(english))
    assert len(keys.findall(english)) > 50


def give(
    journal: FakeJournal, clock: FakeClock, text: Any, number: str = "1", sender: str = "1.2.3.4"
) -> Any:
    return give_feedback({"text": text, "rating": "good"}, sender, number, journal=journal, clock=clock)


def test_feedback_is_kept_as_it_was_written_and_without_the_senders_address() -> None:
    journal, clock = FakeJournal(), FakeClock()
    give(journal, clock, f" {HOSTILE} ")
    (kept,) = [item for key, item in journal.items.items() if key.pk == PARTITION]
    assert (kept["text"], kept["rating"]) == (HOSTILE, "good")
    assert "1.2.3.4" not in str(journal.items)


def test_one_sender_is_heard_so_often_in_a_minute_and_no_more() -> None:
    journal, clock = FakeJournal(), FakeClock()
    for number in range(MOST_PER_MINUTE):
        give(journal, clock, "good", str(number))
    with pytest.raises(ThrottledError):
        give(journal, clock, "again", "x")
    give(journal, clock, "another one", "y", sender="5.6.7.8")
    clock.sleep(60)
    give(journal, clock, "a minute later", "z")


def test_behind_cloudfront_each_viewer_is_a_sender_of_its_own(stage: Stage) -> None:
    body = json.dumps({"text": "good"})
    stage.wiring().clock = FakeClock()
    for viewer in ("1.2.3.4:5", "2001:db8::1:443"):
        for number in range(MOST_PER_MINUTE + 1):
            headers = {"CloudFront-Viewer-Address": viewer}
            answer = stage.ask("POST", "/api/feedback", headers=headers, body=body)
            assert answer["statusCode"] == (201 if number < MOST_PER_MINUTE else 429), viewer


@pytest.mark.parametrize("text", ["", "  ", None, 7, "x" * (LONGEST + 1)])
def test_feedback_that_says_nothing_or_too_much_is_refused(text: Any) -> None:
    with pytest.raises(InvalidInputError, match="text"):
        give(FakeJournal(), FakeClock(), text)


@pytest.mark.parametrize("body", ["", "[]", "{", "x" * 9000, json.dumps({"text": "x", "rating": "<b>"})])
def test_a_body_that_is_no_feedback_is_a_bad_request(stage: Stage, body: str) -> None:
    assert stage.ask("POST", "/api/feedback", body=body)["statusCode"] == 400


def test_the_live_release_and_a_share_of_the_next_are_the_traffic(stage: Stage) -> None:
    stage.go_live("v1")
    stage.journal.items[LIVE]["candidate"] = {
        "deployment": "d2",
        "version": "v2",
        "colour": "green",
        "share": 10,
    }
    traffic = json.loads(stage.ask("GET", "/api/status")["body"])["traffic"]
    assert traffic == [
        {"colour": Colour.BLUE.value, "version": "v1", "share": 90},
        {"colour": Colour.GREEN.value, "version": "v2", "share": 10},
    ]
    assert Key(*deployment_key("d")) != history_key("a", "d")


def test_doras_figures_are_those_of_the_journals_last_month(stage: Stage) -> None:
    assert json.loads(stage.ask("GET", "/api/figures")["body"])["dora"]["failure_rate"] is None
    now = datetime.now(UTC)
    for version, taken_back in (("v1", False), ("v2", True)):
        stage.start(version, version)
        stage.record["swap"] = {"modified_at": text(now - timedelta(seconds=90))}
        if taken_back:
            clock = {"asked_at": text(now - timedelta(seconds=8)), "modified_at": text(now)}
            stage.record["rollback"] = {"clock": clock}
    keys = json.loads(stage.ask("GET", "/api/figures")["body"])["dora"]
    assert (keys["deployments"], keys["failures"], keys["failure_rate"]) == (2, 1, 0.5)
    assert (keys["restore_seconds"], keys["days"]) == (8, 30)


def test_where_there_were_more_deployments_doras_figures_are_of_the_time_of_the_last_ones(
    stage: Stage,
) -> None:
    for number in range(MOST_DEPLOYMENTS + 5):
        stage.start("v1", f"d{number}")
    keys = json.loads(stage.ask("GET", "/api/figures")["body"])["dora"]
    assert 0 < keys["days"] < 1
