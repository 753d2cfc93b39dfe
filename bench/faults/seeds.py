"""How each fault of the table comes about in a whole sandbox, or why it can't."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.faults import hands, sources
from bench.faults.hands import Hand
from bench.faults.site import Site
from bench.faults.sources import Source
from sandbox.configuring import Change

#: The states at which a hand changes something that an earlier phase would already have found.
RELEASE, SECURE, QUERIES, SCAN = "3 Release", "5 Secure", "Check the queries", "Scan the service"
#: A standing alarm closes phase 4 when its half hour is over.
HALF_AN_HOUR = "$millis() + 30 * 60000"


@dataclass(frozen=True)
class Seed:
    """`words` are the table's, `how` what is really done.

    The release has these `settings`, or is built from a `source`. A `hand` changes what is live, before the
    deployment or when it enters the state `at`. `configure` changes what the functions are configured with,
    `waits` how long the state machine waits. `gate` is the gate's name here, where it is another than in the
    table, and `says` what the gate must have found. A `lasting` fault can't be undone, and comes last.
    """

    words: str
    how: str
    settings: Mapping[str, str] = field(default_factory=dict)
    source: Source | None = None
    hand: Hand | None = None
    at: str | None = None
    configure: Change | None = None
    waits: Mapping[str, str] = field(default_factory=dict)
    gate: Callable[[Site], str] | None = None
    says: str = ""
    lasting: bool = False


def of_kind(kind: str) -> Callable[[Site], str]:
    return lambda site: site.gate_of(kind)


def of(kind: str, physical_id: Callable[[Site], str]) -> Callable[[Site], str]:
    return lambda site: site.gate_of(kind, physical_id(site))


def alarm(site: Site) -> str:
    return f"Alarm {hands.alarm_name(site)}"


def dashboard(site: Site) -> str:
    return f"Dashboard {site.names.prefix}"


def on_the_new_schema(site: Site) -> str:
    return f"{site.live['version']} on the new schema: An evaluation is written and read back"


def one_limit(configuration: dict[str, Any]) -> None:
    configuration["security"]["rate_limits"]["/api/models"] = "100/5second"


def web_scan(configuration: dict[str, Any]) -> None:
    configuration["security"]["web_scan"].update(enabled=True, reuse_hours=0)


def long_load(configuration: dict[str, Any]) -> None:
    """8,000 requests: of 0.2 % errors, fewer than the allowed 0.1 % are then seen once in seventy runs."""
    configuration["load"].update(requests_per_second=200, seconds=40)


def memory_counts(configuration: dict[str, Any]) -> None:
    """Memory is a should of the requirements (E2); this environment insists on it."""
    configuration["gates"]["memory"] = "must"
    configuration["load"].update(requests_per_second=100, seconds=20)


BALANCER = "AWS::ElasticLoadBalancingV2"
CACHE, CLUSTER = "AWS::ElastiCache::ReplicationGroup", "AWS::DocDB::DBCluster"


def faulty(words: str, fault: str, **more: str) -> Seed:
    settings = {"FAULT": fault, **more}
    told = " ".join(f"{name}={value}" for name, value in settings.items())
    return Seed(words, f"the release is configured with {told}", settings=settings)


SEEDS = (
    # -- Provision
    Seed(
        "the cache is not encrypted at rest",
        "the cache is deleted and made again without",
        hand=hands.cache_with(AtRestEncryptionEnabled=False),
        gate=of_kind(CACHE),
        says="encrypted no",
    ),
    Seed(
        "the cache takes connections without TLS",
        "the cache is deleted and made again without TLS",
        hand=hands.cache_with(TransitEncryptionEnabled=False),
        gate=of_kind(CACHE),
        says="TLS no",
    ),
    Seed(
        "a node of the database is missing",
        "the cluster's node is deleted",
        hand=hands.node_deleted,
        gate=of_kind(CLUSTER),
        says="nodes 0",
    ),
    Seed(
        "a bucket is not encrypted as declared",
        "the files bucket's default encryption is set to aws:kms",
        hand=hands.bucket_encrypted_otherwise,
        gate=of("AWS::S3::Bucket", lambda site: site.names.files_bucket),
        says="encryption aws:kms",
    ),
    Seed(
        "the listener takes an old TLS policy",
        "the live listener is given ELBSecurityPolicy-2016-08",
        hand=hands.listener_with("listener_arn", "ELBSecurityPolicy-2016-08"),
        gate=of(f"{BALANCER}::Listener", lambda site: str(site.live["listener_arn"])),
        says="TLS policy ELBSecurityPolicy-2016-08",
    ),
    Seed(
        "the health check asks a page that always lies",
        "the idle target group's path is set to /openapi.json, which is answered 200 by a sick release too",
        hand=hands.health_check_asks("/openapi.json"),
        gate=of(f"{BALANCER}::TargetGroup", hands.idle_target_group),
        says="health check /openapi.json",
    ),
    Seed(
        "an alarm's threshold was raised by hand",
        "the threshold is set to 50",
        hand=hands.alarm_with(Threshold=50.0),
        gate=of("AWS::CloudWatch::Alarm", hands.alarm_name),
        says="threshold 50",
    ),
    Seed(
        "an instance is not in service",
        "the idle colour's group is told to have no instance",
        hand=hands.no_instance,
        gate=of("AWS::AutoScaling::AutoScalingGroup", hands.idle_group),
        says="in service 0",
    ),
    # -- Migrate
    Seed(
        "a migration breaks half-way",
        "a migration of the release reads a field that one document lacks",
        source=sources.migration(sources.HALF_WAY),
    ),
    Seed(
        "the migration breaks the live release",
        "a migration of the release makes a table of a text that the live release reads",
        source=sources.migration(sources.INCOMPATIBLE),
        gate=on_the_new_schema,
    ),
    # -- Release
    Seed(
        "the image has a critical vulnerability",
        "the image has h11 0.14.0, which its requirements.txt does not tell",
        source=sources.image("h11==0.14.0", declared="idna==3.10"),
        says="CVE-2025-43859 (CRITICAL",
    ),
    Seed(
        "the scan of the image failed",
        "the image has nothing that the registry's scan knows",
        source=sources.image(declared="idna==3.10"),
        says="the scan is FAILED",
    ),
    Seed(
        "a Python package has a known vulnerability",
        "requirements.txt has idna 3.6, whose vulnerability is a medium one, and the image has it",
        source=sources.image("idna==3.6", declared="idna==3.6"),
        says="CVE-2024-3651",
    ),
    Seed(
        "nobody has audited the packages",
        "the source has no requirements.txt",
        source=sources.image("idna==3.10", declared=None),
        says="has left no report",
    ),
    # -- Monitor
    Seed(
        "an alarm is missing",
        "it is deleted while phase 3 releases",
        hand=hands.alarm_deleted,
        at=RELEASE,
        gate=alarm,
        says="there is none",
    ),
    Seed(
        "an alarm stands already",
        "its threshold is lowered, while phase 3 releases, to what is always exceeded; the phase has a minute"
        " instead of half an hour",
        hand=hands.alarm_with(Threshold=-1.0),
        at=RELEASE,
        waits={HALF_AN_HOUR: "$millis() + 60000"},
        gate=alarm,
        says="ALARM",
    ),
    Seed(
        "an alarm does not know where to roll back to",
        "its description is written anew",
        hand=hands.alarm_with(AlarmDescription="made by hand"),
        gate=alarm,
        says="does not say what to roll back",
    ),
    Seed(
        "the dashboard is missing",
        "it is deleted",
        hand=hands.dashboard_with(None),
        gate=dashboard,
        says="there is none",
    ),
    Seed(
        "the dashboard is empty",
        "it is written anew, without a widget",
        hand=hands.dashboard_with('{"widgets": []}'),
        gate=dashboard,
        says="0 widgets",
    ),
    # -- Secure
    Seed(
        "SSH is open to the world",
        "a security group of its own in the VPC opens 22 to 0.0.0.0/0",
        hand=hands.door(22, "0.0.0.0/0"),
        says="by-hand opens tcp 22-22",
    ),
    Seed(
        "the database is open to the world",
        "a security group of its own in the VPC opens 27017 to 0.0.0.0/0",
        hand=hands.door(27017, "0.0.0.0/0"),
        says="by-hand opens tcp 27017-27017",
    ),
    Seed(
        "an undeclared port is open inside",
        "a security group of its own in the VPC opens 5432 to 10.1.0.0/16",
        hand=hands.door(5432, "10.1.0.0/16"),
        says="by-hand opens tcp 5432-5432",
    ),
    faulty("a security header is missing", "header"),
    faulty("a security header says something else", "hsts"),
    faulty("data are there for everybody", "open"),
    faulty("another user's file is handed out", "idor"),
    faulty("an unsigned token is taken", "unsigned"),
    faulty("an expired token is taken", "expired"),
    Seed(
        "the 101st request is not limited",
        "the release is configured with RATE_LIMITS=/api/models=off",
        settings={"RATE_LIMITS": "/api/models=off"},
        configure=one_limit,
        says="none was refused",
    ),
    Seed(
        "TLS 1.1 is on",
        "the test listener is given ELBSecurityPolicy-2016-08 while phase 3 releases",
        hand=hands.listener_with("test_listener_arn", "ELBSecurityPolicy-2016-08"),
        at=RELEASE,
        says="TLSv1.1",
    ),
    Seed(
        "TLS 1.3 is not offered",
        "the test listener is given ELBSecurityPolicy-TLS-1-2-2017-01 while phase 3 releases",
        hand=hands.listener_with("test_listener_arn", "ELBSecurityPolicy-TLS-1-2-2017-01"),
        at=RELEASE,
    ),
    Seed(
        "the web scan breaks the release with an odd input",
        "the release is configured with FAULT=brittle",
        settings={"FAULT": "brittle"},
        configure=web_scan,
        says="critical Server error",
    ),
    Seed(
        "the web scan failed",
        "its build is stopped while it runs",
        hand=hands.scan_stopped,
        at=SCAN,
        configure=web_scan,
        says="the scan failed",
    ),
    Seed(
        "the web scan ended half-way",
        "the scanner is interrupted after six seconds",
        hand=hands.scan_interrupted,
        configure=web_scan,
        says="operations were tested",
    ),
    # -- Perform
    faulty("answers are slow under load", "slow", FAULT_RATE="0.1", FAULT_SECONDS="0.8"),
    Seed(
        "0.2 % of the answers are errors",
        "the release is configured with FAULT=errors FAULT_RATE=0.002, from each process's 50th request on;"
        " the load has 8,000",
        settings={"FAULT": "errors", "FAULT_RATE": "0.002", "FAULT_AFTER": "50"},
        configure=long_load,
        says="× 5xx",
    ),
    Seed(
        'memory leaks, where [gates] has memory = "must"',
        "the release is configured with FAULT=memory FAULT_MEGABYTES=260, a megabyte a request",
        settings={"FAULT": "memory", "FAULT_MEGABYTES": "260"},
        configure=memory_counts,
    ),
    Seed(
        "a query scans a large collection",
        "the index of 2,000 users is dropped while phase 5 looks at the service",
        hand=hands.index_dropped,
        at=SECURE,
        gate=lambda _: "Query: user by e-mail address",
        says="a scan of the whole collection",
    ),
    Seed(
        "queries are slow",
        f"a model has {hands.DOCUMENTS:,} completed evaluations of {hands.KILOBYTES} kB each",
        hand=hands.large_evaluations,
        at=SECURE,
    ),
    Seed(
        "the connections run out",
        "850 of the database's 1,000 connections are taken",
        hand=hands.connections_held(850),
        at=SECURE,
    ),
    # -- Verify
    Seed(
        "the release does not reach its cache",
        "the cache is paused when phase 6 ends",
        hand=hands.cache_pauses,
        at=QUERIES,
        says="sick: redis",
    ),
    faulty("files come back spoilt", "spoil"),
    # -- what can't be undone
    Seed(
        "a NAT gateway is gone",
        "it is deleted",
        hand=hands.nat_gateway_deleted,
        gate=of_kind("AWS::EC2::NatGateway"),
        says="state delet",
        lasting=True,
    ),
    Seed(
        "the database is not encrypted at rest",
        "the cluster is deleted and made again without",
        hand=hands.database_not_encrypted,
        gate=of_kind(CLUSTER),
        says="encrypted no",
        lasting=True,
    ),
)
#: What a whole sandbox can't show, and why.
LEFT_OUT: Mapping[str, str] = {
    "a metric of the dashboard is missing": 'it closes phase 4 where [monitoring] has gate = "must"; there'
    " a sound release is stopped too, as the images of Grafana and the ELK stack can't be reached",
    "OWASP ZAP finds an injection": "no registry with ZAP's image can be reached, so that schemathesis scans",
}
