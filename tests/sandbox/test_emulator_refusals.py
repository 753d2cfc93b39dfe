"""What AWS refuses, minutes into a stack's creation or before: types, names and certificates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.conftest import Emulator

REGION = "ap-northeast-2"
OTHER_ACCOUNT = "999988887777"
TEMPLATE = "AWS::EC2::LaunchTemplate"


class Site:
    """One stack; each of its operations is waited for."""

    def __init__(self, emulator: Emulator) -> None:
        self.client, self.name = emulator.client("cloudformation"), emulator.unique("refusal")
        self._wait_for = emulator.wait_for

    def begin(self, resources: dict[str, Any], *, update: bool = False) -> None:
        call = self.client.update_stack if update else self.client.create_stack
        call(StackName=self.name, TemplateBody=json.dumps({"Resources": resources}))

    def status(self) -> str:
        return str(self.client.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"])

    def end(self) -> str:
        found = self._wait_for(lambda: (s := self.status()) and not s.endswith("_IN_PROGRESS") and s)
        return str(found)

    def told(self, status: str) -> list[str]:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return [e["ResourceStatusReason"] for e in events if e["ResourceStatus"] == status]


@pytest.fixture
def site(emulator: Emulator) -> Site:
    return Site(emulator)


def code_of(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return str(raised.value.response["Error"]["Code"])


def test_offerings_are_those_of_the_region_by_zone(emulator: Emulator) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html"""
    ec2 = emulator.client("ec2")

    def offered(name: str, location: str = "availability-zone") -> list[str]:
        found = ec2.describe_instance_type_offerings(
            LocationType=location, Filters=[{"Name": "instance-type", "Values": [name]}]
        )
        return sorted(each["Location"] for each in found["InstanceTypeOfferings"])

    assert f"{REGION}a" in offered("t3.large")
    assert offered("t3.large", "region") == [REGION]
    assert offered("t3.gigantic") == []


def test_an_instance_of_a_type_that_does_not_exist_is_refused(emulator: Emulator) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidParameterValue)"""
    ec2 = emulator.client("ec2")
    with pytest.raises(ClientError, match=r"Invalid value 't3\.gigantic' for InstanceType") as raised:
        ec2.run_instances(ImageId="ami-1", InstanceType="t3.gigantic", MinCount=1, MaxCount=1)
    assert code_of(raised) == "InvalidParameterValue"
    with pytest.raises(ClientError, match="do not exist") as raised:
        ec2.describe_instance_types(InstanceTypes=["t3.gigantic"])
    assert code_of(raised) == "InvalidInstanceType"


def group_of(instance_type: str) -> dict[str, Any]:
    data = {"ImageId": "ami-1", "InstanceType": instance_type}
    version = {
        "LaunchTemplateId": {"Ref": "Template"},
        "Version": {"Fn::GetAtt": "Template.LatestVersionNumber"},
    }
    group = {"LaunchTemplate": version, "MinSize": "0", "MaxSize": "0", "AvailabilityZones": [f"{REGION}a"]}
    return {
        "Template": {"Type": TEMPLATE, "Properties": {"LaunchTemplateData": data}},
        "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": group},
    }


def test_a_group_refuses_a_launch_template_of_an_unknown_type_and_its_stack_goes_back(site: Site) -> None:
    """A launch template is not validated when it is made; the group is what finds out.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-launch-template.html
    """
    site.begin(group_of("t3.micro"))
    assert site.end() == "CREATE_COMPLETE"
    site.begin(group_of("t3.gigantic"), update=True)
    assert site.end() == "UPDATE_ROLLBACK_COMPLETE"
    (why,) = site.told("UPDATE_FAILED")
    assert "You must use a valid fully-formed launch template. Invalid value 't3.gigantic'" in why


def test_a_first_group_of_an_unknown_type_leaves_nothing(site: Site) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html"""
    site.begin(group_of("t3.gigantic"))
    assert site.end() == "ROLLBACK_COMPLETE"


def test_a_database_class_that_does_not_exist_is_not_orderable_and_refused(emulator: Emulator) -> None:
    """https://docs.aws.amazon.com/documentdb/latest/developerguide/API_CreateDBInstance.html"""
    docdb = emulator.client("docdb")

    def options(name: str) -> list[Any]:
        found = docdb.describe_orderable_db_instance_options(Engine="docdb", DBInstanceClass=name)
        return list(found["OrderableDBInstanceOptions"])

    assert options("db.t3.medium")[0]["AvailabilityZones"][0]["Name"] == f"{REGION}a"
    assert options("db.t3.gigantic") == []
    with pytest.raises(ClientError, match=r"db\.t3\.gigantic") as raised:
        docdb.create_db_instance(
            DBInstanceIdentifier="x",
            DBClusterIdentifier="y",
            DBInstanceClass="db.t3.gigantic",
            Engine="docdb",
        )
    assert code_of(raised) == "InvalidParameterValue"


