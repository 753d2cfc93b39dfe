"""Which resource each action is judged on, where ministack does not say it as AWS does.

Source: the Service Authorization Reference, one page per service
(https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ministack.services import cloudformation, ec2, iam, ses

from sandbox.emulator.iam_request import Request

EVERYTHING = ["*"]
# Kinds of EC2 resources by the prefix of their id, for tagging.
EC2_KINDS = {
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "fl": "vpc-flow-log",
    "i": "instance",
    "igw": "internet-gateway",
    "lt": "launch-template",
    "nat": "natgateway",
    "rtb": "route-table",
    "sg": "security-group",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}


def resources(action: str, request: Request, default: str) -> list[str]:
    """The ARNs on which `action` has to be allowed, all of them; `default` is what ministack would take."""
    service, name = action.split(":", 1)
    judge = JUDGES.get(service)
    found = judge(name, request) if judge else None
    return found or [default]


def _load_balancing(name: str, request: Request) -> list[str] | None:
    if name.startswith("Describe"):
        return EVERYTHING
    if name in ("AddTags", "RemoveTags"):
        return [str(arn) for arn in request.many("ResourceArns")]
    if name in ("CreateLoadBalancer", "CreateTargetGroup"):
        kind = "loadbalancer/app" if name == "CreateLoadBalancer" else "targetgroup"
        return [request.arn("elasticloadbalancing", f"{kind}/{request.one('Name')}/*")]
    if name == "SetRulePriorities":
        pattern = re.compile(r"RulePriorities\.member\.\d+\.RuleArn")
        return [str(arn) for key, arn in request.parameters.items() if pattern.fullmatch(key)]
    # The narrowest first: CreateRule names a listener, CreateListener a load balancer and a target group.
    created_on = {"CreateListener": "LoadBalancerArn", "CreateRule": "ListenerArn"}.get(name, "")
    arn = request.one(
        *filter(None, (created_on, "RuleArn", "ListenerArn", "TargetGroupArn", "LoadBalancerArn"))
    )
    return [arn] if arn else None


def _auto_scaling(name: str, request: Request) -> list[str] | None:
    if name.startswith("Describe"):
        return EVERYTHING
    group = request.one("AutoScalingGroupName", "Tags.member.1.ResourceId")
    if not group and (instance := request.one("InstanceId")):
        tags = ec2._tags.get(instance) or []
        group = next((tag["Value"] for tag in tags if tag["Key"] == "aws:autoscaling:groupName"), "")
    return [request.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{group}")] if group else None


def _databases(_name: str, request: Request) -> list[str] | None:
    """Parameter groups of clusters; ministack knows clusters and instances."""
    group = request.one("DBClusterParameterGroupName")
    if not group or request.one("DBClusterIdentifier"):
        return None
    return [request.arn("rds", f"cluster-pg:{group}")]


def _repositories(name: str, request: Request) -> list[str] | None:
    """The one action that names its repositories in a list; ministack knows the others."""
    if name != "DescribeRepositories":
        return None
    return [request.arn("ecr", f"repository/{each}") for each in request.many("repositoryNames")]


def _systems_manager(name: str, request: Request) -> list[str] | None:
    if name == "SendCommand":
        return [_document(request.one("DocumentName"), request), *command_instances(request)]
    if name == "GetParametersByPath":
        return [request.arn("ssm", "parameter" + (request.one("Path").rstrip("/") or "/"))]
    if name in ("GetParameters", "DeleteParameters"):
        return [
            parameter
            if parameter.startswith("arn:")
            else request.arn("ssm", "parameter/" + parameter.lstrip("/"))
            for parameter in map(str, request.many("Names"))
        ]
    if name.endswith("Document"):
        return [_document(request.one("Name"), request)]
    parameter = request.one("Name")
    return [parameter] if parameter.startswith("arn:") else None


def _document(name: str, request: Request) -> str:
    if name.startswith("arn:"):
        return name
    if name.startswith(("AWS-", "Amazon")):  # documents of AWS's own belong to no account
        return f"arn:aws:ssm:{request.region}::document/{name}"
    return request.arn("ssm", f"document/{name}")


def command_instances(request: Request) -> list[str]:
    """ARNs of the instances that a SendCommand is for: by id, or those that carry the tags."""
    ids = [str(instance) for instance in request.many("InstanceIds")]
    for target in request.many("Targets"):
        key, values = str(target.get("Key", "")), target.get("Values") or []
        if key.lower() == "instanceids":
            ids += values
        elif key.startswith("tag:"):
            ids += [
                instance
                for instance in ec2._instances
                if any(
                    tag["Key"] == key[4:] and tag["Value"] in values for tag in ec2._tags.get(instance) or []
                )
            ]
    return [request.arn("ec2", f"instance/{instance}") for instance in dict.fromkeys(ids)]


def _builds(name: str, request: Request) -> list[str] | None:
    builds = [*request.many("ids"), *filter(None, [request.one("id")])]
    if name in ("BatchGetBuilds", "StopBuild", "RetryBuild"):  # a build's id is PROJECT:UUID
        projects = [str(build).rsplit("/", 1)[-1].split(":")[0] for build in builds]
    else:
        projects = [*map(str, request.many("names")), *filter(None, [request.one("projectName", "name")])]
    return [
        project if project.startswith("arn:") else request.arn("codebuild", f"project/{project}")
        for project in dict.fromkeys(projects)
    ] or None


def _stacks(_name: str, request: Request) -> list[str] | None:
    name = request.one("StackName")
    change_set = request.one("ChangeSetName")
    if not name and change_set:
        kept = next((each for key, each in cloudformation._change_sets.items() if key == change_set), None)
        name = str((kept or {}).get("StackId") or "")
    if name.startswith("arn:"):
        return [name]
    stack = cloudformation._stacks.get(name) if name else None
    return [str(stack["StackId"])] if stack and stack.get("StackId") else None


def _events(name: str, request: Request) -> list[str] | None:
    if "Rule" not in name and "Target" not in name:
        return None
    rule = request.one("Name", "Rule")
    bus = request.one("EventBusName").rsplit("/", 1)[-1] or "default"
    return (
        [request.arn("events", f"rule/{rule}" if bus == "default" else f"rule/{bus}/{rule}")]
        if rule
        else None
    )


def _functions(name: str, request: Request) -> list[str] | None:
    found = re.match(r"/[\d-]+/functions/([^/]+)", request.path)
    if not found:
        return None
    function = found[1].replace("%3A", ":")
    arn = function if function.startswith("arn:") else request.arn("lambda", f"function:{function}")
    qualifier = request.one("Qualifier")
    # A call of an alias or a version is judged on that, not on the function as a whole.
    qualified = len(arn.split(":")) > 7
    return [
        f"{arn}:{qualifier}" if qualifier and not qualified and name.startswith(("Invoke", "Get")) else arn
    ]


def _logs(name: str, request: Request) -> list[str] | None:
    group = request.one("logGroupName") or request.one("logGroupIdentifier").rsplit(":log-group:", 1)[-1]
    if not group or name in ("TagResource", "UntagResource", "ListTagsForResource"):
        return None
    stream = request.one("logStreamName")
    return [request.arn("logs", f"log-group:{group}:{f'log-stream:{stream}' if stream else '*'}")]


def _cloudwatch(name: str, request: Request) -> list[str] | None:
    if "Dashboard" in name:  # a dashboard belongs to the account, not to a region
        dashboards = [*request.many("DashboardNames"), *filter(None, [request.one("DashboardName")])]
        return [
            f"arn:aws:cloudwatch::{request.account}:dashboard/{each}" for each in dashboards
        ] or EVERYTHING
    if "Alarm" not in name:
        return EVERYTHING
    if name.startswith("DescribeAlarms"):
        return [request.arn("cloudwatch", "alarm:*")]
    alarms = [*request.many("AlarmNames"), *filter(None, [request.one("AlarmName")])]
    return [request.arn("cloudwatch", f"alarm:{each}") for each in alarms] or None


def _ec2(name: str, request: Request) -> list[str] | None:
    if name.startswith("Describe"):
        return EVERYTHING
    if "SecurityGroup" in name and (group := request.one("GroupId")):
        return [request.arn("ec2", f"security-group/{group}")]
    ids = [str(each) for each in request.many("ResourceId" if name.endswith("Tags") else "InstanceId")]
    if not ids:
        return None
    return [request.arn("ec2", f"{EC2_KINDS.get(each.rsplit('-', 1)[0], '*')}/{each}") for each in ids]


def _identity(_name: str, request: Request) -> list[str] | None:
    role = iam._roles.get(request.one("RoleName")) if request.one("RoleName") else None
    if role:
        return [str(role["Arn"])]
    profile = request.one("InstanceProfileName")
    return [f"arn:aws:iam::{request.account}:instance-profile/{profile}"] if profile else None


def _schedules(name: str, request: Request) -> list[str] | None:
    """A schedule is named by its group, too.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridgescheduler.html
    """
    found = re.match(r"/schedules/([^/]+)", request.path)
    if not found or not name.endswith("Schedule"):
        return None
    group = request.one("GroupName", "groupName") or "default"
    return [request.arn("scheduler", f"schedule/{group}/{found[1]}")]


def _states(_name: str, request: Request) -> list[str] | None:
    arn = request.one("resourceArn", "stateMachineAliasArn")
    return [arn] if arn else None


def _web_firewall(name: str, request: Request) -> list[str] | None:
    arns = [arn for each in ("WebACLArn", "ResourceArn", "ARN") if (arn := request.one(each))]
    if arns:
        return arns
    if "WebACL" in name and request.one("Name") and request.one("Id"):
        scope = (request.one("Scope") or "REGIONAL").lower()
        return [request.arn("wafv2", f"{scope}/webacl/{request.one('Name')}/{request.one('Id')}")]
    return None


def _mail(_name: str, request: Request) -> list[str] | None:
    source = request.one("Source", "FromEmailAddress")
    address = source.rsplit("<", 1)[-1].rstrip("> ")
    if not address:
        return None
    # A sender is covered by an identity of the very address, or else of its domain.
    identity = address if address in ses._identities else address.rsplit("@", 1)[-1]
    return [request.arn("ses", f"identity/{identity}")]


JUDGES: dict[str, Callable[[str, Request], list[str] | None]] = {
    "autoscaling": _auto_scaling,
    "cloudformation": _stacks,
    "cloudwatch": _cloudwatch,
    "codebuild": _builds,
    "ec2": _ec2,
    "ecr": _repositories,
    "elasticloadbalancing": _load_balancing,
    "events": _events,
    "iam": _identity,
    "lambda": _functions,
    "logs": _logs,
    "rds": _databases,
    "scheduler": _schedules,
    "ses": _mail,
    "ssm": _systems_manager,
    "states": _states,
    "wafv2": _web_firewall,
}
