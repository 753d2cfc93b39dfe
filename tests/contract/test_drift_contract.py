"""Drift as the live API tells it: rules opened and taken away by hand, put right under that right alone."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cutover.adapters.doors import SecurityGroupDoors, rules_of
from cutover.adapters.live import LiveResources
from cutover.adapters.stacks import CloudFormationDrift
from cutover.domain.declared import KINDS, Rule, wanted
from cutover.steps.drift import look_for_drift
from tests.contract.site import Site, deployment
from tests.sandbox.conftest import Emulator

SSH = Rule("tcp", 22, 22, "0.0.0.0/0")
TAG = "cutover-environment"


class Guarded(Site):
    """Two security groups, one of which lets the other in and may go nowhere itself but to the other."""

    def __init__(self, aws: Emulator) -> None:
        super().__init__(aws)
        self.ec2 = aws.client("ec2")
        group = {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": "d",
                "VpcId": {"Ref": "Vpc"},
                "Tags": [{"Key": TAG, "Value": "sandbox"}],
                "SecurityGroupIngress": [
                    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
                ],
                "SecurityGroupEgress": [
                    {"IpProtocol": "icmp", "FromPort": 252, "ToPort": 86, "CidrIp": "255.255.255.255/32"}
                ],
            },
        }
        between = {
            "GroupId": {"Fn::GetAtt": ["Inner", "GroupId"]},
            "SourceSecurityGroupId": {"Fn::GetAtt": ["Outer", "GroupId"]},
            "IpProtocol": "tcp",
            "FromPort": 8000,
            "ToPort": 8002,
        }
        out = {
            "GroupId": {"Fn::GetAtt": ["Inner", "GroupId"]},
            "DestinationSecurityGroupId": {"Fn::GetAtt": ["Outer", "GroupId"]},
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "Description": "Back to the front",
        }
        self.write_all(
            {
                "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}},
                "Outer": group,
                "Inner": group,
                "Between": {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": between},
                "Out": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": out},
            }
        )
        self.provision(deployment(1))
        self.group = next(each.physical_id for each in self.stacks.declared() if each.logical_id == "Inner")

    def open(self) -> None:
        permission = {
            "IpProtocol": "tcp",
            "FromPort": 22,
            "ToPort": 22,
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        }
        self.ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[permission])

    def described(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ec2.describe_security_groups(GroupIds=[self.group])["SecurityGroups"][0]
        return found

    def drift(self, *, restore: bool) -> dict[str, Any]:
        doors = SecurityGroupDoors(self.ec2)
        return look_for_drift(layers=self.layers, doors=doors, restore=restore)


@pytest.fixture
def site(aws: Emulator) -> Guarded:
    return Guarded(aws)


def test_a_stack_as_it_was_deployed_has_no_drift(site: Guarded) -> None:
    assert site.drift(restore=True)["findings"] == []


def test_ssh_from_anywhere_disappears_and_is_told(site: Guarded) -> None:
    site.open()
    assert site.drift(restore=False)["status"] == "drifted"
    answer = site.drift(restore=True)
    assert answer["status"] == "restored"
    assert [(f["group"], f["rule"]) for f in answer["findings"]] == [("Inner", "tcp 22 from 0.0.0.0/0")]
    assert site.drift(restore=True)["status"] == "none"
    assert SSH not in SecurityGroupDoors(site.ec2).rules([site.group])[site.group]


def test_rules_that_were_taken_away_are_put_back_in_both_directions(site: Guarded) -> None:
    before = site.described()
    for rule in rules_of(before):
        SecurityGroupDoors(site.ec2).close(site.group, rule)
    assert [f["what"] for f in site.drift(restore=False)["findings"]] == ["missing"] * 4
    answer = site.drift(restore=True)
    assert (answer["status"], {f["done"] for f in answer["findings"]}) == ("restored", {"put back"})
    assert site.drift(restore=True)["status"] == "none"
    after = site.described()
    assert rules_of(after) == rules_of(before)
    assert "Back to the front" in str(after["IpPermissionsEgress"])


def test_what_somebody_else_has_put_right_meanwhile_is_no_error(site: Guarded) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidPermission)"""
    doors = SecurityGroupDoors(site.ec2)
    web = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    with pytest.raises(ClientError, match=r"InvalidPermission\.Duplicate"):
        site.ec2.authorize_security_group_ingress(GroupId=site.group, IpPermissions=[web])
    with pytest.raises(ClientError, match=r"InvalidPermission\.NotFound"):
        site.ec2.revoke_security_group_ingress(GroupId=site.group, IpPermissions=[{**web, "ToPort": 444}])
    doors.put_back(site.group, Rule("tcp", 443, 443, "0.0.0.0/0"))
    doors.close(site.group, SSH)
    assert site.drift(restore=False)["status"] == "none"


def test_a_group_that_is_gone_hides_no_other(site: Guarded) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html"""
    assert set(SecurityGroupDoors(site.ec2).rules([site.group, "sg-00000000000000000"])) == {site.group}


@pytest.mark.parametrize(("environment", "may"), [("sandbox", True), ("production", False)])
def test_only_groups_with_the_environments_tag_can_be_put_right(
    site: Guarded, environment: str, may: bool
) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security_iam_id-based-policy-examples.html"""
    site.open()
    allowed = site.aws.allow(
        "ec2:RevokeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
        on="arn:aws:ec2:ap-northeast-2:123456789012:security-group/*",
        Condition={"StringEquals": {f"aws:ResourceTag/{TAG}": environment}},
    )
    ec2 = site.aws.client("ec2", site.aws.user(allowed))
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    if may:
        ec2.revoke_security_group_ingress(GroupId=site.group, IpPermissions=[permission])
        ec2.authorize_security_group_egress(GroupId=site.group, IpPermissions=[permission])
    else:
        with pytest.raises(ClientError, match="not authorized"):
            ec2.revoke_security_group_ingress(GroupId=site.group, IpPermissions=[permission])
        with pytest.raises(ClientError, match="not authorized"):
            ec2.authorize_security_group_egress(GroupId=site.group, IpPermissions=[permission])
    assert (SSH in SecurityGroupDoors(site.ec2).rules([site.group])[site.group]) is not may


def test_cloudformations_own_look_has_an_answer(site: Guarded) -> None:
    found = CloudFormationDrift(site.aws.client("cloudformation"), [site.name]).detect()
    assert found["status"] in ("IN_SYNC", "DRIFTED")
    assert found["resources"] == []


def test_what_is_live_has_the_facts_that_are_declared_and_what_is_gone_has_none(site: Guarded) -> None:
    declared = site.stacks.declared()
    live = LiveResources(site.aws.client)
    for each in declared:
        if each.type in KINDS:
            assert live.look(each) == wanted(each, declared)
    site.open()
    inner = next(each for each in declared if each.logical_id == "Inner")
    assert live.look(inner) != wanted(inner, declared)
    site.aws.client("cloudformation").delete_stack(StackName=site.name)
    site.aws.wait_for(lambda: live.look(inner) is None, what="the group's end")
