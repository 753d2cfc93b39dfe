"""The host of the monitoring tier (requirement B8): one machine that comes back by itself, the document that
brings it what runs on it, and the topic that its alerts go to."""

from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct

from config.model import Configuration
from stacks.constructs.command import command_document
from stacks.constructs.policy import Statement, acknowledge
from stacks.environment.machines import Machine, auto_scaling_group, launch_template
from stacks.environment.stack import EnvironmentStack
from stacks.environment.tier.document import GRAFANA_SECRET, digest_of, document, lines
from stacks.naming import Names


def monitoring_host(stack: EnvironmentStack, names: Names, configuration: Configuration) -> str:
    """Make cutover-ENV-monitoring (an Auto Scaling group of one, and the document) and cutover-ENV-alerts.
    Answers with the digest of what the document brings."""
    here = Construct(stack, "MonitoringHost")
    topic = _alerts(here, names)
    password = _grafana_password(here, names)
    shape = configuration.monitoring
    machine = Machine(
        name="monitoring",
        role="monitoring",
        purpose="Runs the monitoring tier",
        instance_type=shape.instance_type,
        ami=shape.ami,
        disk_gb=shape.disk_gb,
        security_group=stack.given("MonitoringSecurityGroup"),
        statements=[
            # Prometheus finds its targets by it.
            Statement(["ec2:DescribeInstances"]),
            Statement(["sns:Publish"], [topic.ref]),
            Statement(["secretsmanager:GetSecretValue"], [password.ref]),
        ],
    )
    auto_scaling_group(
        here,
        "Group",
        names.monitoring_group,
        launch_template(here, names, machine),
        count=1,
        subnets=stack.given_subnets("Private"),
        tags={"cutover-environment": names.environment},
    )
    rollout = lines(names, configuration)
    command_document(here, "Document", names.monitoring_document, document(rollout))
    return digest_of(rollout)


def _alerts(scope: Construct, names: Names) -> sns.CfnTopic:
    """Who subscribes to it hears of Alertmanager's alerts; `severity` is an attribute to filter by (F2)."""
    topic = sns.CfnTopic(
        scope,
        "Alerts",
        topic_name=names.named("alerts"),
        # The key that SNS has in every account, and lets everybody use through it who may use the topic.
        # https://docs.aws.amazon.com/sns/latest/dg/sns-server-side-encryption.html
        kms_master_key_id="alias/aws/sns",
    )
    sns.CfnTopicPolicy(
        scope,
        "AlertsPolicy",
        topics=[topic.ref],
        policy_document={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OnlyTls",
                    "Effect": "Deny",
                    "Principal": {"AWS": "*"},
                    "Action": "sns:Publish",
                    "Resource": topic.ref,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        },
    )
    return topic


def _grafana_password(scope: Construct, names: Names) -> secretsmanager.CfnSecret:
    secret = secretsmanager.CfnSecret(
        scope,
        "GrafanaPassword",
        name=names.secret(GRAFANA_SECRET),
        description="Grafana's admin, at its first start",
        generate_secret_string=secretsmanager.CfnSecret.GenerateSecretStringProperty(
            password_length=32, exclude_punctuation=True
        ),
    )
    acknowledge(
        secret,
        "AwsSolutions-SMG4",
        "Grafana keeps its own users after its first start; a rotated secret would no longer open it",
    )
    return secret
