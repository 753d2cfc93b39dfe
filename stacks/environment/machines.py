"""Machines: a role, a launch template and an Auto Scaling group, the same for all that runs on EC2."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.constructs.policy import Statement, acknowledge, role
from stacks.naming import Names

USER_DATA = Path(__file__).with_name("user_data.sh")
#: What the agents of an instance do under its role.
AGENTS = (
    # What the SSM agent needs for Run Command, out of AmazonSSMManagedInstanceCore.
    Statement(
        [
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
            "ec2messages:AcknowledgeMessage",
            "ec2messages:DeleteMessage",
            "ec2messages:FailMessage",
            "ec2messages:GetEndpoint",
            "ec2messages:GetMessages",
            "ec2messages:SendReply",
        ]
    ),
    Statement(
        ["cloudwatch:PutMetricData"],
        conditions={"StringEquals": {"cloudwatch:namespace": ["CWAgent", "Cutover"]}},
    ),
    # The CloudWatch agent reads the group's name from the instance's tags.
    Statement(["ec2:DescribeTags"]),
)


@dataclass(frozen=True)
class Machine:
    """One kind of machine: `name` is its launch template's, `role` its role's and its profile's."""

    name: str
    role: str
    purpose: str
    instance_type: str
    ami: str
    disk_gb: int
    security_group: str
    statements: Sequence[Statement] = ()


def launch_template(scope: Construct, names: Names, machine: Machine) -> ec2.CfnLaunchTemplate:
    """What such a machine is started from, with its role."""
    its_role = role(
        scope,
        names,
        machine.role,
        service="ec2.amazonaws.com",
        purpose=machine.purpose,
        statements=[*AGENTS, *machine.statements],
    )
    profile = iam.CfnInstanceProfile(
        scope, "Profile", instance_profile_name=names.named(machine.role), roles=[its_role.ref]
    )
    data_type = ec2.CfnLaunchTemplate
    return ec2.CfnLaunchTemplate(
        scope,
        "Template",
        launch_template_name=names.named(machine.name),
        launch_template_data=data_type.LaunchTemplateDataProperty(
            # EC2 itself resolves the parameter when it starts an instance: a new image changes no template.
            # https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
            image_id=machine.ami if machine.ami.startswith("ami-") else f"resolve:ssm:{machine.ami}",
            instance_type=machine.instance_type,
            iam_instance_profile=data_type.IamInstanceProfileProperty(arn=profile.attr_arn),
            security_group_ids=[machine.security_group],
            # Two hops: one for the instance, one for a container that asks for the role's credentials.
            metadata_options=data_type.MetadataOptionsProperty(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=2
            ),
            monitoring=data_type.MonitoringProperty(enabled=True),
            block_device_mappings=[
                data_type.BlockDeviceMappingProperty(
                    device_name="/dev/sda1",
                    ebs=data_type.EbsProperty(
                        encrypted=True,
                        volume_size=machine.disk_gb,
                        volume_type="gp3",
                        delete_on_termination=True,
                    ),
                )
            ],
            user_data=cdk.Fn.base64(user_data(names.region)),
        ),
    )


def user_data(region: str) -> str:
    """What an instance does when it starts: install, nothing else. A release comes by Run Command."""
    return USER_DATA.read_text(encoding="utf-8").replace("@REGION@", region)


def auto_scaling_group(
    scope: Construct,
    id: str,
    name: str,
    template: ec2.CfnLaunchTemplate,
    *,
    count: int,
    subnets: list[str],
    tags: Mapping[str, str],
) -> autoscaling.CfnAutoScalingGroup:
    """A group that stays as large as it is: what dies is replaced. `tags` go to the instances too."""
    size = str(count)
    group = autoscaling.CfnAutoScalingGroup(
        scope,
        id,
        auto_scaling_group_name=name,
        launch_template=autoscaling.CfnAutoScalingGroup.LaunchTemplateSpecificationProperty(
            launch_template_id=template.ref, version=template.attr_latest_version_number
        ),
        vpc_zone_identifier=subnets,
        min_size=size,
        max_size=size,
        desired_capacity=size,
        # By the instance alone: the idle colour has no healthy targets before its first release, and the
        # balancer's verdict would have its instances replaced without end.
        health_check_type="EC2",
        health_check_grace_period=120,
        cooldown="300",
        tags=[
            autoscaling.CfnAutoScalingGroup.TagPropertyProperty(
                key=key, value=value, propagate_at_launch=True
            )
            for key, value in {"Name": name, **tags}.items()
        ],
    )
    acknowledge(
        group,
        "AwsSolutions-AS3",
        "The group's size never changes by itself; a lost instance shows in the health alarm",
    )
    return group
