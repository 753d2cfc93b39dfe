"""DocumentDB and ElastiCache of the sandbox: endpoints where a real server answers, over TLS, to those it knows."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import pymongo
import pymongo.errors
import pytest
import redis
from botocore.exceptions import ClientError

from tests.sandbox.sandbox_kit import Sandbox, empty_sandbox, running_sandbox, wait_for

TOKEN = "a-token-of-sixteen-or-more"
PASSWORD = "correct-horse-battery"


class Data:
    """A stack with a DocumentDB cluster of one instance and a replication group."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        resources = {
            "Cluster": {
                "Type": "AWS::DocDB::DBCluster",
                "Properties": {
                    "DBClusterIdentifier": "journal",
                    "MasterUsername": "chief",
                    "MasterUserPassword": PASSWORD,
                    "StorageEncrypted": True,
                },
            },
            "Instance": {
                "Type": "AWS::DocDB::DBInstance",
                "Properties": {
                    "DBClusterIdentifier": {"Ref": "Cluster"},
                    "DBInstanceClass": "db.t3.medium",
                },
            },
            "Group": {
                "Type": "AWS::ElastiCache::ReplicationGroup",
                "Properties": {
                    "ReplicationGroupId": "limits",
                    "ReplicationGroupDescription": "rate limits",
                    "Engine": "redis",
                    "CacheNodeType": "cache.t4g.micro",
                    "NumCacheClusters": 2,
                    "AutomaticFailoverEnabled": True,
                    "TransitEncryptionEnabled": True,
                    "AtRestEncryptionEnabled": True,
                    "AuthToken": TOKEN,
                },
            },
        }
        outputs = {
            "mongo": {"Fn::GetAtt": ["Cluster", "Endpoint"]},
            "mongo_port": {"Fn::GetAtt": ["Cluster", "Port"]},
            "instance": {"Fn::GetAtt": ["Instance", "Endpoint"]},
            "redis": {"Fn::GetAtt": ["Group", "PrimaryEndPoint.Address"]},
            "redis_port": {"Fn::GetAtt": ["Group", "PrimaryEndPoint.Port"]},
        }
        self.outputs = sandbox.deploy("data", resources, outputs)
        self.bundle = str(sandbox.settings.ca_bundle)

    def mongo(self, **more: Any) -> pymongo.MongoClient[dict[str, Any]]:
        known: dict[str, Any] = {
            "host": self.outputs["mongo"],
            "port": int(self.outputs["mongo_port"]),
            "username": "chief",
            "password": PASSWORD,
            "tls": True,
            "tlsCAFile": self.bundle,
            "serverSelectionTimeoutMS": 3000,
            "retryWrites": False,
        }
        return pymongo.MongoClient(**(known | more))

    def redis(self, password: str | None = TOKEN, **more: Any) -> redis.Redis:
        known: dict[str, Any] = {"ssl": True, "ssl_ca_certs": self.bundle, "socket_timeout": 5}
        host, port = self.outputs["redis"], int(self.outputs["redis_port"])
        return redis.Redis(host=host, port=port, password=password, **(known | more))


@pytest.fixture(scope="module")
def data() -> Iterator[Data]:
    with running_sandbox() as sandbox:
        yield Data(sandbox)


def test_a_documentdb_endpoint_answers_its_master_user_over_tls(data: Data) -> None:
    with data.mongo() as client:
        client.shop.orders.insert_one({"_id": 1, "what": "tea"})
        assert client.shop.orders.find_one({"_id": 1}) == {"_id": 1, "what": "tea"}
    assert data.outputs["mongo"].startswith(f"{data.sandbox.network}.10.")
    assert data.outputs["instance"] == data.outputs["mongo"]


@pytest.mark.parametrize("wrong", [{"password": "guess"}, {"username": "nobody"}])
def test_a_documentdb_endpoint_lets_no_one_else_in(data: Data, wrong: dict[str, str]) -> None:
    with data.mongo(**wrong) as client, pytest.raises(pymongo.errors.OperationFailure):
        client.admin.command("ping")


def test_a_documentdb_endpoint_does_not_speak_without_tls(data: Data) -> None:
    """https://docs.aws.amazon.com/documentdb/latest/developerguide/security.encryption.ssl.html"""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
        data.outputs["mongo"], int(data.outputs["mongo_port"]), serverSelectionTimeoutMS=1000
    )
    with client, pytest.raises(pymongo.errors.ServerSelectionTimeoutError):
        client.admin.command("ping")


def test_a_documentdb_certificate_is_not_trusted_without_the_sandboxs_ca(data: Data) -> None:
    import certifi

    with (
        data.mongo(tlsCAFile=certifi.where(), serverSelectionTimeoutMS=1000) as client,
        pytest.raises(pymongo.errors.ServerSelectionTimeoutError, match="certificate"),
    ):
        client.admin.command("ping")


def test_encryption_is_described_as_it_was_asked_for(data: Data) -> None:
    cluster = data.sandbox.client("docdb").describe_db_clusters(DBClusterIdentifier="journal")["DBClusters"][
        0
    ]
    assert cluster["StorageEncrypted"] is True
    assert (cluster["Endpoint"], cluster["MasterUsername"]) == (data.outputs["mongo"], "chief")
    groups = data.sandbox.client("elasticache").describe_replication_groups(ReplicationGroupId="limits")
    group = groups["ReplicationGroups"][0]
    assert group["TransitEncryptionEnabled"] is True
    assert group["AtRestEncryptionEnabled"] is True
    assert group["AuthTokenEnabled"] is True
    endpoint = group["NodeGroups"][0]["PrimaryEndpoint"]
    assert endpoint == {"Address": data.outputs["redis"], "Port": int(data.outputs["redis_port"])}


