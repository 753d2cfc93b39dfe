"""The gate on an image's vulnerabilities: what opens it, what closes it, and what is said then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from cutover.adapters.artifacts import ElasticRegistry
from cutover.domain.records import image_key
from cutover.domain.times import text
from cutover.ports import Finding, ImageScan
from cutover.steps.scan import ENDS_WITHIN_SECONDS, look_at_scan
from tests.contract.fakes import NOON, FakeClock, FakeRegistry
from tests.contract.scenes import DIGEST
from tests.unit.test_handler_walk import INPUT, House, house  # noqa: F401  the walk's fixture

JINJA = Finding("GHSA-462w-v97r-4m45", "HIGH", "jinja2", "2.4", "2.10.1")


def look(scan: ImageScan | None, waited: float = 0) -> dict[str, Any]:
    registry = FakeRegistry()
    registry.scans = [scan]
    return look_at_scan(DIGEST, text(NOON - timedelta(seconds=waited)), registry=registry, clock=FakeClock())


def verdict(scan: ImageScan | None, waited: float = 0) -> tuple[str, str, bool]:
    answer = look(scan, waited)
    (gate,) = answer["gates"]
    assert gate["must"]
    assert (gate["requirement"], gate["wanted"]) == ("C5c", "0 critical, 0 high")
    return gate["verdict"], gate["found"], answer["open"]


def test_a_complete_scan_without_critical_or_high_findings_opens_the_gate() -> None:
    low = Finding("CVE-1", "LOW", "zlib", "1.2")
    scan = ImageScan("COMPLETE", "", {"LOW": 1, "MEDIUM": 2}, [low])
    assert verdict(scan) == ("Pass", "0 critical, 0 high, 2 medium, 1 low", True)
    assert verdict(ImageScan("ACTIVE"))[2], "enhanced scanning never completes"


def test_each_finding_is_told_with_package_versions_and_id_worst_first() -> None:
    worse = Finding("CVE-2022-1", "CRITICAL", "waitress", "1.0")
    scan = ImageScan("COMPLETE", "", {"HIGH": 1, "CRITICAL": 1}, [JINJA, worse])
    assert verdict(scan) == (
        "Fail",
        "1 critical, 1 high: waitress 1.0 CVE-2022-1 (CRITICAL, no fixed version known to the registry); "
        "jinja2 2.4 GHSA-462w-v97r-4m45 (HIGH, fixed in 2.10.1)",
        False,
    )


@pytest.mark.parametrize(
    "scan",
    [ImageScan("COMPLETE", "", {"CRITICAL": 1}), ImageScan("COMPLETE", "", {}, [JINJA])],
    ids=["only counted", "only listed"],
)
def test_a_finding_that_is_only_counted_or_only_listed_closes_the_gate(scan: ImageScan) -> None:
    assert verdict(scan)[0] == "Fail"


@pytest.mark.parametrize(
    "status",
    ["FAILED", "UNSUPPORTED_IMAGE", "SCAN_ELIGIBILITY_EXPIRED", "FINDINGS_UNAVAILABLE", "None", "NEW WORD"],
)
def test_a_scan_that_has_nothing_to_say_is_inconclusive(status: str) -> None:
    found = verdict(ImageScan(status, "no reason"))
    assert found == ("Inconclusive", f"the scan is {status}: no reason", False)


def test_a_scan_that_runs_is_waited_for_but_not_for_ever() -> None:
    for status in ("IN_PROGRESS", "PENDING"):
        assert look(ImageScan(status), ENDS_WITHIN_SECONDS - 1)["status"] == "waiting"
        assert verdict(ImageScan(status), ENDS_WITHIN_SECONDS + 1)[0] == "Inconclusive"


def test_a_scan_that_is_missing_is_waited_for_shortly_and_then_inconclusive() -> None:
    assert look(None, 29)["status"] == "waiting"
    verdict_, found, opened = verdict(None, 31)
    assert (verdict_, opened) == ("Inconclusive", False)
    assert "aws ecr start-image-scan" in found


def test_the_scan_is_on_record_with_the_gates_of_its_phase(house: House) -> None:  # noqa: F811
    house.registry.scans = [None, ImageScan("IN_PROGRESS"), ImageScan("COMPLETE")]
    status, _ = house.walk.run(INPUT)

    assert status == "SUCCEEDED"
    release = house.record["phases"][2]
    assert [gate["name"] for gate in release["gates"]] == [
        "The image has no critical or high vulnerability",
        "The Python packages have no known vulnerability",
        "The release runs on every instance",
        "Every target is healthy",
    ]
    assert house.walk.visited.count("Wait for the scan") == 2


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (ImageScan("COMPLETE", "", {"HIGH": 1}, [JINJA]), "jinja2 2.4 GHSA-462w-v97r-4m45"),
        (None, "no scan of this image"),
        (ImageScan("FAILED"), "the scan is FAILED"),
    ],
)
@pytest.mark.parametrize("given", [INPUT, {"environment": "sandbox", "version": "v2", "image": DIGEST}])
def test_a_closed_gate_ends_a_built_and_a_promoted_image_before_it_runs_anywhere(
    house: House,  # noqa: F811
    scan: ImageScan | None,
    words: str,
    given: dict[str, Any],
) -> None:
    house.registry.scans = [scan]
    house.world.journal.items[image_key(DIGEST)] = {"source": INPUT["source"]}
    status, output = house.walk.run(given)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert words in output["Cause"]
    assert house.registry.scanned[-1] == DIGEST
    assert house.world.commands.sent == []
    assert len(house.builds) == (0 if "image" in given else 1)
    assert house.live.version == "v1"


class Answers:
    """What ECR says, checked against its own model by botocore."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self.client = boto3.client("ecr", region_name="ap-northeast-2", **keys)
        self.stub = Stubber(self.client)
        self.stub.activate()
        self.registry = ElasticRegistry(self.client, "backend", "uri")

    def say(self, status: str, **findings: Any) -> None:
        more = {"nextToken": findings.pop("token")} if "token" in findings else {}
        table = {"imageScanFindings": findings} if findings else {}
        self.stub.add_response(
            "describe_image_scan_findings", {"imageScanStatus": {"status": status}, **table, **more}
        )


