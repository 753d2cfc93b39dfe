"""ECR's scanning in the sandbox, from a build of the vulnerable example to the findings, as the API tells them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cutover.adapters.artifacts import ElasticRegistry
from cutover.adapters.clock import SystemClock
from cutover.domain.times import text
from cutover.ports import Finding
from cutover.steps.scan import look_at_scan
from tests.sandbox.test_docker_registry import REGISTRY, Machine

VULNERABLE = Path(__file__).resolve().parents[2] / "examples" / "vulnerable-backend"
DOCKERFILE = "FROM python:3.11-slim\nRUN pip install --no-cache-dir --no-deps urllib3==2.8.0\n"


class Pushed:
    """A repository in which to push images, and what its registry knows of them."""

    def __init__(self, emulator: Any, machine: Machine, *, on_push: bool = True) -> None:
        self.emulator, self.machine, self.name = emulator, machine, str(emulator.unique("scan"))
        self.ecr = emulator.client("ecr")
        self.ecr.create_repository(
            repositoryName=self.name, imageScanningConfiguration={"scanOnPush": on_push}
        )
        machine.log_in()

    def push(self, tag: str, source: Path) -> str:
        name = f"{REGISTRY}/{self.name}:{tag}"
        self.machine.docker("build", "-q", "-t", name, str(source))
        self.machine.docker("push", name)
        found = self.machine.docker("image", "inspect", name, "--format", "{{index .RepoDigests 0}}")
        return found.strip().partition("@")[2]

    def findings(self, digest: str, **more: Any) -> dict[str, Any]:
        return dict(
            self.ecr.describe_image_scan_findings(
                repositoryName=self.name, imageId={"imageDigest": digest}, **more
            )
        )

    def settled(self, digest: str) -> dict[str, Any]:
        def done() -> dict[str, Any] | None:
            found = self.findings(digest)
            return found if found["imageScanStatus"]["status"] != "IN_PROGRESS" else None

        return dict(self.emulator.wait_for(done, what="the end of the scan"))

    def gate(self, digest: str) -> tuple[str, str]:
        registry = ElasticRegistry(self.ecr, self.name, "uri")
        clock = SystemClock()
        (gate,) = look_at_scan(digest, text(clock.now()), registry=registry, clock=clock)["gates"]
        return gate["verdict"], gate["found"]


@pytest.fixture
def machine(emulator: Any, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(emulator, tmp_path / "home")
    yield made
    shutil.rmtree(made.home, ignore_errors=True)


def source(tmp_path: Path, dockerfile: str) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "data").write_text("data")
    return folder


def test_the_vulnerable_example_closes_the_gate_with_package_and_fix(emulator: Any, machine: Machine) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html"""
    pushed = Pushed(emulator, machine)
    digest = pushed.push("v1", VULNERABLE)
    found = pushed.settled(digest)
    assert found["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1}
    assert pushed.gate(digest) == (
        "Fail",
        "0 critical, 1 high: urllib3 1.24.1 CVE-2019-11324 (HIGH, fixed in 1.24.2)",
    )
    scan = ElasticRegistry(pushed.ecr, pushed.name, "uri").scan(digest)
    assert scan is not None
    assert scan.findings == [Finding("CVE-2019-11324", "HIGH", "urllib3", "1.24.1", "1.24.2")]
    (detail,) = pushed.ecr.describe_images(repositoryName=pushed.name)["imageDetails"]
    assert detail["imageScanStatus"]["status"] == "COMPLETE"
    assert detail["imageScanFindingsSummary"]["findingSeverityCounts"] == {"HIGH": 1}


def test_an_image_whose_packages_are_in_no_advisory_passes(
    emulator: Any, machine: Machine, tmp_path: Path
) -> None:
    pushed = Pushed(emulator, machine)
    digest = pushed.push("v1", source(tmp_path, DOCKERFILE))
    assert pushed.settled(digest)["imageScanFindings"]["findings"] == []
    assert pushed.gate(digest) == ("Pass", "0 critical, 0 high")


def test_an_image_without_anything_to_look_into_is_inconclusive(
    emulator: Any, machine: Machine, tmp_path: Path
) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-troubleshooting.html"""
    pushed = Pushed(emulator, machine)
    digest = pushed.push("v1", source(tmp_path, "FROM python:3.11-slim\nCOPY data /data\n"))
    assert pushed.settled(digest)["imageScanStatus"]["status"] == "FAILED"
    verdict, found = pushed.gate(digest)
    assert verdict == "Inconclusive"
    assert "UnsupportedImageError" in found


def test_without_scanning_on_push_there_is_a_scan_once_it_is_asked_for(
    emulator: Any, machine: Machine
) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_StartImageScan.html"""
    pushed = Pushed(emulator, machine, on_push=False)
    digest = pushed.push("v1", VULNERABLE)
    with pytest.raises(ClientError, match="ScanNotFoundException"):
        pushed.findings(digest)
    wanted = {"repositoryName": pushed.name, "imageId": {"imageDigest": digest}}
    assert pushed.ecr.start_image_scan(**wanted)["imageScanStatus"]["status"] == "IN_PROGRESS"
    assert pushed.settled(digest)["imageScanStatus"]["status"] == "COMPLETE"
    with pytest.raises(ClientError, match="LimitExceededException"):
        pushed.ecr.start_image_scan(**wanted)


def test_an_image_or_a_repository_that_is_not_there_is_named(emulator: Any, machine: Machine) -> None:
    pushed = Pushed(emulator, machine)
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        pushed.findings(f"sha256:{'0' * 64}")
    pushed.name = "nowhere"
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        pushed.findings(f"sha256:{'0' * 64}")


def test_reading_findings_needs_the_right_on_that_repository(emulator: Any, machine: Machine) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html"""
    pushed = Pushed(emulator, machine)
    digest = pushed.push("v1", VULNERABLE)
    elsewhere = emulator.allow("ecr:DescribeImageScanFindings")
    elsewhere["Resource"] = "arn:aws:ecr:ap-northeast-2:123456789012:repository/another"
    pushed.ecr = emulator.client("ecr", emulator.user(elsewhere))
    with pytest.raises(ClientError, match="not authorized to perform: ecr:DescribeImageScanFindings"):
        pushed.findings(digest)
