"""ECR as a registry, seen through the docker stand-in: who may push and pull, tags, digests."""

from __future__ import annotations

import base64
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.compute import toolchain
from sandbox.compute.run_step import MACHINE_SETTINGS

REGISTRY = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com"
PULL = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchCheckLayerAvailability",
)
PUSH = (
    *PULL, "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage",
)  # fmt: skip


class Machine:
    """A home with a docker of its own, on the emulator's machine."""

    def __init__(self, emulator: Any, home: Path) -> None:
        self.emulator, self.home = emulator, home
        home.mkdir()
        self.bin = toolchain.install(emulator.settings.root)

    def docker(self, *words: str, stdin: str = "", status: int = 0) -> str:
        done = subprocess.run(
            [self.bin / "docker", *words], input=stdin, capture_output=True, text=True, check=False,
            env={
                **{name: value for name, value in os.environ.items() if MACHINE_SETTINGS.match(name)},
                "HOME": str(self.home), "PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": self.emulator.settings.endpoint_url,
            },
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def log_in(self, session: boto3.Session | None = None) -> str:
        data = self.emulator.client("ecr", session).get_authorization_token()["authorizationData"][0]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        return self.docker(
            "login", "--username", user, "--password-stdin", data["proxyEndpoint"], stdin=password
        )

    def image(self, name: str, text: str) -> str:
        context = self.home / "context"
        context.mkdir(exist_ok=True)
        (context / "data").write_text(text)
        (context / "Dockerfile").write_text("FROM python:3.11-slim\nCOPY data /data\n")
        self.docker("build", "-q", "-t", name, str(context))
        return name


@pytest.fixture
def repository(emulator: Any) -> str:
    name = str(emulator.unique("app"))
    emulator.client("ecr").create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    return name


@pytest.fixture
def machine(emulator: Any, tmp_path: Path) -> Machine:
    return Machine(emulator, tmp_path / "home")


def test_a_pushed_image_is_known_by_its_digest_at_once(
    machine: Machine, repository: str, emulator: Any
) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html"""
    machine.log_in(emulator.user(emulator.allow(*PUSH)))
    name = machine.image(f"{REGISTRY}/{repository}:v1", "one")
    assert "digest: sha256:" in machine.docker("push", name)
    pushed = machine.docker("image", "inspect", name, "--format", "{{index .RepoDigests 0}}").strip()
    digest = pushed.partition("@")[2]
    ecr = emulator.client("ecr")
    (detail,) = ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])[
        "imageDetails"
    ]
    assert detail["imageTags"] == ["v1"]
    assert detail["imageSizeInBytes"] > 0
    (found,) = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])["images"]
    assert digest in found["imageId"]["imageDigest"]
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "v9"}])


def test_an_immutable_tag_is_not_moved_by_a_push(machine: Machine, repository: str, emulator: Any) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html"""
    machine.log_in()
    name = machine.image(f"{REGISTRY}/{repository}:v1", "one")
    machine.docker("push", name)
    machine.docker("push", name)  # the same image again
    machine.image(name, "two")
    refused = machine.docker("push", name, status=1)
    assert "The image tag 'v1' already exists" in refused
    assert "tag is immutable" in refused


def test_pushing_needs_the_permissions_to_push(machine: Machine, repository: str, emulator: Any) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html"""
    machine.log_in(emulator.user(emulator.allow(*PULL)))
    refused = machine.docker("push", machine.image(f"{REGISTRY}/{repository}:v1", "one"), status=1)
    assert "is not authorized to perform: ecr:InitiateLayerUpload" in refused


def test_pulling_needs_the_permissions_to_pull(
    machine: Machine, repository: str, emulator: Any, tmp_path: Path
) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/security-iam-awsmanpol.html"""
    machine.log_in()
    name = machine.image(f"{REGISTRY}/{repository}:v1", "one")
    machine.docker("push", name)
    other = Machine(emulator, tmp_path / "other")
    other.log_in(emulator.user(emulator.allow("ecr:GetAuthorizationToken")))
    assert "is not authorized to perform: ecr:BatchGetImage" in other.docker("pull", name, status=1)
    other.log_in(emulator.user(emulator.allow(*PULL)))
    other.docker("pull", name)
    assert name.partition(":")[0] in other.docker("images")


def test_describing_a_repository_needs_the_right_on_that_one(repository: str, emulator: Any) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html"""
    arn = f"arn:aws:ecr:ap-northeast-2:123456789012:repository/{repository}"
    allowed = {**emulator.allow("ecr:DescribeRepositories"), "Resource": arn}
    ecr = emulator.client("ecr", emulator.user(allowed))
    (found,) = ecr.describe_repositories(repositoryNames=[repository])["repositories"]
    assert found["imageTagMutability"] == "IMMUTABLE"
    for asked in ({}, {"repositoryNames": [repository, "another"]}):
        with pytest.raises(ClientError, match="not authorized to perform: ecr:DescribeRepositories"):
            ecr.describe_repositories(**asked)


def test_without_a_login_there_is_nothing(machine: Machine, repository: str) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html"""
    assert "no basic auth credentials" in machine.docker("pull", f"{REGISTRY}/{repository}:v1", status=1)
    refused = machine.docker("login", "-u", "AWS", "--password-stdin", REGISTRY, stdin="guess", status=1)
    assert "login to" in refused


def test_the_registry_tells_how_to_authenticate(emulator: Any) -> None:
    """https://distribution.github.io/distribution/spec/api/#api-version-check"""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        opener.open(f"{emulator.settings.endpoint_url}/v2/", timeout=5)
    assert caught.value.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_an_image_or_a_repository_that_does_not_exist_is_named(machine: Machine, repository: str) -> None:
    machine.log_in()
    missing = f"{REGISTRY}/{repository}@sha256:{'0' * 64}"
    assert "manifest unknown" in machine.docker("pull", missing, status=1)
    name = machine.image(f"{REGISTRY}/nowhere:v1", "one")
    assert "name unknown" in machine.docker("push", name, status=1)


def test_content_that_does_not_match_its_digest_is_refused(
    machine: Machine, repository: str, emulator: Any, tmp_path: Path
) -> None:
    machine.log_in()
    name = machine.image(f"{REGISTRY}/{repository}:v1", "one")
    machine.docker("push", name)
    images = emulator.settings.root / "images"
    body = b'{"not": "the manifest"}'
    digest = (
        machine.docker("image", "inspect", name, "--format", "{{index .RepoDigests 0}}")
        .strip()
        .rpartition(":")[2]
    )
    put = urllib.request.Request(
        f"{emulator.settings.endpoint_url}/v2/{repository}/blobs/uploads/?digest=sha256:{digest}",
        data=body, method="POST",
        headers={"Authorization": "Basic " + _authorization(machine.home)},
    )  # fmt: skip
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(put, timeout=5)
    assert (images / "blobs" / digest).exists()


def _authorization(home: Path) -> str:
    import json

    config = json.loads((home / ".docker" / "config.json").read_text())
    return str(config["auths"][REGISTRY]["auth"])
