"""What went wrong, in words for the execution's Cause field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The Cause field of a Fail state holds 32,768 characters, the journal's item 400 KB; people read a few lines.
MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class Failure:
    """The error's name and its message, without Lambda's or CodeBuild's wrapping."""

    error: str
    message: str

    def __str__(self) -> str:
        return f"{self.error}: {self.message}"


def read_failure(failure: Mapping[str, Any] | None) -> Failure:
    """From a state's error output `{Error, Cause}`, where the Cause is plain or JSON.

    Lambda's is {errorMessage, errorType, stackTrace}; that of a build which ended badly is the Build itself.
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    error = str((failure or {}).get("Error") or "States.TaskFailed")
    cause = (failure or {}).get("Cause") or "no cause was given"
    try:
        detail = json.loads(cause)
    except (TypeError, ValueError):
        detail = None
    if isinstance(detail, dict):
        if "errorMessage" in detail:
            return Failure(error, _short(detail["errorMessage"]))
        build = detail.get("Build", detail)
        if "BuildStatus" in build:
            return Failure("BuildFailedError", _short(_build(build)))
    return Failure(error, _short(cause))


def _build(build: Mapping[str, Any]) -> str:
    """The phase that failed, with its own words, and where the log is."""
    failed = [
        phase for phase in build.get("Phases") or [] if phase.get("PhaseStatus") not in (None, "SUCCEEDED")
    ]
    words = [
        f"{phase.get('PhaseType')}: {context.get('StatusCode')} {context.get('Message')}"
        for phase in failed
        for context in phase.get("Contexts") or []
    ]
    logs = build.get("Logs") or {}
    log = logs.get("DeepLink") or " ".join(filter(None, (logs.get("GroupName"), logs.get("StreamName"))))
    told = "; ".join(words) or f"it ended {build.get('BuildStatus')}"
    return f"build {build.get('Id')}: {told}" + (f"; its log: {log}" if log else "")


def _short(text: object) -> str:
    words = str(text)
    return words if len(words) <= MOST_CHARACTERS else words[: MOST_CHARACTERS - 1] + "…"
