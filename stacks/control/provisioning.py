"""The role that CloudFormation takes on for the environment's stacks: no function creates infrastructure."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from config.model import Configuration
from stacks.constructs.policy import Statement, managed_policy, role
from stacks.control.provisioning_rights import (
    balancer,
    data,
    functions,
    instances,
    monitoring,
    network,
    web_scan,
)
from stacks.naming import ENVIRONMENT_FUNCTIONS, ROTATION, Names

#: The roles that the environment's templates make; the control plane's own are out of its reach.
INSTANCE_ROLES = ("instance", "frontend-instance", "monitoring")
ENVIRONMENT_ROLES = (*ENVIRONMENT_FUNCTIONS, ROTATION, *INSTANCE_ROLES, "flow-logs", "scan")


def service_role(
    scope: Construct, names: Names, configuration: Configuration, code_bucket: str
) -> iam.CfnRole:
    """The role cutover-ENV-cloudformation, with a managed policy for each kind of thing.

    All of it is more than a role's own policies may hold (10,240 characters).
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    here = Construct(scope, "Provisioning")
    rights = {
        "network": network(names),
        "data": data(names),
        "balancer": balancer(names, configuration),
        "instances": [*instances(names), *web_scan(names)],
        "functions": [*functions(names, code_bucket), *monitoring(names)],
        "roles": _roles(names),
    }
    purpose = "Makes and changes what the environment's templates describe"
    policies = [
        managed_policy(
            here,
            f"{kind.capitalize()}Policy",
            names,
            f"cloudformation-{kind}",
            purpose=f"{purpose}: {kind}",
            statements=statements,
        )
        for kind, statements in rights.items()
    ]
    return role(
        here,
        names,
        "cloudformation",
        service="cloudformation.amazonaws.com",
        statements=[],
        purpose=purpose,
        managed_policies=[policy.ref for policy in policies],
    )


def _roles(names: Names) -> list[Statement]:
    passed = {
        "lambda.amazonaws.com": [names.role_arn(function) for function in (*ENVIRONMENT_FUNCTIONS, ROTATION)],
        "ec2.amazonaws.com": [names.role_arn(name) for name in INSTANCE_ROLES],
        "vpc-flow-logs.amazonaws.com": [names.role_arn("flow-logs")],
        "codebuild.amazonaws.com": [names.role_arn("scan")],
    }
    linked = ("autoscaling", "elasticache", "elasticloadbalancing", "rds")
    return [
        Statement(
            [
                "iam:CreateRole",
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "iam:PutRolePolicy",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
                "iam:UpdateRoleDescription",
            ],
            [names.role_arn(name) for name in ENVIRONMENT_ROLES],
        ),
        Statement(
            [
                "iam:AddRoleToInstanceProfile",
                "iam:CreateInstanceProfile",
                "iam:DeleteInstanceProfile",
                "iam:GetInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
            ],
            [names.global_arn("iam", f"instance-profile/{names.named(name)}") for name in INSTANCE_ROLES],
        ),
        *(
            Statement(["iam:PassRole"], arns, {"StringEquals": {"iam:PassedToService": service}})
            for service, arns in passed.items()
        ),
        Statement(
            ["iam:CreateServiceLinkedRole"],
            [names.global_arn("iam", "role/aws-service-role/*")],
            {"StringEquals": {"iam:AWSServiceName": [f"{service}.amazonaws.com" for service in linked]}},
        ),
    ]
