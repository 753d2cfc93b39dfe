"""CloudFormation as the provision step asks it: real change sets, executions and failures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.adapters.stacks import CloudFormationStacks, Template
from cutover.domain.errors import ChangeSetFailedError, StackFailedError
from cutover.domain.records import Deployment
from cutover.ports import Group
from cutover.steps.execute_change_set import discard_change_set, execute_change_set, look_at_stack
from cutover.steps.prepare_change_set import prepare_change_set
from tests.contract.fakes import OUTPUTS, FakeInstances, FakeLoadBalancer
from tests.sandbox.conftest import Emulator

FULL = FakeInstances(backend_blue=Group(["i-1"], 1), backend_green=Group(["i-2"], 1))
WEIGHTS = ("BlueWeight", "GreenWeight", "TestBlueWeight", "TestGreenWeight")

# Found bad only when it is made: it goes on to a state that is not there.
BROKEN = {
    "RoleArn": "arn:aws:iam::123456789012:role/none",
    "DefinitionString": json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}),
}


class Site:
    """A stack of one parameter whose outputs are those of an environment."""

    def __init__(self, aws: Emulator) -> None:
        self.aws, self.name = aws, aws.unique("environment")
        self.s3, self.bucket = aws.client("s3"), aws.unique("templates")
        self.s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": aws.settings.region}
        )
        self.role = aws.role("cloudformation.amazonaws.com", aws.allow("*", on="*"))
        self.write({"Type": "String", "Value": {"Ref": "BlueWeight"}})
        self.stacks = self._stacks()

    def write(self, properties: dict[str, Any], kind: str = "AWS::SSM::Parameter") -> None:
        template = {
            "Parameters": {name: {"Type": "Number"} for name in WEIGHTS},
            "Resources": {"Setting": {"Type": kind, "Properties": properties}},
            "Outputs": {name: {"Value": value} for name, value in OUTPUTS.items()},
        }
        self.s3.put_object(Bucket=self.bucket, Key="template.json", Body=json.dumps(template).encode())

    def _stacks(self) -> CloudFormationStacks:
        url = f"https://s3.ap-northeast-2.amazonaws.com/{self.bucket}/template.json"
        return CloudFormationStacks(
            self.aws.client("cloudformation"), self.name, Template(url, self.role, {})
        )

    def prepare(self, deployment: Deployment, balancer: FakeLoadBalancer | None = None) -> dict[str, Any]:
        def ready() -> dict[str, Any] | None:
            answer = prepare_change_set(
                deployment,
                stacks=self.stacks,
                change_sets=self.stacks,
                balancer=balancer or FakeLoadBalancer(),
            )
            return answer if answer["status"] == "ready" else None

        found = self.aws.wait_for(ready, what="the change set")
        assert found is not None
        return found

    def look(self, deployment: Deployment) -> str:
        answer = look_at_stack(deployment, stacks=self.stacks, change_sets=self.stacks, instances=FULL)
        return str(answer["status"])

    def execute(self, deployment: Deployment) -> None:
        answer = execute_change_set(deployment, stacks=self.stacks, change_sets=self.stacks, instances=FULL)
        if answer["status"] != "settled":
            self.aws.wait_for(
                lambda: self.look(deployment) == "settled",
                what="the stack",
            )


@pytest.fixture
def site(aws: Emulator) -> Site:
    return Site(aws)


def deployment(number: int) -> Deployment:
    return Deployment(id=f"d{number}", version="v", environment="sandbox", fence=1, started="now")


def test_an_environment_is_created_then_unchanged_then_changed(site: Site) -> None:
    assert site.stacks.stack() is None
    first = site.prepare(deployment(1))
    assert [change["action"] for change in first["change_set"]["changes"]] == ["Add"]
    site.execute(deployment(1))
    found = site.stacks.stack()
    assert found is not None
    assert (found.status, found.outputs["ListenerArn"]) == ("CREATE_COMPLETE", "listener")
    assert [resource.status for resource in site.stacks.resources()] == ["CREATE_COMPLETE"]

    again = site.prepare(deployment(2))
    assert again["change_set"] == {"name": "cutover-d2", "empty": True, "changes": []}
    site.execute(deployment(2))

    site.write({"Type": "String", "Value": "changed"})
    changed = site.prepare(deployment(3))
    assert [change["action"] for change in changed["change_set"]["changes"]] == ["Modify"]
    site.execute(deployment(3))
    found = site.stacks.stack()
    assert found is not None
    assert found.status == "UPDATE_COMPLETE"


def test_executing_again_finds_that_it_is_done(site: Site) -> None:
    site.prepare(deployment(1))
    for _ in range(2):
        site.execute(deployment(1))
    found = site.stacks.stack()
    assert found is not None
    assert found.status == "CREATE_COMPLETE"


def test_a_plan_of_a_first_environment_does_not_stand_in_the_way(site: Site) -> None:
    site.prepare(deployment(1))
    discard_change_set(deployment(1), stacks=site.stacks, change_sets=site.stacks)
    assert site.stacks.find("cutover-d1") is None

    site.prepare(deployment(2))
    site.execute(deployment(2))
    found = site.stacks.stack()
    assert found is not None
    assert found.status == "CREATE_COMPLETE"


def test_a_failure_carries_the_first_resources_own_reason(site: Site) -> None:
    site.prepare(deployment(1))
    site.execute(deployment(1))
    site.write(BROKEN, kind="AWS::StepFunctions::StateMachine")

    site.prepare(deployment(2))
    with pytest.raises(
        StackFailedError,
        match=r"UPDATE_ROLLBACK_COMPLETE: Setting \(AWS::StepFunctions::StateMachine\): .*Next",
    ):
        site.execute(deployment(2))


def test_an_update_that_was_taken_back_can_be_deployed_over(site: Site) -> None:
    site.prepare(deployment(1))
    site.execute(deployment(1))
    site.write(BROKEN, kind="AWS::StepFunctions::StateMachine")
    site.prepare(deployment(2))
    with pytest.raises(StackFailedError):
        site.execute(deployment(2))

    site.write({"Type": "String", "Value": "mended"})
    site.prepare(deployment(3))
    site.execute(deployment(3))


def test_a_template_that_is_none_fails_the_change_set(site: Site) -> None:
    site.write({}, kind="AWS::Nothing::AtAll")
    with pytest.raises((ChangeSetFailedError, Exception), match="AWS::Nothing::AtAll"):
        site.prepare(deployment(1))
