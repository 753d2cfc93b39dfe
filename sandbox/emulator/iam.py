"""IAM where ministack stops short: precise resources, actions on several of them, PassRole, AWS's messages.

How AWS decides: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import contextvars
import re
from dataclasses import dataclass, field
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import ec2

from sandbox.emulator import iam_pass_role, iam_request, iam_resources
from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.formation import template_place

# API operations of Lambda whose IAM action has another name:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
LAMBDA_ACTIONS = {
    "Invoke": "InvokeFunction",
    "InvokeAsync": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
    "GetLayerVersionByArn": "GetLayerVersion",
    "ListTags": "ListTags",
}


@dataclass(frozen=True)
class Check:
    """One more permission that a request needs."""

    action: str
    resource: str
    keys: dict[str, Any] = field(default_factory=dict)


@dataclass
class Judgement:
    """What one request needs beyond ministack's single check, and what was refused in the end."""

    resources: list[str]
    further: list[Check] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    denied: tuple[str, str] | None = None  # (action, resource)


_judgement: contextvars.ContextVar[Judgement | None] = contextvars.ContextVar("judgement", default=None)


def install(_context: Context) -> None:
    seam(iam_actions, "_BOTOCORE_SERVICE_MAP")["lambda"] = ["lambda"]
    _install_actions()
    _install_resources()
    _install_enforcement()
    _install_messages()


def _install_actions() -> None:
    extract = seam(iam_actions, "extract_iam_action")
    match_route = seam(iam_actions, "_match_rest_action")

    def action(  # noqa: PLR0917 (ministack's signature)
        service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> str | None:
        # https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html names the operation in the path
        rpc = re.fullmatch(r"/service/[^/]+/operation/(\w+)", path)
        if rpc and service == "monitoring":
            return f"cloudwatch:{rpc[1]}"
        if service == "lambda" and (operation := match_route("lambda", method, path, query)):
            return f"lambda:{LAMBDA_ACTIONS.get(operation, operation)}"
        found: str | None = extract(service, method, path, headers, body, query)
        return found

    replace(iam_actions, "extract_iam_action", action)


def _install_resources() -> None:
    extract = seam(iam_actions, "extract_resource_arn")

    def resource_arn(  # noqa: PLR0917 (ministack's signature)
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, Any],
        region: str,
        account: str,
    ) -> str:
        default = str(extract(service, method, path, headers, body, query, region, account))
        action = iam_actions.extract_iam_action(service, method, path, headers, body, query)
        if not action or not region:
            return default
        request = iam_request.read(path, headers, body, query, (region, account))
        judgement = Judgement(
            iam_resources.resources(action, request, default),
            _further_checks(action, request),
            _condition_keys(action, request),
        )
        _judgement.set(judgement)
        return judgement.resources[0]

    replace(iam_actions, "extract_resource_arn", resource_arn)


def _further_checks(action: str, request: iam_request.Request) -> list[Check]:
    """The roles that a request passes, and the template that CloudFormation reads as the caller."""
    checks = [
        Check("iam:PassRole", role.arn, {"iam:PassedToService": role.service})
        for role in iam_pass_role.passed_roles(action, request)
    ]
    if action.startswith("cloudformation:") and (url := request.one("TemplateURL")):
        bucket, key = template_place(url)
        checks.append(Check("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}"))
    return checks


def _condition_keys(action: str, request: iam_request.Request) -> dict[str, Any]:
    """Condition keys of single services that policies of a deployment use."""
    if action == "cloudwatch:PutMetricData":
        return {"cloudwatch:namespace": request.one("Namespace")}
    if action.startswith("cloudformation:") and (role := request.one("RoleARN")):
        return {"cloudformation:RoleArn": role}
    return {}


def _install_enforcement() -> None:
    enforce = seam(iam_evaluator, "enforce")

    def enforce_all(  # noqa: PLR0917 (ministack's signature)
        access_key: str,
        action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        judgement = _judgement.get()
        if judgement is None or resource_arn != judgement.resources[0]:
            denied = enforce(access_key, action, service, region, resource_arn, service_context)
            if denied and judgement:
                judgement.denied = (action, resource_arn)
            return denied
        for resource in judgement.resources:
            keys = {**(service_context or {}), **judgement.keys, **_resource_tags(action, resource)}
            if denied := enforce(access_key, action, service, region, resource, keys):
                judgement.denied = (action, resource)
                return denied
        for check in judgement.further:
            of = check.action.split(":")[0]
            if denied := enforce(access_key, check.action, of, region, check.resource, check.keys):
                judgement.denied = (check.action, check.resource)
                return denied
        return None

    replace(iam_evaluator, "enforce", enforce_all)


def _resource_tags(action: str, resource: str) -> dict[str, Any]:
    """The tags of the resource that is changed, under the key that the service gives them in a policy:
    `ssm:resourceTag/NAME` for the instance of a command, `aws:ResourceTag/NAME` for a security group."""
    if action.startswith("ec2:") and ":security-group/" in resource:
        tags = ec2._tags.get(resource.rsplit("/", 1)[-1]) or []
        return {f"aws:ResourceTag/{tag['Key']}": tag["Value"] for tag in tags}
    if action != "ssm:SendCommand" or ":instance/" not in resource:
        return {}
    tags = ec2._tags.get(resource.rsplit("/", 1)[-1]) or []
    return {f"ssm:resourceTag/{tag['Key']}": tag["Value"] for tag in tags}


def _install_messages() -> None:
    """Name principal, action and resource, as AWS does.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    respond = seam(iam_actions, "access_denied_response")
    word = seam(iam_actions, "identity_denial_message")

    def access_denied(
        service: str, action: str, principal_arn: str, request_id: str, **details: Any
    ) -> tuple[int, dict[str, str], bytes]:
        judgement = _judgement.get()
        if judgement and judgement.denied and not details.get("error_code"):
            action, details["resource_arn"] = judgement.denied
        if (
            not details.get("message")
            and not details.get("error_code")
            and not details.get("resource_policy_arn")
        ):
            resource = str(details.get("resource_arn") or "*")
            shown = f'"{resource}"' if service == "s3" else resource
            details["message"] = word(action, principal_arn, shown, bool(details.get("explicit_deny")))
        answer: tuple[int, dict[str, str], bytes] = respond(
            service, action, principal_arn, request_id, **details
        )
        return answer

    replace(iam_actions, "access_denied_response", access_denied)
