"""A release from end to end: build, push, pull by digest on an instance, compose up, health, stop, start."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cutover.adapters.clock import SystemClock
from cutover.adapters.error_log import InstancesErrorLog
from cutover.adapters.fleet import AutoScalingInstances
from cutover.domain.colours import Colour
from cutover.domain.moves import Spell
from stacks.environment.error_log import document
from tests.sandbox.instance_kit import Fleet

REGISTRY = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com"
SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({name: os.environ.get(name) for name in ("VERSION", "NAME", "AWS_REGION")}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        print("served", flush=True)
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
DOCKERFILE = """
FROM python:3.11-slim AS builder
RUN mkdir -p /install/share
COPY note.txt /install/share/
FROM python:3.11-slim AS production
ARG VERSION=dev
ENV VERSION=${VERSION} PYTHONUNBUFFERED=1
COPY --from=builder /install /usr/local
WORKDIR /app
COPY server.py .
CMD ["python", "server.py"]
"""
BUILDSPEC = """
version: 0.2
env: {exported-variables: [IMAGE]}
phases:
  pre_build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin $REGISTRY
  build:
    commands:
      - docker build --target production --build-arg VERSION=$VERSION -t $REPOSITORY:$VERSION .
      - docker push $REPOSITORY:$VERSION
      - export IMAGE=$(docker image inspect $REPOSITORY:$VERSION --format '{{index .RepoDigests 0}}')
"""
COMPOSE = """
services:
  web:
    image: ${IMAGE}
    network_mode: host
    environment: {HOST: "${HOST}", PORT: "8000", NAME: "${NAME:-nobody}"}
    restart: unless-stopped
    healthcheck:
      test: ["CMD", "python", "-c", "import os, urllib.request as u; u.urlopen('http://%s:8000' % os.environ['HOST'])"]
      interval: 1s
      timeout: 5s
      start_period: 20s
      start_interval: 200ms
"""
RELEASE = [
    "#!/bin/bash",
    "set -euo pipefail",
    "mkdir -p $CUTOVER_HOME && cd $CUTOVER_HOME",
    f"cat > compose.yaml <<'X'{COMPOSE}X",
    f"aws ecr get-login-password --region $AWS_SSM_REGION_NAME | docker login -u AWS --password-stdin {REGISTRY}",
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, emulator_with: Any) -> Iterator[Fleet]:
    with emulator_with(
        tmp_path_factory.mktemp("release"), without=("load_balancers", "databases")
    ) as emulator:
        made = Fleet(emulator)
        yield made
        made.close()


@pytest.fixture(scope="module")
def image(fleet: Fleet) -> str:
    """The image's reference by digest, built and pushed by CodeBuild from a source in S3."""
    emulator = fleet.emulator
    emulator.client("ecr").create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    s3, codebuild = emulator.client("s3"), emulator.client("codebuild")
    s3.create_bucket(Bucket="source", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in (("server.py", SERVER), ("Dockerfile", DOCKERFILE), ("note.txt", "n")):
            file.writestr(name, text)
    s3.put_object(Bucket="source", Key="a.zip", Body=archive.getvalue())
    role = emulator.role("codebuild.amazonaws.com", emulator.allow("logs:*", "s3:GetObject*", "ecr:*"))
    variables = {"REGISTRY": REGISTRY, "REPOSITORY": f"{REGISTRY}/app", "VERSION": "v1"}
    codebuild.create_project(
        name="image", serviceRole=role, artifacts={"type": "NO_ARTIFACTS"},
        source={"type": "S3", "location": "source/a.zip", "buildspec": BUILDSPEC},
        environment={
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": True, "environmentVariables": [{"name": k, "value": v} for k, v in variables.items()],
        },
    )  # fmt: skip
    build = codebuild.start_build(projectName="image")["build"]["id"]

    def ended() -> dict[str, Any] | None:
        found = codebuild.batch_get_builds(ids=[build])["builds"][0]
        return dict(found) if found["buildStatus"] != "IN_PROGRESS" else None

    done = emulator.wait_for(ended, seconds=90, what="the end of the build")
    assert done["buildStatus"] == "SUCCEEDED", done["phases"]
    return str(done["exportedEnvironmentVariables"][0]["value"])


@pytest.fixture(scope="module")
def instance(fleet: Fleet) -> str:
    pull = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    return fleet.in_service(fleet.group(fleet.profile(fleet.emulator.allow(*pull))), 1)[0]


def answer(address: str) -> dict[str, Any] | None:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}:8000/", timeout=5) as response:
            return dict(json.loads(response.read()))
    except (urllib.error.URLError, OSError):
        return None


def test_an_image_built_by_codebuild_serves_from_an_instance_and_stops_and_starts_again(
    fleet: Fleet, image: str, instance: str
) -> None:
    address = fleet.record(instance)["PrivateIpAddress"]
    variables = f"export IMAGE={image} HOST={address} NAME=one"
    up = fleet.run(
        instance, *RELEASE, variables, "docker pull --quiet $IMAGE", "docker compose -p app up -d --wait --wait-timeout 60",
        "docker compose -p app ps --format json",
    )  # fmt: skip
    assert up["Status"] == "Success", up["StandardErrorContent"]
    state = json.loads(up["StandardOutputContent"].splitlines()[-1])
    assert (state["State"], state["Health"], state["Image"]) == ("running", "healthy", image)
    assert image.endswith(state["ImageDigest"])
    assert answer(address) == {"VERSION": "v1", "NAME": "one", "AWS_REGION": None}

    stopped = fleet.run(
        instance, f"{variables}; cd $CUTOVER_HOME; docker compose -p app stop; docker compose -p app ps -q"
    )
    assert "Container app-web-1  Stopped" in stopped["StandardOutputContent"]
    assert answer(address) is None

    started = fleet.run(
        instance,
        f"{variables}; cd $CUTOVER_HOME; docker compose -p app up -d --wait; docker compose -p app logs --tail 1",
    )
    assert started["Status"] == "Success", started["StandardErrorContent"]
    assert "app-web-1 | served" in started["StandardOutputContent"]
    assert answer(address) is not None


