"""The control plane's own services: event bus, executions, configuration, secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.errors import MisconfiguredError, ServiceRefusedError
from cutover.domain.happenings import happening

SOURCE = "cutover"
# The Cause of a stopped execution may be this long.
MOST_CAUSE = 32768


class EventBus:
    def __init__(self, client: Any, bus: str, environment: str) -> None:
        self._client = client
        self._bus = bus
        self._environment = environment

    def publish(self, kind: str, detail: Mapping[str, Any]) -> None:
        """The detail goes with the environment, and with `happening` where there is one. Raises
        ServiceRefusedError."""
        told = {"environment": self._environment, **detail}
        if identity := happening(kind, told):
            told["happening"] = identity
        entry = {
            "Source": SOURCE,
            "DetailType": kind,
            "Detail": json.dumps(told, default=str),
            "EventBusName": self._bus,
        }
        with aws_errors():
            answer = self._client.put_events(Entries=[entry])
        if answer.get("FailedEntryCount"):
            raise ServiceRefusedError(
                f"the event bus refused {kind}: {answer['Entries'][0].get('ErrorMessage')}"
            )


class StateMachineExecutions:
    """`machine` is the ARN whose executions `running` lists."""

    def __init__(self, client: Any, machine: str = "") -> None:
        self._client = client
        self._machine = machine

    def runs(self, arn: str) -> bool:
        with aws_errors():
            try:
                status = self._client.describe_execution(executionArn=arn)["status"]
            except ClientError as error:
                if code(error) == "ExecutionDoesNotExist":
                    return False
                raise
        return status in ("RUNNING", "PENDING_REDRIVE")

    def running(self) -> Sequence[str]:
        with aws_errors():
            found = self._client.list_executions(stateMachineArn=self._machine, statusFilter="RUNNING")
        return [execution["executionArn"] for execution in found["executions"]]

    def stop(self, arn: str, cause: str) -> None:
        """Does nothing for an execution that has ended or is forgotten."""
        with aws_errors():
            try:
                self._client.stop_execution(executionArn=arn, error="RolledBack", cause=cause[:MOST_CAUSE])
            except ClientError as error:
                if code(error) not in ("ExecutionDoesNotExist", "ValidationException"):
                    raise


class ScheduledContractions:
    """Schedules of EventBridge Scheduler; the state machine makes them, in a group of their own.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteSchedule.html
    """

    def __init__(self, client: Any, group: str) -> None:
        self._client = client
        self._group = group

    def cancel(self, deployment: str) -> None:
        with aws_errors():
            try:
                # A schedule's name holds 64 characters: the last ones are those that tell deployments apart.
                self._client.delete_schedule(Name=deployment[-64:], GroupName=self._group)
            except ClientError as error:
                if code(error) != "ResourceNotFoundException":
                    raise


class ParameterConfiguration:
    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> Mapping[str, Any]:
        with aws_errors():
            value = self._client.get_parameter(Name=self._name)["Parameter"]["Value"]
        try:
            table = json.loads(value)
        except ValueError as error:
            raise MisconfiguredError(
                f"the parameter {self._name} is no JSON; deploy the control plane again"
            ) from error
        if not isinstance(table, dict):
            raise MisconfiguredError(
                f"the parameter {self._name} is no JSON object; deploy the control plane again"
            )
        return table


class SecretsStore:
    def __init__(self, client: Any) -> None:
        self._client = client

    def text(self, name: str) -> str:
        with aws_errors():
            return str(self._client.get_secret_value(SecretId=name)["SecretString"])

    def read(self, name: str) -> Mapping[str, str]:
        value = self.text(name)
        try:
            table = json.loads(value)
        except ValueError:
            table = None
        if not isinstance(table, dict):
            # The value itself goes nowhere.
            raise MisconfiguredError(f"the secret {name} is no JSON object")
        return {str(key): str(text) for key, text in table.items()}