def test_a_cache_node_type_that_does_not_exist_is_refused(emulator: Emulator) -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html"""
    with pytest.raises(ClientError, match=r"cache\.t3\.gigantic") as raised:
        emulator.client("elasticache").create_replication_group(
            ReplicationGroupId="x", ReplicationGroupDescription="x", CacheNodeType="cache.t3.gigantic"
        )
    assert code_of(raised) == "InvalidParameterValue"


def test_bucket_names_are_shared_by_all_accounts(emulator: Emulator, site: Site) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html#API_CreateBucket_Errors"""
    theirs, ours = emulator.client("s3", emulator.session(OTHER_ACCOUNT, "test")), emulator.client("s3")
    name, place = emulator.unique("bucket"), {"LocationConstraint": REGION}

    def heading() -> str:
        with pytest.raises(ClientError) as raised:
            ours.head_bucket(Bucket=name)
        return code_of(raised)

    assert heading() == "404"
    theirs.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    assert heading() == "403"
    with pytest.raises(ClientError) as raised:
        ours.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    assert code_of(raised) == "BucketAlreadyExists"
    with pytest.raises(ClientError) as raised:
        theirs.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    assert code_of(raised) == "BucketAlreadyOwnedByYou"

    site.begin({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}}})
    assert site.end() == "ROLLBACK_COMPLETE"
    assert heading() == "403"


def certificate(domain: str, **more: Any) -> dict[str, Any]:
    properties = {"DomainName": domain, "ValidationMethod": "DNS", **more}
    return {"Certificate": {"Type": "AWS::CertificateManager::Certificate", "Properties": properties}}


def record_in(reasons: list[str]) -> dict[str, str]:
    """The record that CloudFormation names in an event."""
    (told,) = [why for why in reasons if why.startswith("Content of DNS Record is: {")]
    return dict(part.split(": ", 1) for part in told.partition("{")[2].rstrip("}").split(","))


def zone_with(emulator: Emulator, domain: str) -> str:
    made = emulator.client("route53").create_hosted_zone(Name=domain, CallerReference=emulator.unique("zone"))
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


def test_a_certificate_waits_for_its_record_and_is_issued_when_it_is_there(
    emulator: Emulator, site: Site
) -> None:
    """CloudFormation emits an event with the record, and goes on once it is found.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-certificatemanager-certificate.html
    """
    domain, acm = f"{emulator.unique('a')}.example.com", emulator.client("acm")
    site.begin(certificate(f"api.{domain}"))
    emulator.wait_for(lambda: site.told("CREATE_IN_PROGRESS"), what="the certificate's creation")
    wanted = emulator.wait_for(
        lambda: [w for w in site.told("CREATE_IN_PROGRESS") if "Content of DNS" in w],
        what="the record's event",
    )
    wanted = record_in(wanted)
    (pending,) = [
        each["CertificateArn"]
        for each in acm.list_certificates(CertificateStatuses=["PENDING_VALIDATION"])[
            "CertificateSummaryList"
        ]
        if each["DomainName"] == f"api.{domain}"
    ]
    described = acm.describe_certificate(CertificateArn=pending)["Certificate"]
    assert described["DomainValidationOptions"][0]["ResourceRecord"] == wanted
    assert "IssuedAt" not in described
    with pytest.raises(ClientError) as raised:
        acm.get_certificate(CertificateArn=pending)
    assert code_of(raised) == "RequestInProgressException"
    assert site.status() == "CREATE_IN_PROGRESS"

    answer = {
        "Name": wanted["Name"],
        "Type": "CNAME",
        "TTL": 60,
        "ResourceRecords": [{"Value": wanted["Value"]}],
    }
    emulator.client("route53").change_resource_record_sets(
        HostedZoneId=zone_with(emulator, domain),
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": answer}]},
    )
    assert site.end() == "CREATE_COMPLETE"
    assert acm.describe_certificate(CertificateArn=pending)["Certificate"]["Status"] == "ISSUED"


def test_with_the_hosted_zone_given_a_certificate_validates_itself(emulator: Emulator, site: Site) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-certificatemanager-certificate-domainvalidationoption.html"""
    domain = f"{emulator.unique('b')}.example.com"
    option = {"DomainName": domain, "HostedZoneId": zone_with(emulator, domain)}
    site.begin(certificate(domain, DomainValidationOptions=[option]))
    assert site.end() == "CREATE_COMPLETE"


def test_an_update_that_waits_for_a_record_can_be_cancelled_and_the_stack_is_as_it_was(
    emulator: Emulator, site: Site
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CancelUpdateStack.html"""
    kept = {"Kept": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "1"}}}
    domain, acm = f"{emulator.unique('c')}.example.com", emulator.client("acm")
    site.begin(kept)
    assert site.end() == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="cannot be called from current stack status"):
        site.client.cancel_update_stack(StackName=site.name)
    site.begin({**kept, **certificate(domain)}, update=True)
    emulator.wait_for(lambda: [w for w in site.told("UPDATE_IN_PROGRESS") if "Content of DNS" in w])
    site.client.cancel_update_stack(StackName=site.name)
    assert site.end() == "UPDATE_ROLLBACK_COMPLETE"
    assert domain not in [each["DomainName"] for each in acm.list_certificates()["CertificateSummaryList"]]
