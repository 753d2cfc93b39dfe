"""The seeded faults of docs/verification.md: what is wrong, and the phase and gate that must stop it.

`tests/unit/test_seeded_faults.py` walks each over ports in memory, and `bench/faults` seeds those that can be into a
whole sandbox. Pure: the words are what the two, the results and the page know a fault by.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "verification.md"
#: What `make bench-faults` has left.
RESULTS = ROOT / "bench" / "results" / "faults.json"
#: The outcome there of a fault that was stopped in its phase, by its gate, before any traffic moved.
STOPPED = "right gate"
HEAD = "| | fault | phase | gate | tier |"


@dataclass(frozen=True)
class Fault:
    """What is wrong, in words; the phase and the gate that find it. `process`: there is a test that has it in a
    running backend, too."""

    words: str
    phase: str
    gate: str
    process: bool = False

    def tier(self, in_sandbox: Collection[str]) -> str:
        """Where it was stopped; `in_sandbox` are the words of the faults that a whole sandbox has stopped."""
        places = {"process": self.process, "sandbox": self.words in in_sandbox}
        return ", ".join(["walked", *(place for place, there in places.items() if there)])

    def __str__(self) -> str:
        return self.words


def stopped_in_sandbox(results: Path = RESULTS) -> set[str]:
    """The words of the faults that the last `make bench-faults` saw stopped by the right gate."""
    if not results.exists():
        return set()
    rows = json.loads(results.read_text(encoding="utf-8"))["faults"]
    return {row["fault"] for row in rows if row["outcome"] == STOPPED}


def table(in_sandbox: Collection[str]) -> str:
    """The page's rows, one a line."""
    return "\n".join(
        f"| {number} | {fault.words} | {fault.phase} | {fault.gate} | {fault.tier(in_sandbox)} |"
        for number, fault in enumerate(FAULTS, 1)
    )


WORLD = "Only the service's ports are open to the world"
IMAGE = "The image has no critical or high vulnerability"
DEPENDENCIES = "The Python packages have no known vulnerability"
WEB_SCAN = "The web scan finds nothing critical or high"
FAULTS = (
    Fault(
        "the cache is not encrypted at rest", "Provision", "ElastiCache::ReplicationGroup ReplicationGroup"
    ),
    Fault(
        "the cache takes connections without TLS",
        "Provision",
        "ElastiCache::ReplicationGroup ReplicationGroup",
    ),
    Fault("the database is not encrypted at rest", "Provision", "DocDB::DBCluster DBCluster"),
    Fault("a node of the database is missing", "Provision", "DocDB::DBCluster DBCluster"),
    Fault("a bucket is not encrypted as declared", "Provision", "S3::Bucket Bucket"),
    Fault("the listener takes an old TLS policy", "Provision", "ElasticLoadBalancingV2::Listener Listener"),
    Fault(
        "the health check asks a page that always lies",
        "Provision",
        "ElasticLoadBalancingV2::TargetGroup TargetGroup",
    ),
    Fault("an alarm's threshold was raised by hand", "Provision", "CloudWatch::Alarm Alarm"),
    Fault("an instance is not in service", "Provision", "AutoScaling::AutoScalingGroup AutoScalingGroup"),
    Fault("a NAT gateway is gone", "Provision", "EC2::NatGateway NatGateway"),
    Fault("a migration breaks half-way", "Migrate", "The expansion is applied"),
    Fault(
        "the migration breaks the live release",
        "Migrate",
        "v1 on the new schema: An evaluation is written and read back",
    ),
    Fault("the image has a critical vulnerability", "Release", IMAGE),
    Fault("the scan of the image failed", "Release", IMAGE),
    Fault("a Python package has a known vulnerability", "Release", DEPENDENCIES),
    Fault("nobody has audited the packages", "Release", DEPENDENCIES),
    Fault("an alarm is missing", "Monitor", "Alarm cutover-sandbox-backend-green-health"),
    Fault("an alarm stands already", "Monitor", "Alarm cutover-sandbox-backend-green-health"),
    Fault(
        "an alarm does not know where to roll back to",
        "Monitor",
        "Alarm cutover-sandbox-backend-green-health",
    ),
    Fault("the dashboard is missing", "Monitor", "Dashboard dashboard"),
    Fault("the dashboard is empty", "Monitor", "Dashboard dashboard"),
    Fault(
        "a metric of the dashboard is missing", "Monitor", "Grafana's “API response time, p95”", process=True
    ),
    Fault("SSH is open to the world", "Secure", "No SSH from anywhere"),
    Fault("the database is open to the world", "Secure", WORLD),
    Fault("an undeclared port is open inside", "Secure", "Only the declared ports are open inside"),
    Fault("a security header is missing", "Secure", "Header Referrer-Policy", process=True),
    Fault("a security header says something else", "Secure", "Header Strict-Transport-Security"),
    Fault("data are there for everybody", "Secure", "Without a token nobody is let in"),
    Fault(
        "another user's file is handed out", "Secure", "Another user's file is not handed out", process=True
    ),
    Fault("an unsigned token is taken", "Secure", "An unsigned token (alg: none) is refused", process=True),
    Fault("an expired token is taken", "Secure", "An expired token is refused", process=True),
    Fault("the 101st request is not limited", "Secure", "/api/models is limited", process=True),
    Fault("TLS 1.1 is on", "Secure", "TLS below 1.2 is refused"),
    Fault("TLS 1.3 is not offered", "Secure", "TLS 1.3 is offered"),
    Fault("the web scan breaks the release with an odd input", "Secure", WEB_SCAN, process=True),
    Fault("OWASP ZAP finds an injection", "Secure", WEB_SCAN),
    Fault("the web scan failed", "Secure", WEB_SCAN),
    Fault("the web scan ended half-way", "Secure", WEB_SCAN),
    Fault("answers are slow under load", "Perform", "p95 latency"),
    Fault("0.2 % of the answers are errors", "Perform", "Errors"),
    Fault('memory leaks, where [gates] has memory = "must"', "Perform", "Memory"),
    Fault("a query scans a large collection", "Perform", "Query: by e-mail"),
    Fault("queries are slow", "Perform", "Mean query time"),
    Fault("the connections run out", "Perform", "Connections in use"),
    Fault("the release does not reach its cache", "Verify", "Detailed health"),
    Fault("files come back spoilt", "Verify", "A file goes up and comes down the same"),
)
