"""The project that scans a release from inside the network: only from there is the test listener reached."""

import textwrap
from pathlib import Path

from aws_cdk import aws_codebuild as codebuild
from constructs import Construct

from config.model import Configuration
from stacks.constructs.build import BuildSpec, make_build
from stacks.constructs.policy import Statement
from stacks.environment.balancer import Balancer
from stacks.environment.stack import EnvironmentStack
from stacks.naming import Names

BUILDSPEC = Path(__file__).with_name("scan.buildspec.yml")
SESSION = Path(__file__).with_name("scan_session.py")
#: https://www.zaproxy.org/docs/docker/about/
ZAP_IMAGE = "ghcr.io/zaproxy/zaproxy:2.16.1"
SCHEMATHESIS_VERSION = "4.32.5"
#: Together shorter than the phase that waits for it.
TIMEOUT_MINUTES, QUEUED_MINUTES = 32, 8
# A build in a VPC: https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-iam-identity-based-access-control.html#customer-managed-policies-example-create-vpc-network-interface
_OWN_INTERFACE = [
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
]


def buildspec() -> str:
    """scan.buildspec.yml with scan_session.py in its place."""
    text = BUILDSPEC.read_text(encoding="utf-8")
    place = "        @SESSION@\n"
    return text.replace(place, textwrap.indent(SESSION.read_text(encoding="utf-8"), " " * 8))


def scan_project(
    stack: EnvironmentStack, names: Names, configuration: Configuration, front: Balancer
) -> None:
    """Make cutover-ENV-scan, which the control plane starts by name."""
    spec = BuildSpec(
        name="scan",
        purpose="Scans the release on the test listener and keeps the report",
        source=codebuild.CfnProject.SourceProperty(type="NO_SOURCE", build_spec=buildspec()),
        variables={
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
            "SMOKE_SECRET": names.secret("smoke"),
            "LOAD_BALANCER_DNS": front.balancer.attr_dns_name,
            "DOMAIN": configuration.backend.domain,
            "TEST_LISTENER_PORT": str(configuration.backend.test_listener_port),
            "ZAP_IMAGE": ZAP_IMAGE,
            "SCHEMATHESIS_VERSION": SCHEMATHESIS_VERSION,
        },
        statements=[
            Statement(["s3:PutObject"], [f"arn:aws:s3:::{names.artifacts_bucket}/scans/web/*"]),
            Statement(["secretsmanager:GetSecretValue"], [stack.given("SmokeSecretArn")]),
            Statement(_OWN_INTERFACE),
            Statement(
                ["ec2:CreateNetworkInterfacePermission"],
                [names.arn("ec2", "network-interface/*")],
                {"StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"}},
            ),
        ],
        timeout_minutes=TIMEOUT_MINUTES,
        queued_minutes=QUEUED_MINUTES,
        privileged="ZAP comes as an image, and Docker needs privileged mode",
        artifacts="The project keeps no artifacts; its report is in an encrypted bucket",
        network=codebuild.CfnProject.VpcConfigProperty(
            vpc_id=stack.given("VpcId"),
            subnets=stack.given_subnets("Private"),
            security_group_ids=[stack.given("ScanSecurityGroup")],
        ),
    )
    make_build(Construct(stack, "Scan"), names, spec)
