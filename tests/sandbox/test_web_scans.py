"""The web scan as CodeBuild runs it, against example backends behind TLS: a sound one, and one that an odd id
breaks. There is no image of ZAP here, so that the buildspec takes schemathesis."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.clock import SystemClock
from cutover.adapters.documents import BucketDocuments
from cutover.domain.records import Deployment
from cutover.steps.web_scan import look_at_web_scan
from sandbox.pki import Authority
from stacks.environment.scan import SCHEMATHESIS_VERSION, ZAP_IMAGE, buildspec
from tests.sandbox.test_example_backend_service import (
    SMOKE_PASSWORD,
    environment,
    mongo_url,
    redis_url,
    running,
)
from tests.sandbox.tls_kit import behind_tls

__all__ = ["environment", "mongo_url", "redis_url"]  # fixtures of the services around the backend
DOMAIN = "api.cutover.test"
#: Short windows: who is refused waits for the next one.
LIMITS = "/api/auth/login=5/2second,/api/models=100/2second,/api/evaluations=50/2second"
CONFIGURATION = {"release": {"settings": {}}, "security": {"web_scan": {"enabled": True, "reuse_hours": 0}}}


class Scans:
    """The project, its bucket and its secret, in the session's emulator."""

    def __init__(self, emulator: Any) -> None:
        self.emulator, self.codebuild = emulator, emulator.client("codebuild")
        self.certificate = Authority(emulator.settings.pki).issue("front", [DOMAIN])
        self.bucket, self.secret = emulator.unique("artifacts"), emulator.unique("smoke")
        emulator.client("s3").create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"}
        )
        user = {"email": "smoke@example.com", "password": SMOKE_PASSWORD}
        emulator.client("secretsmanager").create_secret(Name=self.secret, SecretString=json.dumps(user))

    def _log(self, place: dict[str, Any]) -> str:
        found = self.emulator.client("logs").get_log_events(
            logGroupName=place["groupName"], logStreamName=place["streamName"], startFromHead=True
        )
        return "\n".join(event["message"] for event in found["events"])

    def gate(self, deployment: str, port: int) -> dict[str, Any]:
        name = self.emulator.unique("scan")
        given = {
            "ARTIFACTS_BUCKET": self.bucket,
            "SMOKE_SECRET": self.secret,
            "LOAD_BALANCER_DNS": "127.0.0.1",
            "DOMAIN": DOMAIN,
            "TEST_LISTENER_PORT": str(port),
            "ZAP_IMAGE": ZAP_IMAGE,
            "SCHEMATHESIS_VERSION": SCHEMATHESIS_VERSION,
            "DEPLOYMENT": deployment,
        }
        self.codebuild.create_project(
            name=name,
            source={"type": "NO_SOURCE", "buildspec": buildspec()},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_MEDIUM",
                "privilegedMode": True,
                "environmentVariables": [{"name": key, "value": value} for key, value in given.items()],
            },
            serviceRole=self.emulator.role(
                "codebuild.amazonaws.com",
                self.emulator.allow("logs:*", "secretsmanager:GetSecretValue"),
                self.emulator.allow("s3:PutObject", on=f"arn:aws:s3:::{self.bucket}/scans/web/*"),
            ),
        )
        build = self.codebuild.start_build(projectName=name)["build"]["id"]

        def ended() -> dict[str, Any] | None:
            found = self.codebuild.batch_get_builds(ids=[build])["builds"][0]
            return found if found["buildStatus"] != "IN_PROGRESS" else None

        done = self.emulator.wait_for(ended, seconds=60, what="the scan's end")
        print(self._log(done["logs"]))
        status = done["buildStatus"]
        failure = None if status == "SUCCEEDED" else {"Error": "States.TaskFailed", "Cause": status}
        (gate,) = look_at_web_scan(
            Deployment(deployment, "v2", "sandbox", 1, ""),
            "sha256:new",
            CONFIGURATION,
            {"failure": failure},
            reports=BucketDocuments(self.emulator.client("s3"), self.bucket),
            clock=SystemClock(),
        )["gates"]
        return dict(gate)


@pytest.fixture(scope="module")
def scans(emulator: Any) -> Scans:
    return Scans(emulator)


def test_a_sound_release_passes_and_the_gate_says_who_looked(
    scans: Scans, environment: dict[str, str], tmp_path: Path
) -> None:
    with (
        running(environment, tmp_path, RATE_LIMITS=LIMITS) as service,
        behind_tls(service.url, scans.certificate) as port,
    ):
        found = scans.gate("sound", port)
        asked = re.findall(
            r'requests_total\{method="(\w+)",path="(/api/[^"]+)"', service.client().get("/metrics").text
        )
    assert found["verdict"] == "Pass", found
    assert found["found"].startswith(f"schemathesis {SCHEMATHESIS_VERSION}: 0 critical, 0 high")
    assert found["samples"] >= 5
    session = {("POST", "/api/auth/login"), ("POST", "/api/auth/register")}
    assert {method for method, path in {*asked} - session} == {"GET"}, "a scan only reads"


def test_a_release_that_an_odd_id_breaks_fails(
    scans: Scans, environment: dict[str, str], tmp_path: Path
) -> None:
    with (
        running(environment, tmp_path, FAULT="brittle", RATE_LIMITS=LIMITS) as service,
        behind_tls(service.url, scans.certificate) as port,
    ):
        found = scans.gate("brittle", port)
    assert found["verdict"] == "Fail"
    assert "critical Server error at GET /api/models/{model_id}" in found["found"]


def test_a_service_that_is_not_there_is_inconclusive(scans: Scans) -> None:
    found = scans.gate("nobody", 1)
    assert found["verdict"] == "Inconclusive"
    assert found["found"] == "the scan failed: FAILED"
