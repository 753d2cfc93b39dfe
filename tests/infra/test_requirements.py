"""Section B of the requirements, line by line: which resource holds it, and what its property says.

Each line is told for staging as the requirements have it; the other environments are held against their
configuration, or against the same where it leaves no choice (encryption, TLS, what is open to whom).
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from stacks.constructs.code import ROOT

COLOURS = ("blue", "green")


@dataclass(frozen=True)
class Line:
    """`found` reads the templates; `staging` is what the requirement says; `wanted` what a configuration does."""

    requirement: str
    found: Callable[[Any], object]
    staging: object
    wanted: Callable[[Any], object] | None = None

    def expected(self, each: Any) -> object:
        return self.wanted(each.configuration) if self.wanted else self.staging


def subnets(kind: str) -> Callable[[Any], object]:
    def found(e: Any) -> object:
        return {
            p["CidrBlock"]: p["AvailabilityZone"]
            for p in e.environment.of("AWS::EC2::Subnet").values()
            if any(f"-{kind}-" in tag["Value"] for tag in p["Tags"])
        }

    return found


def nat_zones(e: Any) -> object:
    places = e.environment.of("AWS::EC2::Subnet")
    gateways = e.environment.of("AWS::EC2::NatGateway").values()
    return Counter(places[g["SubnetId"]["Ref"]]["AvailabilityZone"] for g in gateways)


def rules(kind: str, near: str, far: str) -> Callable[[Any], object]:
    """(from, to, first port, last port) of every rule between two groups."""

    def found(e: Any) -> object:
        groups = e.environment.of("AWS::EC2::SecurityGroup")

        def name(reference: dict) -> str:
            return groups[reference["Fn::GetAtt"][0]]["GroupName"].removeprefix(f"cutover-{e.name}-")

        return {
            (name(p[near]), name(p[far]), p["FromPort"], p["ToPort"])
            for p in e.environment.of(f"AWS::EC2::SecurityGroup{kind}").values()
        }

    return found


MONITORED = {
    ("monitoring", group, port, port)
    for group in ("backend", "frontend", "monitoring")
    for port in (9090, 3000, 9100)
}
# What the monitoring tier is reached by (B8): the probe asks Prometheus, Filebeat sends logs.
REACHED = {
    ("functions", "monitoring", 9090, 9090),
    *((m, "monitoring", 5044, 5044) for m in ("backend", "frontend")),
}
STORES = {
    ("backend", "database", 27017, 27017),
    ("functions", "database", 27017, 27017),
    ("backend", "cache", 6379, 6379),
}


def admitted(c: Any) -> object:
    backend, frontend = c.backend.ports, c.frontend.ports
    return {
        ("balancer", "frontend", frontend[0], frontend[-1]),
        ("balancer", "frontend", 443, 443),
        ("balancer", "backend", backend[0], backend[-1]),
        ("frontend", "backend", backend[0], backend[0]),
        ("monitoring", "backend", backend[0], backend[-1]),
        *STORES,
        *MONITORED,
        *REACHED,
    }


STAGING_RULES = {
    ("balancer", "frontend", 80, 80),
    ("balancer", "frontend", 443, 443),
    ("balancer", "backend", 8000, 8002),
    ("frontend", "backend", 8000, 8000),
    ("monitoring", "backend", 8000, 8002),
    *STORES,
    *MONITORED,
    *REACHED,
}


def opened(e: Any) -> object:
    """(group, first port, last port) of what anybody may reach."""
    return {
        (p["GroupName"].removeprefix(f"cutover-{e.name}-"), rule["FromPort"], rule["ToPort"])
        for p in e.environment.of("AWS::EC2::SecurityGroup").values()
        for rule in p.get("SecurityGroupIngress", [])
        if rule.get("CidrIp") in ("0.0.0.0/0", "::/0")
    }


def ssh(e: Any) -> object:
    kinds = ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress")
    rules = [p for kind in kinds for p in e.environment.of(kind).values()]
    rules += [rule for p in rules for rule in p.get("SecurityGroupIngress", [])]
    return [r for r in rules if "FromPort" in r and r["FromPort"] <= 22 <= r["ToPort"]]


def counts(service: str) -> Callable[[Any], object]:
    def found(e: Any) -> object:
        named = {g["AutoScalingGroupName"]: g for g in e.environment.of(GROUP).values()}
        groups = [named[e.names.group(colour, service)] for colour in COLOURS]
        return [int(g[key]) for g in groups for key in ("MinSize", "DesiredCapacity", "MaxSize")]

    return found


GROUP = "AWS::AutoScaling::AutoScalingGroup"


def launched(name: str) -> Callable[[Any], dict]:
    """The launch template's data, by the name of the machines."""

    def found(e: Any) -> dict:
        kind = "AWS::EC2::LaunchTemplate"
        return e.environment.named(kind, "LaunchTemplateName", e.names.named(name))["LaunchTemplateData"]

    return found


