"""Whether a change set would destroy data or the front door: decided from what CloudFormation tells of it.

CloudFormation answers `Conditional` where it can't say beforehand whether a resource is replaced; the
resource's own create-only properties settle it.
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: The types whose loss can't be undone, each with the properties that CloudFormation can't change in place
#: ("Update requires: Replacement", or "Some interruptions" that may mean it).
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-template-resource-type-ref.html
STATEFUL: Mapping[str, frozenset[str]] = {
    "AWS::DocDB::DBCluster": frozenset(
        {
            "AvailabilityZones",
            "DBClusterIdentifier",
            "DBSubnetGroupName",
            "KmsKeyId",
            "MasterUsername",
            "SnapshotIdentifier",
            "SourceDBClusterIdentifier",
            "StorageEncrypted",
        }
    ),
    "AWS::DocDB::DBInstance": frozenset({"AvailabilityZone", "DBClusterIdentifier", "DBInstanceIdentifier"}),
    "AWS::ElastiCache::ReplicationGroup": frozenset(
        {
            "AtRestEncryptionEnabled",
            "AuthToken",
            "CacheSubnetGroupName",
            "DataTieringEnabled",
            "GlobalReplicationGroupId",
            "KmsKeyId",
            "NetworkType",
            "NodeGroupConfiguration",
            "Port",
            "PreferredCacheClusterAZs",
            "ReplicationGroupId",
            "SnapshotArns",
            "SnapshotName",
        }
    ),
    "AWS::S3::Bucket": frozenset({"BucketName", "BucketNamePrefix", "BucketNamespace"}),
    "AWS::SecretsManager::Secret": frozenset({"Name"}),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": frozenset({"Name", "Scheme", "Type"}),
}


@dataclass(frozen=True)
class Destruction:
    """One resource that would be lost, and why."""

    logical_id: str
    type: str
    reason: str

    def __str__(self) -> str:
        return f"{self.logical_id} ({self.type}): {self.reason}"


def destruction(change: Mapping[str, Any]) -> Destruction | None:
    """What this change (action, logical_id, type, replacement, properties) would destroy, if anything."""
    kind = str(change.get("type"))
    if kind not in STATEFUL or (reason := _reason(change, STATEFUL[kind])) is None:
        return None
    return Destruction(str(change.get("logical_id")), kind, reason)


def _reason(change: Mapping[str, Any], create_only: frozenset[str]) -> str | None:
    action, replacement = change.get("action"), change.get("replacement")
    properties = sorted(str(name) for name in change.get("properties") or [])
    if action in ("Add", "Import") or (action == "Modify" and replacement == "False"):
        return None
    if action == "Remove":
        return "it would be deleted"
    if action != "Modify":
        return f"CloudFormation can't say beforehand what it does to it ({action})"
    because = [name for name in properties if name in create_only]
    if replacement == "True":
        return f"it would be replaced, because of {', '.join(because or properties) or 'the change'}"
    if because:
        return f"it may be replaced, because of {', '.join(because)}"
    # A change that names no property is no proof that nothing is lost.
    return None if properties else "it may be replaced; CloudFormation does not say because of what"


def refused(changes: Iterable[Mapping[str, Any]], allowed: Iterable[str]) -> list[Destruction]:
    """What would be destroyed without having been named by its logical id."""
    named = set(allowed)
    found = (destruction(change) for change in changes)
    return [lost for lost in found if lost is not None and lost.logical_id not in named]
