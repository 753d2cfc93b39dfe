"""`cutover report` and `cutover trend`: what is asked for, what is shown, what is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from cli import reports
from cli.commands import report as command
from cli.commands.report import parse_lines, parse_period, parse_until, report, trend, wish_of
from cli.errors import ExitCode, UserError
from cli.session import Environment
from cutover.adapters.error_log import InstancesErrorLog
from cutover.domain.log_patterns import grouped, merged
from cutover.domain.moves import Spell
from cutover.domain.report import Kind
from cutover.domain.report_page import as_text, page_of
from cutover.domain.report_words import Speech
from cutover.domain.times import text
from cutover.report_ports import ErrorLog
from cutover.steps.report import Wish
from tests.unit.report_scene import MIDNIGHT, Scene, busy_day


class Instances:
    """Two of blue, of which one answers; green's logs begin late."""

    def read(self, spells: Sequence[Spell]) -> dict[str, Any]:
        lines = [json.dumps({"level": "ERROR", "message": "request", "status": 500, "route": "/api/models"})]
        kept = [{"colour": "green", "since": text(MIDNIGHT + timedelta(hours=13))}]
        own = grouped(lines, [spell.span for spell in spells])
        return {
            **own,
            "asked": 2,
            "answered": 1,
            "problems": ["blue, i-2: the command ended TimedOut"],
            "kept": kept,
        }


class NoInstance:
    def read(self, _spells: Sequence[Spell]) -> dict[str, Any]:
        return {**merged([]), "asked": 2, "answered": 0, "problems": ["blue: access denied"], "kept": []}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return busy_day()


@pytest.fixture
def asked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[Wish]:
    """What was wished for; it is answered from the scene."""
    wishes: list[Wish] = []

    def make(_environment: Environment, wish: Wish, log: ErrorLog | None = None) -> dict[str, Any]:
        wishes.append(wish)
        told = Instances() if isinstance(log, InstancesErrorLog) else log
        return scene.report(wish.kind, until=wish.until, length=wish.length, lines=wish.lines, error_log=told)

    monkeypatch.setattr(command, "make", make)
    return wishes


def test_a_report_is_text_in_the_language_that_is_asked_for(asked: list[Wish]) -> None:
    english = CliRunner().invoke(report, ["daily", "staging"])
    korean = CliRunner().invoke(report, ["daily", "staging"], env={"CUTOVER_LOCALE": "ko"})
    assert (english.exit_code, korean.exit_code) == (0, 0)
    assert english.output.startswith("24-hour report · staging")
    assert korean.output.startswith("24시간 보고서 · staging")
    assert [wish.kind for wish in asked] == [Kind.DAILY, Kind.DAILY]


def test_a_report_is_one_json_document_for_programs(asked: list[Wish]) -> None:
    result = CliRunner().invoke(report, ["checkpoint", "staging", "--json"])
    assert json.loads(result.output)["kind"] == "checkpoint"


def test_a_folder_gets_pages_in_both_languages_with_their_pictures(asked: list[Wish], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    result = CliRunner().invoke(report, ["daily", "staging", "--output", str(folder)])
    assert str(folder / "report.en.html") in result.output
    assert json.loads((folder / "report.json").read_text())["kind"] == "daily"
    for locale in ("en", "ko"):
        page = (folder / f"report.{locale}.html").read_text(encoding="utf-8")
        assert f'<html lang="{locale}">' in page
        # One file that shows everything wherever it is opened.
        assert page.count('src="data:image/png;base64,') == 3
    assert (folder / "p95.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_made_is_a_message(asked: list[Wish], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(report, ["daily", "staging", "--output", str(tmp_path / "file" / "report")])
    assert isinstance(result.exception, UserError)
    assert "--output" in str(result.exception)


def test_a_trend_is_over_the_period_and_the_metrics_that_are_asked_for(asked: list[Wish]) -> None:
    asking = ["staging", "--period", "12 hours", "--metrics", "response_time,cpu"]
    result = CliRunner().invoke(trend, [*asking, "--until", "2026-03-05T00:00+09:00"])
    assert result.exit_code == 0
    assert (asked[0].length, asked[0].lines) == (timedelta(hours=12), ("p95", "cpu"))
    assert "p95 response time: +" in result.output or "p95 response time: −" in result.output
    assert "CPU: too little data for a slope" in result.output


def test_the_words_of_the_options_are_read() -> None:
    assert parse_period("7 days") == timedelta(days=7)
    assert parse_period("1 week") == timedelta(days=7)
    assert parse_period(" 90 minutes ") == timedelta(minutes=90)
    assert parse_until("2026-03-05T00:00+09:00") == datetime(2026, 3, 4, 15, tzinfo=UTC)
    assert parse_until("2026-03-05") == datetime(2026, 3, 5, tzinfo=UTC)
    assert parse_lines("p95, p95,response_time") == ("p95",)


@pytest.mark.parametrize("text", ["7", "a week", "7 fortnights", "-1 day"])
def test_a_period_that_is_none_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(UserError, match='like "7 days"'):
        parse_period(text)


def test_a_moment_and_a_metric_that_are_none_are_refused_with_the_way_out() -> None:
    with pytest.raises(UserError, match="write a moment like"):
        parse_until("yesterday")
    with pytest.raises(UserError, match="--metrics: 'speed' is not known; choose of p50"):
        wish_of(Kind.TREND, None, None, ("speed",))
    with pytest.raises(UserError, match="--period: 100 days"):
        wish_of(Kind.TREND, None, timedelta(days=100))


def test_what_aws_refuses_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def get_item(self, **_asked: Any) -> None:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
            raise ClientError(error, "GetItem")  # type: ignore[arg-type]

    environment = Environment.named("staging")
    environment.__dict__.update(journal=Refusing(), alarms=None)
    with pytest.raises(UserError, match="AWS refused") as refused:
        reports.make(environment, Wish(Kind.DAILY))
    assert refused.value.code is ExitCode.UNREACHABLE


def test_errors_of_a_log_are_grouped(asked: list[Wish], scene: Scene, tmp_path: Path) -> None:
    log = tmp_path / "errors.jsonl"
    message = "could not connect to 10.1.0.{} <b>"
    lines = [
        {"time": f"2026-03-04T04:0{n}:00Z", "level": "ERROR", "message": message.format(n)} for n in (1, 2)
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = CliRunner().invoke(report, ["daily", "staging", "--error-log", str(log)])
    assert result.exit_code == 0
    assert "Error log (of a file): 2 lines in 1 patterns, 0 lines that could not be read" in result.output
    assert (
        "2 × could not connect to <address> <b> (2026-03-04 13:01 KST – 2026-03-04 13:02 KST)"
        in result.output
    )


def test_without_a_file_the_instances_are_asked_for_their_errors(asked: list[Wish]) -> None:
    result = CliRunner().invoke(report, ["daily", "staging"])
    assert "Error log (of 1 of 2 instances): 1 lines in 1 patterns" in result.output
    assert "1 × request 500 /api/models" in result.output
    assert "A log that could not be read: blue, i-2: the command ended TimedOut" in result.output
    assert "On the green instances the log reaches back to 2026-03-04 13:00 KST only" in result.output


def test_a_log_that_nobody_could_read_is_no_log_without_errors(scene: Scene) -> None:
    page = page_of(scene.report(error_log=NoInstance()), Speech("en", "Asia/Seoul"))
    told = as_text(page)
    assert "The error log could not be read" in told
    assert "A log that could not be read: blue: access denied" in told
    assert "Error log (" not in told
    assert "No error log was read." in as_text(page_of(scene.report(), Speech("en", "Asia/Seoul")))