def instance_type(name: str) -> Callable[[Any], object]:
    return lambda e: launched(name)(e)["InstanceType"]


def disks(e: Any) -> object:
    return {
        (mapping["Ebs"]["VolumeType"], mapping["Ebs"]["Encrypted"])
        for p in e.environment.of("AWS::EC2::LaunchTemplate").values()
        for mapping in p["LaunchTemplateData"]["BlockDeviceMappings"]
    }


def images(e: Any) -> object:
    kind = "AWS::EC2::LaunchTemplate"
    return {p["LaunchTemplateData"]["ImageId"] for p in e.environment.of(kind).values()}


def oldest_docker(e: Any) -> object:
    kind = "AWS::EC2::LaunchTemplate"
    texts = [p["LaunchTemplateData"]["UserData"]["Fn::Base64"] for p in e.environment.of(kind).values()]
    return {int(re.search(r'docker_version%%\.\*}" -lt (\d+)', text)[1]) for text in texts}


def base_images(source: str) -> set[str]:
    text = (ROOT / source / "Dockerfile").read_text()
    return set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))


def one(kind: str, *keys: str) -> Callable[[Any], object]:
    """The values of some properties of the only resource of a kind, None for what is not set."""

    def found(e: Any) -> object:
        properties = e.environment.one(kind)
        values = [properties.get(key) for key in keys]
        return values[0] if len(values) == 1 else tuple(values)

    return found


def every(kind: str, key: str) -> Callable[[Any], object]:
    return lambda e: [p.get(key) for p in e.environment.of(kind).values()]


CLUSTER, INSTANCE = "AWS::DocDB::DBCluster", "AWS::DocDB::DBInstance"
CACHE, BUCKET = "AWS::ElastiCache::ReplicationGroup", "AWS::S3::Bucket"
LISTENER, TARGETS = "AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::TargetGroup"