@pytest.fixture
def answers() -> Answers:
    return Answers()


def test_findings_of_basic_scanning_are_read_from_every_page(answers: Answers) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanFinding.html"""
    about = {"package_name": "jinja2", "package_version": "2.4", "fixed_version": "2.10.1"}
    finding = {
        "name": JINJA.id,
        "severity": "HIGH",
        "attributes": [{"key": key, "value": value} for key, value in about.items()],
    }
    answers.say("COMPLETE", findings=[finding], findingSeverityCounts={"HIGH": 2}, token="next")
    answers.say("COMPLETE", findings=[{"name": "CVE-2", "severity": "HIGH"}])

    scan = answers.registry.scan(DIGEST)
    assert scan is not None
    assert (scan.status, scan.counts) == ("COMPLETE", {"HIGH": 2})
    assert scan.findings == [JINJA, Finding("CVE-2", "HIGH", "a package", "of unknown version")]


def test_findings_of_enhanced_scanning_are_one_for_each_package_and_leave_out_the_suppressed(
    answers: Answers,
) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_EnhancedImageScanFinding.html"""
    packages = [
        {"name": "jinja2", "version": "2.4", "fixedInVersion": "2.10.1"},
        {"name": "markupsafe", "version": "0.9", "fixedInVersion": "NotAvailable"},
    ]
    details = {"vulnerabilityId": JINJA.id, "vulnerablePackages": packages}
    finding = {"severity": "HIGH", "status": "ACTIVE", "packageVulnerabilityDetails": details}
    answers.say("ACTIVE", enhancedFindings=[finding, {**finding, "status": "SUPPRESSED"}])

    scan = answers.registry.scan(DIGEST)
    assert scan is not None
    assert scan.findings == [JINJA, Finding(JINJA.id, "HIGH", "markupsafe", "0.9", None)]


def test_a_severity_of_an_unknown_name_counts_as_the_worst(answers: Answers) -> None:
    answers.say("COMPLETE", findings=[{"name": "CVE-3", "severity": "APOCALYPTIC"}])
    scan = answers.registry.scan(DIGEST)
    assert scan is not None
    assert scan.findings[0].severity == "CRITICAL"


def test_an_image_that_was_never_scanned_has_none_and_one_that_can_not_be_says_so(answers: Answers) -> None:
    answers.stub.add_client_error("describe_image_scan_findings", "ScanNotFoundException")
    assert answers.registry.scan(DIGEST) is None
    answers.stub.add_client_error("describe_image_scan_findings", "UnsupportedImageTypeException", "manifest")
    scan = answers.registry.scan(DIGEST)
    assert scan is not None
    assert scan.status == "UNSUPPORTED_IMAGE"
