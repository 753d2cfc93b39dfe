"""Live weights belong to the deployments: no change of infrastructure moves traffic."""

from __future__ import annotations

import os
from typing import Any

import pytest

from cutover.adapters.live import LiveResources
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.colours import Weights
from cutover.domain.declared import wanted
from cutover.domain.errors import ChangeSetFailedError, StackFailedError
from cutover.steps.live_weights import FORKS, live_weights
from tests.contract.site import BROKEN, Site, deployment
from tests.sandbox.conftest import Emulator

UPDATES = int(os.environ.get("TEMPLATE_UPDATES", "8"))
HOST = {"Field": "host-header", "HostHeaderConfig": {"Values": ["www.example.com"]}}
KIND = "AWS::ElasticLoadBalancingV2::"
# Fails after the listeners and rules have been changed.
BROKEN_LAST = {
    "Type": "AWS::StepFunctions::StateMachine",
    "Properties": BROKEN,
    "DependsOn": ["Listener", "TestListener", "Rule", "TestRule"],
}


def forward(group: str, fork: str) -> list[dict[str, Any]]:
    groups = [
        {"TargetGroupArn": {"Ref": f"{group}{colour}"}, "Weight": {"Ref": f"{fork}{colour}Weight"}}
        for colour in ("Blue", "Green")
    ]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


class Front(Site):
    """A load balancer with the live and the test listener and the frontend's rules, as the environment's
    template has them."""

    def __init__(self, aws: Emulator) -> None:
        super().__init__(aws)
        self.elb = aws.client("elbv2")
        self.balancer = ElasticLoadBalancer(self.elb)
        self.label, self.net = aws.unique("w")[-8:], self.subnets()
        self.vpc = aws.client("ec2").describe_subnets(SubnetIds=self.net)["Subnets"][0]["VpcId"]

    def template(self, number: int, **more: Any) -> None:
        group = {"Protocol": "HTTP", "Port": 8000, "VpcId": self.vpc, "TargetType": "instance"}
        balancer = {"Name": self.label, "Subnets": self.net, "Scheme": "internal"}
        resources: dict[str, Any] = {
            "Balancer": {"Type": KIND + "LoadBalancer", "Properties": balancer},
            "Setting": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {"Type": "String", "Value": str(number)},
            },
            **more,
        }
        for name in ("Blue", "Green", "FrontendBlue", "FrontendGreen"):
            properties = {**group, "Name": f"{self.label}-{name.lower()}"}
            resources[name] = {"Type": KIND + "TargetGroup", "Properties": properties}
        for port, test in ((443, ""), (8443, "Test")):
            listener = {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Protocol": "HTTP",
                "Port": port,
                # What changes with the template is there, too: a change of the listener itself.
                "DefaultActions": forward("", test),
                "Tags": [{"Key": "number", "Value": str(number)}],
            }
            rule = {
                "ListenerArn": {"Ref": f"{test}Listener"},
                "Priority": 100 + number,
                "Conditions": [HOST],
                "Actions": forward("Frontend", f"Frontend{test}"),
            }
            resources[f"{test}Listener"] = {"Type": KIND + "Listener", "Properties": listener}
            resources[f"{test}Rule"] = {"Type": KIND + "ListenerRule", "Properties": rule}
        outputs = {
            "ListenerArn": "Listener",
            "TestListenerArn": "TestListener",
            "FrontendRuleArn": "Rule",
            "FrontendTestRuleArn": "TestRule",
            **{f"{name}TargetGroupArn": name for name in ("Blue", "Green", "FrontendBlue", "FrontendGreen")},
        }
        self.write_all(resources, **{output: {"Ref": name} for output, name in outputs.items()})

    def give(self, *weights: Weights) -> None:
        """To the listener, the test listener, the frontend's rule and its test rule."""
        for fork, share in zip(FORKS.values(), weights, strict=True):
            arn, blue, green = (self.stack.outputs[name] for name in (fork.arn, fork.blue, fork.green))
            groups = [
                {"TargetGroupArn": blue, "Weight": share.blue},
                {"TargetGroupArn": green, "Weight": share.green},
            ]
            actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
            if ":listener-rule/" in arn:
                self.elb.modify_rule(RuleArn=arn, Actions=actions)
            else:
                self.elb.modify_listener(ListenerArn=arn, DefaultActions=actions)

    def weights(self) -> tuple[Weights, ...]:
        return tuple(live_weights(self.stack.outputs, self.balancer).values())

    def update(self, number: int) -> None:
        self.provision(deployment(number), self.balancer)


BLUE, GREEN = Weights(100, 0), Weights(0, 100)
SWAPPED = (GREEN, BLUE, GREEN, BLUE)
BY_HAND = (Weights(70, 30), GREEN, Weights(1, 999), BLUE)


@pytest.fixture
def front(aws: Emulator) -> Front:
    front = Front(aws)
    front.template(0)
    front.update(0)
    assert front.weights() == (BLUE, GREEN, BLUE, GREEN)
    return front


def test_template_updates_leave_the_weights_as_they_are(front: Front) -> None:
    """After a swap, after a change by hand half-way, and over an update that fails and is taken back."""
    weights = SWAPPED
    front.give(*weights)
    for number in range(1, UPDATES + 1):
        if number == UPDATES // 2:
            weights = BY_HAND
            front.give(*weights)
        front.template(number, **({"Broken": BROKEN_LAST} if number == 5 else {}))
        if number == 5:
            with pytest.raises(StackFailedError, match="Broken"):
                front.update(number)
        else:
            front.update(number)
        assert front.weights() == weights, f"after update {number}"
    assert front.stack.status == "UPDATE_COMPLETE"


def test_a_rule_is_found_as_it_is_declared(front: Front) -> None:
    live, declared = LiveResources(front.aws.client), front.stacks.declared()
    rules = [each for each in declared if each.type == KIND + "ListenerRule"]
    assert [live.look(rule) for rule in rules] == [wanted(rule, declared) for rule in rules]
    assert live.look(rules[0]) == {"priority": "100", "hosts": "www.example.com"}
    front.elb.delete_rule(RuleArn=rules[0].physical_id)
    assert live.look(rules[0]) is None


@pytest.mark.parametrize("moved", [(GREEN, BLUE, BLUE, GREEN), (BLUE, GREEN, GREEN, GREEN)])
def test_weights_that_moved_since_the_change_set_was_made_are_not_put_back(
    front: Front, moved: tuple[Weights, ...]
) -> None:
    """Those of the listeners, and those of the frontend's rules."""
    front.template(1)
    planned = front.prepare(deployment(1), front.balancer)
    front.give(*moved)
    with pytest.raises(ChangeSetFailedError, match=r"carries backend blue 100, green 0; .*has "):
        front.execute(deployment(1), planned, front.balancer)

    assert front.weights() == moved
