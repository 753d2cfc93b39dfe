"""On which resource the emulator judges the actions of EventBridge Scheduler."""

from __future__ import annotations

import pytest

from sandbox.emulator.iam_request import Request
from sandbox.emulator.iam_resources import resources


@pytest.mark.parametrize("field", ["GroupName", "groupName"])
@pytest.mark.parametrize("action", ["CreateSchedule", "DeleteSchedule", "GetSchedule"])
def test_a_schedule_is_named_by_its_group_too(action: str, field: str) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridgescheduler.html

    The group is in the body where a schedule is made, and in the query where it is deleted:
    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteSchedule.html
    """
    request = Request({field: "contractions"}, "/schedules/d2", "ap-northeast-2", "123456789012")
    found = resources(f"scheduler:{action}", request, "nothing")
    assert found == ["arn:aws:scheduler:ap-northeast-2:123456789012:schedule/contractions/d2"]


def test_without_a_group_it_is_the_default_one() -> None:
    request = Request({}, "/schedules/d2", "ap-northeast-2", "123456789012")
    (found,) = resources("scheduler:DeleteSchedule", request, "nothing")
    assert found.endswith(":schedule/default/d2")
