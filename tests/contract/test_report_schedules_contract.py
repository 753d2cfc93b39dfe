"""One-time schedules of reports: made once under a name, for a moment, with what is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cutover.adapters.report_schedules import ReportSchedules
from cutover.report_ports import Schedules
from tests.contract.fake_history import FakeSchedules

AT = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
ASKED = {"action": "make", "kind": "daily", "until": "2026-03-05T03:00:00.000Z"}
#: What is scheduled under a name: (when, what is asked for).
Look = Callable[[str], tuple[datetime, Any]]


@pytest.fixture(params=["memory", "scheduler"])
def kept(request: pytest.FixtureRequest) -> tuple[Schedules, Look]:
    if request.param == "memory":
        fake = FakeSchedules()
        return fake, lambda name: fake.there[name]
    aws = request.getfixturevalue("aws")
    client, group = aws.client("scheduler"), aws.unique("reports")
    client.create_schedule_group(Name=group)
    account = aws.settings.account
    function = f"arn:aws:lambda:ap-northeast-2:{account}:function:report"

    def look(name: str) -> tuple[datetime, Any]:
        found = client.get_schedule(Name=name, GroupName=group)
        assert found["ActionAfterCompletion"] == "DELETE"
        assert found["Target"]["Arn"] == function
        at = datetime.fromisoformat(found["ScheduleExpression"][3:-1]).replace(tzinfo=UTC)
        return at, json.loads(found["Target"]["Input"])

    role = f"arn:aws:iam::{account}:role/reports"
    return ReportSchedules(client, group, function, role), look


def test_a_report_is_asked_for_at_its_moment(kept: tuple[Schedules, Look]) -> None:
    schedules, look = kept
    schedules.once("d2-daily", AT, ASKED)
    assert look("d2-daily") == (AT, ASKED)


def test_a_second_time_changes_nothing(kept: tuple[Schedules, Look]) -> None:
    schedules, look = kept
    schedules.once("d2-daily", AT, ASKED)
    schedules.once("d2-daily", AT + timedelta(hours=1), {**ASKED, "kind": "checkpoint"})
    assert look("d2-daily") == (AT, ASKED)
