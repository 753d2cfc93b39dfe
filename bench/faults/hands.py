"""What somebody changes by hand, in a service's API or at a server itself. Each answers how to undo it."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

import pymongo
import redis

from bench.faults.site import Site, Undo
from stacks.environment.data import REDIS_VERSION
from stacks.environment.security import REDIS_PORT

Hand = Callable[[Site], Undo]


def nothing() -> None:
    """What is left to undo of a build that has ended, and of what can't be undone."""


_ALARM = (
    *("AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions"),
    *("InsufficientDataActions", "MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions"),
    *("Period", "Unit", "EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator"),
    *("TreatMissingData", "EvaluateLowSampleCountPercentile", "Metrics", "ThresholdMetricId"),
)
#: Of both colours, the kind that the table of faults names.
ALARM = "health"
CACHE_SECRET = "redis"
#: What one of the named queries reads whole, and how large each document is.
DOCUMENTS, KILOBYTES = 1000, 128


# -- CloudWatch


def alarm_name(site: Site) -> str:
    """The alarm that will guard the next release."""
    return site.names.named(f"backend-{site.idle}-{ALARM}")


def alarm_with(**changes: Any) -> Hand:
    def hand(site: Site) -> Undo:
        cloudwatch, before = site.root("cloudwatch"), _alarm(site)
        cloudwatch.put_metric_alarm(**{**before, **changes})
        return lambda: cloudwatch.put_metric_alarm(**before)

    return hand


def alarm_deleted(site: Site) -> Undo:
    cloudwatch, before = site.root("cloudwatch"), _alarm(site)
    cloudwatch.delete_alarms(AlarmNames=[before["AlarmName"]])
    return lambda: cloudwatch.put_metric_alarm(**before)


def _alarm(site: Site) -> dict[str, Any]:
    """As PutMetricAlarm takes it."""
    found = site.root("cloudwatch").describe_alarms(AlarmNames=[alarm_name(site)])["MetricAlarms"][0]
    return {key: found[key] for key in _ALARM if found.get(key) not in (None, [])}


def dashboard_with(body: str | None) -> Hand:
    """None: it is deleted."""

    def hand(site: Site) -> Undo:
        cloudwatch, name = site.root("cloudwatch"), site.names.prefix
        before = cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]
        if body is None:
            cloudwatch.delete_dashboards(DashboardNames=[name])
        else:
            cloudwatch.put_dashboard(DashboardName=name, DashboardBody=body)
        return lambda: cloudwatch.put_dashboard(DashboardName=name, DashboardBody=before)

    return hand


# -- the balancer, the network, the instances


def listener_with(which: str, policy: str) -> Hand:
    """`which` is listener_arn or test_listener_arn."""

    def hand(site: Site) -> Undo:
        balancer, arn = site.root("elbv2"), site.live[which]
        before = balancer.describe_listeners(ListenerArns=[arn])["Listeners"][0]["SslPolicy"]
        balancer.modify_listener(ListenerArn=arn, SslPolicy=policy)
        return lambda: balancer.modify_listener(ListenerArn=arn, SslPolicy=before)

    return hand


def idle_target_group(site: Site) -> str:
    return str(site.live[site.idle])


def health_check_asks(path: str) -> Hand:
    def hand(site: Site) -> Undo:
        balancer, arn = site.root("elbv2"), idle_target_group(site)
        before = balancer.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]["HealthCheckPath"]
        balancer.modify_target_group(TargetGroupArn=arn, HealthCheckPath=path)
        return lambda: balancer.modify_target_group(TargetGroupArn=arn, HealthCheckPath=before)

    return hand


def door(port: int, source: str) -> Hand:
    """A security group of its own: what is opened in the environment's own groups, phase 5 closes itself."""

    def hand(site: Site) -> Undo:
        ec2 = site.root("ec2")
        vpc = site.resource("AWS::EC2::VPC")
        group = ec2.create_security_group(GroupName="by-hand", Description="opened by hand", VpcId=vpc)[
            "GroupId"
        ]
        rule = {
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "IpRanges": [{"CidrIp": source}],
        }
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        return lambda: ec2.delete_security_group(GroupId=group)

    return hand


