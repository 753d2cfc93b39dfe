"""A failed resource's own words, with the configuration's field and the way out behind them.

What AWS tells beforehand is asked for beforehand (`cutover.domain.preflight`); this is for the rest: what no
read API tells, and what changed in between. AWS's words always stay, ours come after them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """For a resource of a type whose failure holds these words."""

    types: tuple[str, ...]
    words: re.Pattern[str]
    way_out: str


def _advice(types: tuple[str, ...], words: str, way_out: str) -> Advice:
    return Advice(types, re.compile(words, re.IGNORECASE), way_out)


_INSTANCES = ("AWS::AutoScaling::AutoScalingGroup", "AWS::EC2::LaunchTemplate", "AWS::EC2::Instance")
#: The first that fits counts. Wordings: the services' error pages and
#: https://docs.aws.amazon.com/autoscaling/ec2/userguide/CHAP_Troubleshooting.html
ADVICE = (
    _advice(
        _INSTANCES,
        r"for InstanceType|instance type|requested configuration is currently not supported",
        "the instance_type of [backend], [frontend] or [monitoring] is none that its zones offer: choose one "
        "that `aws ec2 describe-instance-type-offerings --location-type availability-zone` lists for them",
    ),
    _advice(
        _INSTANCES,
        r"VcpuLimitExceeded|InstanceLimitExceeded|vCPU",
        "the account's quota of vCPUs is used up: ask for more (Service Quotas), or lower "
        "backend.instances_per_colour or backend.instance_type",
    ),
    _advice(
        ("AWS::DocDB::DBInstance", "AWS::DocDB::DBCluster"),
        r"instance class|DBInstanceClass|OrderableDBInstance",
        "database.instance_class is none that DocumentDB offers here: choose one that "
        "`aws docdb describe-orderable-db-instance-options --engine docdb` lists",
    ),
    _advice(
        ("AWS::ElastiCache::ReplicationGroup",),
        r"node type|CacheNodeType",
        "cache.node_type is none that ElastiCache offers here: choose one of "
        "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheNodes.SupportedTypes.html",
    ),
    _advice(
        ("AWS::S3::Bucket",),
        r"already exists|BucketAlready|not available",
        "a bucket of this name is there already (here, or in another account: names are global), and it is "
        "made of `environment` and `account`: delete it if it is yours, or rename the environment",
    ),
    _advice(
        ("AWS::CertificateManager::Certificate",),
        r".",
        "the certificate for the domain of [backend] or [frontend] was not issued: set "
        "backend.hosted_zone_id, so that its record is made by itself, or backend.certificate_arn, if you "
        "have one, or deploy again and add the record that ACM shows",
    ),
    _advice(
        ("AWS::EC2::Subnet", "AWS::EC2::VPC"),
        r"CIDR|conflict|overlap",
        "network.cidr does not hold network.public_subnets and network.private_subnets as they are in the "
        "account: correct them",
    ),
)


def with_way_out(failure: str) -> str:
    """`failure` is "LogicalId (AWS::Type): AWS's own words", as the stack's first failure is told."""
    found = re.match(r"\w+ \((?P<type>[\w:]+)\): (?P<words>.*)", failure, re.DOTALL)
    if found is None:
        return failure
    for advice in ADVICE:
        if found["type"] in advice.types and advice.words.search(found["words"]):
            return f"{failure.rstrip('. ')}. Way out: {advice.way_out}"
    return failure
