"""A whole sandbox for a test: started and ended by the command that users run, on a port and a network of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from sandbox import processes
from sandbox.settings import SandboxSettings
from tests.loopback import free_port, own_network

REPOSITORY = Path(__file__).resolve().parents[2]
Found = TypeVar("Found")


class Sandbox:
    """A sandbox's folder, the `cutover sandbox` command on it, and clients as the account's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.network = own_network()

    @property
    def settings(self) -> SandboxSettings:
        return SandboxSettings.load(self.root)

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli.main", "sandbox", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("MONGO_URL", "REDIS_URL")}
        return kept | {"CUTOVER_SANDBOX_DIR": str(self.root)}

    def run(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
            cwd=REPOSITORY,
            env=self.environment | more.pop("env", {}),
        )

    def up(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        options = ["--port", str(self.port), "--network", self.network, "--minute-seconds", "1"]
        return self.run("up", *options, *arguments, env=env or {})

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.run("down")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def pid_of(self, name: str) -> int:
        return next(int(each["pid"]) for each in self.status()["processes"] if each["name"] == name)

    def client(self, service: str) -> Any:
        settings = self.settings
        return boto3.client(
            service,
            region_name=settings.region,
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=settings.account,
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    def deploy(self, name: str, resources: dict[str, Any], outputs: dict[str, Any]) -> dict[str, str]:
        """Creates or updates a stack, waits for its end, and returns its outputs; fails when it fails."""
        formation = self.client("cloudformation")
        template = json.dumps(
            {"Resources": resources, "Outputs": {k: {"Value": v} for k, v in outputs.items()}}
        )
        try:
            formation.update_stack(StackName=name, TemplateBody=template)
        except formation.exceptions.ClientError as error:
            if "does not exist" not in str(error):
                raise
            formation.create_stack(StackName=name, TemplateBody=template)

        def ended() -> dict[str, Any] | None:
            stack: dict[str, Any] = formation.describe_stacks(StackName=name)["Stacks"][0]
            return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

        stack = wait_for(ended, seconds=90, what=f"the end of stack {name}")
        assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), stack.get("StackStatusReason")
        return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}

    def log(self, name: str) -> str:
        path = self.root / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""


def wait_for(find: Callable[[], Found], *, seconds: float = 30, what: str = "the condition") -> Found:
    """Asks `find` until its answer is true; fails after `seconds`, saying the last answer."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} was not seen within {seconds} s; last answer: {found!r}")
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def empty_sandbox() -> Iterator[Sandbox]:
    """A folder for a sandbox; nothing of it is alive afterwards, also when the test failed."""
    folder = Path(tempfile.mkdtemp(prefix="cutover-"))
    sandbox = Sandbox(folder / ".sandbox")
    try:
        yield sandbox
    finally:
        for pid in processes.marked(sandbox.root):
            processes.end_tree(pid, grace_seconds=8)
        left = processes.marked(sandbox.root)
        for pid in left:
            processes.end_tree(pid, grace_seconds=0)
        shutil.rmtree(folder, ignore_errors=True)
        assert not left, f"processes outlived the sandbox: {left}"


@contextlib.contextmanager
def running_sandbox() -> Iterator[Sandbox]:
    """A sandbox that is up, with minutes of one second."""
    with empty_sandbox() as sandbox:
        started = sandbox.up()
        assert started.returncode == 0, started.stderr + sandbox.log("emulator")[-3000:]
        yield sandbox
