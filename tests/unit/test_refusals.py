"""A failed stack says whose fault it is: AWS's words, then the field and the way out."""

from __future__ import annotations

import pytest

from cutover.domain.refusals import with_way_out

GROUP = "Blue (AWS::AutoScaling::AutoScalingGroup): "


@pytest.mark.parametrize(
    ("failure", "field"),
    [
        (
            GROUP
            + "You must use a valid fully-formed launch template. Invalid value 't3.x' for InstanceType.",
            "instance_type of [backend]",
        ),
        (GROUP + "The requested configuration is currently not supported.", "instance_type of [backend]"),
        (GROUP + "You have requested more vCPU capacity than your limit", "backend.instances_per_colour"),
        ("One (AWS::DocDB::DBInstance): Invalid DB Instance class: db.t3.x", "database.instance_class"),
        ("Redis (AWS::ElastiCache::ReplicationGroup): Invalid Cache Node Type: cache.x", "cache.node_type"),
        ("Files (AWS::S3::Bucket): cutover-staging-files-1 already exists", "`environment` and `account`"),
        ("Certificate (AWS::CertificateManager::Certificate): timed out", "backend.hosted_zone_id"),
        ("Private1 (AWS::EC2::Subnet): The CIDR '10.2.0.0/24' is invalid.", "network.cidr"),
    ],
)
def test_awss_words_come_first_and_then_the_field_and_the_way_out(failure: str, field: str) -> None:
    told = with_way_out(failure)
    assert told.startswith(failure.rstrip("."))
    assert field in told.partition("Way out: ")[2]


@pytest.mark.parametrize(
    "failure",
    [
        "Blue (AWS::AutoScaling::AutoScalingGroup): Group did not stabilize",
        "Files (AWS::SSM::Parameter): already exists",
        "CloudFormation gave no reason",
    ],
)
def test_where_nothing_is_known_nothing_is_made_up(failure: str) -> None:
    assert with_way_out(failure) == failure
