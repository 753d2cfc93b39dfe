"""A small fleet for sandbox tests: a subnet of loopback addresses, an instance role, a group of instances."""

from __future__ import annotations

import time
from typing import Any

from tests.loopback import own_network

ENDED = ("Success", "Failed", "Cancelled", "TimedOut")


class Fleet:
    """Makes a VPC, a role, a launch template and Auto Scaling groups in a running emulator."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator
        self.ec2, self.ssm = emulator.client("ec2"), emulator.client("ssm")
        self.scaling, self.iam = emulator.client("autoscaling"), emulator.client("iam")
        self.network = own_network()
        vpc = self.ec2.create_vpc(CidrBlock=f"{self.network}.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"{self.network}.{n}.0/24", AvailabilityZone=f"ap-northeast-2{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in ((1, "a"), (2, "c"))
        ]
        self.vpc = vpc
        self.groups: list[str] = []

    def profile(self, *statements: dict[str, Any], managed: bool = True) -> str:
        """The name of an instance profile; with `managed`, its role may be an SSM managed node."""
        needed = [self.emulator.allow("ssm:UpdateInstanceInformation")] if managed else []
        role = self.emulator.role("ec2.amazonaws.com", *needed, *statements).rpartition("/")[2]
        self.iam.create_instance_profile(InstanceProfileName=role)
        self.iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
        return str(role)

    def group(
        self, profile: str, *, size: int = 1, targets: tuple[str, ...] = (), tags: dict[str, str] | None = None,
        tags_in_metadata: bool = False, user_data: str = "", name: str | None = None,
    ) -> str:  # fmt: skip
        name = name or self.emulator.unique("group")
        data: dict[str, Any] = {
            "ImageId": "ami-ubuntu2204",
            "InstanceType": "t3.large",
            "IamInstanceProfile": {"Name": profile},
            "MetadataOptions": {
                "HttpTokens": "required",
                "InstanceMetadataTags": "enabled" if tags_in_metadata else "disabled",
            },
        }
        if user_data:
            data["UserData"] = user_data
        self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateName": name},
            MinSize=0, MaxSize=5, DesiredCapacity=size,
            VPCZoneIdentifier=",".join(self.subnets),
            **({"TargetGroupARNs": list(targets)} if targets else {}),
            Tags=[{"Key": k, "Value": v, "PropagateAtLaunch": True} for k, v in (tags or {}).items()],
        )  # fmt: skip
        self.groups.append(name)
        return name

    def members(self, group: str) -> list[dict[str, Any]]:
        found = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
        return list(found[0]["Instances"])

    def in_service(self, group: str, size: int) -> list[str]:
        def ready() -> list[str] | None:
            members = self.members(group)
            good = [each["InstanceId"] for each in members if each["LifecycleState"] == "InService"]
            return good if len(good) == size == len(members) else None

        if size == 0:
            self.emulator.wait_for(lambda: not self.members(group), what="an empty group")
            return []
        return list(self.emulator.wait_for(ready, what=f"{size} instances in service"))

    def record(self, instance_id: str) -> dict[str, Any]:
        found = self.ec2.describe_instances(InstanceIds=[instance_id])
        return dict(found["Reservations"][0]["Instances"][0])

    def run(self, instance_id: str, *commands: str, timeout: int = 60, **more: Any) -> dict[str, Any]:
        """Run a script by Run Command and return its finished invocation."""
        sent = self.ssm.send_command(
            InstanceIds=[instance_id],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": list(commands), "executionTimeout": [str(timeout)]},
            **more,
        )
        return self.invocation(sent["Command"]["CommandId"], instance_id, seconds=timeout + 10)

    def invocation(self, command_id: str, instance_id: str, *, seconds: float = 60) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = self.ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
            return dict(found) if found["Status"] in ENDED else None

        return dict(self.emulator.wait_for(ended, seconds=seconds, what="the end of the command"))

    def close(self) -> None:
        for name in self.groups:
            self.scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = self.ec2.describe_instances(
                Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
            )
            if not found["Reservations"]:
                return
            time.sleep(0.1)
