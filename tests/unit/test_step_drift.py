"""Security groups against the template: what is put back, what is told."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.declared import Declared, Rule, ingress, resolve
from cutover.domain.errors import StackFailedError
from cutover.steps.drift import look_for_drift
from tests.contract.fakes import FakeDoors
from tests.contract.formation import FakeFormation

SSH = Rule("tcp", 22, 22, "0.0.0.0/0")
SSH6 = Rule("tcp", 22, 22, "::/0")
INSIDE = Rule("tcp", 9000, 9000, "10.0.0.0/8")
GROUP = "securitygroup"


def look(doors: FakeDoors, *, restore: bool = True, formation: FakeFormation | None = None) -> dict[str, Any]:
    layers = (formation or FakeFormation()).layers
    return look_for_drift(layers=layers, doors=doors, restore=restore)


def with_rules(*rules: Rule) -> FakeDoors:
    doors = FakeDoors()
    doors.groups[GROUP] |= set(rules)
    return doors


def test_what_is_as_declared_is_no_drift() -> None:
    answer = look(FakeDoors())
    assert (answer["status"], answer["findings"]) == ("none", [])
    assert answer["gates"][0]["verdict"] == "Pass"


@pytest.mark.parametrize("rule", [SSH, SSH6])
def test_a_door_opened_to_the_world_is_closed_and_told(rule: Rule) -> None:
    doors = with_rules(rule)
    answer = look(doors)

    assert (answer["status"], doors.closed) == ("restored", [(GROUP, rule)])
    assert answer["findings"] == [
        {"group": "SecurityGroup", "rule": str(rule), "what": "opened", "done": "closed"}
    ]
    assert look(doors)["status"] == "none"


def test_looking_closes_nothing() -> None:
    doors = with_rules(SSH)
    assert (look(doors, restore=False)["status"], doors.closed) == ("drifted", [])


def test_an_unknown_rule_inside_is_told_and_left() -> None:
    doors = with_rules(INSIDE)
    answer = look(doors)
    assert (answer["status"], doors.closed) == ("drifted", [])
    assert answer["findings"][0]["what"] == "unknown"


@pytest.mark.parametrize("groups", [{}, {GROUP: frozenset()}])
def test_a_declared_rule_that_is_gone_is_missing(groups: dict[str, frozenset[Rule]]) -> None:
    answer = look(FakeDoors(groups))
    assert (answer["status"], answer["findings"][0]["what"]) == ("drifted", "missing")
    assert answer["gates"][0]["verdict"] == "Fail"


def test_stacks_without_security_groups_are_no_proof() -> None:
    formation = FakeFormation()
    formation.stacks["network"].declares = []
    with pytest.raises(StackFailedError, match="declare no security group"):
        look(FakeDoors(), formation=formation)


def test_references_are_resolved_to_what_they_became() -> None:
    template = {
        "Resources": {
            "Address": {"Type": "AWS::EC2::EIP"},
            "Front": {
                "Type": "AWS::EC2::SecurityGroup",
                "Properties": {
                    "SecurityGroupIngress": [
                        {
                            "IpProtocol": "tcp",
                            "FromPort": {"Ref": "Port"},
                            "ToPort": {"Ref": "Port"},
                            "CidrIp": {"Fn::Join": ["", [{"Ref": "Address"}, "/32"]]},
                        }
                    ]
                },
            },
            "In": {
                "Type": "AWS::EC2::SecurityGroupIngress",
                "Properties": {
                    "GroupId": {"Fn::GetAtt": ["Front", "GroupId"]},
                    "SourceSecurityGroupId": {"Fn::GetAtt": ["Front", "GroupId"]},
                    "IpProtocol": "-1",
                },
            },
        }
    }
    declared = resolve(template, {"Address": "1.2.3.4", "Front": "sg-1"}, {"Port": "8443"})
    assert ingress(declared) == {
        "sg-1": frozenset({Rule("tcp", 8443, 8443, "1.2.3.4/32"), Rule("-1", -1, -1, "sg-1")})
    }


def test_what_can_not_be_resolved_equals_nothing() -> None:
    template = {"Resources": {"A": {"Type": "X", "Properties": {"B": {"Fn::GetAtt": ["C", "Arn"]}}}}}
    assert resolve(template, {}, {}) == [Declared("A", "X", "", {"B": "${C.Arn}"})]
