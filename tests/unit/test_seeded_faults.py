"""Seeded faults, walked through the whole machine: each is stopped before the swap by the gate that is there for it.

The handlers and steps are the real ones, over the ports in memory; that each port's adapter tells the same of AWS or
of a service is the contract tests' part. docs/verification.md has the table that is written here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.declared import wanted
from cutover.domain.errors import CutoverError, NotReachableError, ServiceRefusedError, ThrottledError
from cutover.domain.gates import closed
from cutover.domain.load_result import LoadResult
from cutover.domain.seen import QUERIES
from cutover.ports import Finding, Handshake, ImageScan
from tests.contract.fakes import BLUE
from tests.contract.scenes import LOAD
from tests.unit.fault_table import FAULTS, PAGE, Fault, stopped_in_sandbox, table
from tests.unit.test_dependency_scan import audit, package
from tests.unit.test_handler_walk import (
    INPUT,
    House,
    broken_cache,
    missing_alarm,
    open_port,
    scanning_query,
    slow_service,
)
from tests.unit.test_step_checks import DECLARED
from tests.unit.test_web_scan import alert as risk
from tests.unit.test_web_scan import failure, zap

Seed = Callable[[House], None]


def differs(resource: str, **facts: str) -> Seed:
    """The live API tells something else of a resource than the template declares."""

    def seed(house: House) -> None:
        every = house.resources.every
        (declared,) = (each for each in every if each.logical_id == resource)
        house.resources.found[resource] = {**wanted(declared, every), **facts}

    return seed


def gone(resource: str) -> Seed:
    def seed(house: House) -> None:
        house.resources.found[resource] = None

    return seed


def header(name: str, value: str) -> Seed:
    def seed(house: House) -> None:
        house.http.headers[name] = value

    return seed


def bare(house: House) -> None:
    house.http.headers.pop("referrer-policy")


def broken_service(fault: str) -> Seed:
    """The new release alone is broken."""

    def seed(house: House) -> None:
        house.http.faults.add(fault)
        house.http.only_on = 8443

    return seed


def handshake(lowest: str, highest: str, answer: Handshake) -> Seed:
    def seed(house: House) -> None:
        house.http.tls[(lowest, highest)] = answer

    return seed


def scanned(scan: ImageScan) -> Seed:
    def seed(house: House) -> None:
        house.registry.scans = [scan]

    return seed


def door(first: int, last: int, *sources: str) -> Seed:
    def seed(house: House) -> None:
        rule = replace(DECLARED[0], first_port=first, last_port=last, sources=sources or DECLARED[0].sources)
        house.network.rules = (*house.network.rules, rule)

    return seed


def standing_alarm(house: House) -> None:
    house.configuration.settings["poll_seconds"] = 60
    house.alarms.alarms[-1] = replace(house.alarms.alarms[-1], state="ALARM")


def astray_alarm(house: House) -> None:
    house.alarms.alarms[-1] = replace(house.alarms.alarms[-1], description="made by hand")


def no_dashboard(house: House) -> None:
    house.alarms.body = None


def empty_dashboard(house: House) -> None:
    house.alarms.body = '{"widgets": []}'


def broken_migration(house: House) -> None:
    house.migrator.broken = {"expand": ServiceRefusedError("0002_backfill: no such field")}


def incompatible_migration(house: House) -> None:
    """The live release does not find its way in the new schema."""
    house.http.faults.add("forgets")
    house.http.only_on = 443


def slow_queries(house: House) -> None:
    house.database.taken = 80.0


def full_pool(house: House) -> None:
    house.database.used = (85, 100)


def no_limit(house: House) -> None:
    del house.http.limits["/api/models"]


def two_in_a_thousand(house: House) -> None:
    """The limit is one."""
    house.configuration.settings["load"] = {**LOAD, "requests_per_second": 400}

    def break_result(result: LoadResult) -> None:
        result.wrong["500"] = result.scheduled // 500

    house.load.break_result = break_result


def leak(house: House) -> None:
    """Memory is a should of the requirements (E2); this environment insists on it."""
    house.configuration.settings["gates"] = {"memory": "must"}
    house.figures.values["memory"] = 93.0


def missing_metric(house: House) -> None:
    """Its containers answer, and have no histogram of their answers' times."""
    house.metrics.answers["histogram_quantile"] = None


