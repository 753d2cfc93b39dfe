"""What Auto Scaling tells EventBridge: an instance has been launched into a group, or has left it.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ministack.services import ec2, eventbridge

from sandbox.emulator.context import seam


def launched(group: Mapping[str, Any], member: Mapping[str, Any]) -> None:
    """The event 'EC2 Instance Launch Successful'. The caller's thread has to have ministack's scope."""
    way = {"Origin": "EC2", "Destination": "AutoScalingGroup"}
    _emit("EC2 Instance Launch Successful", "Launching a new EC2 instance", group, member, way)


def terminated(group: Mapping[str, Any], member: Mapping[str, Any]) -> None:
    """The event 'EC2 Instance Terminate Successful'."""
    way = {"Origin": "AutoScalingGroup", "Destination": "EC2"}
    _emit("EC2 Instance Terminate Successful", "Terminating EC2 instance", group, member, way)


def _emit(
    kind: str, doing: str, group: Mapping[str, Any], member: Mapping[str, Any], way: Mapping[str, str]
) -> None:
    instance, now = member["InstanceId"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    account, region = group["AutoScalingGroupARN"].split(":")[4], ec2.get_region()
    activity = str(uuid.uuid4())
    detail = {
        "StatusCode": "InProgress",
        "Description": f"{doing}: {instance}",
        "AutoScalingGroupName": group["AutoScalingGroupName"],
        "ActivityId": activity,
        "Details": {"Availability Zone": member["AvailabilityZone"], "Subnet ID": member.get("SubnetId")},
        "RequestId": activity,
        "StatusMessage": "",
        "StartTime": now,
        "EndTime": now,
        "EC2InstanceId": instance,
        "Cause": f"At {now} the group's capacity was brought to what is desired.",
        **way,
    }
    entry = {
        "Source": "aws.autoscaling",
        "DetailType": kind,
        "Resources": [
            group["AutoScalingGroupARN"],
            f"arn:aws:ec2:{region}:{account}:instance/{instance}",
        ],
        "Detail": json.dumps(detail),
    }
    seam(eventbridge, "_put_events")({"Entries": [entry]}, allow_aws_source=True)
