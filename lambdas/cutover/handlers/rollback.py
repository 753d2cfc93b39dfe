"""The rollback function: an alarm's event, the deployment's own failure, or a person's command.

Nothing is imported here that the way to the listener does not need: boto3 and the standard library. Clients
for what comes afterwards are made afterwards.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import EventBus, ScheduledContractions, StateMachineExecutions
from cutover.adapters.fleet import SystemsManagerCommands
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.alarms import read_alarm_event
from cutover.domain.errors import CutoverError, InvalidInputError
from cutover.domain.records import Deployment
from cutover.domain.rollback import Trigger
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.roll_back import roll_back_by_hand, roll_back_deployment, roll_back_on_alarm

logger = logging.getLogger()
logger.setLevel(logging.INFO)


@dataclass(frozen=True, kw_only=True)
class Variables(Journalling):
    release_document: str
    contraction_group: str


class Wiring:
    """What a rollback may need, each made when it is first asked for."""

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.clock = SystemClock()

    @property
    def document(self) -> str:
        return self.variables.release_document

    @cached_property
    def journal(self) -> DynamoJournal:
        return DynamoJournal(client("dynamodb"), self.variables.journal_table)

    @cached_property
    def balancer(self) -> ElasticLoadBalancer:
        return ElasticLoadBalancer(client("elbv2"))

    @cached_property
    def executions(self) -> StateMachineExecutions:
        return StateMachineExecutions(client("stepfunctions"))

    @cached_property
    def commands(self) -> SystemsManagerCommands:
        return SystemsManagerCommands(client("ssm"))

    @cached_property
    def contractions(self) -> ScheduledContractions:
        return ScheduledContractions(client("scheduler"), self.variables.contraction_group)

    @cached_property
    def events(self) -> EventBus:
        return EventBus(client("events"), self.variables.event_bus, self.variables.cutover_environment)


@cache
def wiring() -> Wiring:
    wired = Wiring(read_variables(Variables))
    # While the function starts, before an event is there: the two clients on the way to the listener.
    _ = wired.balancer, wired.journal
    return wired


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    try:
        answer = _roll_back(event)
    except CutoverError as error:
        _log("refused", error=type(error).__name__, reason=str(error))
        raise
    _log("done", **answer)
    return answer


def _roll_back(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    environment = wired.variables.cutover_environment
    source = event.get("source")
    if source == "aws.cloudwatch":
        return roll_back_on_alarm(read_alarm_event(event), environment, wired)
    if source == Trigger.DEPLOYMENT:
        return roll_back_deployment(Deployment.read(event["deployment"]), event.get("failure") or {}, wired)
    if source == Trigger.PERSON:
        return roll_back_by_hand(
            _text(event, "reason"), _text(event, "by"), _text(event, "environment"), environment, wired
        )
    raise InvalidInputError(f"source: {source!r} is not known; wanted an alarm's event, deployment or manual")


def _text(event: Mapping[str, Any], field: str) -> str:
    value = event.get(field)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(
            f"{field}: {value!r} says nothing; a rollback by hand needs environment, reason and by"
        )
    return value.strip()


def _log(message: str, **about: Any) -> None:
    logger.info(json.dumps({"message": message, "service": "rollback", **about}, default=str))
