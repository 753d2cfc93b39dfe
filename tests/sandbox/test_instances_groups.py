"""Auto Scaling groups that keep real instances: their number, addresses, metadata, targets and end."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox import processes
from tests.sandbox.instance_kit import Fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, emulator_with: Any) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("groups")
    with emulator_with(root, without=("databases",), minute_seconds=1.0) as emulator:
        made = Fleet(emulator)
        yield made
        made.close()


def metadata(record: dict[str, Any], path: str) -> str:
    base = f"http://{record['PrivateIpAddress']}:1338/latest"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    ask = urllib.request.Request(
        f"{base}/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    with opener.open(ask, timeout=5) as answer:
        token = answer.read().decode()
    get = urllib.request.Request(f"{base}/meta-data/{path}", headers={"X-aws-ec2-metadata-token": token})
    with opener.open(get, timeout=5) as answer:
        return str(answer.read().decode())


def test_a_group_launches_its_desired_capacity_over_its_subnets(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html#arch-AutoScalingMultiAZ"""
    group = fleet.group(fleet.profile(), size=3, tags={"Colour": "blue"})
    records = [fleet.record(each) for each in fleet.in_service(group, 3)]
    per_subnet = sorted([each["SubnetId"] for each in records].count(subnet) for subnet in fleet.subnets)
    assert per_subnet == [1, 2]
    addresses = [ipaddress.ip_address(each["PrivateIpAddress"]) for each in records]
    assert len(set(addresses)) == 3
    for each, address in zip(records, addresses, strict=True):
        subnet = fleet.ec2.describe_subnets(SubnetIds=[each["SubnetId"]])["Subnets"][0]
        assert address in ipaddress.ip_network(subnet["CidrBlock"])
        assert int(address) & 0xFF > 3
        assert each["Placement"]["AvailabilityZone"] == subnet["AvailabilityZone"]
        tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        assert tags == {"Colour": "blue", "aws:autoscaling:groupName": group}


