"""One execution of the deploy state machine: its input, its start, and what it is doing right now."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.session import Environment

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import HistoryEventTypeDef


@dataclass(frozen=True)
class Request:
    """What the state machine is given. The same JSON can be pasted into the Step Functions console."""

    environment: str
    version: str
    mode: str
    source: str | None = None
    image: str | None = None
    settings: dict[str, str] | None = None
    force_reason: str | None = None
    persona: str = "all"
    user_centric: bool = False
    allow_destructive: tuple[str, ...] = ()
    plan: str | None = None
    frontend: dict[str, str] | None = None

    def document(self) -> dict[str, Any]:
        """The execution's input."""
        document: dict[str, Any] = {
            "environment": self.environment,
            "version": self.version,
            "mode": self.mode,
            "persona": self.persona,
            "user_centric": self.user_centric,
        }
        if self.source:
            document["source"] = self.source
        if self.image:
            document["image"] = self.image
        if self.settings:
            document["settings"] = self.settings
        if self.force_reason:
            document["force"] = {"reason": self.force_reason}
        if self.allow_destructive:
            document["allow_destructive"] = list(self.allow_destructive)
        if self.plan:
            document["plan"] = self.plan
        if self.frontend:
            document["frontend"] = self.frontend
        return document


@dataclass(frozen=True)
class StateEntered:
    """The execution went into this state. `found`: how far the work is that it waits for, if told."""

    name: str
    at: datetime
    found: str = ""


@dataclass(frozen=True)
class Ended:
    """The execution is over. `cause` is the text of the console's Cause field."""

    status: str
    at: datetime
    output: Any = None
    error: str = ""
    cause: str = ""


def new_deployment_id(version: str, now: datetime) -> str:
    """The execution's name, and so the deployment's id: sorts by time, tells the version."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", version).strip("-")[:30]
    return f"{now:%Y%m%d-%H%M%S}-{safe}-{secrets.token_hex(2)}"


def start(environment: Environment, request: Request) -> str:
    """Start the execution.

    Returns:
        Its ARN; its last part is the deployment's id.
    """
    answer = environment.states.start_execution(
        stateMachineArn=environment.state_machine_arn,
        name=new_deployment_id(request.version, datetime.now(UTC)),
        input=json.dumps(request.document()),
    )
    return answer["executionArn"]


def deployment_id(execution_arn: str) -> str:
    """The deployment that this execution carries out."""
    return execution_arn.rsplit(":", 1)[-1]


def describe_end(environment: Environment, execution_arn: str) -> Ended | None:
    """How the execution ended; None while it runs."""
    answer = environment.states.describe_execution(executionArn=execution_arn)
    if answer["status"] == "RUNNING":
        return None
    output = answer.get("output")
    return Ended(
        status=answer["status"],
        at=answer.get("stopDate", datetime.now(UTC)),
        output=json.loads(output) if output else None,
        error=answer.get("error", ""),
        cause=answer.get("cause", ""),
    )


def _history(environment: Environment, execution_arn: str) -> Iterator[HistoryEventTypeDef]:
    pages = environment.states.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, PaginationConfig={"PageSize": 1000}
    )
    for page in pages:
        yield from page["events"]


def states_entered(
    environment: Environment, execution_arn: str, after: int
) -> list[tuple[int, StateEntered]]:
    """The states entered since the event numbered `after`, with their events' numbers."""
    return [
        (event["id"], _entered(event))
        for event in _history(environment, execution_arn)
        if event["id"] > after and "stateEnteredEventDetails" in event
    ]


def _entered(event: HistoryEventTypeDef) -> StateEntered:
    details = event["stateEnteredEventDetails"]
    try:
        given = json.loads(details.get("input") or "{}")
    except ValueError:  # a long input is cut off
        given = {}
    found = given.get("found") if isinstance(given, dict) else None
    return StateEntered(details["name"], event["timestamp"], found if isinstance(found, str) else "")
