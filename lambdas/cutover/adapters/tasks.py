"""Answers to tasks of the state machine that wait for one.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.errors import NotWaitingError

# Answered already, timed out, or its execution has ended.
GONE = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")
MOST_CAUSE = 32768


class StateMachineTasks:
    def __init__(self, client: Any) -> None:
        self._client = client

    def succeed(self, token: str, output: Mapping[str, Any]) -> None:
        self._answer(lambda: self._client.send_task_success(taskToken=token, output=json.dumps(output)))

    def fail(self, token: str, error: str, cause: str) -> None:
        self._answer(
            lambda: self._client.send_task_failure(taskToken=token, error=error, cause=cause[:MOST_CAUSE])
        )

    @staticmethod
    def _answer(call: Callable[[], Any]) -> None:
        with aws_errors():
            try:
                call()
            except ClientError as error:
                if code(error) in GONE:
                    raise NotWaitingError(
                        "the state machine does not wait for this answer any more"
                    ) from error
                raise