def test_an_instance_has_a_metadata_service_with_its_roles_credentials(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html"""
    profile = fleet.profile()
    group = fleet.group(profile, tags={"Colour": "green"}, tags_in_metadata=True)
    (instance,) = fleet.in_service(group, 1)
    record = fleet.record(instance)
    assert metadata(record, "instance-id") == instance
    assert metadata(record, "local-ipv4") == record["PrivateIpAddress"]
    assert metadata(record, "tags/instance/Colour") == "green"
    assert metadata(record, "iam/security-credentials/") == profile
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://{record['PrivateIpAddress']}:1338/latest/meta-data/instance-id", timeout=5
        )


def test_a_tag_that_changes_is_seen_by_the_instance(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html"""
    group = fleet.group(fleet.profile(), tags={"Colour": "blue"}, tags_in_metadata=True)
    (instance,) = fleet.in_service(group, 1)
    fleet.ec2.create_tags(Resources=[instance], Tags=[{"Key": "Colour", "Value": "red"}])
    record = fleet.record(instance)
    fleet.emulator.wait_for(lambda: metadata(record, "tags/instance/Colour") == "red", what="the new tag")


def test_desired_capacity_is_followed_down_and_nothing_of_a_terminated_instance_is_left(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-termination-policies.html"""
    group = fleet.group(fleet.profile(), size=2)
    before = fleet.in_service(group, 2)
    fleet.run(before[0], "nohup sleep 600 > /dev/null 2>&1 &")
    fleet.scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    (left,) = fleet.in_service(group, 1)
    assert left == before[1], "the oldest goes first"
    assert fleet.record(before[0])["State"]["Name"] == "terminated"

    def running() -> list[int]:
        found = []
        for pid in processes.marked(fleet.emulator.settings.root):
            try:
                if before[0].encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(pid)
            except OSError:
                continue
        return found

    fleet.emulator.wait_for(lambda: not running(), what="the end of the instance's processes")
    home = fleet.emulator.settings.root / "instances" / before[0]
    fleet.emulator.wait_for(lambda: not home.exists(), what="the end of the instance's folder")


def test_an_instance_that_is_terminated_by_hand_is_replaced(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-checks-overview.html"""
    group = fleet.group(fleet.profile())
    (first,) = fleet.in_service(group, 1)
    fleet.ec2.terminate_instances(InstanceIds=[first])

    def replaced() -> list[str]:
        found = [each for each in fleet.members(group) if each["LifecycleState"] == "InService"]
        return [each["InstanceId"] for each in found if each["InstanceId"] != first]

    assert len(fleet.emulator.wait_for(replaced, what="a replacement")) == 1


def test_an_instance_whose_machine_dies_is_replaced(fleet: Fleet) -> None:
    group = fleet.group(fleet.profile())
    (first,) = fleet.in_service(group, 1)
    lines = {
        pid: Path(f"/proc/{pid}/cmdline").read_text()
        for pid in processes.marked(fleet.emulator.settings.root)
    }
    agents = [pid for pid, line in lines.items() if first in line and "sandbox.compute.instance" in line]
    assert len(agents) == 1
    os.kill(agents[0], 9)
    fleet.emulator.wait_for(
        lambda: fleet.record(first)["State"]["Name"] == "terminated", what="its termination"
    )
    assert fleet.in_service(group, 1) != [first]


def test_members_are_registered_with_the_groups_targets_and_taken_out_again(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/attach-load-balancer-asg.html"""
    elb = fleet.emulator.client("elbv2")
    made = elb.create_target_group(
        Name=fleet.emulator.unique("tg"), Protocol="HTTP", Port=8000, VpcId=fleet.vpc, TargetType="instance"
    )
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    group = fleet.group(fleet.profile(), size=2, targets=(arn,))
    members = fleet.in_service(group, 2)

    def targets() -> set[str]:
        found = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in found}

    assert targets() == set(members)
    described = fleet.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])[
        "AutoScalingGroups"
    ][0]
    assert described["TargetGroupARNs"] == [arn]
    fleet.scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    fleet.in_service(group, 0)
    assert targets() == set()


def test_a_group_with_instances_is_not_deleted_unless_forced(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteAutoScalingGroup.html"""
    group = fleet.group(fleet.profile())
    (instance,) = fleet.in_service(group, 1)
    with pytest.raises(ClientError, match="ResourceInUse"):
        fleet.scaling.delete_auto_scaling_group(AutoScalingGroupName=group)
    fleet.scaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)
    fleet.groups.remove(group)
    fleet.emulator.wait_for(lambda: fleet.record(instance)["State"]["Name"] == "terminated", what="its end")


def test_a_busy_instance_shows_in_its_metrics(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html"""
    group = fleet.group(fleet.profile())
    (instance,) = fleet.in_service(group, 1)
    cloudwatch = fleet.emulator.client("cloudwatch")

    def highest(namespace: str, name: str, dimension: str, value: str) -> float | None:
        found = cloudwatch.get_metric_statistics(
            Namespace=namespace, MetricName=name, Dimensions=[{"Name": dimension, "Value": value}],
            StartTime=time.time() - 600, EndTime=time.time() + 60, Period=60, Statistics=["Maximum"],
        )["Datapoints"]  # fmt: skip
        return max((each["Maximum"] for each in found), default=None)

    fleet.run(instance, "timeout 4 sh -c 'while :; do :; done'; true")
    for dimension, value in (("InstanceId", instance), ("AutoScalingGroupName", group)):
        busy = fleet.emulator.wait_for(
            lambda d=dimension, v=value: highest("AWS/EC2", "CPUUtilization", d, v)
        )
        assert 5 < busy <= 100
        memory = fleet.emulator.wait_for(
            lambda d=dimension, v=value: highest("CWAgent", "mem_used_percent", d, v)
        )
        assert 0 < memory < 5
        disk = fleet.emulator.wait_for(
            lambda d=dimension, v=value: highest("CWAgent", "disk_used_percent", d, v)
        )
        assert 0 < disk < 1
        for metric in ("EBSReadBytes", "EBSWriteBytes"):
            moved = fleet.emulator.wait_for(
                lambda m=metric, d=dimension, v=value: highest("AWS/EC2", m, d, v) is not None
            )
            assert moved


def test_user_data_is_kept_and_not_executed(fleet: Fleet) -> None:
    """A limit of the sandbox: there is no cloud-init. The instance can read it, as on AWS."""
    mark = fleet.emulator.settings.root / "user-data-ran"
    text = f"#!/bin/sh\ntouch {mark}\n"
    group = fleet.group(fleet.profile(), user_data=base64.b64encode(text.encode()).decode())
    (instance,) = fleet.in_service(group, 1)
    done = fleet.run(
        instance,
        "B=$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest",
        "python3 - $B <<'X'",
        "import sys, urllib.request as u",
        "h = {'X-aws-ec2-metadata-token-ttl-seconds': '60'}",
        "t = u.urlopen(u.Request(sys.argv[1] + '/api/token', method='PUT', headers=h)).read().decode()",
        "r = u.Request(sys.argv[1] + '/user-data', headers={'X-aws-ec2-metadata-token': t})",
        "print(u.urlopen(r).read().decode(), end='')",
        "X",
    )
    assert done["StandardOutputContent"] == text
    assert not mark.exists()


def test_a_launch_and_a_termination_are_told_to_eventbridge(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html"""
    emulator = fleet.emulator
    events, sqs = emulator.client("events"), emulator.client("sqs")
    name = emulator.unique("launches")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.autoscaling"]}), State="ENABLED")
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    group = fleet.group(fleet.profile())
    (instance,) = fleet.in_service(group, 1)

    def told(kind: str) -> dict[str, Any] | None:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            if event["detail-type"] == kind and event["detail"]["AutoScalingGroupName"] == group:
                return dict(event)
        return None

    launch = emulator.wait_for(lambda: told("EC2 Instance Launch Successful"), what="the launch's event")
    assert launch["detail"]["EC2InstanceId"] == instance
    assert launch["resources"][1].endswith(f":instance/{instance}")
    assert (launch["detail"]["Origin"], launch["detail"]["Destination"]) == ("EC2", "AutoScalingGroup")
    fleet.ec2.terminate_instances(InstanceIds=[instance])
    end = emulator.wait_for(lambda: told("EC2 Instance Terminate Successful"), what="the end's event")
    assert end["detail"]["EC2InstanceId"] == instance
