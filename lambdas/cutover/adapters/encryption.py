"""The encryption flags of data stores, buckets and disks, as their APIs tell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.ports import Flag

# What DocumentDB's parameter `tls` may be set to; `disabled` is the one other value.
# https://docs.aws.amazon.com/documentdb/latest/developerguide/security.encryption.ssl.html
TLS_ON = ("enabled", "tls1.2+", "tls1.3+", "fips-140-3")
AT_REST = ("AES256", "aws:kms", "aws:kms:dsse")


class LiveEncryption:
    """`environment` is the tag of its instances."""

    def __init__(self, environment: str, *, docdb: Any, elasticache: Any, s3: Any, ec2: Any) -> None:
        self._environment = environment
        self._docdb, self._elasticache, self._s3, self._ec2 = docdb, elasticache, s3, ec2

    def database(self, cluster: str) -> Sequence[Flag]:
        with aws_errors():
            try:
                found = self._docdb.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
            except ClientError as error:
                if "NotFound" in code(error):
                    return []
                raise
            group = found["DBClusterParameterGroup"]
            pages = self._docdb.get_paginator("describe_db_cluster_parameters").paginate(
                DBClusterParameterGroupName=group
            )
            values = {
                each["ParameterName"]: str(each.get("ParameterValue") or "")
                for page in pages
                for each in page["Parameters"]
            }
        tls = values.get("tls", "")
        return [
            _flag("at rest", bool(found.get("StorageEncrypted")), "StorageEncrypted"),
            Flag("in transit", tls in TLS_ON, f"tls is {tls or 'not set'} in {group}", "tls is enabled"),
        ]

    def cache(self, group: str) -> Sequence[Flag]:
        with aws_errors():
            try:
                found = self._elasticache.describe_replication_groups(ReplicationGroupId=group)
            except ClientError as error:
                if "NotFound" in code(error):
                    return []
                raise
        cache = found["ReplicationGroups"][0]
        # In the mode `preferred` it takes connections without TLS too.
        # https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ReplicationGroup.html
        mode = str(cache.get("TransitEncryptionMode") or "required")
        transit = bool(cache.get("TransitEncryptionEnabled"))
        told = f"TransitEncryptionEnabled is {transit}, in mode {mode}".lower() if transit else "it is off"
        return [
            _flag("at rest", bool(cache.get("AtRestEncryptionEnabled")), "AtRestEncryptionEnabled"),
            Flag("in transit", transit and mode == "required", told, "on, and required"),
            _flag("AUTH", bool(cache.get("AuthTokenEnabled")), "AuthTokenEnabled"),
        ]

    def bucket(self, name: str) -> Sequence[Flag]:
        with aws_errors():
            try:
                found = self._s3.get_bucket_encryption(Bucket=name)
            except ClientError as error:
                if code(error) != "ServerSideEncryptionConfigurationNotFoundError":
                    raise
                return [Flag("at rest", False, "no encryption by default", " or ".join(AT_REST[:2]))]
        rules = found["ServerSideEncryptionConfiguration"]["Rules"]
        algorithms = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules]
        passed = bool(algorithms) and set(algorithms) <= set(AT_REST)
        return [Flag("at rest", passed, ", ".join(algorithms), " or ".join(AT_REST[:2]))]

    def disks(self) -> Sequence[Flag]:
        ours = [{"Name": "tag:cutover-environment", "Values": [self._environment]}]
        living = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
        with aws_errors():
            pages = self._ec2.get_paginator("describe_instances").paginate(Filters=[*ours, living])
            volumes = [
                mapping["Ebs"]["VolumeId"]
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
                for mapping in instance.get("BlockDeviceMappings") or []
                if "Ebs" in mapping
            ]
            found = self._ec2.describe_volumes(VolumeIds=volumes)["Volumes"] if volumes else []
        if not found:
            return []
        bare = sorted(volume["VolumeId"] for volume in found if not volume.get("Encrypted"))
        told = f"not encrypted: {', '.join(bare[:5])}" if bare else f"all {len(found)} volumes"
        return [Flag("disks at rest", not bare, told, "every EBS volume encrypted", len(found))]


def _flag(name: str, on: bool, field: str) -> Flag:
    return Flag(name, on, f"{field} is {str(on).lower()}", f"{field} is true")