def audited(report: object) -> Seed:
    def seed(house: House) -> None:
        house.documents.keep(f"scans/dependencies/{'a' * 64}.json", json.dumps(report).encode())

    return seed


def no_audit(house: House) -> None:
    house.documents.objects.clear()


def web_finding(house: House) -> None:
    house.scan_report = {**house.scan_report, "failures": [failure()]}


def zap_alert(house: House) -> None:
    house.scan_report = zap(risk("3"))


def failed_scan(house: House) -> None:
    house.failed_scan = RuntimeError("the build ended FAILED")


def half_a_scan(house: House) -> None:
    house.scan_report = {**house.scan_report, "complete": False}


CRITICAL = Finding("CVE-2024-0001", "CRITICAL", "starlette", "0.1", "0.2")
#: How each comes about, by the words of the table.
SEEDS: dict[str, Seed] = {
    "the cache is not encrypted at rest": differs("ReplicationGroup", encrypted="no"),
    "the cache takes connections without TLS": differs("ReplicationGroup", TLS="no"),
    "the database is not encrypted at rest": differs("DBCluster", encrypted="no"),
    "a node of the database is missing": differs("DBCluster", nodes="0"),
    "a bucket is not encrypted as declared": differs("Bucket", encryption="aws:none"),
    "the listener takes an old TLS policy": differs(
        "Listener", **{"TLS policy": "ELBSecurityPolicy-2016-08"}
    ),
    "the health check asks a page that always lies": differs("TargetGroup", **{"health check": "/ always"}),
    "an alarm's threshold was raised by hand": differs("Alarm", threshold="50"),
    "an instance is not in service": differs("AutoScalingGroup", **{"in service": "1"}),
    "a NAT gateway is gone": gone("NatGateway"),
    "a migration breaks half-way": broken_migration,
    "the migration breaks the live release": incompatible_migration,
    "the image has a critical vulnerability": scanned(
        ImageScan("COMPLETE", counts={"CRITICAL": 1}, findings=[CRITICAL])
    ),
    "the scan of the image failed": scanned(ImageScan("FAILED", "unsupported")),
    "a Python package has a known vulnerability": audited(
        audit(package("urllib3", "1.24.1", "CVE-2019-11324"))
    ),
    "nobody has audited the packages": no_audit,
    "an alarm is missing": missing_alarm,
    "an alarm stands already": standing_alarm,
    "an alarm does not know where to roll back to": astray_alarm,
    "the dashboard is missing": no_dashboard,
    "the dashboard is empty": empty_dashboard,
    "a metric of the dashboard is missing": missing_metric,
    "SSH is open to the world": open_port,
    "the database is open to the world": door(27017, 27017),
    "an undeclared port is open inside": door(5432, 5432, "10.1.0.0/16"),
    "a security header is missing": bare,
    "a security header says something else": header("strict-transport-security", "max-age=0"),
    "data are there for everybody": broken_service("open door"),
    "another user's file is handed out": broken_service("idor"),
    "an unsigned token is taken": broken_service("unsigned"),
    "an expired token is taken": broken_service("expired"),
    "the 101st request is not limited": no_limit,
    "TLS 1.1 is on": handshake("1.0", "1.1", Handshake(True, "TLSv1.1")),
    "TLS 1.3 is not offered": handshake("1.3", "1.3", Handshake(False, "refused")),
    "the web scan breaks the release with an odd input": web_finding,
    "OWASP ZAP finds an injection": zap_alert,
    "the web scan failed": failed_scan,
    "the web scan ended half-way": half_a_scan,
    "answers are slow under load": slow_service,
    "0.2 % of the answers are errors": two_in_a_thousand,
    'memory leaks, where [gates] has memory = "must"': leak,
    "a query scans a large collection": scanning_query,
    "queries are slow": slow_queries,
    "the connections run out": full_pool,
    "the release does not reach its cache": broken_cache,
    "files come back spoilt": broken_service("spoils files"),
}


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


def stopped(house: House) -> tuple[str, list[Mapping[str, Any]]]:
    """Where the deployment ended before any traffic moved, and the gates that closed it."""
    status, output = house.walk.run(INPUT)
    assert (status, output["Error"]) == ("FAILED", "GateFailedError"), output
    assert "Swap" not in house.walk.visited
    assert (house.world.balancer.of["listener"], house.live.version) == (BLUE, "v1")
    last = house.record["phases"][-1]
    return last["name"], closed(last["gates"])


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_stopped_before_the_swap_by_its_gate(house: House, fault: Fault) -> None:
    SEEDS[fault.words](house)
    phase, shut = stopped(house)
    assert (phase, fault.gate in [gate["name"] for gate in shut]) == (fault.phase, True), shut


