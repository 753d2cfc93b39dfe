"""Security groups against the template: what is put back, what is told."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.declared import EVERYWHERE, Declared, Rule, resolve, rules
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


def test_declared_rules_that_are_gone_are_put_back_in_both_directions_and_told() -> None:
    doors = FakeDoors({GROUP: frozenset()})
    answer = look(doors)
    assert answer["status"] == "restored"
    assert [(f["rule"], f["what"], f["done"]) for f in answer["findings"]] == [
        ("everything to 0.0.0.0/0", "missing", "put back"),
        ("tcp 443 from 0.0.0.0/0", "missing", "put back"),
    ]
    assert answer["gates"][0]["verdict"] == "Fail"
    assert [group for group, _ in doors.restored] == [GROUP, GROUP]
    assert look(doors)["status"] == "none"


def test_looking_puts_nothing_back() -> None:
    doors = FakeDoors({GROUP: frozenset()})
    answer = look(doors, restore=False)
    assert (answer["status"], doors.restored) == ("drifted", [])
    assert {f["done"] for f in answer["findings"]} == {"left"}


def test_nothing_is_put_back_into_a_group_that_is_gone() -> None:
    doors = FakeDoors({})
    answer = look(doors)
    assert (answer["status"], doors.restored) == ("drifted", [])


def test_a_rule_whose_peer_is_not_known_is_told_and_left() -> None:
    formation, doors = FakeFormation(), FakeDoors({GROUP: frozenset({EVERYWHERE})})
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIp": "${Address}/32"}
    group = Declared("G", "AWS::EC2::SecurityGroup", GROUP, {"SecurityGroupIngress": [rule]})
    formation.stacks["network"].declares = [group]
    answer = look(doors, formation=formation)
    assert (answer["status"], doors.restored) == ("drifted", [])


def test_a_way_out_that_somebody_opened_is_told_and_left() -> None:
    """The function may not take egress away, and nobody comes in by it."""
    doors = with_rules(Rule("tcp", 25, 25, "0.0.0.0/0", outward=True))
    answer = look(doors)
    assert (answer["status"], doors.closed) == ("drifted", [])
    assert answer["findings"][0]["what"] == "unknown"


def test_what_is_put_back_has_its_description() -> None:
    doors, formation = FakeDoors({GROUP: frozenset({EVERYWHERE})}), FakeFormation()
    rule = {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "CidrIp": "10.0.0.0/8", "Description": "inside"}
    group = Declared("G", "AWS::EC2::SecurityGroup", GROUP, {"SecurityGroupIngress": [rule]})
    formation.stacks["network"].declares = [group]
    look(doors, formation=formation)
    ((_, restored),) = doors.restored
    assert (restored, restored.description) == (Rule("-1", -1, -1, "10.0.0.0/8"), "inside")


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
    assert rules(declared) == {
        "sg-1": frozenset({Rule("tcp", 8443, 8443, "1.2.3.4/32"), Rule("-1", -1, -1, "sg-1"), EVERYWHERE})
    }


def test_a_group_with_a_way_out_of_its_own_has_no_other() -> None:
    out = {
        "GroupId": "sg-1",
        "IpProtocol": "tcp",
        "FromPort": 1,
        "ToPort": 2,
        "DestinationSecurityGroupId": "sg-2",
    }
    declared = [
        Declared("A", "AWS::EC2::SecurityGroup", "sg-1", {}),
        Declared("B", "AWS::EC2::SecurityGroupEgress", "sgr-1", out),
    ]
    assert rules(declared) == {"sg-1": frozenset({Rule("tcp", 1, 2, "sg-2", outward=True)})}


def test_what_can_not_be_resolved_equals_nothing() -> None:
    template = {"Resources": {"A": {"Type": "X", "Properties": {"B": {"Fn::GetAtt": ["C", "Arn"]}}}}}
    assert resolve(template, {}, {}) == [Declared("A", "X", "", {"B": "${C.Arn}"})]
