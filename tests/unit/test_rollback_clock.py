"""The four moments of a rollback: what is known of them, what is not and why, and what is published."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from cutover.domain.errors import DataPlaneNotProvedError
from cutover.domain.records import deployment_key
from cutover.domain.rollback_clock import Clock, embedded_metrics, first_bad
from cutover.handlers import rollback
from cutover.steps.prove import GONE_ANSWERS, see_gone
from sandbox.emulator.embedded_metrics import metrics_of
from tests.contract.fake_http import FakeHttp
from tests.contract.fakes import NOON, FakeClock
from tests.contract.scenes import alarm_event
from tests.unit.test_step_roll_back import on_alarm, swapped

CLOCK = Clock(NOON, NOON + timedelta(milliseconds=80))


def test_the_clock_of_a_rollback_is_recorded_and_told() -> None:
    world = swapped()
    at = NOON - timedelta(minutes=2)
    world.measurements.counts = [
        (at - timedelta(seconds=10), 0.0),
        (at, 7.0),
        (at + timedelta(seconds=10), 9.0),
    ]
    world.visitor.seen = NOON + timedelta(milliseconds=120)
    answer = on_alarm(world)

    assert answer["clock"] == {
        "first_bad_at": "2026-03-04T11:58:00.000Z",
        "asked_at": "2026-03-04T11:59:59.500Z",
        "modified_at": "2026-03-04T12:00:00.000Z",
        "last_bad_at": "2026-03-04T12:00:00.120Z",
        "ms": 500,
    }
    assert world.journal.items[deployment_key("d2")]["rollback"]["clock"] == answer["clock"]
    assert world.events.published[0][1]["clock"] == answer["clock"]


def test_what_nobody_measured_is_unknown_with_the_reason_and_never_zero() -> None:
    world = swapped()
    world.visitor.broken = True
    answer = on_alarm(world)

    assert (answer["clock"]["first_bad_at"], answer["clock"]["last_bad_at"]) == (None, None)
    assert answer["clock"]["unknown"] == {
        "first_bad_at": "there are no 10 s metrics of it",
        "last_bad_at": "the live listener can't be asked: the probe does not answer",
    }
    assert "DetectionMilliseconds" not in answer["metrics"]
    assert answer["metrics"]["RollbackMilliseconds"] == 500


def test_metrics_that_count_nothing_bad_are_another_reason_than_no_metrics() -> None:
    world = swapped()
    world.measurements.counts = [(NOON - timedelta(minutes=1), 0.0)]

    assert "count no bad request" in on_alarm(world)["clock"]["unknown"]["first_bad_at"]


def test_the_last_answer_is_looked_for_before_the_containers_stop() -> None:
    world = swapped()
    world.visitor.last_answer = lambda version: world.commands.sent.append(
        ("looked", (), {"Action": version})
    )
    on_alarm(world)

    assert [parameters["Action"] for _, _, parameters in world.commands.sent] == ["v2", "stop"]


def test_the_first_bad_moment_is_the_earliest_that_counts_anything() -> None:
    later = NOON + timedelta(seconds=10)
    assert first_bad([(later, 2.0), (NOON, 1.0)]) == NOON
    assert first_bad([(NOON, 0.0)]) is None
    assert first_bad([]) is None


def test_a_clock_publishes_the_intervals_that_are_known() -> None:
    assert CLOCK.metrics() == {"RollbackMilliseconds": 80}


def test_cloudwatch_reads_the_metrics_from_the_functions_own_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = swapped()
    world.variables = type("V", (), {"cutover_environment": "sandbox"})
    monkeypatch.setattr(rollback, "wiring", lambda: world)
    answer = rollback.handler(alarm_event(), None)

    (line,) = [each for each in capsys.readouterr().out.splitlines() if '"_aws"' in each]
    entries = {entry["MetricName"]: entry for entry in metrics_of(line)["Cutover"]}
    assert entries["RollbackMilliseconds"]["Values"] == [500.0]
    assert entries["Rollbacks"]["Dimensions"] == [{"Name": "Environment", "Value": "sandbox"}]
    assert "metrics" not in answer
    assert json.dumps(answer)


def test_an_embedded_line_has_milliseconds_since_the_epoch() -> None:
    line = embedded_metrics("sandbox", {}, NOON)
    assert line["_aws"]["Timestamp"] == NOON.timestamp() * 1000


def test_a_version_that_still_answers_for_a_moment_is_seen_to_go() -> None:
    http, clock = FakeHttp(), FakeClock()
    http.versions = ["v2", "v1", "v2", *["v1"] * 30]
    found = see_gone("v2", 443, http=http, clock=clock)

    assert found == {"last_at": "2026-03-04T12:00:00.000Z", "answers": GONE_ANSWERS}


def test_a_version_that_never_answers_has_no_last_moment() -> None:
    assert see_gone("v2", 443, http=FakeHttp("v1"), clock=FakeClock())["last_at"] is None


def test_a_version_that_stays_is_said_so() -> None:
    clock, http = FakeClock(), FakeHttp("v2")
    request = http.request

    def slow(*arguments: object, **more: object) -> object:
        clock.sleep(1)
        return request(*arguments, **more)  # type: ignore[arg-type]

    http.request = slow  # type: ignore[assignment,method-assign]
    with pytest.raises(DataPlaneNotProvedError, match="without version v2 were not seen"):
        see_gone("v2", 443, http=http, clock=clock)
