"""The announce function: people tell users of a release through it, and take that back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import EventBus, ParameterConfiguration
from cutover.adapters.journal import DynamoJournal
from cutover.domain.errors import InvalidInputError
from cutover.domain.input import read_version
from cutover.domain.window import read_hours
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps import announce as steps

MOST_REASON = 1000


@dataclass(frozen=True, kw_only=True)
class Variables(Journalling):
    configuration_parameter: str


@dataclass(frozen=True)
class Wiring:
    journal: DynamoJournal
    configuration: ParameterConfiguration
    events: EventBus
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    return Wiring(
        DynamoJournal(client("dynamodb"), variables.journal_table),
        ParameterConfiguration(client("ssm"), variables.configuration_parameter),
        EventBus(client("events"), variables.event_bus, variables.cutover_environment),
        SystemClock(),
    )


def announce(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    window = wired.configuration.read()["window"]
    return steps.announce(
        read_version(event),
        event.get("at"),
        _text(event, "by"),
        hours=read_hours(window, str(window["zone"])),
        journal=wired.journal,
        events=wired.events,
        clock=wired.clock,
    )


def withdraw(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return steps.withdraw(
        _text(event, "reason"),
        _text(event, "by"),
        journal=wired.journal,
        events=wired.events,
        clock=wired.clock,
    )


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_REASON:
        raise InvalidInputError(
            f"{name}: {value!r} does not fit; wanted a text of 1 to {MOST_REASON} characters"
        )
    return value.strip()


ACTIONS = {"announce": announce, "withdraw": withdraw}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
