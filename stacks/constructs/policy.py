"""Roles and their statements: explicit actions on named resources, none of AWS's own, nothing implied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct, IConstruct

from stacks.naming import Names

#: Actions whose API has no resource-level permission, so that their statement's resource can only be `*`.
#: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
WITHOUT_RESOURCE = frozenset(
    {
        # Describe calls of these services take no resource.
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeAccountAttributes",
        "ec2:DescribeAddresses",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeFlowLogs",
        "ec2:DescribeImages",
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceTypeOfferings",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeNatGateways",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSecurityGroupRules",
        "ec2:DescribeVolumes",
        "ec2:DescribeVpcAttribute",
        # What could be ordered belongs to nobody yet.
        "rds:DescribeOrderableDBInstanceOptions",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:DescribeTags",
        "elasticloadbalancing:DescribeLoadBalancerAttributes",
        "elasticloadbalancing:DescribeTargetGroupAttributes",
        "elasticloadbalancing:DescribeListenerAttributes",
        # A certificate has no ARN before it is requested; a random password never has one.
        "acm:RequestCertificate",
        # A drift detection is found by its id.
        "cloudformation:DescribeStackDriftDetectionStatus",
        "secretsmanager:GetRandomPassword",
        # A command's invocations are found by its id.
        "ssm:ListCommandInvocations",
        "ssm:GetCommandInvocation",
        # A registry's token is for the whole account.
        "ecr:GetAuthorizationToken",
        # What the SSM agent and the CloudWatch agent of an instance call.
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
        "cloudwatch:GetMetricData",
        "cloudwatch:PutMetricData",
        "ec2:DescribeTags",
        # A task's answer is addressed by its token alone.
        "states:SendTaskFailure",
        "states:SendTaskSuccess",
        # Traces belong to no resource.
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        # The network interfaces of a function or a build in a VPC: at creation there is no resource to
        # narrow it to.
        "ec2:CreateNetworkInterface",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
        # Log delivery of Step Functions and of the load balancer is set up for the account.
        "logs:CreateLogDelivery",
        "logs:GetLogDelivery",
        "logs:UpdateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:DescribeResourcePolicies",
        "logs:DescribeLogGroups",
    }
)


#: Services that send `aws:SourceAccount` when they assume a role.
SENDS_ACCOUNT = frozenset(
    {
        "states.amazonaws.com",
        "codebuild.amazonaws.com",
        "scheduler.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
    }
)


@dataclass(frozen=True)
class Statement:
    """What is allowed, on what. `resources` is left out only for actions in WITHOUT_RESOURCE."""

    actions: Sequence[str]
    resources: Sequence[str] = ("*",)
    conditions: Mapping[str, Mapping[str, Any]] | None = None


def role(
    scope: Construct,
    names: Names,
    suffix: str,
    *,
    service: str,
    statements: Sequence[Statement],
    purpose: str,
    managed_policies: Sequence[str] = (),
) -> iam.CfnRole:
    """One role, named cutover-ENV-SUFFIX, that `service` assumes, with its statements inline.

    `managed_policies` are ARNs of policies of ours, for what is too much to be inline.

    Where the service sends the account along, the trust is narrowed to ours, so that it cannot be talked into
    the role from another one (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).
    """
    trust: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if service in SENDS_ACCOUNT:
        trust["Condition"] = {"StringEquals": {"aws:SourceAccount": names.account}}
    made = iam.CfnRole(
        scope,
        "Role",
        role_name=names.named(suffix),
        description=purpose,
        assume_role_policy_document={"Version": "2012-10-17", "Statement": [trust]},
        managed_policy_arns=list(managed_policies) or None,
        policies=[iam.CfnRole.PolicyProperty(policy_name=suffix, policy_document=_written(statements))]
        if statements
        else None,
    )
    acknowledge_open(made, purpose, statements)
    return made


def managed_policy(
    scope: Construct, id: str, names: Names, suffix: str, *, purpose: str, statements: Sequence[Statement]
) -> iam.CfnManagedPolicy:
    """The policy cutover-ENV-SUFFIX, for people's roles, or for ours that need more than fits into them."""
    made = iam.CfnManagedPolicy(
        scope,
        id,
        managed_policy_name=names.named(suffix),
        description=purpose,
        policy_document=_written(statements),
    )
    acknowledge_open(made, purpose, statements)
    return made


def _written(statements: Sequence[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [document(s) for s in statements]}


def acknowledge_open(construct: IConstruct, purpose: str, statements: Sequence[Statement]) -> None:
    """Record, for each resource with a wildcard in it, why nothing narrower is there to write."""
    found: dict[str, list[str]] = {}
    for statement in statements:
        for resource in statement.resources:
            if "*" in resource:
                found.setdefault(resource, []).extend(statement.actions)
    for resource, actions in found.items():
        why = "these actions take no resource" if resource == "*" else "what stands for the * has no name yet"
        rule = f"AwsSolutions-IAM5[Resource::{resource}]"
        acknowledge(construct, rule, f"{purpose}; {why}: {', '.join(actions)}")


def document(statement: Statement) -> dict[str, Any]:
    """The statement as a policy has it; ValueError when it is wider than its actions need."""
    bare = set(statement.actions) - WITHOUT_RESOURCE
    if list(statement.resources) == ["*"] and bare and not statement.conditions:
        raise ValueError(f"{', '.join(sorted(bare))}: name the resources, or list the action as having none")
    written: dict[str, Any] = {
        "Effect": "Allow",
        "Action": list(statement.actions),
        "Resource": list(statement.resources),
    }
    if statement.conditions:
        written["Condition"] = {key: dict(value) for key, value in statement.conditions.items()}
    return written


def only_tls(action: str, resource: str) -> dict[str, Any]:
    """The statement of a resource's own policy by which nobody reaches it in the clear."""
    return {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": action,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Record on this one construct why a rule of cdk-nag does not apply to it."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))
