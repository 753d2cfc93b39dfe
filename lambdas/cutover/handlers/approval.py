"""The approval function: the state machine asks, and people answer through it. No other way ends the wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import EventBus
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.tasks import StateMachineTasks
from cutover.domain.records import Deployment
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.approve import Answer, answer_approval, request_approval


@dataclass(frozen=True)
class Wiring:
    journal: DynamoJournal
    tasks: StateMachineTasks
    events: EventBus
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Journalling)
    return Wiring(
        DynamoJournal(client("dynamodb"), variables.journal_table),
        StateMachineTasks(client("stepfunctions")),
        EventBus(client("events"), variables.event_bus, variables.cutover_environment),
        SystemClock(),
    )


def request(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return request_approval(
        Deployment.read(event["deployment"]),
        event["configuration"],
        event["plan"],
        str(event["token"]),
        journal=wired.journal,
        events=wired.events,
        clock=wired.clock,
    )


def approve(event: Mapping[str, Any]) -> dict[str, Any]:
    return _answer(event, Answer.APPROVED)


def reject(event: Mapping[str, Any]) -> dict[str, Any]:
    return _answer(event, Answer.REJECTED)


def _answer(event: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    wired, asked = wiring(), event.get("deployment") or {}
    return answer_approval(
        asked.get("id"),
        answer,
        event.get("by"),
        event.get("reason"),
        journal=wired.journal,
        tasks=wired.tasks,
        events=wired.events,
        clock=wired.clock,
    )


# `request` is the state machine's; the others are what people call.
ACTIONS = {"request": request, "approve": approve, "reject": reject}
BY_PEOPLE = frozenset({"approve", "reject"})


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
