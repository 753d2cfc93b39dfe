"""The web scan's report as a gate (requirements C5c, E1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.domain.gates import Persona
from cutover.domain.web_reports import read_report
from cutover.steps.web_scan import MOST_TOLD, judge_web_scan
from tests.contract.fakes import FakeDocuments


def schemathesis(*failures: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A report of `schemathesis run --report json`, as 4.32.5 wrote it."""
    return {
        "schemathesis_version": "4.32.5",
        "complete": True,
        "operations": {"total": 7, "selected": 7, "tested": 7, "errored": 0, "skipped": 0},
        "failures": list(failures),
        "errors": [],
        "warnings": {"missing_auth": [], "rate_limited": []},
        **more,
    }


def failure(severity: str | None = "critical") -> dict[str, Any]:
    found = {"type": "ServerError", "title": "Server error", "operations": ["GET /api/models/{model_id}"]}
    return found if severity is None else {**found, "severity": severity}


def zap(*alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A report of ZAP's template traditional-json."""
    site = {"@name": "https://api.example.com:8443", "@host": "api.example.com", "alerts": list(alerts)}
    return {"@programName": "ZAP", "@version": "2.16.1", "site": [site], **more}


def alert(code: str, confidence: str = "2") -> dict[str, Any]:
    instances = [{"uri": f"https://api.example.com:8443/api/{n}", "method": "GET"} for n in range(2)]
    return {"name": "SQL Injection", "riskcode": code, "confidence": confidence, "instances": instances}


def gate(report: object, failure: dict[str, Any] | None = None) -> dict[str, Any]:
    reports = FakeDocuments()
    if report is not None:
        reports.keep("scans/d2.json", report if isinstance(report, bytes) else json.dumps(report).encode())
    (found,) = judge_web_scan("d2", failure, reports=reports)["gates"]
    return dict(found)


def test_a_clean_report_of_schemathesis_passes_and_says_who_looked() -> None:
    found = gate(schemathesis())
    assert (found["verdict"], found["found"]) == ("Pass", "schemathesis 4.32.5: 0 critical, 0 high")
    assert (found["samples"], found["persona"], found["measure"]) == (7, Persona.SECURITY, "findings")
    assert found["link"] == "s3://artifacts/scans/d2.json"


def test_a_clean_report_of_zap_passes_with_lesser_findings_counted() -> None:
    found = gate(zap(alert("2"), alert("0"), alert("0")))
    assert found["verdict"] == "Pass"
    assert found["found"] == "OWASP ZAP 2.16.1: 0 critical, 0 high, 2 informational, 1 medium"


@pytest.mark.parametrize("severity", ["critical", "high", None])
def test_a_finding_of_schemathesis_fails(severity: str | None) -> None:
    found = gate(schemathesis(failure(severity)))
    assert found["verdict"] == "Fail"
    assert f"{severity or 'critical'} Server error at GET /api/models/{{model_id}}" in found["found"]
    assert found["evidence"]["value"] == 1


@pytest.mark.parametrize("code", ["3", "7", None])
def test_a_high_alert_of_zap_fails_and_so_does_one_of_an_unknown_risk(code: str) -> None:
    found = gate(zap(alert(code)))
    assert found["verdict"] == "Fail"
    assert "SQL Injection at GET https://api.example.com:8443/api/0 and 1 more" in found["found"]


def test_what_zap_calls_a_false_positive_is_none() -> None:
    assert gate(zap(alert("3", confidence="0")))["verdict"] == "Pass"


def test_lesser_failures_of_schemathesis_are_counted_only() -> None:
    assert gate(schemathesis(failure("medium")))["found"].endswith("0 high, 1 medium")


def test_a_finding_closes_however_little_was_looked_at() -> None:
    partial = schemathesis(failure(), complete=False, operations={"selected": 7, "tested": 1})
    assert gate(partial)["verdict"] == "Fail"


def test_many_findings_are_cut_in_words_and_counted_whole() -> None:
    found = gate(schemathesis(*[failure()] * (MOST_TOLD + 5)))
    assert found["found"].endswith("and 5 more")
    assert found["evidence"]["counts"] == {"critical": MOST_TOLD + 5}


REFUSED = [f"GET /api/{n}" for n in range(7)]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (schemathesis(complete=False), "7 of 7 operations were tested"),
        (schemathesis(operations={"selected": 7, "tested": 3}), "3 of 7"),
        (schemathesis(errors=[{"title": "Network Error"}]), "1 operations could not be tested"),
        (schemathesis(operations={"selected": 0, "tested": 0}), "no operation was looked at"),
        (schemathesis(warnings={"missing_auth": REFUSED}), "no operation was looked at"),
        (schemathesis(warnings={"rate_limited": REFUSED}), "no operation was looked at"),
        (zap(site=[]), "no operation was looked at"),
        ({"site": {}}, "it has no list `site`"),
        (zap(site=[{}]), "it has no list `alerts`"),
        (zap(site=["x"]), "a site is no JSON object"),
        ({"schemathesis_version": "4", "operations": {}}, "it has no list `failures`"),
        ({}, "neither OWASP ZAP's nor schemathesis's"),
        ([], "the report is no JSON object"),
        (b"", "the report can't be read"),
        (b"\xff", "the report can't be read"),
        (None, "has left no report at s3://artifacts/scans/d2.json"),
    ],
)
def test_what_was_not_looked_into_is_inconclusive(report: object, said: str) -> None:
    found = gate(report)
    assert (found["verdict"], found["samples"]) == ("Inconclusive", 0)
    assert said in found["found"]


@pytest.mark.parametrize("status", ["FAILED", "FAULT", "TIMED_OUT", "STOPPED"])
def test_a_build_that_did_not_end_well_is_inconclusive_whatever_an_earlier_one_has_left(status: str) -> None:
    build = {"Id": "scan:1", "BuildStatus": status, "Logs": {"DeepLink": "https://log"}}
    found = gate(schemathesis(), {"Error": "States.TaskFailed", "Cause": json.dumps(build)})
    assert found["verdict"] == "Inconclusive"
    assert found["found"] == f"the scan failed: build scan:1: it ended {status}; its log: https://log"


def test_a_build_that_could_not_be_started_is_inconclusive() -> None:
    failure = {"Error": "CodeBuild.ResourceNotFoundException", "Cause": "Project cannot be found"}
    assert gate(None, failure)["found"] == "the scan failed: Project cannot be found"


def test_only_a_report_is_read() -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        read_report("a page of a proxy")
