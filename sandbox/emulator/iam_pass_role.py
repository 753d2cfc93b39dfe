"""iam:PassRole: whoever gives a service a role needs the permission to pass that role to that service.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
"""

from __future__ import annotations

from dataclasses import dataclass

from ministack.services import iam

from sandbox.emulator.iam_request import Request

# Action -> (the service that will use the role, the parameters that may hold it).
# A dotted name is a path of objects.
PASSING: dict[str, tuple[str, tuple[str, ...]]] = {
    "cloudformation:CreateChangeSet": ("cloudformation.amazonaws.com", ("RoleARN",)),
    "cloudformation:CreateStack": ("cloudformation.amazonaws.com", ("RoleARN",)),
    "cloudformation:DeleteStack": ("cloudformation.amazonaws.com", ("RoleARN",)),
    "cloudformation:UpdateStack": ("cloudformation.amazonaws.com", ("RoleARN",)),
    "codebuild:CreateProject": ("codebuild.amazonaws.com", ("serviceRole",)),
    "codebuild:StartBuild": ("codebuild.amazonaws.com", ("serviceRoleOverride",)),
    "codebuild:UpdateProject": ("codebuild.amazonaws.com", ("serviceRole",)),
    "ec2:CreateFlowLogs": ("vpc-flow-logs.amazonaws.com", ("DeliverLogsPermissionArn",)),
    "ec2:RunInstances": ("ec2.amazonaws.com", ()),
    "events:PutRule": ("events.amazonaws.com", ("RoleArn",)),
    "events:PutTargets": ("events.amazonaws.com", ()),
    "lambda:CreateFunction": ("lambda.amazonaws.com", ("Role",)),
    "lambda:UpdateFunctionConfiguration": ("lambda.amazonaws.com", ("Role",)),
    "scheduler:CreateSchedule": ("scheduler.amazonaws.com", ("Target.RoleArn",)),
    "scheduler:UpdateSchedule": ("scheduler.amazonaws.com", ("Target.RoleArn",)),
    "ssm:SendCommand": ("ssm.amazonaws.com", ("ServiceRoleArn",)),
    "states:CreateStateMachine": ("states.amazonaws.com", ("roleArn",)),
    "states:UpdateStateMachine": ("states.amazonaws.com", ("roleArn",)),
}


@dataclass(frozen=True)
class PassedRole:
    """A role handed to a service; `service` is the value of the key iam:PassedToService."""

    arn: str
    service: str


def passed_roles(action: str, request: Request) -> list[PassedRole]:
    """The roles which the request passes. A launch template's instance profile is not looked into."""
    if action not in PASSING:
        return []
    service, names = PASSING[action]
    arns = [arn for name in names if (arn := request.inner(*name.split(".")))]
    if action == "events:PutTargets":
        arns += [target["RoleArn"] for target in request.many("Targets") if target.get("RoleArn")]
    if action == "ec2:RunInstances":
        arns += _profile_roles(request.inner("IamInstanceProfile", "Arn"))
        arns += _profile_roles(request.inner("IamInstanceProfile", "Name"))
    return [PassedRole(_full_arn(arn, request), service) for arn in dict.fromkeys(arns)]


def _full_arn(role: str, request: Request) -> str:
    return role if role.startswith("arn:") else f"arn:aws:iam::{request.account}:role/{role}"


def _profile_roles(profile: str) -> list[str]:
    kept = iam._instance_profiles.get(profile.rsplit("/", 1)[-1]) if profile else None
    roles = [
        role if isinstance(role, str) else role.get("RoleName", "") for role in (kept or {}).get("Roles", [])
    ]
    return [iam._roles[name]["Arn"] for name in roles if name in iam._roles]
