"""What CloudFormation says of a change that loses data, and the refusal that follows."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.errors import DestructiveChangeError
from cutover.steps.execute_change_sets import discard_change_sets
from tests.contract.site import Site, deployment
from tests.sandbox.conftest import Emulator

# Kind, the properties of before, those of after: AWS replaces the resource for each of these.
REPLACED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "AWS::DocDB::DBCluster": ({"StorageEncrypted": False}, {"StorageEncrypted": True}),
    "AWS::DocDB::DBInstance": ({"AvailabilityZone": "a"}, {"AvailabilityZone": "c"}),
    "AWS::ElastiCache::ReplicationGroup": ({"Port": 6379}, {"Port": 6380}),
    "AWS::S3::Bucket": ({"BucketName": "{name}-one"}, {"BucketName": "{name}-two"}),
    "AWS::SecretsManager::Secret": ({"Name": "{name}/one"}, {"Name": "{name}/two"}),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ({"Scheme": "internal"}, {"Scheme": "internet-facing"}),
}
NEEDED: dict[str, dict[str, Any]] = {
    "AWS::DocDB::DBCluster": {
        "DBClusterIdentifier": "{name}",
        "MasterUsername": "a",
        "MasterUserPassword": "b" * 9,
    },
    "AWS::DocDB::DBInstance": {
        "DBInstanceIdentifier": "{name}",
        "DBClusterIdentifier": "{name}-cluster",
        "DBInstanceClass": "db.t3.medium",
    },
    "AWS::ElastiCache::ReplicationGroup": {
        "ReplicationGroupId": "{name}",
        "ReplicationGroupDescription": "d",
    },
    "AWS::ElasticLoadBalancingV2::LoadBalancer": {"Name": "{name}"},
}
KEEP = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "v"}}


@pytest.fixture
def site(aws: Emulator) -> Site:
    return Site(aws)


def surroundings(site: Site, kind: str, name: str) -> dict[str, Any]:
    """What the resource can't be without, made beforehand; answers properties that name it."""
    if kind == "AWS::DocDB::DBInstance":
        site.aws.client("docdb").create_db_cluster(
            DBClusterIdentifier=f"{name}-cluster",
            Engine="docdb",
            MasterUsername="a",
            MasterUserPassword="b" * 9,
        )
    if kind == "AWS::ElasticLoadBalancingV2::LoadBalancer":
        return {"Subnets": site.subnets()}
    return {}


def resource(kind: str, name: str, changing: dict[str, Any]) -> dict[str, Any]:
    properties = {**NEEDED.get(kind, {}), **changing}
    named = {k: v.format(name=name) if isinstance(v, str) else v for k, v in properties.items()}
    return {"Type": kind, "Properties": named}


@pytest.mark.parametrize("kind", sorted(REPLACED))
def test_replacing_or_deleting_a_stateful_resource_is_refused_until_it_is_named(
    site: Site, kind: str
) -> None:
    before, after = REPLACED[kind]
    name = site.aws.unique("kept")
    around = surroundings(site, kind, name)
    site.write_all({"Keep": KEEP, "Precious": resource(kind, name, {**around, **before})})
    site.provision(deployment(1))

    site.write_all({"Keep": KEEP, "Precious": resource(kind, name, {**around, **after})})
    with pytest.raises(DestructiveChangeError, match=f"Precious .{kind}.: it (would|may) be replaced"):
        site.prepare(deployment(2))
    site.write_all({"Keep": KEEP})
    with pytest.raises(DestructiveChangeError, match=r"Precious .*it would be deleted"):
        site.prepare(deployment(3))
    discard_change_sets(deployment(3), layers=site.layers)

    assert site.left() == []
    assert site.stack.status == "CREATE_COMPLETE"
    (allowed,) = site.prepare(deployment(4, allow_destructive=("Precious",)))
    assert [change["action"] for change in allowed["changes"]] == ["Remove"]


@pytest.mark.parametrize("template", ["network", "service"])
def test_destruction_in_one_stack_leaves_the_others_untouched(site: Site, template: str) -> None:
    """The refusal comes before the first stack is touched, whichever the precious thing is in."""
    bucket = resource("AWS::S3::Bucket", site.aws.unique("kept"), {})
    for number, value in ((1, "one"), (2, "two")):
        setting = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}}
        for name in ("network", "service"):
            precious = {"Precious": bucket} if name == template and number == 1 else {}
            site.write_all({f"{name.capitalize()}Setting": setting, **precious}, template=name)
        if number == 1:
            site.provision(deployment(1))
    with pytest.raises(DestructiveChangeError, match="Precious"):
        site.prepare(deployment(2))

    assert [layer.stacks.stack().status for layer in site.layers] == ["CREATE_COMPLETE"] * 2  # type: ignore[union-attr]


def test_a_plan_shows_what_would_be_destroyed(site: Site) -> None:
    site.write_all({"Keep": KEEP, "Precious": resource("AWS::S3::Bucket", site.aws.unique("kept"), {})})
    site.provision(deployment(1))
    site.write_all({"Keep": KEEP})

    (planned,) = site.prepare(deployment(2, mode="plan"))
    assert [change["destructive"] for change in planned["changes"]] == ["it would be deleted"]
