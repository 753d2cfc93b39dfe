"""What a release's migrations would do, asked of the database function: only it reaches the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.errors import (
    InvalidInputError,
    MisconfiguredError,
    NotReachableError,
    ServiceRefusedError,
)

# A function of an earlier version knows no plans: then there is none to show, as before the first deployment.
UNKNOWN = InvalidInputError.__name__
RAISED = {kind.__name__: kind for kind in (MisconfiguredError, NotReachableError)}


class AskedMigrationPlans:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def look(self, source: str) -> Mapping[str, Any] | None:
        payload = json.dumps({"action": "plan", "source": source}).encode()
        with aws_errors():
            try:
                answer = self._client.invoke(FunctionName=self._function, Payload=payload)
            except ClientError as error:
                if code(error) == "ResourceNotFoundException":
                    return None
                raise
            told = json.loads(answer["Payload"].read())
        if not answer.get("FunctionError"):
            return {key: told[key] for key in ("steps", "refused", "estimate")}
        kind, words = str(told.get("errorType")), str(told.get("errorMessage"))
        if kind == UNKNOWN:
            return None
        raise RAISED.get(kind, ServiceRefusedError)(f"the migrations could not be planned: {kind}: {words}")
