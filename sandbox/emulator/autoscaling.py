"""EC2 instances that run, and Auto Scaling groups that keep their number of them.

ministack's instances are records and its groups invent theirs. Here each running instance has an agent
process (`sandbox.compute.instance`) on an address of its subnet, and each group is kept at its desired
capacity from its launch template, as
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html describes.
User data is kept and served by the metadata service, but not executed.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from botocore.exceptions import ClientError
from ministack.services import autoscaling, ec2
from ministack.services.cloudformation import provisioners

from sandbox.compute.agents import Agents
from sandbox.emulator import scaling_events
from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.instance_metrics import InstanceMetrics
from sandbox.emulator.instances import Instances, install_addresses

LOOP_SECONDS = 1.0
log = logging.getLogger("sandbox.autoscaling")
_agents: dict[int, Agents] = {}
Group = dict[str, Any]


def agents_of(context: Context) -> Agents:
    """The agents of this emulator; Run Command reaches instances through them."""
    if id(context) not in _agents:
        _agents[id(context)] = Agents(context.settings)
    return _agents[id(context)]


def install(context: Context) -> None:
    wake = threading.Event()
    instances = Instances(context, agents_of(context))
    install_addresses()
    _install_groups(wake)
    _install_instance_events(wake)
    groups = Groups(context, instances)

    def loop() -> None:
        context.scope()
        while True:
            wake.wait(LOOP_SECONDS)
            wake.clear()
            try:
                instances.reconcile()
                groups.reconcile()
            except Exception:
                log.warning(
                    "a round of the Auto Scaling loop failed; the next one tries again", exc_info=True
                )

    threading.Thread(target=loop, name="autoscaling", daemon=True).start()
    InstanceMetrics(context, instances).start()


class Groups:
    """Brings every group to its desired capacity, one round at a time."""

    def __init__(self, context: Context, instances: Instances) -> None:
        self._context, self._instances = context, instances

    def reconcile(self) -> None:
        for name, group in list(autoscaling._asgs.items()):
            try:
                self._group(name, group)
            except ClientError as error:
                log.warning("Auto Scaling group %s: %s", name, error)
        self._orphans()

    def _group(self, name: str, group: Group) -> None:
        members: list[dict[str, Any]] = group.setdefault("Instances", [])
        for member in list(members):
            self._advance(group, member)
        desired = int(group.get("DesiredCapacity") or 0)
        staying = [each for each in members if not each["LifecycleState"].startswith("Terminating")]
        for _ in range(desired - len(staying)):
            self._launch(name, group)
            staying = [each for each in members if not each["LifecycleState"].startswith("Terminating")]
        # The oldest go first. Protection from scale-in is honoured as on AWS.
        removable = [each for each in staying if not each.get("ProtectedFromScaleIn")]
        for member in removable[: max(0, len(staying) - desired)]:
            member["LifecycleState"] = "Terminating"
            self._deregister(group, member)

    def _advance(self, group: Group, member: dict[str, Any]) -> None:
        """Pending → InService when booted; Terminating → gone when its targets have drained."""
        instance_id, state = member["InstanceId"], member["LifecycleState"]
        running = self._instances.is_running(instance_id)
        if state == "Terminating":
            if not running or self._drained(group, instance_id):
                if running:
                    self._context.client("ec2").terminate_instances(InstanceIds=[instance_id])
                    self._instances.reconcile()
                group["Instances"].remove(member)
                scaling_events.terminated(group, member)
        elif not running:  # terminated by hand, or its agent died: replaced, as an unhealthy instance is
            member["HealthStatus"] = "Unhealthy"
            self._deregister(group, member)
            group["Instances"].remove(member)
            scaling_events.terminated(group, member)
        elif state == "Pending" and self._instances.agents.ready(instance_id):
            for arn in group.get("TargetGroupARNs") or []:
                self._context.client("elbv2").register_targets(
                    TargetGroupArn=arn, Targets=[{"Id": instance_id}]
                )
            member["LifecycleState"] = "InService"
            member["InServiceSince"] = time.monotonic()
            scaling_events.launched(group, member)
        elif state == "InService" and self._is_sick(group, member):
            log.warning("%s is unhealthy by its load balancer: it is replaced", instance_id)
            member.update(HealthStatus="Unhealthy", LifecycleState="Terminating")
            self._deregister(group, member)

    def _is_sick(self, group: Group, member: dict[str, Any]) -> bool:
        """The balancer's verdict counts for groups with ELB health checks, after their grace period.

        https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-checks-overview.html
        """
        age = time.monotonic() - member.get("InServiceSince", time.monotonic())
        if "ELB" not in group.get("HealthCheckType", "EC2") or age < float(group["HealthCheckGracePeriod"]):
            return False
        for arn in group.get("TargetGroupARNs") or []:
            found = self._context.client("elbv2").describe_target_health(TargetGroupArn=arn)
            for each in found["TargetHealthDescriptions"]:
                if (
                    each["Target"]["Id"] == member["InstanceId"]
                    and each["TargetHealth"]["State"] == "unhealthy"
                ):
                    return True
        return False

    def _launch(self, name: str, group: Group) -> None:
        subnets = [each.strip() for each in (group.get("VPCZoneIdentifier") or "").split(",") if each.strip()]
        used = [each.get("SubnetId") for each in group["Instances"]]
        subnet = min(subnets, key=lambda each: (used.count(each), subnets.index(each))) if subnets else None
        tags = {tag["Key"]: tag["Value"] for tag in group.get("Tags") or [] if tag.get("PropagateAtLaunch")}
        record = self._instances.launch(
            group.get("LaunchTemplate") or {}, subnet, {**tags, "aws:autoscaling:groupName": name}
        )
        group["Instances"].append(
            {
                "InstanceId": record["InstanceId"],
                "AvailabilityZone": record["Placement"]["AvailabilityZone"],
                "LifecycleState": "Pending",
                "HealthStatus": "Healthy",
                "LaunchTemplate": group.get("LaunchTemplate") or {},
                "LaunchConfigurationName": "",
                "ProtectedFromScaleIn": bool(group.get("NewInstancesProtectedFromScaleIn")),
                "InstanceType": record["InstanceType"],
                "SubnetId": subnet,
            }
        )

    def _deregister(self, group: Group, member: dict[str, Any]) -> None:
        """Take the instance out of the group's target groups, on every port it is registered with."""
        client, instance_id = self._context.client("elbv2"), member["InstanceId"]
        for arn in group.get("TargetGroupARNs") or []:
            try:
                found = client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
                targets = [each["Target"] for each in found if each["Target"]["Id"] == instance_id]
                if targets:
                    keys = [{key: each[key] for key in ("Id", "Port") if key in each} for each in targets]
                    client.deregister_targets(TargetGroupArn=arn, Targets=keys)
            except ClientError as error:
                log.info("deregistering %s from %s: %s", instance_id, arn, error)

    def _drained(self, group: Group, instance_id: str) -> bool:
        """Whether no target group is still draining the instance (its deregistration delay)."""
        for arn in group.get("TargetGroupARNs") or []:
            try:
                found = self._context.client("elbv2").describe_target_health(TargetGroupArn=arn)
            except ClientError:
                continue  # the target group is gone
            for each in found["TargetHealthDescriptions"]:
                if each["Target"]["Id"] == instance_id and each["TargetHealth"]["State"] == "draining":
                    return False
        return True

    def _orphans(self) -> None:
        """Terminate the instances of groups that were deleted."""
        for instance_id, record in list(ec2._instances.items()):
            tags = {tag["Key"]: tag["Value"] for tag in ec2._tags.get(instance_id) or []}
            group = tags.get("aws:autoscaling:groupName")
            if group and group not in autoscaling._asgs and record["State"]["Name"] == "running":
                self._context.client("ec2").terminate_instances(InstanceIds=[instance_id])


