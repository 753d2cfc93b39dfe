"""The environment's stacks and their change sets in CloudFormation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.certificates import certificate_waits, wanted_record
from cutover.domain.declared import Declared, resolve
from cutover.domain.stacks import ChangeSet, Stack, StackResource
from cutover.domain.templates import EnvironmentTemplate
from cutover.ports import Layer

# Resources that stopped because another one failed: their reason explains nothing.
CANCELLED = ("cancelled", "canceled")
# One that is still being made can't be deleted.
DELETABLE = frozenset({"CREATE_COMPLETE", "FAILED"})
OPERATION_BEGINS = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"})


@dataclass(frozen=True)
class Template:
    """What a stack's change sets are made from; `parameters` beside those that a step gives."""

    url: str
    service_role: str
    parameters: Mapping[str, str]


def layers_of(
    client: Any,
    templates: Sequence[EnvironmentTemplate],
    *,
    service_role: str = "",
    code: Mapping[str, str] | None = None,
) -> tuple[Layer, ...]:
    """The environment's stacks. `service_role` and `code` (by the parameters' names) are needed to create
    change sets only."""
    layers = []
    for each in templates:
        given = {name: value for name, value in (code or {}).items() if name in each.parameters}
        stack = CloudFormationStack(client, each.stack, Template(each.url, service_role, given))
        layers.append(Layer(each, stack, stack))
    return tuple(layers)


class CloudFormationStack:
    """One stack: both of the ports Stacks and ChangeSets."""

    def __init__(self, client: Any, stack_name: str, template: Template) -> None:
        self._client = client
        self._name = stack_name
        self._template = template

    def stack(self) -> Stack | None:
        with aws_errors():
            try:
                found = self._client.describe_stacks(StackName=self._name)["Stacks"]
            except ClientError as error:
                # There is no error code of its own for it.
                if code(error) == "ValidationError" and "does not exist" in str(error):
                    return None
                raise
        if not found:
            return None
        outputs = {output["OutputKey"]: output["OutputValue"] for output in found[0].get("Outputs") or []}
        reason = found[0].get("StackStatusReason", "")
        return Stack(found[0]["StackStatus"], reason, outputs, _parameters(found[0]))

    def resources(self) -> Sequence[StackResource]:
        return [
            StackResource(
                logical_id=resource["LogicalResourceId"],
                type=resource["ResourceType"],
                status=resource["ResourceStatus"],
                reason=resource.get("ResourceStatusReason", ""),
            )
            for resource in self._resources()
        ]

    def _resources(self) -> Sequence[Mapping[str, Any]]:
        """All of them: DescribeStackResources stops at 100.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html
        """
        with aws_errors():
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self._name)
            return [each for page in pages for each in page["StackResourceSummaries"]]

    def declared(self) -> Sequence[Declared]:
        with aws_errors():
            body = self._client.get_template(StackName=self._name, TemplateStage="Original")["TemplateBody"]
        physical = {
            each["LogicalResourceId"]: each.get("PhysicalResourceId") or "" for each in self._resources()
        }
        stack = self.stack()
        template = json.loads(body) if isinstance(body, str) else body
        return resolve(template, physical, stack.parameters if stack else {})

    def waits_for(self) -> str | None:
        ended: set[str] = set()
        records: list[str] = []
        for event in self._events():
            logical_id, status = str(event["LogicalResourceId"]), str(event["ResourceStatus"])
            if logical_id == self._name:
                if status in OPERATION_BEGINS:
                    break
            elif not status.endswith("_IN_PROGRESS"):
                ended.add(logical_id)
            elif logical_id not in ended:
                record = wanted_record(str(event.get("ResourceStatusReason") or ""))
                records += [record] if record else []
        return certificate_waits(list(dict.fromkeys(reversed(records)))) if records else None

    def cancel_update(self) -> bool:
        with aws_errors():
            try:
                self._client.cancel_update_stack(StackName=self._name)
            except ClientError as error:
                # It ended in the meantime: there is no error code of its own for it.
                if code(error) == "ValidationError" and "cannot be called from current stack status" in str(
                    error
                ):
                    return False
                raise
        return True

    def first_failure(self) -> str | None:
        failure = None
        for event in self._events():
            reason = str(event.get("ResourceStatusReason") or "")
            if event["ResourceStatus"].endswith("_FAILED") and not any(w in reason for w in CANCELLED):
                failure = (
                    f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason or 'no reason given'}"
                )
            if event["LogicalResourceId"] == self._name and event["ResourceStatus"] in OPERATION_BEGINS:
                break
        return failure

    def _events(self) -> Iterator[Mapping[str, Any]]:
        """The newest first."""
        with aws_errors():
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=self._name):
                yield from page["StackEvents"]

    def create(self, name: str, *, new_stack: bool, parameters: Mapping[str, str]) -> None:
        every = {**self._template.parameters, **parameters}
        self._create(
            name,
            ChangeSetType="CREATE" if new_stack else "UPDATE",
            TemplateURL=self._template.url,
            Parameters=[_given(key, value) for key, value in sorted(every.items())],
        )

    def create_from_current(self, name: str, parameters: Mapping[str, str]) -> None:
        stack = self.stack()
        kept = sorted(set(stack.parameters if stack else ()) - set(parameters))
        self._create(
            name,
            ChangeSetType="UPDATE",
            UsePreviousTemplate=True,
            Parameters=[
                *(_given(key, value) for key, value in sorted(parameters.items())),
                *({"ParameterKey": key, "UsePreviousValue": True} for key in kept),
            ],
        )

    def _create(self, name: str, **how: Any) -> None:
        with aws_errors():
            try:
                self._client.create_change_set(
                    StackName=self._name,
                    ChangeSetName=name,
                    RoleARN=self._template.service_role,
                    Capabilities=["CAPABILITY_NAMED_IAM"],
                    ClientToken=name,
                    **how,
                )
            except ClientError as error:
                if code(error) not in ("AlreadyExistsException", "AlreadyExists"):
                    raise

    def find(self, name: str) -> ChangeSet | None:
        pages = []
        with aws_errors():
            try:
                token: dict[str, str] = {}
                while True:
                    page = self._client.describe_change_set(StackName=self._name, ChangeSetName=name, **token)
                    pages.append(page)
                    if not page.get("NextToken"):
                        break
                    token = {"NextToken": page["NextToken"]}
            except ClientError as error:
                if code(error) in ("ChangeSetNotFound", "ChangeSetNotFoundException"):
                    return None
                raise
        return ChangeSet(
            name=name,
            status=pages[0]["Status"],
            execution_status=pages[0].get("ExecutionStatus", ""),
            reason=pages[0].get("StatusReason", ""),
            changes=[
                _change(change["ResourceChange"]) for page in pages for change in page.get("Changes") or []
            ],
            parameters=_parameters(pages[0]),
        )

    def unexecuted(self) -> Sequence[str]:
        with aws_errors():
            pages = self._client.get_paginator("list_change_sets").paginate(StackName=self._name)
            found = [each for page in pages for each in page["Summaries"]]
        return [
            each["ChangeSetName"]
            for each in found
            if not each["ExecutionStatus"].startswith("EXECUTE_") and each["Status"] in DELETABLE
        ]

    def execute(self, name: str) -> None:
        with aws_errors():
            self._client.execute_change_set(StackName=self._name, ChangeSetName=name, ClientRequestToken=name)

    def delete(self, name: str) -> None:
        with aws_errors():
            try:
                self._client.delete_change_set(StackName=self._name, ChangeSetName=name)
            except ClientError as error:
                if code(error) not in ("ChangeSetNotFound", "ChangeSetNotFoundException"):
                    raise


