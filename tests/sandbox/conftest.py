"""One emulator for the sandbox tests of a session: the AWS API with IAM, in a folder and on a port of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from sandbox import processes
from sandbox.settings import SandboxSettings
from tests.loopback import free_port, own_network

REPOSITORY = Path(__file__).resolve().parents[2]
# These start real proxies, databases and instances; the tests that want them start an emulator of their own.
WITHOUT = ("load_balancers", "autoscaling", "databases")

Found = TypeVar("Found")


@dataclass
class Emulator:
    """A running emulator and the ways to talk to it."""

    settings: SandboxSettings

    def session(self, access_key: str, secret: str, token: str | None = None) -> boto3.Session:
        return boto3.Session(access_key, secret, token, region_name=self.settings.region)

    def client(self, service: str, session: boto3.Session | None = None) -> Any:
        """A client as `session`'s identity, or as the account's root user."""
        who: Any = session or self.session(self.settings.account, "test")
        return who.client(
            service,
            endpoint_url=self.settings.endpoint_url,
            config=Config(
                retries={"total_max_attempts": 1}, inject_host_prefix=False, s3={"addressing_style": "path"}
            ),
        )

    @staticmethod
    def unique(prefix: str) -> str:
        return f"{prefix}-{uuid.uuid4().hex[:8]}"

    @staticmethod
    def allow(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
        """An IAM statement that allows `actions` on the resources `on`."""
        return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}

    @staticmethod
    def policy(*statements: dict[str, Any]) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})

    def user(self, *statements: dict[str, Any]) -> boto3.Session:
        """A new IAM user that may do what `statements` say, and nothing else."""
        iam, name = self.client("iam"), self.unique("user")
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=self.policy(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self.session(key["AccessKeyId"], key["SecretAccessKey"])

    def role(self, service: str, *statements: dict[str, Any], name: str | None = None) -> str:
        """The ARN of a new role that `service` (such as lambda.amazonaws.com) may assume."""
        iam, name = self.client("iam"), name or self.unique("role")
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=self.policy(trust))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=self.policy(*statements))
        arn: str = made["Role"]["Arn"]
        return arn

    def function(self, code: str, role: str | None = None, **settings: Any) -> str:
        """The ARN of a new Lambda function whose index.py holds `code` with a `handler`."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("index.py", code)
        made = self.client("lambda").create_function(
            **{
                "FunctionName": self.unique("function"),
                "Runtime": "python3.11",
                "Handler": "index.handler",
                "Role": role or self.role("lambda.amazonaws.com", self.allow("logs:*")),
                "Code": {"ZipFile": archive.getvalue()},
                "Timeout": 20,
                **settings,
            }
        )
        arn: str = made["FunctionArn"]
        return arn

    @staticmethod
    def wait_for(find: Callable[[], Found], *, seconds: float = 30, what: str = "the condition") -> Found:
        """Ask `find` until its answer is true; fails after `seconds`, saying the last answer."""
        deadline = time.monotonic() + seconds
        while not (found := find()):
            if time.monotonic() > deadline:
                pytest.fail(f"{what} was not seen within {seconds} s; last answer: {found!r}")
            time.sleep(0.05)
        return found


@contextlib.contextmanager
def running_emulator(
    root: Path, *, without: Sequence[str] = WITHOUT, minute_seconds: float = 60.0
) -> Iterator[Emulator]:
    """An emulator in `root`; when it ends, nothing that it started may be alive."""
    settings = SandboxSettings(
        root=root.resolve(),
        gateway_port=free_port(),
        minute_seconds=minute_seconds,
        network=own_network(),
    )
    settings.save()
    log = root / "emulator.log"
    left_out = [word for name in without for word in ("--without", name)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.emulator", str(root), *left_out],
            cwd=REPOSITORY,
            env={**os.environ, processes.MARKER: str(settings.root)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url, deadline = f"{settings.endpoint_url}/_ministack/health", time.monotonic() + 60
        while True:
            try:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5).close()
                break
            except (urllib.error.URLError, OSError) as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the emulator did not start:\n{log.read_text()[-4000:]}") from error
                time.sleep(0.05)
        yield Emulator(settings)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    deadline = time.monotonic() + 5
    while left := processes.marked(settings.root):
        if time.monotonic() > deadline:
            for pid in left:
                processes.end_tree(pid)
            raise RuntimeError(f"processes {left} outlived the emulator")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for the whole session, without load balancers, Auto Scaling and databases."""
    with running_emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(scope="session")
def emulator_with() -> Any:
    """`emulator_with(root, without=..., minute_seconds=...)`: a context manager, an emulator of a test's own."""
    return running_emulator
