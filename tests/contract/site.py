"""Stacks in the emulator that are provisioned by the real steps and the real adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cutover.adapters.stacks import CloudFormationStack, layers_of
from cutover.domain.changes import change_sets_of
from cutover.domain.records import Deployment
from cutover.domain.stacks import Stack
from cutover.domain.templates import EnvironmentTemplate
from cutover.ports import Layer, LoadBalancer
from cutover.steps.execute_change_sets import execute_change_sets
from cutover.steps.prepare_change_sets import prepare_change_sets
from tests.contract.fakes import OUTPUTS, FakeLoadBalancer
from tests.contract.formation import WEIGHTS
from tests.contract.provisioning import FULL
from tests.sandbox.conftest import Emulator

# Found bad only when it is made: it goes on to a state that is not there.
BROKEN = {
    "RoleArn": "arn:aws:iam::123456789012:role/none",
    "DefinitionString": json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}),
}


class Site:
    """An environment of one stack, `service`, or of more: each template is written by `write_all`. The
    service's outputs are those of an environment."""

    def __init__(self, aws: Emulator) -> None:
        self.aws, self.name = aws, aws.unique("environment")
        self.s3, self.bucket = aws.client("s3"), aws.unique("templates")
        self.s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": aws.settings.region}
        )
        self.role = aws.role("cloudformation.amazonaws.com", aws.allow("*", on="*"))
        self.templates: dict[str, dict[str, Any]] = {}
        self.write({"Type": "String", "Value": {"Ref": "BlueWeight"}})

    def write(self, properties: dict[str, Any], kind: str = "AWS::SSM::Parameter") -> None:
        self.write_all({"Setting": {"Type": kind, "Properties": properties}})

    def write_all(
        self,
        resources: dict[str, Any],
        *,
        template: str = "service",
        inputs: Sequence[str] = (),
        **outputs: Any,
    ) -> None:
        """`inputs` are parameters that templates written before this one give."""
        ours = template == "service"
        numbers = {name: {"Type": "Number"} for name in WEIGHTS} if ours else {}
        every = {**(OUTPUTS if ours else {}), **outputs}
        self.templates[template] = {
            "Parameters": {**numbers, **{name: {"Type": "String"} for name in inputs}},
            "Resources": resources,
            "Outputs": {name: {"Value": value} for name, value in every.items()},
        }
        body = json.dumps(self.templates[template]).encode()
        self.s3.put_object(Bucket=self.bucket, Key=f"{template}.json", Body=body)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In the order in which the templates were first written; the service comes last."""
        names = sorted(self.templates, key=lambda name: name == "service")
        templates = [
            EnvironmentTemplate(
                name,
                self.name if name == "service" else f"{self.name}-{name}",
                f"https://s3.ap-northeast-2.amazonaws.com/{self.bucket}/{name}.json",
                tuple(self.templates[name]["Parameters"]),
            )
            for name in names
        ]
        return layers_of(self.aws.client("cloudformation"), templates, service_role=self.role)

    @property
    def stacks(self) -> CloudFormationStack:
        """The service's stack."""
        found = self.layers[-1].stacks
        assert isinstance(found, CloudFormationStack)
        return found

    @property
    def stack(self) -> Stack:
        found = self.stacks.stack()
        assert found is not None
        return found

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

    def prepare(self, deployment: Deployment, balancer: LoadBalancer | None = None) -> list[dict[str, Any]]:
        """The plan's change_sets."""

        def ready() -> dict[str, Any] | None:
            answer = prepare_change_sets(
                deployment, layers=self.layers, balancer=balancer or FakeLoadBalancer()
            )
            return answer if answer["status"] == "ready" else None

        found = self.aws.wait_for(ready, what="the change sets")
        assert found is not None
        return change_sets_of(found["change_sets"], self.templates, {})

    def execute(
        self,
        deployment: Deployment,
        planned: Sequence[Mapping[str, Any]],
        balancer: LoadBalancer | None = None,
    ) -> None:
        def settled() -> bool:
            answer = execute_change_sets(
                deployment,
                planned,
                layers=self.layers,
                instances=FULL,
                balancer=balancer or FakeLoadBalancer(),
            )
            return bool(answer["status"] == "settled")

        self.aws.wait_for(settled, what="the stacks")

    def provision(self, deployment: Deployment, balancer: LoadBalancer | None = None) -> None:
        self.execute(deployment, self.prepare(deployment, balancer), balancer)

    def left(self) -> list[str]:
        """Change sets that somebody could still execute."""
        return [name for layer in self.layers for name in layer.change_sets.unexecuted()]


def deployment(number: int, **more: Any) -> Deployment:
    return Deployment(id=f"d{number}", version="v", environment="sandbox", fence=1, started="now", **more)
