"""What people are told of an event, channel by channel and in both languages."""

from __future__ import annotations

import json
import re
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.messengers import escaped, signature
from cutover.domain.errors import MisconfiguredError
from cutover.domain.notices import Channel, Event, Notice, Settings, Severity, line, live_message, notices
from cutover.domain.wording import CATALOGUE, LONGEST, moment, say
from cutover.steps.finish import KINDS
from tests.contract.fakes import NOON

TABLE: dict[str, Any] = {
    "locale": "en",
    "status_page": "https://status.example.com",
    "slack": {"severity": "info"},
    "email": {"severity": "important"},
    "sms": {"severity": "urgent"},
    "pagerduty": {"severity": "urgent"},
    "application": {"severity": "important"},
}
SETTINGS = Settings.read(TABLE)


def event(kind: str, id: str = "e1", at: str = "2026-03-04T12:00:00Z", **detail: Any) -> Event:
    about = {"environment": "staging", "deployment": "d1", "version": "v2"}
    return Event(id, kind, at, {**about, **detail})


def told(
    kind: str, settings: Settings = SETTINGS, now: datetime = NOON, **detail: Any
) -> dict[str, list[Notice]]:
    every = {channel: notices(channel, event(kind, **detail), settings, now) for channel in Channel}
    return {channel.value: found for channel, found in every.items() if found}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_texts_with_the_same_placeholders() -> None:
    english, korean = CATALOGUE["en"], CATALOGUE["ko"]
    assert set(english) == set(korean)
    for key, text in english.items():
        assert placeholders(text) == placeholders(korean[key]), key


def test_every_korean_sentence_is_korean() -> None:
    untranslated = {"title", "title.environment", "unknown", "subject.info", "subject.important"}
    for key, text in CATALOGUE["ko"].items():
        assert key in untranslated or any("가" <= letter <= "힣" for letter in text), key


@pytest.mark.parametrize(
    ("kind", "channels"),
    [
        ("PhaseCompleted", {"slack"}),
        ("DeploymentSucceeded", {"slack", "email", "pagerduty", "application"}),
        ("ReleaseAnnounced", {"slack", "email", "application"}),
        ("DeploymentFailed", {"slack", "email"}),
        ("RolledBack", {"slack", "email", "sms", "pagerduty", "application"}),
        ("RollbackRefused", {"slack", "email", "sms", "pagerduty"}),
        ("SomethingNew", {"slack"}),
    ],
)
def test_an_event_goes_where_its_severity_leads(kind: str, channels: set[str]) -> None:
    assert set(told(kind)) == channels


def test_a_plan_or_a_look_disturbs_nobody_beyond_slack() -> None:
    assert set(told("DriftFound", mode="verify")) == {"slack"}


def test_pagerduty_is_woken_by_a_rollback_and_sent_home_by_a_success() -> None:
    (woken,), (home,) = told("RolledBack")["pagerduty"], told("DeploymentSucceeded")["pagerduty"]
    assert (woken.action, home.action) == ("trigger", "resolve")
    assert woken.thread == home.thread == "staging"


def test_what_matters_is_a_reply_too_because_an_edit_makes_nobody_look() -> None:
    assert [notice.part for notice in told("RolledBack")["slack"]] == ["main", "reply"]
    assert [notice.part for notice in told("PhaseCompleted")["slack"]] == ["main"]


def test_quiet_hours_hold_back_what_is_not_urgent_on_their_channels() -> None:
    quiet = {"start": "22:00", "end": "07:00", "zone": "Asia/Seoul", "channels": ["email"]}
    settings = Settings.read({**TABLE, "quiet": quiet})
    night = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)  # 03:00 in Seoul

    assert set(told("DeploymentSucceeded", settings, night)) == {"slack", "pagerduty", "application"}
    assert "email" in told("RolledBack", settings, night)
    assert "email" in told("DeploymentSucceeded", settings, datetime(2026, 3, 4, 3, 0, tzinfo=UTC))


@pytest.mark.parametrize("locale", ["ko", "en"])
def test_an_event_without_its_details_is_told_all_the_same(locale: Any) -> None:
    for kind in CATALOGUE[locale]:
        bare = Event("e1", kind, "2026-03-04T12:00:00Z", {"environment": "staging"})
        for channel in Channel:
            for notice in notices(channel, bare, Settings.read({**TABLE, "locale": locale}), NOON):
                assert notice.text


def test_a_closed_gate_says_what_was_found() -> None:
    gate = {"name": "p95", "requirement": "C6a", "verdict": "Fail", "found": "900 ms", "wanted": "500 ms"}
    (notice,) = told("GateFailed", phase={"number": 6, "name": "Perform"}, gates=[gate])["slack"]
    assert "Phase 6, Perform" in notice.text
    assert "found 900 ms, wanted 500 ms" in notice.text


