"""When a schedule is due (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from sandbox.emulator.scheduler import call_of, due


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def schedule(expression: str, zone: str = "Asia/Seoul", **more: Any) -> dict[str, Any]:
    return {
        "State": "ENABLED",
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": zone,
        "CreationDate": at("2026-01-01T00:00:00+00:00"),
        **more,
    }


def test_a_cron_expression_speaks_of_its_time_zones_clock() -> None:
    nightly = schedule("cron(0 22 * * ? *)")
    last = at("2026-01-01T12:00:00+00:00")
    assert not due(nightly, last, at("2026-01-01T12:59:59+00:00")).fires
    found = due(nightly, last, at("2026-01-01T13:00:01+00:00"))
    assert (found.fires, found.at) == (True, at("2026-01-01T22:00:00+09:00"))


def test_summer_time_moves_a_schedule_with_its_clock() -> None:
    morning = schedule("cron(0 9 * * ? *)", "Europe/Berlin")
    assert due(morning, at("2026-07-01T00:00:00+00:00"), at("2026-07-01T07:00:00+00:00")).fires
    assert not due(morning, at("2026-12-01T00:00:00+00:00"), at("2026-12-01T07:00:00+00:00")).fires


def test_a_one_time_schedule_fires_once() -> None:
    once = schedule("at(2026-01-02T03:04:05)")
    assert not due(once, None, at("2026-01-02T03:04:04+09:00")).fires
    assert due(once, None, at("2026-01-02T03:04:05+09:00")).fires
    assert not due(once, at("2026-01-02T03:04:05+09:00"), at("2026-01-03T00:00:00+09:00")).fires


def test_a_rate_counts_from_the_creation_and_then_from_each_firing() -> None:
    often = schedule("rate(5 minutes)")
    assert due(often, None, at("2026-01-01T00:05:00+00:00")).fires
    assert not due(often, at("2026-01-01T00:05:00+00:00"), at("2026-01-01T00:09:59+00:00")).fires


def test_a_disabled_schedule_and_one_outside_its_dates_do_not_fire() -> None:
    now = at("2026-01-02T00:00:00+00:00")
    assert not due(schedule("rate(1 minute)", State="DISABLED"), None, now).fires
    assert not due(schedule("rate(1 minute)", StartDate=now + 60), None, now).fires
    assert not due(schedule("rate(1 minute)", EndDate=now - 60), None, now).fires


@pytest.mark.parametrize(("expression", "zone"), [("often", "UTC"), ("cron(0 1 * * ? *)", "Mars/Olympus")])
def test_what_can_not_be_read_is_an_error(expression: str, zone: str) -> None:
    with pytest.raises(ValueError, match="Schedule"):
        due(schedule(expression, zone), 1.0, 2.0)


def test_the_input_may_name_the_scheduled_time() -> None:
    target = {"Arn": "arn:aws:states:r:1:stateMachine:m", "Input": '{"at": "<aws.scheduler.scheduled-time>"}'}
    resource, arguments = call_of(target, "arn", at("2026-01-01T00:00:00+00:00"))
    assert resource == "arn:aws:states:::aws-sdk:sfn:startExecution"
    assert arguments["Input"] == '{"at": "2026-01-01T00:00:00Z"}'
