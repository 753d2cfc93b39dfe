"""The web scan's report as a gate (requirements C5c, E1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.domain.gates import Persona
from cutover.domain.records import Deployment
from cutover.domain.web_reports import read_report
from cutover.steps.web_scan import MOST_TOLD, look_at_web_scan
from tests.contract.fakes import FakeClock, FakeDocuments


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


class Scans:
    """Deployments of one image with settings, one after the other; each scan leaves a report, if it is given."""

    def __init__(self, *, reuse_hours: int = 0) -> None:
        self.reports, self.clock, self.reuse_hours = FakeDocuments(), FakeClock(), reuse_hours

    def look(
        self, deployment: str, ended: dict[str, Any] | None = None, image: str = "sha256:new", **settings: str
    ) -> dict[str, Any]:
        configured = {"A": "1", "B": "2"}
        return look_at_web_scan(
            Deployment(deployment, "v2", "sandbox", 1, "", settings=settings),
            image,
            {
                "release": {"settings": configured},
                "security": {"web_scan": {"enabled": True, "reuse_hours": self.reuse_hours}},
            },
            ended,
            reports=self.reports,
            clock=self.clock,
        )

    def ended(
        self, report: object, failure: dict[str, Any] | None = None, deployment: str = "d2", **settings: str
    ) -> dict[str, Any]:
        """The gate once the build has ended."""
        if report is not None:
            body = report if isinstance(report, bytes) else json.dumps(report).encode()
            self.reports.keep(f"scans/web/{deployment}.json", body)
        found = self.look(deployment, {"failure": failure}, **settings)
        assert found["status"] == "done"
        return dict(found["gates"][0])


def gate(report: object, failure: dict[str, Any] | None = None) -> dict[str, Any]:
    return Scans().ended(report, failure)


def test_a_clean_report_of_schemathesis_passes_and_says_who_looked() -> None:
    found = gate(schemathesis())
    assert (found["verdict"], found["found"]) == ("Pass", "schemathesis 4.32.5: 0 critical, 0 high")
    assert (found["samples"], found["persona"], found["measure"]) == (7, Persona.SECURITY, "findings")
    assert found["link"] == "s3://artifacts/scans/web/d2.json"


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
        (None, "has left no report at s3://artifacts/scans/web/d2.json"),
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


def test_every_release_is_scanned_unless_the_configuration_allows_less() -> None:
    scans = Scans()
    assert scans.look("d1") == {"status": "wanted"}
    scans.ended(schemathesis(), deployment="d1")
    assert scans.look("d2") == {"status": "wanted"}


def test_the_same_release_is_not_scanned_again_within_the_time_and_the_gate_says_when_it_was() -> None:
    scans = Scans(reuse_hours=24)
    scans.ended(schemathesis(), deployment="d1", B="3")
    scans.clock.sleep(23 * 3600)

    found = scans.look("d2", B="3")
    assert found["status"] == "done"
    (again,) = found["gates"]
    assert (again["verdict"], again["samples"]) == ("Pass", 7)
    assert "scanned for d1 at 2026-" in again["found"]
    assert again["link"] == "s3://artifacts/scans/web/d1.json"

    scans.clock.sleep(2 * 3600)
    assert scans.look("d3", B="3") == {"status": "wanted"}, "reusing it does not make it younger"


def test_another_image_or_other_settings_are_another_release() -> None:
    scans = Scans(reuse_hours=24)
    scans.ended(schemathesis(), deployment="d1")
    assert scans.look("d2", image="sha256:other") == {"status": "wanted"}
    assert scans.look("d2", B="3") == {"status": "wanted"}
    assert scans.look("d2", B="2")["status"] == "done", "what the configuration says anyway changes nothing"


@pytest.mark.parametrize("report", [schemathesis(failure()), schemathesis(complete=False), None])
def test_what_did_not_pass_is_scanned_again(report: object) -> None:
    scans = Scans(reuse_hours=24)
    scans.ended(report, deployment="d1")
    assert scans.look("d2") == {"status": "wanted"}


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'{"deployment": "d1", "at": "then"}', b'{"at": 1}'])
def test_a_note_that_cannot_be_read_counts_for_nothing(left: bytes) -> None:
    scans = Scans(reuse_hours=24)
    scans.ended(schemathesis(), deployment="d1")
    (note,) = (key for key in scans.reports.objects if key.startswith("scans/releases/"))
    scans.reports.keep(note, left)
    assert scans.look("d2") == {"status": "wanted"}


def test_a_clean_release_whose_report_is_gone_is_scanned_again() -> None:
    scans = Scans(reuse_hours=24)
    scans.ended(schemathesis(), deployment="d1")
    del scans.reports.objects["scans/web/d1.json"]
    assert scans.look("d2") == {"status": "wanted"}