def idle_group(site: Site) -> str:
    return site.names.named(f"backend-{site.idle}")


def no_instance(site: Site) -> Undo:
    """The idle colour's group is told to have none."""
    groups, name = site.root("autoscaling"), idle_group(site)

    def group() -> dict[str, Any]:
        found: dict[str, Any] = groups.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return dict(found["AutoScalingGroups"][0])

    def in_service() -> int:
        return sum(each["LifecycleState"] == "InService" for each in group().get("Instances", []))

    before = {key: group()[key] for key in ("MinSize", "DesiredCapacity")}
    groups.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, DesiredCapacity=0)
    site.until(f"{name} without an instance", lambda: in_service() == 0)

    def undo() -> None:
        groups.update_auto_scaling_group(AutoScalingGroupName=name, **before)
        site.until(f"{name} with its instance", lambda: in_service() == before["DesiredCapacity"])

    return undo


def nat_gateway_deleted(site: Site) -> Undo:
    site.root("ec2").delete_nat_gateway(NatGatewayId=site.resource("AWS::EC2::NatGateway"))
    return nothing


# -- what is kept


def bucket_encrypted_otherwise(site: Site) -> Undo:
    """Without any, S3 has had no bucket since January 2023.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html
    """
    s3, name = site.root("s3"), site.names.files_bucket
    before = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return lambda: s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=before)


def cache_with(**changes: Any) -> Hand:
    """Another cache under the same name: encryption can't be changed of one that is there."""

    def hand(site: Site) -> Undo:
        before = _cache(site)
        _replace_cache(site, {**before, **changes})
        return lambda: _replace_cache(site, before)

    return hand


def _cache(site: Site) -> dict[str, Any]:
    """As CreateReplicationGroup takes it."""
    cache, name = site.root("elasticache"), site.names.prefix
    found = cache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]
    return {
        "ReplicationGroupId": name,
        "ReplicationGroupDescription": found["Description"],
        "Engine": "redis",
        "EngineVersion": REDIS_VERSION,
        "CacheNodeType": found["CacheNodeType"],
        "NumCacheClusters": len(found["MemberClusters"]),
        "AutomaticFailoverEnabled": True,
        "MultiAZEnabled": True,
        "Port": REDIS_PORT,
        "CacheSubnetGroupName": name,
        "TransitEncryptionEnabled": True,
        "AtRestEncryptionEnabled": True,
        "AuthToken": _secret(site, CACHE_SECRET),
    }


def _replace_cache(site: Site, wanted: Mapping[str, Any]) -> None:
    cache, name = site.root("elasticache"), wanted["ReplicationGroupId"]
    cache.delete_replication_group(ReplicationGroupId=name)
    # A token is of no use where it would be sent unencrypted, and refused there.
    left_out = set() if wanted["TransitEncryptionEnabled"] else {"AuthToken"}
    cache.create_replication_group(**{key: each for key, each in wanted.items() if key not in left_out})


def cache_pauses(site: Site) -> Undo:
    """It answers nobody for a while: longer than the smoke tests of phase 7 look at it."""
    group = site.root("elasticache").describe_replication_groups(ReplicationGroupId=site.names.prefix)
    endpoint = group["ReplicationGroups"][0]["NodeGroups"][0]["PrimaryEndpoint"]
    client = redis.Redis(
        host=endpoint["Address"],
        port=endpoint["Port"],
        password=_secret(site, CACHE_SECRET),
        ssl=True,
        ssl_ca_certs=str(site.settings.ca_bundle),
    )
    with closing(client):
        client.client_pause(20_000)
    return lambda: site.until("the cache's answer", lambda: _answers(client))


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.RedisError):
        return bool(client.ping())
    return False


def node_deleted(site: Site) -> Undo:
    """The database's last node; its cluster stays."""
    docdb, name = site.root("docdb"), f"{site.names.prefix}-1"
    found = docdb.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    docdb.delete_db_instance(DBInstanceIdentifier=name)
    kept = {key: found[key] for key in ("DBInstanceClass", "Engine", "DBClusterIdentifier")}
    return lambda: docdb.create_db_instance(DBInstanceIdentifier=name, **kept)


