"""The environment's stack and its change sets in CloudFormation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.ports import ChangeSet, Stack, StackResource

# Resources that stopped because another one failed: their reason explains nothing.
CANCELLED = ("cancelled", "canceled")
OPERATION_BEGINS = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"})


@dataclass(frozen=True)
class Template:
    """What every change set is made from; `parameters` beside those that a step gives."""

    url: str
    service_role: str
    parameters: Mapping[str, str]


class CloudFormationStacks:
    """Both of the ports Stacks and ChangeSets. `template` is needed to create change sets only."""

    def __init__(self, client: Any, stack_name: str, template: Template | None = None) -> None:
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
        return Stack(found[0]["StackStatus"], found[0].get("StackStatusReason", ""), outputs)

    def resources(self) -> Sequence[StackResource]:
        with aws_errors():
            found = self._client.describe_stack_resources(StackName=self._name)["StackResources"]
        return [
            StackResource(
                logical_id=resource["LogicalResourceId"],
                type=resource["ResourceType"],
                status=resource["ResourceStatus"],
                reason=resource.get("ResourceStatusReason", ""),
            )
            for resource in found
        ]

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
        if self._template is None:
            raise TypeError("change sets are created from a template")
        every = {**self._template.parameters, **parameters}
        with aws_errors():
            try:
                self._client.create_change_set(
                    StackName=self._name,
                    ChangeSetName=name,
                    ChangeSetType="CREATE" if new_stack else "UPDATE",
                    TemplateURL=self._template.url,
                    RoleARN=self._template.service_role,
                    Capabilities=["CAPABILITY_NAMED_IAM"],
                    Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in sorted(every.items())],
                    ClientToken=name,
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
        )

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


def _change(change: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action": change["Action"],
        "logical_id": change["LogicalResourceId"],
        "type": change["ResourceType"],
        "replacement": change.get("Replacement") or "False",
        "scope": list(change.get("Scope") or []),
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
