"""What only shows when CloudFormation is at it: told with the way out, and the stack is as it was."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.errors import StackFailedError
from cutover.steps.execute_change_sets import execute_change_sets
from cutover.steps.give_up import give_up
from tests.contract.fakes import FakeLoadBalancer
from tests.contract.provisioning import FULL
from tests.contract.site import Site, deployment
from tests.sandbox.conftest import Emulator

KEPT = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "kept"}}


def group(instance_type: str) -> dict[str, Any]:
    data = {"ImageId": "ami-1", "InstanceType": instance_type}
    template = {"Ref": "Template"}
    version = {"LaunchTemplateId": template, "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]}}
    zones = ["ap-northeast-2a"]
    return {
        "Kept": KEPT,
        "Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}},
        "Blue": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {
                "LaunchTemplate": version,
                "MinSize": "0",
                "MaxSize": "0",
                "AvailabilityZones": zones,
            },
        },
    }


def certificate(domain: str) -> dict[str, Any]:
    properties = {"DomainName": domain, "ValidationMethod": "DNS"}
    kind = "AWS::CertificateManager::Certificate"
    return {"Kept": KEPT, "Certificate": {"Type": kind, "Properties": properties}}


class Waiting(Site):
    """A service whose certificate nobody has validated yet."""

    def begin(self, number: int) -> str:
        """What is waited for, once it is more than CloudFormation alone."""
        planned = self.prepare(deployment(number))

        def waits() -> str | None:
            told = execute_change_sets(
                deployment(number), planned, layers=self.layers, instances=FULL, balancer=FakeLoadBalancer()
            )["waiting_for"]
            return str(told) if "ACM waits" in told else None

        found = self.aws.wait_for(waits, what="the record")
        assert found is not None
        return found

    def described(self) -> dict[str, str]:
        return {each.logical_id: each.physical_id for each in self.stacks.declared()}


@pytest.fixture
def site(aws: Emulator) -> Waiting:
    return Waiting(aws)


def test_a_type_that_slipped_through_is_told_by_field_and_the_stack_is_as_it_was(site: Waiting) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-launch-template.html"""
    site.write_all(group("t3.micro"))
    site.provision(deployment(1))
    before = site.described()
    site.write_all(group("t3.gigantic"))
    with pytest.raises(StackFailedError) as raised:
        site.provision(deployment(2))

    told = str(raised.value)
    assert "Invalid value 't3.gigantic' for InstanceType" in told
    assert "Way out: the instance_type of [backend], [frontend] or [monitoring]" in told
    assert (site.stack.status, site.described()) == ("UPDATE_ROLLBACK_COMPLETE", before)


def test_an_update_that_waits_for_a_certificate_names_its_record_and_is_taken_back(site: Waiting) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-update-cancel.html"""
    site.write_all({"Kept": KEPT})
    site.provision(deployment(1))
    before = site.described()
    domain = f"{site.aws.unique('api')}.example.com"
    site.write_all(certificate(domain))

    waits = site.begin(2)
    assert f".{domain}. CNAME _" in waits
    assert ".acm-validations.aws." in waits
    answer = give_up(layers=site.layers)
    assert answer["status"] == "cancelled"
    assert f".{domain}. CNAME _" in answer["told"]
    site.aws.wait_for(lambda: not site.stack.busy, what="the end of the roll back")
    assert (site.stack.status, site.described()) == ("UPDATE_ROLLBACK_COMPLETE", before)
    assert give_up(layers=site.layers)["status"] == "idle"


def test_a_creation_that_waits_for_a_certificate_goes_on_when_the_record_is_there(site: Waiting) -> None:
    domain = f"{site.aws.unique('api')}.example.com"
    site.write_all(certificate(domain))
    waits = site.begin(1)
    answer = give_up(layers=site.layers)
    assert answer["status"] == "left"
    assert f"delete-stack --stack-name {site.name}" in answer["told"]
    assert site.stack.status == "CREATE_IN_PROGRESS"

    name, kind, value = waits.partition("certificate: ")[2].split(". Add")[0].split()
    route53 = site.aws.client("route53")
    zone = route53.create_hosted_zone(Name=domain, CallerReference=domain)["HostedZone"]["Id"]
    record = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
    route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    )
    site.provision(deployment(1))
    assert site.stack.status == "CREATE_COMPLETE"