def database_not_encrypted(site: Site) -> Undo:
    """Another cluster under the same name, as one that is there can't be changed; its data are gone."""
    docdb, name = site.root("docdb"), site.names.prefix
    found = docdb.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    again = node_deleted(site)
    docdb.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    admin = json.loads(_secret(site, "database-admin"))
    docdb.create_db_cluster(
        DBClusterIdentifier=name,
        Engine=found["Engine"],
        EngineVersion=found["EngineVersion"],
        Port=found["Port"],
        DBSubnetGroupName=found["DBSubnetGroup"],
        MasterUsername=admin["username"],
        MasterUserPassword=admin["password"],
        StorageEncrypted=False,
    )
    again()
    return nothing


def _secret(site: Site, name: str) -> str:
    store = site.root("secretsmanager")
    return str(store.get_secret_value(SecretId=site.names.secret(name))["SecretString"])


# -- in the database


def _database(site: Site) -> pymongo.MongoClient[dict[str, Any]]:
    """As its administrator."""
    name, admin = site.names.prefix, json.loads(_secret(site, "database-admin"))
    cluster = site.root("docdb").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    return pymongo.MongoClient(
        cluster["Endpoint"],
        cluster["Port"],
        username=admin["username"],
        password=admin["password"],
        tls=True,
        tlsCAFile=str(site.settings.ca_bundle),
        replicaSet="rs0",
        retryWrites=False,
    )


def index_dropped(site: Site) -> Undo:
    """Of a collection that is too large to be scanned."""
    client = _database(site)
    users = client[site.environment.configuration.database.name].users
    users.insert_many({"_id": f"many-{n}", "email": f"{n}@many.test"} for n in range(2000))
    users.drop_index("email_unique")

    def undo() -> None:
        with client:
            users.delete_many({"_id": {"$regex": "^many-"}})
            users.create_index("email", name="email_unique", unique=True)

    return undo


def large_evaluations(site: Site) -> Undo:
    """Of the model and the user that the queries ask for, and older than what the lists show."""
    client = _database(site)
    evaluations = client[site.environment.configuration.database.name].evaluations
    sample = evaluations.find_one({}) or {}
    kept = {key: sample[key] for key in ("user_id", "model_id", "created_at")}
    log = "x" * (KILOBYTES * 1024)
    evaluations.insert_many(
        {"_id": f"many-{n}", "status": "completed", "notes": "", "log": log, **kept} for n in range(DOCUMENTS)
    )

    def undo() -> None:
        with client:
            evaluations.delete_many({"_id": {"$regex": "^many-"}})

    return undo


def connections_held(number: int) -> Hand:
    """So many connections are opened to the database and kept."""

    def hand(site: Site) -> Undo:
        cluster = site.root("docdb").describe_db_clusters(DBClusterIdentifier=site.names.prefix)
        endpoint, port = (cluster["DBClusters"][0][key] for key in ("Endpoint", "Port"))
        trust = ssl.create_default_context(cafile=str(site.settings.ca_bundle))
        held = [
            trust.wrap_socket(socket.create_connection((endpoint, port), 10), server_hostname=endpoint)
            for _ in range(number)
        ]

        def undo() -> None:
            for each in held:
                each.close()

        return undo

    return hand


# -- the build that scans


def scan_stopped(site: Site) -> Undo:
    """The scan's build, as soon as it runs."""
    builds, project = site.root("codebuild"), site.names.scan_project

    def running() -> str | None:
        ids = builds.list_builds_for_project(projectName=project)["ids"]
        found = builds.batch_get_builds(ids=ids)["builds"] if ids else []
        return next((str(each["id"]) for each in found if each["buildStatus"] == "IN_PROGRESS"), None)

    builds.stop_build(id=site.until("the scan's build", running))
    return nothing


def scan_interrupted(site: Site) -> Undo:
    """The project's scanner is told to end after the first operations."""
    builds, name = site.root("codebuild"), site.names.scan_project
    project = builds.batch_get_projects(names=[name])["projects"][0]
    before = project["source"]
    text = before["buildspec"].replace("schemathesis run", "timeout --signal INT 6 schemathesis run")
    text = text.replace("|| test $? -eq 1\n", "|| true\n")
    builds.update_project(name=name, source={**before, "buildspec": text})
    return lambda: builds.update_project(name=name, source=before)