def test_a_redis_endpoint_answers_its_token_over_tls(data: Data) -> None:
    with data.redis() as client:
        client.set("seen", 1)
        assert client.incr("seen") == 2


@pytest.mark.parametrize("password", [None, "guess"])
def test_a_redis_endpoint_lets_no_one_else_in(data: Data, password: str | None) -> None:
    with data.redis(password) as client, pytest.raises(redis.AuthenticationError):
        client.get("seen")


def test_a_redis_endpoint_does_not_speak_without_tls(data: Data) -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/in-transit-encryption.html"""
    with data.redis(ssl=False, ssl_ca_certs=None) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_redis_certificate_names_the_address(data: Data) -> None:
    context = ssl.create_default_context(cafile=data.bundle)
    import socket

    address = (data.outputs["redis"], int(data.outputs["redis_port"]))
    with (
        socket.create_connection(address) as plain,
        context.wrap_socket(plain, server_hostname=data.outputs["redis"]) as secured,
    ):
        assert ("IP Address", data.outputs["redis"]) in secured.getpeercert()["subjectAltName"]  # type: ignore[index]


def test_a_rotated_token_is_let_in_beside_the_old_one_until_it_is_set(data: Data) -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html#auth-modifyng-token"""
    elasticache, new = data.sandbox.client("elasticache"), "another-token-of-sixteen"

    def change(token: str, strategy: str) -> None:
        elasticache.modify_replication_group(
            ReplicationGroupId="limits",
            AuthToken=token,
            AuthTokenUpdateStrategy=strategy,
            ApplyImmediately=True,
        )

    change(new, "ROTATE")
    assert data.redis(TOKEN).ping()
    assert data.redis(new).ping()
    change(new, "SET")
    assert data.redis(new).ping()
    with pytest.raises(redis.AuthenticationError):
        data.redis(TOKEN).ping()
    change(TOKEN, "ROTATE")
    change(TOKEN, "SET")
    assert data.redis(TOKEN).ping()


def test_what_the_sandbox_does_not_offer_is_an_error_and_not_a_silence(data: Data) -> None:
    elasticache, documentdb = (data.sandbox.client(name) for name in ("elasticache", "docdb"))
    with pytest.raises(ClientError, match="not offered"):
        elasticache.create_cache_cluster(
            CacheClusterId="x", Engine="redis", CacheNodeType="cache.t3.micro", NumCacheNodes=1
        )
    with pytest.raises(ClientError, match="not offered"):
        documentdb.stop_db_cluster(DBClusterIdentifier="journal")
    with pytest.raises(ClientError, match="not offered"):
        documentdb.modify_db_cluster(DBClusterIdentifier="journal", MasterUserPassword="something-else")


def test_a_cluster_answers_from_its_first_instance_on_and_ends_with_its_deletion(data: Data) -> None:
    documentdb = data.sandbox.client("docdb")
    made = documentdb.create_db_cluster(
        DBClusterIdentifier="second", Engine="docdb", MasterUsername="chief", MasterUserPassword=PASSWORD
    )["DBCluster"]
    assert made["Endpoint"] != data.outputs["mongo"]
    with (
        data.mongo(host=made["Endpoint"], serverSelectionTimeoutMS=500) as client,
        pytest.raises(pymongo.errors.ServerSelectionTimeoutError),
    ):
        client.admin.command("ping")
    documentdb.create_db_instance(
        DBInstanceIdentifier="second-1",
        DBClusterIdentifier="second",
        DBInstanceClass="db.t3.medium",
        Engine="docdb",
    )
    with data.mongo(host=made["Endpoint"]) as client:
        assert client.admin.command("ping")["ok"] == 1
    names = {each["name"] for each in data.sandbox.status()["processes"]}
    assert {"documentdb-journal", "documentdb-second", "elasticache-limits"} <= names
    documentdb.delete_db_instance(DBInstanceIdentifier="second-1")
    documentdb.delete_db_cluster(DBClusterIdentifier="second", SkipFinalSnapshot=True)
    names = {each["name"] for each in data.sandbox.status()["processes"]}
    assert "documentdb-second" not in names
    assert "documentdb-journal" in names


def test_a_deleted_stack_ends_its_servers(data: Data) -> None:
    data.sandbox.client("cloudformation").delete_stack(StackName="data")

    def ended() -> bool:
        names = {each["name"] for each in data.sandbox.status()["processes"]}
        return not [name for name in names if name.startswith(("documentdb", "elasticache"))]

    wait_for(ended, what="the end of the servers")


def test_servers_of_the_users_own_take_the_endpoints_place() -> None:
    own = {
        "MONGO_URL": "mongodb://me:secret@db.example.com:27018/x",
        "REDIS_URL": "rediss://cache.example.com",
    }
    with empty_sandbox() as sandbox:
        started = sandbox.up(env=own)
        assert started.returncode == 0, started.stderr
        cluster = sandbox.client("docdb").create_db_cluster(
            DBClusterIdentifier="own", Engine="docdb", MasterUsername="chief", MasterUserPassword=PASSWORD
        )["DBCluster"]
        assert (cluster["Endpoint"], cluster["Port"]) == ("db.example.com", 27018)
        group = sandbox.client("elasticache").create_replication_group(
            ReplicationGroupId="own",
            ReplicationGroupDescription="own",
            Engine="redis",
            TransitEncryptionEnabled=True,
            AuthToken=TOKEN,
        )["ReplicationGroup"]
        endpoint = group["NodeGroups"][0]["PrimaryEndpoint"]
        assert endpoint == {"Address": "cache.example.com", "Port": 6379}
        assert "secret" not in sandbox.run("status", "--json").stdout
