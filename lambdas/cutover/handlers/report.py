"""The report function: it hears of releases that have come to stay, and makes the reports that are due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import EventBus, ParameterConfiguration
from cutover.adapters.documents import BucketDocuments
from cutover.adapters.error_log import InstancesErrorLog
from cutover.adapters.fleet import AutoScalingInstances
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.metric_history import CloudWatchHistory
from cutover.adapters.plots import Drawings
from cutover.adapters.report_schedules import ReportSchedules
from cutover.domain.errors import InvalidInputError
from cutover.domain.report import Kind
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.publish_report import publish_report, schedule_reports
from cutover.steps.report import Wish, make_report

#: What the rule hands over; nothing else is heard.
HEARD = "DeploymentSucceeded"


@dataclass(frozen=True, kw_only=True)
class Variables(Journalling):
    artifacts_bucket: str
    configuration_parameter: str
    schedule_group: str
    schedule_role_arn: str
    function_arn: str
    error_log_document: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    journal: DynamoJournal
    metrics: CloudWatchHistory
    configuration: ParameterConfiguration
    documents: BucketDocuments
    plots: Drawings
    schedules: ReportSchedules
    events: EventBus
    error_log: InstancesErrorLog
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables, clock = read_variables(Variables), SystemClock()
    return Wiring(
        variables,
        DynamoJournal(client("dynamodb"), variables.journal_table),
        CloudWatchHistory(client("cloudwatch")),
        ParameterConfiguration(client("ssm"), variables.configuration_parameter),
        BucketDocuments(client("s3"), variables.artifacts_bucket),
        Drawings(),
        ReportSchedules(
            client("scheduler"),
            variables.schedule_group,
            variables.function_arn,
            variables.schedule_role_arn,
        ),
        EventBus(client("events"), variables.event_bus, variables.cutover_environment),
        InstancesErrorLog(
            client("ssm"),
            AutoScalingInstances(client("autoscaling")),
            variables.cutover_environment,
            variables.error_log_document,
            clock,
        ),
        clock,
    )


def hear(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of the bus."""
    deployment = (event.get("detail") or {}).get("deployment")
    if event.get("detail-type") != HEARD or not deployment:
        return {"scheduled": {}}
    wired = wiring()
    return schedule_reports(
        str(deployment), journal=wired.journal, schedules=wired.schedules, clock=wired.clock
    )


def make(event: Mapping[str, Any]) -> dict[str, Any]:
    """{kind, until}. Raises InvalidInputError naming the field."""
    wired = wiring()
    document = make_report(
        _wish(event),
        wired.variables.cutover_environment,
        journal=wired.journal,
        metrics=wired.metrics,
        configuration=wired.configuration,
        clock=wired.clock,
        error_log=wired.error_log,
    )
    return publish_report(document, documents=wired.documents, plots=wired.plots, events=wired.events)


def _wish(event: Mapping[str, Any]) -> Wish:
    try:
        kind = Kind(str(event.get("kind")))
    except ValueError as error:
        raise InvalidInputError(
            f"kind: {event.get('kind')!r} is not known; choose of {', '.join(Kind)}"
        ) from error
    told = event.get("until")
    try:
        # Without it a call that is repeated would be another report.
        until = datetime.fromisoformat(str(told))
        return Wish(kind, until if until.tzinfo else until.replace(tzinfo=UTC))
    except ValueError as error:
        raise InvalidInputError(f"until: {told!r} is no moment in ISO 8601") from error


ACTIONS = {"hear": hear, "make": make}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS, default="hear")
