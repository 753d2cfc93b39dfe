"""What the handlers share: which action an event asks for, and one line in the log for each call.

Payloads may hold secrets of the release (its settings), so that events are never logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger

from cutover.domain.errors import CutoverError, InvalidInputError

Action = Callable[[Mapping[str, Any]], dict[str, Any]]
logger = Logger()


def dispatch(
    event: Mapping[str, Any], actions: Mapping[str, Action], default: str | None = None
) -> dict[str, Any]:
    """The answer of the action that the event names. Errors of ours are logged as one line and raised on:
    their class's name is what the state machine matches."""
    name = str(event.get("action") or default)
    deployment = (event.get("deployment") or {}).get("id")
    about: dict[str, Any] = {"action": name, "deployment": deployment}
    if name not in actions:
        known = ", ".join(actions)
        raise InvalidInputError(f"action: {name!r} is not known to this function; it knows {known}")
    began = time.perf_counter()
    try:
        answer = actions[name](event)
    except CutoverError as error:
        logger.warning(
            "refused", extra={**about, "error": type(error).__name__, "reason": str(error), **_took(began)}
        )
        raise
    except Exception:
        logger.exception("broke", extra={**about, **_took(began)})
        raise
    logger.info("done", extra={**about, "status": answer.get("status"), **_took(began)})
    return answer


def _took(began: float) -> dict[str, int]:
    return {"milliseconds": round((time.perf_counter() - began) * 1000)}