def test_there_are_thirty_faults_at_least_and_every_phase_has_one() -> None:
    assert len(FAULTS) >= 30
    assert set(SEEDS) == {fault.words for fault in FAULTS}
    assert {fault.phase for fault in FAULTS} >= {
        "Provision",
        "Migrate",
        "Release",
        "Monitor",
        "Secure",
        "Perform",
        "Verify",
    }


@pytest.mark.parametrize("release", range(20))
def test_a_clean_release_passes(house: House, release: int) -> None:
    """Twenty, each with figures of its own on the right side of their limits."""
    house.database.taken = 1.0 + 2.4 * release
    house.database.used = (4 * release, 100)
    status, output = house.walk.run(INPUT)
    assert status == "SUCCEEDED", output
    assert house.record["board"]["verdict"] == "Go"


def away(error: CutoverError) -> Callable[..., Any]:
    def look(*_: Any, **__: Any) -> Any:
        raise error

    return look


def cut(source: str, method: str, error: CutoverError) -> Seed:
    def seed(house: House) -> None:
        setattr(getattr(house, source), method, away(error))

    return seed


def cut_report(key: str) -> Seed:
    """One report alone: the same bucket keeps the board."""

    def seed(house: House) -> None:
        read = house.documents.read

        def look(asked: str) -> bytes | None:
            if asked == key:
                raise NotReachableError("S3 does not answer")
            return read(asked)

        house.documents.read = look  # type: ignore[method-assign]

    return seed


SOURCES = {
    "CloudWatch": (
        cut("alarms", "find", NotReachableError("CloudWatch does not answer")),
        "Monitor",
        "The alarms can be read",
    ),
    "the security groups": (
        cut("network", "ingress", ThrottledError("rate exceeded")),
        "Secure",
        "The security groups can be read",
    ),
    "the database": (
        cut("database", "explain", NotReachableError("no server")),
        "Perform",
        "The database answers the query checks",
    ),
    "the load": (
        cut("load", "run", NotReachableError("no request was answered")),
        "Perform",
        "The load can be run",
    ),
    "the live release": (
        cut("load", "pair", NotReachableError("no request was answered")),
        "Perform",
        "Both releases can be loaded",
    ),
    "the targets' figures": (
        cut("figures", "during", ThrottledError("rate exceeded")),
        "Perform",
        "The targets' load can be read",
    ),
    "the web scan": (
        cut_report("scans/web/d2.json"),
        "Secure",
        "The web scan's report can be read",
    ),
    "the scanner": (
        cut("registry", "scan", ServiceRefusedError("the scanner is off")),
        "Release",
        "The image's scan can be read",
    ),
    "the audit of the packages": (
        cut_report(f"scans/dependencies/{'a' * 64}.json"),
        "Release",
        "The image's scan can be read",
    ),
    "the live API": (
        lambda house: house.resources.found.update(Bucket=NotReachableError("S3 does not answer")),
        "Provision",
        "S3::Bucket Bucket",
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_of_data_that_is_cut_is_inconclusive_and_never_a_pass(house: House, source: str) -> None:
    seed, phase, name = SOURCES[source]
    seed(house)
    found, shut = stopped(house)
    assert found == phase
    assert [(gate["name"], gate["verdict"], gate["samples"]) for gate in shut] == [(name, "Inconclusive", 0)]


def test_a_prometheus_that_is_cut_is_inconclusive_in_all_that_it_would_have_told(house: House) -> None:
    house.metrics.reachable = False
    found, shut = stopped(house)
    assert found == "Monitor"
    assert [gate["name"] for gate in shut] == [
        "Prometheus scrapes green",
        *(f"Grafana's “{title}”" for title in QUERIES),
    ]
    assert {(gate["verdict"], gate["samples"]) for gate in shut} == {("Inconclusive", 0)}


def test_the_page_has_every_fault_in_its_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table(stopped_in_sandbox()) in page
    for source, (_, phase, name) in SOURCES.items():
        assert f"| {source} | {phase} | {name} |" in page
