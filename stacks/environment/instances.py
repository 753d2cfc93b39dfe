"""The backend's instances (requirement B3): one Auto Scaling group per colour, from one launch template."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from config.model import Configuration
from stacks.constructs.policy import Statement, acknowledge, role
from stacks.environment.balancer import Balancer
from stacks.environment.data import Data
from stacks.environment.network import Network
from stacks.environment.security import SecurityGroups
from stacks.naming import COLOURS, Names

USER_DATA = Path(__file__).with_name("user_data.sh")
DISK_GB = 30
#: The secrets that the release renders into the containers' environment.
RELEASE_SECRETS = ("database-application", "redis", "jwt")


def instances(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    *,
    network: Network,
    groups: SecurityGroups,
    data: Data,
    front: Balancer,
) -> None:
    """Make both groups. They stay as large as they are: a release needs every one of its instances."""
    here = Construct(scope, "Instances")
    template = _launch_template(here, names, configuration, groups=groups, data=data, front=front)
    for colour in COLOURS:
        count = str(configuration.backend.instances_per_colour)
        group = autoscaling.CfnAutoScalingGroup(
            here,
            colour.capitalize(),
            auto_scaling_group_name=names.group(colour),
            launch_template=autoscaling.CfnAutoScalingGroup.LaunchTemplateSpecificationProperty(
                launch_template_id=template.ref, version=template.attr_latest_version_number
            ),
            vpc_zone_identifier=network.private_subnets,
            min_size=count,
            max_size=count,
            desired_capacity=count,
            target_group_arns=[front.target_groups[colour].ref],
            # By the instance alone: the idle colour has no healthy targets before its first release, and the
            # balancer's verdict would have its instances replaced without end.
            health_check_type="EC2",
            health_check_grace_period=120,
            cooldown="300",
            tags=[
                autoscaling.CfnAutoScalingGroup.TagPropertyProperty(
                    key=key, value=value, propagate_at_launch=True
                )
                for key, value in (
                    ("Name", names.group(colour)),
                    ("cutover-environment", names.environment),
                    ("cutover-colour", colour),
                )
            ],
        )
        acknowledge(
            group,
            "AwsSolutions-AS3",
            "The group's size never changes by itself; a lost instance shows in the health alarm",
        )


def _launch_template(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    *,
    groups: SecurityGroups,
    data: Data,
    front: Balancer,
) -> ec2.CfnLaunchTemplate:
    its_role = role(
        scope,
        names,
        "instance",
        service="ec2.amazonaws.com",
        purpose="Runs a release on an instance",
        statements=_statements(names, data, front),
    )
    profile = iam.CfnInstanceProfile(
        scope, "Profile", instance_profile_name=names.named("instance"), roles=[its_role.ref]
    )
    ami = configuration.backend.ami
    data_type = ec2.CfnLaunchTemplate
    return ec2.CfnLaunchTemplate(
        scope,
        "Template",
        launch_template_name=names.named("backend"),
        launch_template_data=data_type.LaunchTemplateDataProperty(
            # EC2 itself resolves the parameter when it starts an instance: a new image changes no template.
            # https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
            image_id=ami if ami.startswith("ami-") else f"resolve:ssm:{ami}",
            instance_type=configuration.backend.instance_type,
            iam_instance_profile=data_type.IamInstanceProfileProperty(arn=profile.attr_arn),
            security_group_ids=[groups.backend],
            # Two hops: one for the instance, one for a container that asks for the role's credentials.
            metadata_options=data_type.MetadataOptionsProperty(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=2
            ),
            monitoring=data_type.MonitoringProperty(enabled=True),
            block_device_mappings=[
                data_type.BlockDeviceMappingProperty(
                    device_name="/dev/sda1",
                    ebs=data_type.EbsProperty(
                        encrypted=True, volume_size=DISK_GB, volume_type="gp3", delete_on_termination=True
                    ),
                )
            ],
            user_data=cdk.Fn.base64(user_data(names.region)),
        ),
    )


def user_data(region: str) -> str:
    """What an instance does when it starts: install, nothing else. A release comes by Run Command."""
    return USER_DATA.read_text(encoding="utf-8").replace("@REGION@", region)


def _statements(names: Names, data: Data, front: Balancer) -> list[Statement]:
    return [
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
        Statement(["ecr:GetAuthorizationToken"]),
        Statement(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [names.arn("ecr", f"repository/{names.repository}")],
        ),
        Statement(["secretsmanager:GetSecretValue"], [data.secrets[name] for name in RELEASE_SECRETS]),
        Statement(
            ["elasticloadbalancing:RegisterTargets"], [group.ref for group in front.target_groups.values()]
        ),
        Statement(
            ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [f"arn:aws:s3:::{names.files_bucket}/*"]
        ),
        Statement(["s3:ListBucket"], [f"arn:aws:s3:::{names.files_bucket}"]),
        Statement(
            ["cloudwatch:PutMetricData"],
            # The CloudWatch agent's, and the containers' own (metrics.compose.yaml).
            conditions={"StringEquals": {"cloudwatch:namespace": ["CWAgent", "Cutover"]}},
        ),
        # The CloudWatch agent reads the group's name from the instance's tags.
        Statement(["ec2:DescribeTags"]),
    ]
