"""Calling a function of the control plane: its answer, or its own words as a message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cli.errors import ExitCode, UserError
from cli.session import Environment


def invoke(
    environment: Environment,
    function: str,
    event: Mapping[str, Any],
    refusals: Mapping[str, ExitCode] | None = None,
) -> dict[str, Any]:
    """The function's answer.

    Raises:
        UserError: the function raised. `refusals` gives the exit codes of the errors that mean no more than
            a refusal, by class name; any other is a failure.
    """
    answer = environment.functions.invoke(FunctionName=function, Payload=json.dumps(event).encode())
    document: dict[str, Any] = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        code = (refusals or {}).get(str(document.get("errorType")), ExitCode.FAILED)
        raise UserError(str(document.get("errorMessage", document)), code)
    return document
