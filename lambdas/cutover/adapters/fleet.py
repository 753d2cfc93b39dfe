"""Instances of the colours: Auto Scaling groups, and Run Command on their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.errors import NotReachableError
from cutover.ports import Group, Invocation

# The API takes that many instance ids in one command.
MOST_INSTANCES = 50
FINISHED_BADLY = frozenset({"Failed", "TimedOut", "Cancelled", "Cancelling"})


class AutoScalingInstances:
    def __init__(self, client: Any) -> None:
        self._client = client

    def group(self, name: str) -> Group | None:
        with aws_errors():
            found = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
                "AutoScalingGroups"
            ]
        if not found:
            return None
        members = [
            i["InstanceId"] for i in found[0].get("Instances") or [] if i["LifecycleState"] == "InService"
        ]
        return Group(sorted(members), int(found[0]["DesiredCapacity"]))


class Ec2Addresses:
    def __init__(self, client: Any) -> None:
        self._client = client

    def private(self, instance: str) -> str | None:
        with aws_errors():
            try:
                found = self._client.describe_instances(InstanceIds=[instance])["Reservations"]
            except ClientError as error:
                if code(error) == "InvalidInstanceID.NotFound":
                    return None
                raise
        addresses = [one.get("PrivateIpAddress") for group in found for one in group["Instances"]]
        return str(addresses[0]) if addresses and addresses[0] else None


class SystemsManagerCommands:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html"""

    def __init__(self, client: Any) -> None:
        self._client = client

    def send(
        self, document: str, instances: Sequence[str], parameters: Mapping[str, str], comment: str
    ) -> str:
        with aws_errors():
            try:
                sent = self._client.send_command(
                    DocumentName=document,
                    InstanceIds=list(instances)[:MOST_INSTANCES],
                    Parameters={name: [value] for name, value in parameters.items()},
                    Comment=comment[:100],
                )
            except ClientError as error:
                if code(error) == "InvalidInstanceId":
                    raise NotReachableError(
                        f"an instance has not reported to Systems Manager yet: {error}"
                    ) from error
                raise
        return str(sent["Command"]["CommandId"])

    def invocations(self, command: str) -> Sequence[Invocation]:
        found: list[Invocation] = []
        with aws_errors():
            pages = self._client.get_paginator("list_command_invocations").paginate(CommandId=command)
            for page in pages:
                for one in page["CommandInvocations"]:
                    bad = one["Status"] in FINISHED_BADLY
                    output = self._output(command, one["InstanceId"]) if bad else ""
                    found.append(Invocation(one["InstanceId"], one["Status"], output))
        return found

    def _output(self, command: str, instance: str) -> str:
        """What the script said last: its complaints if there are any."""
        told = self._client.get_command_invocation(CommandId=command, InstanceId=instance)
        error = str(told.get("StandardErrorContent") or "").strip()
        return error or str(told.get("StandardOutputContent") or told.get("StatusDetails") or "")
