"""A stack in the emulator that is provisioned by the real steps and the real adapter."""

from __future__ import annotations

import json
from typing import Any

from cutover.adapters.stacks import CloudFormationStacks, Template
from cutover.domain.records import Deployment
from cutover.ports import Group, LoadBalancer
from cutover.steps.execute_change_set import execute_change_set, look_at_stack
from cutover.steps.prepare_change_set import WEIGHTS, prepare_change_set
from tests.contract.fakes import OUTPUTS, FakeInstances, FakeLoadBalancer
from tests.sandbox.conftest import Emulator

FULL = FakeInstances(backend_blue=Group(["i-1"], 1), backend_green=Group(["i-2"], 1))


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
        self.write_all({"Setting": {"Type": kind, "Properties": properties}})

    def write_all(self, resources: dict[str, Any], **outputs: Any) -> None:
        template = {
            "Parameters": {name: {"Type": "Number"} for name in WEIGHTS},
            "Resources": resources,
            "Outputs": {name: {"Value": value} for name, value in {**OUTPUTS, **outputs}.items()},
        }
        self.s3.put_object(Bucket=self.bucket, Key="template.json", Body=json.dumps(template).encode())

    def subnets(self) -> list[str]:
        """Two, in different zones of a new VPC."""
        ec2 = self.aws.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        return [
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"{self.aws.settings.region}{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate("ac")
        ]

    def _stacks(self) -> CloudFormationStacks:
        url = f"https://s3.ap-northeast-2.amazonaws.com/{self.bucket}/template.json"
        return CloudFormationStacks(
            self.aws.client("cloudformation"), self.name, Template(url, self.role, {})
        )

    def prepare(self, deployment: Deployment, balancer: LoadBalancer | None = None) -> dict[str, Any]:
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

    def execute(self, deployment: Deployment, balancer: LoadBalancer | None = None) -> None:
        answer = execute_change_set(
            deployment,
            stacks=self.stacks,
            change_sets=self.stacks,
            instances=FULL,
            balancer=balancer or FakeLoadBalancer(),
        )
        if answer["status"] != "settled":
            self.aws.wait_for(
                lambda: self.look(deployment) == "settled",
                what="the stack",
            )


def deployment(number: int, **more: Any) -> Deployment:
    return Deployment(id=f"d{number}", version="v", environment="sandbox", fence=1, started="now", **more)
