"""Encryption, as the live APIs tell it: every flag on, each one off, and nothing to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from cutover.adapters.encryption import LiveEncryption
from cutover.domain.errors import CutoverError
from cutover.ports import Flag
from cutover.steps.encryption import check_encryption
from tests.contract.fakes import FakeEncryption

KEYS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


def verdicts(encryption: Any) -> dict[str, str]:
    answer = check_encryption("cutover-sandbox", ["files", "logs"], encryption=encryption)
    return {gate["name"]: gate["verdict"] for gate in answer["gates"]}


def test_everything_encrypted_opens_eight_gates() -> None:
    found = verdicts(FakeEncryption())
    assert set(found.values()) == {"Pass"}
    assert len(found) == 8


@pytest.mark.parametrize(
    ("what", "index", "gate"),
    [
        ("database", 0, "The database: at rest"),
        ("database", 1, "The database: in transit"),
        ("cache", 0, "The cache: at rest"),
        ("cache", 1, "The cache: in transit"),
        ("cache", 2, "The cache: AUTH"),
        ("files", 0, "The bucket files: at rest"),
        ("disks", 0, "The instances: disks at rest"),
    ],
)
def test_each_flag_that_is_off_closes_its_own_gate(what: str, index: int, gate: str) -> None:
    fake = FakeEncryption()
    flags = list(fake.flags[what])
    flags[index] = replace(flags[index], on=False, found="off")
    fake.flags[what] = flags

    assert [name for name, verdict in verdicts(fake).items() if verdict == "Fail"] == [gate]


@pytest.mark.parametrize("what", ["database", "cache", "files", "disks"])
def test_what_is_not_there_or_can_not_be_read_is_inconclusive(what: str) -> None:
    gone, dark = FakeEncryption(), FakeEncryption()
    gone.flags[what] = []
    dark.broken = {what}

    for fake in (gone, dark):
        assert list(verdicts(fake).values()).count("Inconclusive") == 1


class Answers:
    """The real adapter over clients whose answers are given."""

    def __init__(self) -> None:
        self.stubs = {}
        clients = {}
        for name in ("docdb", "elasticache", "s3", "ec2"):
            clients[name] = boto3.client(name, region_name="ap-northeast-2", **KEYS)
            self.stubs[name] = Stubber(clients[name])
            self.stubs[name].activate()
        self.live = LiveEncryption("sandbox", **clients)

    def database(self, encrypted: bool, **parameters: str) -> dict[str, Flag]:
        cluster = {"StorageEncrypted": encrypted, "DBClusterParameterGroup": "cutover-sandbox"}
        values = [{"ParameterName": name, "ParameterValue": value} for name, value in parameters.items()]
        self.stubs["docdb"].add_response("describe_db_clusters", {"DBClusters": [cluster]})
        self.stubs["docdb"].add_response("describe_db_cluster_parameters", {"Parameters": values})
        return {flag.name: flag for flag in self.live.database("cutover-sandbox")}

    def cache(self, **group: Any) -> dict[str, bool]:
        answer = {"ReplicationGroups": [group]}
        self.stubs["elasticache"].add_response("describe_replication_groups", answer)
        return {flag.name: flag.on for flag in self.live.cache("cutover-sandbox")}


@pytest.mark.parametrize(
    ("value", "on"), [("enabled", True), ("tls1.3+", True), ("disabled", False), ("no such word", False)]
)
def test_documentdb_sends_nothing_in_the_clear_only_while_its_parameter_says_so(value: str, on: bool) -> None:
    """https://docs.aws.amazon.com/documentdb/latest/developerguide/security.encryption.ssl.html"""
    flags = Answers().database(True, tls=value, audit_logs="enabled")
    assert (flags["at rest"].on, flags["in transit"].on) == (True, on)
    assert not Answers().database(False)["in transit"].on


def test_a_cache_that_takes_connections_without_tls_too_is_not_encrypted_in_transit() -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ReplicationGroup.html"""
    on = {"TransitEncryptionEnabled": True, "AtRestEncryptionEnabled": True, "AuthTokenEnabled": True}
    assert Answers().cache(**on, TransitEncryptionMode="required") == {
        "at rest": True,
        "in transit": True,
        "AUTH": True,
    }
    assert not Answers().cache(**on, TransitEncryptionMode="preferred")["in transit"]
    assert set(Answers().cache().values()) == {False}


def test_one_bare_disk_among_many_is_named() -> None:
    answers = Answers()
    mappings = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeId": name}} for name in ("vol-1", "vol-2")]
    answers.stubs["ec2"].add_response(
        "describe_instances", {"Reservations": [{"Instances": [{"BlockDeviceMappings": mappings}]}]}
    )
    volumes = [{"VolumeId": "vol-1", "Encrypted": True}, {"VolumeId": "vol-2", "Encrypted": False}]
    answers.stubs["ec2"].add_response("describe_volumes", {"Volumes": volumes})

    (flag,) = answers.live.disks()
    assert (flag.on, flag.found, flag.samples) == (False, "not encrypted: vol-2", 2)


def test_no_instances_are_no_evidence() -> None:
    answers = Answers()
    answers.stubs["ec2"].add_response("describe_instances", {"Reservations": []})
    assert answers.live.disks() == []


def test_a_bucket_without_encryption_says_so_and_one_that_is_gone_can_not_be_read() -> None:
    answers = Answers()
    answers.stubs["s3"].add_client_error(
        "get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"
    )
    assert not answers.live.bucket("files")[0].on
    answers.stubs["s3"].add_client_error("get_bucket_encryption", "NoSuchBucket")
    with pytest.raises(CutoverError):
        answers.live.bucket("files")
