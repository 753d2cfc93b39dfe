"""One-time schedules of EventBridge Scheduler, in a group of their own; each is gone when it has fired.

https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code

TAKEN = "ConflictException"


class ReportSchedules:
    """`target` is called with what is asked for, as the role."""

    def __init__(self, client: Any, group: str, target: str, role: str) -> None:
        self._client = client
        self._group, self._target, self._role = group, target, role

    def once(self, name: str, at: datetime, asked: Mapping[str, Any]) -> None:
        with aws_errors():
            try:
                self._client.create_schedule(
                    Name=name,
                    GroupName=self._group,
                    ScheduleExpression=f"at({at.astimezone(UTC):%Y-%m-%dT%H:%M:%S})",
                    ScheduleExpressionTimezone="UTC",
                    FlexibleTimeWindow={"Mode": "OFF"},
                    ActionAfterCompletion="DELETE",
                    Target={"Arn": self._target, "RoleArn": self._role, "Input": json.dumps(asked)},
                )
            except ClientError as error:
                if code(error) != TAKEN:
                    raise