def test_a_moment_is_told_in_seoul() -> None:
    assert moment("en", "2026-03-04T18:30:00Z") == "5 Mar 2026 03:30 KST"
    assert moment("ko", "2026-03-04T18:30:00Z") == "2026년 3월 5일 03:30"
    assert moment("ko", "soon") == "soon"


def test_a_long_cause_is_cut_and_braces_in_it_are_no_placeholders() -> None:
    text = say("en", "DeploymentFailed", {"cause": "{version}" + "x" * 5000})
    assert "{version}" in text
    assert len(text) < LONGEST + 100


def test_nothing_in_an_event_becomes_a_link_or_calls_everybody_in_slack() -> None:
    assert escaped("<!channel> & <https://evil|here>") == "&lt;!channel&gt; &amp; &lt;https://evil|here&gt;"


def test_the_live_message_is_in_the_order_of_the_events_not_of_their_delivery() -> None:
    notice = told("TrafficShifted", colour="green")["slack"][0]
    entries = {
        "c": {**line(notice, 0), "at": "2026-03-04T12:00:09Z", "text": "second"},
        "b": {**line(notice, 1), "at": "2026-03-04T12:00:09Z", "text": "third"},
        "a": {**line(notice, 2), "at": "2026-03-04T12:00:01Z", "text": "first"},
    }
    _, *lines = live_message(entries).splitlines()
    assert [entry.split(" ", 1)[1] for entry in lines] == ["first", "second", "third"]


@pytest.mark.parametrize("broken", [{}, {**TABLE, "email": {"severity": "loud"}}])
def test_a_parameter_that_is_not_ours_is_named(broken: dict[str, Any]) -> None:
    with pytest.raises(MisconfiguredError, match="deploy the control plane again"):
        Settings.read(broken)


def test_users_are_told_of_releases_in_both_languages_and_of_no_cause() -> None:
    (notice,) = told("RolledBack", cause="arn:aws:cloudwatch:…:alarm")["application"]
    assert set(notice.texts) == {"ko", "en"}
    assert "previous version" in notice.texts["en"]
    assert "arn" not in str(notice.texts)
    for kind in ("DeploymentFailed", "DriftFound", "Frozen", "RollbackRefused", "DrillFailed"):
        assert "application" not in told(kind)


def test_a_message_to_the_application_is_signed_as_standard_webhooks_says() -> None:
    # The example of https://docs.svix.com/receiving/verifying-payloads/how-manual
    made = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    with pytest.raises(MisconfiguredError, match="no base64"):
        signature("ä", "id", "1", b"")


def test_every_event_that_a_step_publishes_has_its_text() -> None:
    steps = Path(notices.__code__.co_filename).parents[1] / "steps"
    sources = "".join(path.read_text(encoding="utf-8") for path in steps.glob("*.py"))
    published = set(re.findall(r'publish\(\s*"(\w+)"', sources)) | set(KINDS.values())
    assert len(published) > 12
    assert published <= set(CATALOGUE["en"])


def test_a_channel_that_is_not_configured_is_told_nothing() -> None:
    settings = Settings.read({"locale": "en", "slack": {"severity": "important"}})
    assert set(told("RolledBack", settings)) == {"slack"}
    assert told("PhaseCompleted", settings) == {}
    assert settings.severity == {Channel.SLACK: Severity.IMPORTANT}


def test_the_bus_envelope_is_what_is_read() -> None:
    envelope = {
        "id": "1",
        "detail-type": "Frozen",
        "time": "2026-03-04T12:00:00Z",
        "detail": {"environment": "staging"},
    }
    assert Event.read(json.loads(json.dumps(envelope))).kind == "Frozen"


def test_a_report_goes_by_mail_as_a_whole_and_everybody_else_hears_that_there_is_one() -> None:
    about = {
        "title": {"en": "Daily report", "ko": "일간 보고서"},
        "text": {"en": "p95 212 ms", "ko": "p95 212 ms 였습니다"},
        "files": {"report.en.html": "reports/1/report.en.html", "p95.png": "reports/1/p95.png"},
        "since": "2026-03-03T12:00:00Z",
        "until": "2026-03-04T12:00:00Z",
    }
    found = told("ReportReady", **about)
    assert set(found) == {"slack", "email"}
    (mail,) = found["email"]
    assert (mail.subject, mail.text) == ("[Cutover] Daily report", "p95 212 ms")
    assert mail.page == "reports/1/report.en.html"
    assert "A report on staging is ready" in found["slack"][0].text


def test_a_former_release_that_was_brought_back_is_not_told_as_taken_back() -> None:
    found = told("RolledBack", version="v1", steps=[{"name": "Health"}], cause="it was right after all")
    assert "is back on version v1" in found["sms"][0].text
    assert "was taken back" in told("RolledBack", version="v2")["sms"][0].text
