"""The rollback function: an alarm's event, the deployment's own failure, or a person's command.

Nothing is imported here that the way to the listener does not need: boto3 and the standard library. The
client for the listener is made while the function starts, the journal's while the listener is being read,
those for what comes afterwards then.
"""

from __future__ import annotations

import gc

# What is made while the function starts stays for as long as it lives: looking through it for garbage again
# and again is a sixth of the start (docs/reliability.md, How fast the function starts).
gc.disable()

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.alarms import read_alarm_event
from cutover.domain.errors import CutoverError, InvalidInputError
from cutover.domain.records import Deployment
from cutover.domain.rollback import Trigger
from cutover.domain.services import Service
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.roll_back import (
    roll_back_by_hand,
    roll_back_deployment,
    roll_back_on_alarm,
    take_back_from_the_dead,
    take_back_what_was_left,
)

if TYPE_CHECKING:
    from cutover.adapters.aftersight import ColourMeasurements, ProbeVisitor
    from cutover.adapters.artifacts import ElasticRegistry
    from cutover.adapters.control import EventBus, ScheduledContractions, StateMachineExecutions
    from cutover.adapters.fleet import SystemsManagerCommands
    from cutover.adapters.journal import DynamoJournal

logger = logging.getLogger()
logger.setLevel(logging.INFO)


@dataclass(frozen=True, kw_only=True)
class Variables(Journalling):
    release_document: str
    frontend_release_document: str
    probe_function: str
    repository: str
    repository_uri: str
    frontend_repository: str
    frontend_repository_uri: str
    contraction_group: str
    state_machine_arn: str


class Wiring:
    """What a rollback may need, each made when it is first asked for."""

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.clock = SystemClock()

    @property
    def documents(self) -> Mapping[Service, str]:
        known = self.variables
        return {Service.BACKEND: known.release_document, Service.FRONTEND: known.frontend_release_document}

    @cached_property
    def journal(self) -> DynamoJournal:
        from cutover.adapters.journal import DynamoJournal  # noqa: PLC0415  while the listener is read

        return DynamoJournal(client("dynamodb"), self.variables.journal_table)

    @cached_property
    def balancer(self) -> ElasticLoadBalancer:
        return ElasticLoadBalancer(client("elbv2"))

    @cached_property
    def executions(self) -> StateMachineExecutions:
        from cutover.adapters.control import StateMachineExecutions  # noqa: PLC0415  needed afterwards

        return StateMachineExecutions(client("stepfunctions"), self.variables.state_machine_arn)

    @cached_property
    def commands(self) -> SystemsManagerCommands:
        from cutover.adapters.fleet import SystemsManagerCommands  # noqa: PLC0415  needed afterwards

        return SystemsManagerCommands(client("ssm"))

    @cached_property
    def measurements(self) -> ColourMeasurements:
        from cutover.adapters.aftersight import ColourMeasurements  # noqa: PLC0415  needed afterwards

        return ColourMeasurements(client("cloudwatch"), self.variables.cutover_environment)

    @cached_property
    def visitor(self) -> ProbeVisitor:
        from cutover.adapters.aftersight import ProbeVisitor  # noqa: PLC0415  needed afterwards

        return ProbeVisitor(client("lambda"), self.variables.probe_function)

    @cached_property
    def registries(self) -> Mapping[Service, ElasticRegistry]:
        from cutover.adapters.artifacts import ElasticRegistry  # noqa: PLC0415  only a redeployment asks

        known, images = self.variables, client("ecr")
        return {
            Service.BACKEND: ElasticRegistry(images, known.repository, known.repository_uri),
            Service.FRONTEND: ElasticRegistry(
                images, known.frontend_repository, known.frontend_repository_uri
            ),
        }

    @cached_property
    def contractions(self) -> ScheduledContractions:
        from cutover.adapters.control import ScheduledContractions  # noqa: PLC0415  needed afterwards

        return ScheduledContractions(client("scheduler"), self.variables.contraction_group)

    @cached_property
    def events(self) -> EventBus:
        from cutover.adapters.control import EventBus  # noqa: PLC0415  needed afterwards

        return EventBus(client("events"), self.variables.event_bus, self.variables.cutover_environment)


@cache
def wiring() -> Wiring:
    wired = Wiring(read_variables(Variables))
    _ = wired.balancer
    return wired


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    try:
        answer = _roll_back(event)
    except CutoverError as error:
        _log("refused", error=type(error).__name__, reason=str(error))
        raise
    _log("done", **answer)
    if answer.get("metrics"):
        # A bare line: CloudWatch reads metrics from it only when there is nothing before them.
        print(json.dumps(answer.pop("metrics")))
    return answer


def _roll_back(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    environment = wired.variables.cutover_environment
    source = event.get("source")
    if source == "aws.cloudwatch":
        return roll_back_on_alarm(read_alarm_event(event), environment, wired)
    if source == Trigger.DEPLOYMENT:
        return roll_back_deployment(_deployment(event), event.get("failure") or {}, wired)
    if source == "left":
        return take_back_what_was_left(_deployment(event), wired)
    if source == "aws.states":
        return _ended(event, environment, wired)
    return _asked(event, environment, wired)


def _ended(event: Mapping[str, Any], environment: str, wired: Wiring) -> dict[str, Any]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    found, needs = event.get("detail"), "an execution's event has it in its detail"
    detail = found if isinstance(found, Mapping) else {}
    execution, status = (_text(detail, name, needs) for name in ("executionArn", "status"))
    return take_back_from_the_dead(execution, status, environment, wired)


def _asked(event: Mapping[str, Any], environment: str, wired: Wiring) -> dict[str, Any]:
    """By a person, or by the machine that a person has started."""
    source = event.get("source")
    if source == Trigger.PERSON:
        return roll_back_by_hand(
            _text(event, "reason"), _text(event, "by"), _text(event, "environment"), environment, wired
        )
    if source == "way back":
        from cutover.steps.way_back import try_way_back  # noqa: PLC0415  no rollback waits for it

        return try_way_back(_deployment(event), wired)
    if source == "redeploy":
        from cutover.handlers.redeploy import redeploy  # noqa: PLC0415  no instant rollback waits for it

        return redeploy(event, environment, wired)
    if source in ("freeze", "unfreeze"):
        from cutover.steps.freeze import freeze, unfreeze  # noqa: PLC0415  no rollback waits for it

        by, named = _text(event, "by"), _text(event, "environment")
        if source == "unfreeze":
            return unfreeze(by, named, environment, wired)
        return freeze(_text(event, "reason"), by, named, environment, wired)
    raise InvalidInputError(
        f"source: {source!r} is not known; wanted an alarm's event, deployment, manual, freeze or unfreeze"
    )


def _deployment(event: Mapping[str, Any]) -> Deployment:
    try:
        return Deployment.read(event["deployment"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"deployment: {event.get('deployment')!r} is not whole ({error}); the state machine has it so"
        ) from error


def _text(
    event: Mapping[str, Any],
    field: str,
    needs: str = "what a person asks for needs environment, reason and by",
) -> str:
    value = event.get(field)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{field}: {value!r} says nothing; {needs}")
    return value.strip()


def _log(message: str, **about: Any) -> None:
    logger.info(json.dumps({"message": message, "service": "rollback", **about}, default=str))


# Only Lambda sets it, and there whatever is done before the first event is done before it is waited for.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    wiring()
gc.freeze()
gc.enable()