class CloudFormationDrift:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html

    CloudFormation reads each resource with its caller's rights; one that the caller may not read is not in
    the answer, and `reason` says so.
    """

    def __init__(
        self,
        client: Any,
        stack_names: Sequence[str],
        *,
        seconds: float = 60,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._names = stack_names
        self._seconds = seconds
        self._sleep = sleep

    def detect(self) -> dict[str, Any]:
        """All stacks at the same time. Waits for `seconds`; a detection that takes longer is UNKNOWN, not in
        sync."""
        deadline = time.monotonic() + self._seconds
        with aws_errors():
            begun = {
                name: self._client.detect_stack_drift(StackName=name)["StackDriftDetectionId"]
                for name in self._names
            }
            found = [self._result(name, detection, deadline) for name, detection in begun.items()]
        statuses = [each["status"] for each in found]
        return {
            "status": next((s for s in ("DRIFTED", "UNKNOWN") if s in statuses), "IN_SYNC"),
            "reason": "; ".join(each["reason"] for each in found if each["reason"]),
            "resources": [resource for each in found for resource in each["resources"]],
        }

    def _result(self, name: str, detection: str, deadline: float) -> dict[str, Any]:
        while True:
            found = self._client.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
            if found["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                break
            if time.monotonic() > deadline:
                return {"status": "UNKNOWN", "reason": f"{name}: the detection still runs", "resources": []}
            self._sleep(1)
        drifted = self._client.describe_stack_resource_drifts(
            StackName=name, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
        )["StackResourceDrifts"]
        whole = found["DetectionStatus"] == "DETECTION_COMPLETE"
        status = str(found.get("StackDriftStatus") or "UNKNOWN")
        reason = found.get("DetectionStatusReason", "")
        return {
            # Drift that was found counts even if not all could be looked at; "in sync" needs them all.
            "status": status if whole or drifted else "UNKNOWN",
            "reason": f"{name}: {reason}" if reason else "",
            "resources": [
                {
                    "stack": name,
                    "logical_id": each["LogicalResourceId"],
                    "type": each["ResourceType"],
                    "status": each["StackResourceDriftStatus"],
                }
                for each in drifted
            ],
        }


def _given(key: str, value: str) -> dict[str, str]:
    return {"ParameterKey": key, "ParameterValue": value}


def _parameters(described: Mapping[str, Any]) -> dict[str, str]:
    return {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters") or []}


def _change(change: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action": change["Action"],
        "logical_id": change["LogicalResourceId"],
        "type": change["ResourceType"],
        "replacement": change.get("Replacement") or "False",
        "scope": list(change.get("Scope") or []),
        "properties": sorted(
            {
                str(detail["Target"]["Name"])
                for detail in change.get("Details") or []
                if (detail.get("Target") or {}).get("Attribute") == "Properties"
                and detail["Target"].get("Name")
            }
        ),
        "causes": _causes(change.get("Details") or []),
    }


def _causes(details: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What of the resource changes, whether that replaces it, and what made CloudFormation think so. Values
    stay out: they may be secrets, and the template's digest covers them."""
    found = {
        (
            str(detail["Target"].get("Name") or detail["Target"].get("Attribute") or ""),
            str(detail["Target"].get("RequiresRecreation") or "Never"),
            str(detail.get("CausingEntity") or detail.get("ChangeSource") or ""),
        )
        for detail in details
        if detail.get("Target")
    }
    return [
        {"property": name, "recreation": recreation, "cause": cause}
        for name, recreation, cause in sorted(found)
    ]
