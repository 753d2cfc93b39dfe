"""The alarms that guard a colour (requirement D1): their names, and what their descriptions carry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.environment import Targets
from cutover.domain.errors import InvalidInputError

KINDS = ("errors", "latency", "cpu", "memory", "health")


def alarm_names(environment: str, colour: Colour) -> list[str]:
    return [f"cutover-{environment}-backend-{colour}-{kind}" for kind in KINDS]


@dataclass(frozen=True)
class AlarmNote:
    """What an alarm's description tells the rollback, so that it has nothing to look up."""

    environment: str
    colour: Colour
    targets: Targets
    meaning: str


def read_note(description: str) -> AlarmNote:
    """Raises InvalidInputError for a description that the environment's template did not write."""
    try:
        table: Mapping[str, Any] = json.loads(description)
        return AlarmNote(
            environment=str(table["environment"]),
            colour=Colour(table["colour"]),
            targets=Targets(table["listener"], table["test_listener"], table["blue"], table["green"]),
            meaning=str(table.get("meaning", "")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"the alarm's description {description!r} does not say what to roll back"
        ) from error


@dataclass(frozen=True)
class AlarmEvent:
    """A "CloudWatch Alarm State Change" event.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    """

    name: str
    at: str
    reason: str
    note: AlarmNote


def read_alarm_event(event: Mapping[str, Any]) -> AlarmEvent:
    detail = event.get("detail") or {}
    state = detail.get("state") or {}
    description = (detail.get("configuration") or {}).get("description")
    if not detail.get("alarmName") or not description:
        raise InvalidInputError(f"the event of alarm {detail.get('alarmName')!r} carries no description")
    at = str(state.get("timestamp") or event.get("time"))
    return AlarmEvent(str(detail["alarmName"]), at, str(state.get("reason", "")), read_note(description))