def algorithms(e: Any) -> object:
    return {
        rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
        for p in e.environment.of(BUCKET).values()
        for rule in p["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    }


def expiring(e: Any) -> object:
    """By the bucket's name, the days after which objects go, and their former versions."""
    return {
        p["BucketName"].removeprefix(f"cutover-{e.name}-").removesuffix(f"-{e.configuration.account}"): (
            rule.get("ExpirationInDays"),
            rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
            rule["Status"],
        )
        for p in e.environment.of(BUCKET).values()
        for rule in p["LifecycleConfiguration"]["Rules"]
    }


def access_logs(e: Any) -> object:
    """Where the files bucket's and the balancer's access logs go: (whether it is the logs bucket, prefix)."""
    logs = f"cutover-{e.name}-logs-{e.configuration.account}"
    files = next(p for p in e.environment.of(BUCKET).values() if "LoggingConfiguration" in p)
    told = files["LoggingConfiguration"]
    balancer = e.environment.one("AWS::ElasticLoadBalancingV2::LoadBalancer")["LoadBalancerAttributes"]
    attributes = {each["Key"]: each["Value"] for each in balancer}
    return (
        (told["DestinationBucketName"] == logs, told["LogFilePrefix"]),
        (
            attributes["access_logs.s3.enabled"],
            e.environment.of(BUCKET)[attributes["access_logs.s3.bucket"]["Ref"]]["BucketName"] == logs,
            attributes["access_logs.s3.prefix"],
        ),
    )


def host_rules(e: Any) -> object:
    """For each listener's port, which host's requests go to which target groups."""
    return {
        e.environment.resources[p["ListenerArn"]["Ref"]]["Properties"]["Port"]: (
            p["Conditions"][0]["HostHeaderConfig"]["Values"],
            [
                e.environment.resources[group["TargetGroupArn"]["Ref"]]["Properties"]["Name"]
                for group in p["Actions"][0]["ForwardConfig"]["TargetGroups"]
            ],
        )
        for p in e.environment.of("AWS::ElasticLoadBalancingV2::ListenerRule").values()
    }


def host(e: Any) -> object:
    group = e.environment.named(GROUP, "AutoScalingGroupName", e.names.monitoring_group)
    return int(group["DesiredCapacity"]), "TargetGroupARNs" in group


LINES = (
    Line("B1 network", one("AWS::EC2::VPC", "CidrBlock"), "10.1.0.0/16", lambda c: c.network.cidr),
    Line(
        "B1 public subnets",
        subnets("public"),
        {"10.1.1.0/24": "ap-northeast-2a", "10.1.2.0/24": "ap-northeast-2c"},
        lambda c: dict(zip(c.network.public_subnets, c.availability_zones, strict=True)),
    ),
    Line(
        "B1 private subnets",
        subnets("private"),
        {"10.1.10.0/24": "ap-northeast-2a", "10.1.11.0/24": "ap-northeast-2c"},
        lambda c: dict(zip(c.network.private_subnets, c.availability_zones, strict=True)),
    ),
    Line("B1 one NAT gateway per zone", nat_zones, {"ap-northeast-2a": 1, "ap-northeast-2c": 1}),
    Line("B2 who is admitted", rules("Ingress", "SourceSecurityGroupId", "GroupId"), STAGING_RULES, admitted),
    Line(
        "B2 who may go out",
        rules("Egress", "GroupId", "DestinationSecurityGroupId"),
        STAGING_RULES,
        admitted,
    ),
    Line(
        "B2 open to anywhere",
        opened,
        {("balancer", 443, 443)},
        lambda c: {("balancer", c.backend.listener_port, c.backend.listener_port)},
    ),
    Line("B2 no SSH", ssh, []),
    Line("B3 backend instances", counts("backend"), [3] * 6, lambda c: [c.backend.instances_per_colour] * 6),
    Line("B3 backend type", instance_type("backend"), "t3.large", lambda c: c.backend.instance_type),
    Line("B3 Docker 24+", oldest_docker, {24}),
    Line(
        "B3 Ubuntu 22.04",
        images,
        {"resolve:ssm:/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"},
    ),
    Line("B3 Python 3.11", lambda e: base_images(e.configuration.backend.source), {"python:3.11-slim"}),
    Line(
        "B3 frontend instances", counts("frontend"), [2] * 6, lambda c: [c.frontend.instances_per_colour] * 6
    ),
    Line("B3 frontend type", instance_type("frontend"), "t3.small", lambda c: c.frontend.instance_type),
    Line("B3 Node 18", lambda e: base_images(e.configuration.frontend.source), {"node:18-alpine"}),
    Line("B4 engine", one(CLUSTER, "EngineVersion"), "5.0.0"),
    Line(
        "B4 instances",
        every(INSTANCE, "DBInstanceClass"),
        ["db.t3.medium"] * 3,
        lambda c: [c.database.instance_class] * c.database.instances,
    ),
    Line("B4 encrypted", one(CLUSTER, "StorageEncrypted"), True),
    Line(
        "B4 TLS",
        lambda e: e.environment.one("AWS::DocDB::DBClusterParameterGroup")["Parameters"]["tls"],
        "enabled",
    ),
    Line("B4 exported logs", one(CLUSTER, "EnableCloudwatchLogsExports"), ["audit", "profiler"]),
    # 100 GB: a DocumentDB cluster has no size; its volume grows in 10 GB steps up to 128 TiB.
    # https://docs.aws.amazon.com/documentdb/latest/developerguide/how-it-works.html
    Line("B4 storage has no size", one(CLUSTER, "AllocatedStorage"), None),
    Line(
        "B4 deletion protection",
        one(CLUSTER, "DeletionProtection"),
        True,
        lambda c: c.database.deletion_protection,
    ),
    Line("B5 engine", one(CACHE, "Engine", "EngineVersion"), ("redis", "7.1")),
    Line(
        "B5 nodes",
        one(CACHE, "CacheNodeType", "NumCacheClusters"),
        ("cache.t3.micro", 2),
        lambda c: (c.cache.node_type, c.cache.nodes),
    ),
    Line(
        "B5 TLS and encrypted",
        one(CACHE, "TransitEncryptionEnabled", "AtRestEncryptionEnabled"),
        (True, True),
    ),
    Line("B5 AUTH", lambda e: "AuthToken" in e.environment.one(CACHE), True),
    Line("B6 AES-256", algorithms, {"AES256"}),
    Line(
        "B6 old versions and logs expire",
        expiring,
        {"files": (None, 30, "Enabled"), "logs": (90, None, "Enabled")},
    ),
    Line("B6 access logs", access_logs, ((True, "files/"), ("true", True, "balancer"))),
    Line(
        "B6 nothing public",
        lambda e: {v for p in every(BUCKET, "PublicAccessBlockConfiguration")(e) for v in p.values()},
        {True},
    ),
    Line(
        "B7 certificate for both names",
        one("AWS::CertificateManager::Certificate", "DomainName", "SubjectAlternativeNames"),
        ("api-staging.ai-model-mgmt.com", ["staging.ai-model-mgmt.com"]),
        lambda c: (c.backend.domain, [c.frontend.domain]),
    ),
    Line("B7 validated by DNS", one("AWS::CertificateManager::Certificate", "ValidationMethod"), "DNS"),
    Line("B7 HTTPS", lambda e: set(every(LISTENER, "Protocol")(e)), {"HTTPS"}),
    Line(
        "B7 TLS 1.3", lambda e: set(every(LISTENER, "SslPolicy")(e)), {"ELBSecurityPolicy-TLS13-1-2-2021-06"}
    ),
    Line(
        "B7 health check",
        lambda e: Counter(
            (
                p["Name"].removeprefix(f"cutover-{e.name}-"),
                p["HealthCheckPath"],
                p["HealthCheckIntervalSeconds"],
            )
            for p in e.environment.of(TARGETS).values()
        ),
        {(name, "/health", 30): 1 for name in ("blue", "green", "ui-blue", "ui-green")},
        lambda c: {
            (name, service.health_check.path, service.health_check.interval_seconds): 1
            for service, names in ((c.backend, ("blue", "green")), (c.frontend, ("ui-blue", "ui-green")))
            for name in names
        },
    ),
    Line(
        "B7 the frontend's name on both listeners",
        host_rules,
        {
            port: (["staging.ai-model-mgmt.com"], ["cutover-staging-ui-blue", "cutover-staging-ui-green"])
            for port in (443, 8443)
        },
        lambda c: {
            port: ([c.frontend.domain], [f"cutover-{c.environment}-ui-{colour}" for colour in COLOURS])
            for port in (c.backend.listener_port, c.backend.test_listener_port)
        },
    ),
    Line("B8 one host, no target", host, (1, False)),
    Line("B8 type", instance_type("monitoring"), "t3.large", lambda c: c.monitoring.instance_type),
    Line(
        "B8 disk",
        lambda e: launched("monitoring")(e)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"],
        100,
        lambda c: c.monitoring.disk_gb,
    ),
    Line("B3, B8 disks are encrypted gp3", disks, {("gp3", True)}),
)


@pytest.mark.parametrize("line", LINES, ids=[line.requirement for line in LINES])
def test_staging_is_what_the_requirements_say(staging, line):
    assert line.found(staging) == line.staging


@pytest.mark.parametrize("line", LINES, ids=[line.requirement for line in LINES])
def test_every_environment_is_what_its_configuration_says(each, line):
    assert line.found(each) == line.expected(each)


def test_the_lines_are_of_every_requirement_that_has_resources():
    told = {word for line in LINES for word in re.findall(r"\bB\d\b", line.requirement)}
    # B9 (plan before apply) is the deployments': tests/contract and tests/e2e.
    assert told == {f"B{number}" for number in range(1, 9)}


def test_production_is_larger_than_staging_and_protected(synthesised):
    staging, production = (synthesised(name).configuration for name in ("staging", "production"))
    assert production.backend.instances_per_colour > staging.backend.instances_per_colour
    assert production.frontend.instances_per_colour > staging.frontend.instances_per_colour
    assert production.cache.nodes > staging.cache.nodes
    assert production.database.deletion_protection
    assert production.network.nat_gateways
