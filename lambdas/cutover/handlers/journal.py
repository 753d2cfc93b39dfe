"""The journal function: the lock, the record of a deployment, its phases and its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import EventBus, ParameterConfiguration, StateMachineExecutions
from cutover.adapters.documents import BucketDocuments
from cutover.adapters.journal import DynamoJournal
from cutover.domain.drill import drill_lasts, no_backup, read_drill
from cutover.domain.embedded import LOCK_HELD, embedded
from cutover.domain.gates import closed
from cutover.domain.input import Input, read_input
from cutover.domain.measures import Limits
from cutover.domain.records import Deployment, Status
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.acquire_lock import acquire_lock
from cutover.steps.conclude_phase import conclude_phase
from cutover.steps.contraction import begin_contraction, end_contraction
from cutover.steps.decide import decide
from cutover.steps.drill import conclude_drill
from cutover.steps.fail import fail
from cutover.steps.finish import finish


@dataclass(frozen=True, kw_only=True)
class Variables(Journalling):
    configuration_parameter: str
    artifacts_bucket: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    journal: DynamoJournal
    events: EventBus
    executions: StateMachineExecutions
    configuration: ParameterConfiguration
    boards: BucketDocuments
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    return Wiring(
        variables,
        DynamoJournal(client("dynamodb"), variables.journal_table),
        EventBus(client("events"), variables.event_bus, variables.cutover_environment),
        StateMachineExecutions(client("stepfunctions")),
        ParameterConfiguration(client("ssm"), variables.configuration_parameter),
        BucketDocuments(client("s3"), variables.artifacts_bucket),
        SystemClock(),
    )


def acquire(event: Mapping[str, Any]) -> dict[str, Any]:
    return _acquire(event, read_input)


def acquire_drill(event: Mapping[str, Any]) -> dict[str, Any]:
    return _acquire(event, read_drill)


def _acquire(event: Mapping[str, Any], read: Callable[[object, str], Input]) -> dict[str, Any]:
    wired = wiring()
    return acquire_lock(
        event["execution"],
        event["input"],
        wired.variables.cutover_environment,
        journal=wired.journal,
        executions=wired.executions,
        configuration=wired.configuration,
        events=wired.events,
        clock=wired.clock,
        read=read,
    )


def end_drill(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    answer = conclude_drill(
        Deployment.read(event["deployment"]),
        event["load"],
        event["there"],
        event["back"],
        journal=wired.journal,
        events=wired.events,
        clock=wired.clock,
    )
    metrics = answer.pop("metrics")
    if metrics:
        # A bare line: CloudWatch reads metrics from it only when there is nothing before them.
        print(json.dumps(metrics))
    return answer


def conclude(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    _tell_lock_held(wired, deployment)
    return conclude_phase(
        deployment,
        event["phase"],
        event.get("gates") or [],
        journal=wired.journal,
        events=wired.events,
        clock=wired.clock,
    )


def _tell_lock_held(wired: Wiring, deployment: Deployment) -> None:
    """A bare line: CloudWatch reads metrics from it only when there is nothing before them."""
    now = wired.clock.now()
    held = round((now - datetime.fromisoformat(deployment.started)).total_seconds())
    print(json.dumps(embedded(wired.variables.cutover_environment, {LOCK_HELD: held}, now)))


def go_or_no_go(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return decide(
        Deployment.read(event["deployment"]),
        Limits.read(event["configuration"]),
        journal=wired.journal,
        documents=wired.boards,
        events=wired.events,
        clock=wired.clock,
    )


def end_well(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    details = {name: event.get(name) for name in ("plan", "swap", "proof", "contraction", "drift")}
    if asked := event.get("live_load"):
        details["live_load"] = {name: asked.get(name) for name in ("requests", "failed", "p95_ms")}
    return finish(
        deployment,
        Status(event["status"]),
        details,
        journal=wired.journal,
        events=wired.events,
        clock=wired.clock,
    )


def end_look(event: Mapping[str, Any]) -> dict[str, Any]:
    """`may_drill`: no backup keeps the night from its drill."""
    answer, configuration = end_well(event), event["configuration"]
    gates = no_backup(wiring().clock.now(), configuration.get("window") or {}, drill_lasts(configuration))
    return {**answer, "may_drill": not closed([gate.as_json() for gate in gates])}


def end_badly(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return fail(
        deployment,
        event.get("failure"),
        event.get("rollback"),
        plan=event.get("plan"),
        journal=wired.journal,
        events=wired.events,
        clock=wired.clock,
    )


def start_contraction(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return begin_contraction(
        str(event["deployment"]["id"]),
        event["execution"],
        journal=wired.journal,
        executions=wired.executions,
        clock=wired.clock,
    )


def conclude_contraction(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return end_contraction(
        str(event["deployment"]["id"]),
        event["lock"],
        event["outcome"],
        journal=wired.journal,
        events=wired.events,
        clock=wired.clock,
    )


ACTIONS = {
    "acquire": acquire,
    "acquire drill": acquire_drill,
    "conclude drill": end_drill,
    "conclude": conclude,
    "decide": go_or_no_go,
    "finish": end_well,
    "finish look": end_look,
    "fail": end_badly,
    "begin contraction": start_contraction,
    "end contraction": conclude_contraction,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