def test_a_container_that_never_gets_healthy_fails_the_release(
    fleet: Fleet, image: str, instance: str
) -> None:
    """https://docs.docker.com/reference/cli/docker/compose/up/ (--wait)"""
    done = fleet.run(
        instance,
        *RELEASE,
        f"export IMAGE={image} HOST=192.0.2.1",
        "docker compose -p sick up -d --wait --wait-timeout 10",
    )
    fleet.run(instance, "cd $CUTOVER_HOME; IMAGE=x HOST=x docker compose -p sick down")
    assert done["Status"] == "Failed"
    assert "sick-web-1" in done["StandardErrorContent"]


def test_a_digest_that_was_never_pushed_is_an_error_on_the_instance(
    fleet: Fleet, image: str, instance: str
) -> None:
    missing = f"{image.partition('@')[0]}@sha256:{'0' * 64}"
    done = fleet.run(instance, *RELEASE, f"docker pull {missing}")
    assert done["Status"] == "Failed"
    assert "manifest unknown" in done["StandardErrorContent"]


def test_containers_end_with_their_instance(fleet: Fleet, image: str) -> None:
    pull = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    group = fleet.group(fleet.profile(fleet.emulator.allow(*pull)))
    (instance,) = fleet.in_service(group, 1)
    address = fleet.record(instance)["PrivateIpAddress"]
    done = fleet.run(
        instance, *RELEASE, f"export IMAGE={image} HOST={address}", "docker compose -p app up -d --wait"
    )
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert answer(address) is not None
    fleet.scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    fleet.in_service(group, 0)
    fleet.emulator.wait_for(lambda: answer(address) is None, what="the end of the container")


def logging(lines: list[dict[str, Any]]) -> str:
    """A service that writes these lines and stays."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    program = f"import time; print({text!r}, end='', flush=True); time.sleep(600)"
    return json.dumps({"image": "${IMAGE}", "network_mode": "host", "command": ["python", "-c", program]})


def test_a_report_hears_from_the_instances_what_the_errors_in_their_logs_were(
    fleet: Fleet, image: str
) -> None:
    now = datetime.now(UTC)

    def error(ago: int, **more: Any) -> dict[str, Any]:
        return {"time": (now - timedelta(minutes=ago)).isoformat(), "level": "ERROR", **more}

    request = {"message": "request", "status": 500, "route": "/api/models"}
    first = logging(
        [error(9, **request), error(5, **request), error(90, message="before"), {"level": "INFO"}]
    )
    second = logging([error(3, message="모델 7 을 찾을 수 없음"), error(1, **request)])
    pull = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    group = fleet.group(fleet.profile(fleet.emulator.allow(*pull)), name="cutover-logs-backend-blue")
    (instance,) = fleet.in_service(group, 1)
    done = fleet.run(
        instance, *RELEASE[:3],
        f"cat > compose.yaml <<'X'\nservices:\n  backend-1: {first}\n  backend-2: {second}\nX", RELEASE[4],
        f"docker pull --quiet {image}", f"echo IMAGE={image} > release.env",
        f"IMAGE={image} docker compose up -d",
    )  # fmt: skip
    assert done["Status"] == "Success", done["StandardErrorContent"]
    fleet.ssm.create_document(
        Name="cutover-logs-error-log", Content=json.dumps(document(2)), DocumentType="Command", DocumentFormat="JSON"
    )  # fmt: skip
    log = InstancesErrorLog(
        fleet.ssm, AutoScalingInstances(fleet.scaling), "logs", "cutover-logs-error-log", SystemClock()
    )
    hour = Spell(Colour.BLUE, now - timedelta(hours=1), now + timedelta(minutes=1))

    def written() -> dict[str, Any] | None:
        told = log.read([hour])
        return told if told["errors"] == 4 else None

    told = fleet.emulator.wait_for(written, seconds=20, what="the containers' lines")
    assert (told["asked"], told["answered"], told["problems"], told["kinds"]) == (1, 1, [], 2)
    assert [(each["pattern"], each["count"]) for each in told["patterns"]] == [
        ("request 500 /api/models", 3),
        ("모델 <n> 을 찾을 수 없음", 1),
    ]
    # The containers are younger than the hour: what ran before them has left no log.
    (kept,) = told["kept"]
    assert kept["colour"] == "blue"
    assert datetime.fromisoformat(kept["since"]) > now - timedelta(minutes=1)

    fleet.run(instance, "rm $CUTOVER_HOME/release.env")
    told = log.read([hour, Spell(Colour.GREEN, now, now + timedelta(minutes=1))])
    assert (told["asked"], told["answered"], told["errors"]) == (1, 0, 0)
    assert told["problems"] == [
        f"blue, {instance}: the command ended Failed: error log: nothing was ever released here",
        "green: no instance is in service",
    ]
