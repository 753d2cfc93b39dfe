"""The alarms that guard a colour (requirement D1): their names, and what their descriptions carry."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from cutover.domain.colours import Colour
from cutover.domain.environment import Services, Targets
from cutover.domain.errors import InvalidInputError
from cutover.domain.services import BACKEND, Service

Value = TypeVar("Value")
#: The five of requirement D1, a minute at a time.
KINDS = ("errors", "latency", "cpu", "memory", "health")
#: On our own metrics, ten seconds at a time: they are there while a release runs on the colour.
FAST_KINDS = ("fast-errors", "fast-latency", "fast-silence")


#: The frontend's: what the balancer sees of it. It has no metrics of its own.
FRONTEND_KINDS = ("errors", "health")


def alarm_names(environment: str, colour: Colour, services: Collection[Service] = BACKEND) -> list[str]:
    """Those that guard the services' releases on the colour."""
    kinds = {Service.BACKEND: (*KINDS, *FAST_KINDS), Service.FRONTEND: FRONTEND_KINDS}
    return [
        f"cutover-{environment}-{service}-{colour}-{kind}"
        for service in Service
        if service in services
        for kind in kinds[service]
    ]


def is_fast(name: str) -> bool:
    return name.endswith(tuple(f"-{kind}" for kind in FAST_KINDS))


@dataclass(frozen=True)
class AlarmNote:
    """What an alarm's description tells the rollback, so that it has nothing to look up."""

    environment: str
    colour: Colour
    targets: Targets
    meaning: str
    frontend: Targets | None = None

    @property
    def services(self) -> Services:
        frontend = {Service.FRONTEND: self.frontend} if self.frontend else {}
        return {Service.BACKEND: self.targets, **frontend}


def read_note(description: str) -> AlarmNote:
    """Raises InvalidInputError for a description that the environment's template did not write."""
    try:
        table: Mapping[str, Any] = json.loads(description)
        return AlarmNote(
            environment=str(table["environment"]),
            colour=Colour(table["colour"]),
            targets=Targets(*(_name(table, part) for part in ("listener", "test_listener", "blue", "green"))),
            meaning=str(table.get("meaning", "")),
            frontend=_frontend(str(table["listener"]), str(table["test_listener"]), table.get("frontend")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"the alarm's description {description!r} does not say what to roll back"
        ) from error


def _frontend(listener: str, test_listener: str, table: Mapping[str, Any] | None) -> Targets | None:
    """A description holds 1024 characters, which is too few for eight ARNs: a rule is told by its last part,
    a target group by what follows the account.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/elb-application-resource-arns.html
    """
    if table is None:
        return None
    account = listener.partition(":listener/")[0]

    def rule(of: str, name: str) -> str:
        return f"{of.replace(':listener/', ':listener-rule/')}/{name}"

    return Targets(
        listener_arn=rule(listener, _name(table, "rule")),
        test_listener_arn=rule(test_listener, _name(table, "test_rule")),
        blue=f"{account}:{_name(table, 'blue')}",
        green=f"{account}:{_name(table, 'green')}",
    )


def _name(table: Mapping[str, Any], part: str) -> str:
    name = table[part]
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{part}: {name!r} names nothing")
    return name


@dataclass(frozen=True)
class AlarmEvent:
    """A "CloudWatch Alarm State Change" event. `at` is when the alarm went into ALARM.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    """

    name: str
    at: datetime
    reason: str
    note: AlarmNote


def read_alarm_event(event: Mapping[str, Any]) -> AlarmEvent:
    """Raises InvalidInputError, naming the field, for an event that says too little, that is not about ALARM,
    or that is of an alarm which guards no colour."""
    name, state = _field(event, "detail.alarmName", str), _field(event, "detail.state.value", str)
    if state != "ALARM":
        raise InvalidInputError(f"detail.state.value: {state!r} is no reason to roll back; wanted 'ALARM'")
    note = read_note(_field(event, "detail.configuration.description", str))
    known = alarm_names(note.environment, note.colour, frozenset(Service))
    if name not in known:
        raise InvalidInputError(
            f"detail.alarmName: {name!r} is not known; those that guard {note.colour} are {', '.join(known)}"
        )
    told = _field(event, "detail.state.timestamp", str)
    try:
        at = datetime.fromisoformat(told)
    except ValueError as error:
        raise InvalidInputError(f"detail.state.timestamp: {told!r} is not a time in ISO 8601") from error
    reason = event["detail"]["state"].get("reason", "")
    return AlarmEvent(name, at if at.tzinfo else at.replace(tzinfo=UTC), str(reason), note)


def _field(event: Mapping[str, Any], path: str, kind: type[Value]) -> Value:
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, kind) or not value:
        raise InvalidInputError(f"{path}: {value!r} says nothing; an alarm's event has it")
    return value