def _install_groups(wake: threading.Event) -> None:
    seam(autoscaling, "_asgs")

    def reconcile_later(_group: Group) -> None:
        wake.set()

    # ministack fills a group with invented instances here; ours come from the loop.
    replace(autoscaling, "_reconcile_instances", reconcile_later)
    actions: dict[str, Any] = seam(autoscaling, "_ACTION_MAP")
    create, describe, delete = (
        actions[name]
        for name in ("CreateAutoScalingGroup", "DescribeAutoScalingGroups", "DeleteAutoScalingGroup")
    )

    def create_group(parameters: dict[str, Any]) -> Any:
        answer = create(parameters)
        group = autoscaling._asgs.get(autoscaling._p(parameters, "AutoScalingGroupName"))
        if answer[0] == 200 and group is not None:
            group["TargetGroupARNs"] = autoscaling._parse_member_list(parameters, "TargetGroupARNs")
        return answer

    def describe_groups(parameters: dict[str, Any]) -> Any:
        status, headers, body = describe(parameters)
        text = body.decode()
        for group in autoscaling._asgs.values():
            arn = f"<AutoScalingGroupARN>{group['AutoScalingGroupARN']}</AutoScalingGroupARN>"
            members = "".join(f"<member>{each}</member>" for each in group.get("TargetGroupARNs") or [])
            text = text.replace(arn, f"{arn}<TargetGroupARNs>{members}</TargetGroupARNs>")
        return status, headers, text.encode()

    def delete_group(parameters: dict[str, Any]) -> Any:
        """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteAutoScalingGroup.html"""
        group = autoscaling._asgs.get(autoscaling._p(parameters, "AutoScalingGroupName"))
        if group and group["Instances"] and autoscaling._p(parameters, "ForceDelete") != "true":
            return autoscaling._error(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances still in the group.",
            )
        wake.set()
        return delete(parameters)

    actions["CreateAutoScalingGroup"] = create_group
    actions["DescribeAutoScalingGroups"] = describe_groups
    actions["DeleteAutoScalingGroup"] = delete_group
    fields = seam(provisioners, "_asg_fields")

    def fields_with_targets(properties: dict[str, Any]) -> dict[str, Any]:
        wake.set()
        return {**fields(properties), "TargetGroupARNs": list(properties.get("TargetGroupARNs") or [])}

    replace(provisioners, "_asg_fields", fields_with_targets)


def _install_instance_events(wake: threading.Event) -> None:
    """Starting and ending instances is noticed at once, not a round later."""
    actions: dict[str, Any] = seam(ec2, "_ACTION_MAP")
    for name in ("RunInstances", "TerminateInstances", "StopInstances", "StartInstances", "RebootInstances"):
        handler = actions[name]

        def waking(parameters: dict[str, Any], handler: Any = handler) -> Any:
            answer = handler(parameters)
            wake.set()
            return answer

        actions[name] = waking
