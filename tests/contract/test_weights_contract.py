"""Live weights belong to the deployments: no change of infrastructure moves traffic."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.colours import Weights
from cutover.domain.environment import Environment
from cutover.domain.errors import ChangeSetFailedError, StackFailedError
from cutover.steps.prepare_change_set import outputs_of
from tests.contract.site import BROKEN, Site, deployment
from tests.sandbox.conftest import Emulator

UPDATES = 10
# Fails after the listeners have been changed.
BROKEN_LAST = {
    "Type": "AWS::StepFunctions::StateMachine",
    "Properties": BROKEN,
    "DependsOn": ["Listener", "TestListener"],
}


def forward(live: str) -> list[dict[str, Any]]:
    groups = [
        {"TargetGroupArn": {"Ref": colour}, "Weight": {"Ref": f"{live}{colour}Weight"}}
        for colour in ("Blue", "Green")
    ]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


class Front(Site):
    """A load balancer with the live and the test listener, as the environment's template has them."""

    def __init__(self, aws: Emulator) -> None:
        super().__init__(aws)
        self.balancer = ElasticLoadBalancer(aws.client("elbv2"))
        self.label, self.net = aws.unique("w")[-8:], self.subnets()
        self.vpc = aws.client("ec2").describe_subnets(SubnetIds=self.net)["Subnets"][0]["VpcId"]

    def template(self, number: int, **more: Any) -> None:
        group = {"Protocol": "HTTP", "Port": 8000, "VpcId": self.vpc, "TargetType": "instance"}
        balancer = {"Name": self.label, "Subnets": self.net, "Scheme": "internal"}
        resources: dict[str, Any] = {
            "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": balancer},
            "Setting": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {"Type": "String", "Value": str(number)},
            },
            **more,
        }
        for colour in ("Blue", "Green"):
            resources[colour] = {
                "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
                "Properties": {**group, "Name": f"{self.label}-{colour.lower()}"},
            }
        for name, port, prefix in (("Listener", 443, ""), ("TestListener", 8443, "Test")):
            properties = {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Protocol": "HTTP",
                "Port": port,
                "DefaultActions": forward(prefix),
            }
            resources[name] = {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": properties}
        refs = {
            "ListenerArn": "Listener",
            "TestListenerArn": "TestListener",
            "BlueTargetGroupArn": "Blue",
            "GreenTargetGroupArn": "Green",
        }
        self.write_all(resources, **{output: {"Ref": name} for output, name in refs.items()})

    @property
    def environment(self) -> Environment:
        stack = self.stacks.stack()
        assert stack is not None
        return Environment.read(outputs_of(stack))

    def give(self, live: Weights, test: Weights) -> None:
        at = self.environment
        self.balancer.set_weights(at.listener_arn, at.targets, live)
        self.balancer.set_weights(at.test_listener_arn, at.targets, test)

    def weights(self) -> tuple[Weights, Weights]:
        at = self.environment
        live, test = (
            self.balancer.weights(arn, at.targets) for arn in (at.listener_arn, at.test_listener_arn)
        )
        return live, test


@pytest.fixture
def front(aws: Emulator) -> Front:
    front = Front(aws)
    front.template(0)
    front.prepare(deployment(0), front.balancer)
    front.execute(deployment(0), front.balancer)
    assert front.weights() == (Weights(100, 0), Weights(0, 100))
    return front


@pytest.mark.parametrize(
    ("live", "test"),
    [
        pytest.param(Weights(0, 100), Weights(100, 0), id="after a swap"),
        pytest.param(Weights(70, 30), Weights(0, 100), id="after a change by hand"),
    ],
)
def test_ten_updates_leave_the_weights_as_they_are(front: Front, live: Weights, test: Weights) -> None:
    front.give(live, test)
    for number in range(1, UPDATES + 1):
        front.template(number)
        front.prepare(deployment(number), front.balancer)
        front.execute(deployment(number), front.balancer)
        assert front.weights() == (live, test)
    stored = front.aws.client("cloudformation").describe_stacks(StackName=front.name)["Stacks"][0]
    assert stored["StackStatus"] == "UPDATE_COMPLETE"


def test_an_update_that_is_taken_back_leaves_the_weights_as_they_are(front: Front) -> None:
    front.give(Weights(0, 100), Weights(100, 0))
    front.template(1, Broken=BROKEN_LAST)
    front.prepare(deployment(1), front.balancer)
    with pytest.raises(StackFailedError, match="Broken"):
        front.execute(deployment(1), front.balancer)

    assert front.weights() == (Weights(0, 100), Weights(100, 0))


def test_weights_that_moved_since_the_change_set_was_made_are_not_put_back(front: Front) -> None:
    front.template(1)
    front.prepare(deployment(1), front.balancer)
    front.give(Weights(0, 100), Weights(100, 0))
    with pytest.raises(ChangeSetFailedError, match=r"blue 100, green 0.*blue 0, green 100"):
        front.execute(deployment(1), front.balancer)

    assert front.weights() == (Weights(0, 100), Weights(100, 0))
    assert front.stacks.find("cutover-d1") is None
