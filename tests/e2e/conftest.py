"""One sandbox with the control plane installed, for all scenarios.

The scenarios share it and run in the order of the files; each begins by saying what it needs to be given.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli import journal
from cli.execution import Ended, Request, deployment_id, describe_end, start
from cli.session import Environment
from cli.source import upload
from config.model import load
from sandbox import identities, installation, processes
from sandbox.configuring import Change, configured, without_limits_and_scan
from sandbox.demo.users import Users
from sandbox.settings import SandboxSettings
from tests.e2e.onlooker import Onlooker
from tests.e2e.sinks import Sinks

REPOSITORY = Path(__file__).resolve().parents[2]
MINUTE_SECONDS = "1"  # five bad minutes pass in five seconds


class Product:
    """The product as its users drive it: the command, the API, and a load on the live listener."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.environment = Environment.named(installation.ENVIRONMENT)
        self.users = Users(settings, rate=100, users=20)
        self.visitors = Users(settings, rate=50, users=10, name="visitors")
        self.sinks = Sinks(settings)
        self.onlooker = Onlooker(settings.network)

    def root(self, service: str) -> Any:
        """A client of the account's root: for arranging a scenario, never for driving the product."""
        return identities.root_session(self.settings).client(service, endpoint_url=self.settings.endpoint_url)

    def cutover(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command as the operator does."""
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
            cwd=REPOSITORY,
            env=os.environ if env is None else env,
        )

    def start(self, version: str, **wanted: Any) -> str:
        """Start a deployment of the example backend; answers its execution's ARN."""
        if "image" not in wanted:
            wanted["source"] = upload(self.environment, REPOSITORY / "examples" / "backend")
        return start(self.environment, Request("sandbox", version, "deploy", **wanted))

    def end_of(self, execution_arn: str, seconds: float = 300) -> Ended:
        """Wait for the execution's end."""
        deadline = time.monotonic() + seconds
        while (ended := describe_end(self.environment, execution_arn)) is None:
            assert time.monotonic() < deadline, f"{execution_arn} still runs after {seconds} s"
            time.sleep(0.5)
        return ended

    def deploy(self, version: str, **wanted: Any) -> tuple[Ended, dict[str, Any]]:
        """Deploy and wait; answers how it ended and its record."""
        execution_arn = self.start(version, **wanted)
        ended = self.end_of(execution_arn)
        return ended, self.record(execution_arn)

    def told(self, *arguments: str) -> Any:
        """What a command about the sandbox answers with --json."""
        done = self.cutover(arguments[0], "sandbox", *arguments[1:], "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait(self, what: str, until: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, f"waited for {what} for {seconds} s"
            time.sleep(0.1)

    def given_live(self) -> dict[str, Any]:
        """What is live: what an earlier scenario has left, or else a release of its own."""
        if journal.live(self.environment) is None:
            ended, _ = self.deploy("v1")
            assert ended.status == "SUCCEEDED", f"{ended.error}: {ended.cause}"
        return self.live()

    def record(self, execution_arn: str) -> dict[str, Any]:
        record = journal.deployment(self.environment, deployment_id(execution_arn))
        assert record is not None, f"the journal knows nothing of {execution_arn}"
        return record

    def live(self) -> dict[str, Any]:
        live = journal.live(self.environment)
        assert live is not None, "nothing is live"
        return live

    def frontend_weights(self) -> dict[str, int]:
        """Those of the frontend's rule."""
        pages = self.live()["frontend"]
        rules = self.environment.balancer.describe_rules(RuleArns=[pages["listener_arn"]])["Rules"]
        groups = rules[0]["Actions"][0]["ForwardConfig"]["TargetGroups"]
        weights = {group["TargetGroupArn"]: group["Weight"] for group in groups}
        return {colour: weights.get(pages[colour], 0) for colour in ("blue", "green")}

    def weights(self) -> dict[str, int]:
        """The weights of the live listener by colour, as the balancer's API tells them."""
        live = self.live()
        listener = self.environment.balancer.describe_listeners(ListenerArns=[live["listener_arn"]])
        groups = listener["Listeners"][0]["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        weights = {group["TargetGroupArn"]: group["Weight"] for group in groups}
        return {colour: weights.get(live[colour], 0) for colour in ("blue", "green")}

    def execution_arn_of(self, identifier: str) -> str:
        return f"{self.environment.state_machine_arn.replace(':stateMachine:', ':execution:')}:{identifier}"

    def load(self) -> Users:
        """Users on the live listener, over TLS; the scenario stops them."""
        backend = self.environment.configuration.backend
        self.users.start(self._host(), backend.listener_port, backend.domain, "/api/health")
        return self.users

    def visit(self) -> Users:
        """Visitors of the frontend's page, under its own name; the scenario stops them."""
        configuration = self.environment.configuration
        port, name = configuration.backend.listener_port, configuration.frontend.domain
        self.visitors.start(self._host(), port, name, "/config.json")
        return self.visitors

    def asks_for_approval(self) -> AbstractContextManager[None]:
        """While it is open, a deployment waits for a person, for a minute."""

        def ask(configuration: dict[str, Any]) -> None:
            assert configuration["approval"] == load("sandbox").for_lambdas()["approval"]
            configuration["approval"] = {"required": True, "expires_minutes": 1}

        return self.configured(ask)

    def asked(self) -> str:
        """Wait until a deployment waits for a person; answers its name."""
        asked = ""

        def somebody_is() -> bool:
            nonlocal asked
            asked = str((self.told("status")["lock"] or {}).get("holder"))
            key = {"pk": {"S": f"DEPLOYMENT#{asked}"}, "sk": {"S": "APPROVAL"}}
            table = self.environment.journal_table
            found = self.environment.journal.get_item(TableName=table, Key=key, ConsistentRead=True)
            return "Item" in found

        self.wait("somebody to be asked", somebody_is)
        return asked

    def configured(self, change: Change) -> AbstractContextManager[None]:
        """While it is open, what the functions read as their configuration is changed."""
        return configured(self.root("ssm"), f"/cutover/{installation.ENVIRONMENT}/configuration", change)

    def _host(self) -> str:
        balancers = self.environment.balancer.describe_load_balancers(Names=["cutover-sandbox"])
        return str(balancers["LoadBalancers"][0]["DNSName"])


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """The sandbox, up, with the control plane deployed by the real CDK CLI."""
    root = Path(tempfile.mkdtemp(prefix="cutover-e2e-"))
    variables = {"CUTOVER_SANDBOX_DIR": str(root)}
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        command = [sys.executable, "-m", "cli.main", "sandbox", "up", "--minute-seconds", MINUTE_SECONDS]
        up = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
        assert up.returncode == 0, up.stderr
        settings = SandboxSettings.load(root)
        assembly = installation.synthesise(settings)
        installation.bootstrap(settings, assembly)
        identities.make_deployer(settings)
        installation.install(settings, assembly)
        identities.make_operator(settings, installation.ENVIRONMENT)
        os.environ.update(identities.environment(settings, identities.OPERATOR))
        boto3.DEFAULT_SESSION = None
        made = Product(settings)
        try:
            yield made
        finally:
            made.users.stop()
            made.visitors.stop()
            made.onlooker.leave()
    finally:
        command = [sys.executable, "-m", "cli.main", "sandbox", "down"]
        subprocess.run(command, capture_output=True, check=False, cwd=REPOSITORY)
        left = processes.marked(root)
        for pid in left:
            processes.end_tree(pid)
        os.environ.clear()
        os.environ.update(before)
        if os.environ.get("KEEP_SANDBOX"):
            print(json.dumps({"kept": str(root)}))
        else:
            shutil.rmtree(root, ignore_errors=True)
        assert not left, f"processes outlived the sandbox: {left}"


@pytest.fixture(scope="session")
def limits_off(product: Product) -> Iterator[None]:
    """Given an environment that tries no rate limit and scans nothing: v1 has shown both, and each takes ten
    seconds."""

    with product.configured(without_limits_and_scan):
        yield
