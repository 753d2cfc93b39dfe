"""A sandbox with the control plane installed, a first release live, and users; deployments through it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from bench import site
from bench.environment import NAME
from bench.sandbox import ROOT, BenchError, running_sandbox
from bench.traffic import machine
from bench.traffic.environment import PLACE, configuration
from cli import journal
from cli.execution import Request, describe_end, new_deployment_id
from cli.session import Environment
from cli.source import upload
from sandbox import identities
from sandbox.demo.users import Users

USERS, PATH = 200, "/api/health"


@dataclass
class Site(site.Site):
    """`standing` is the version on each colour; `kept` what one whole deployment found out."""

    patience: ClassVar[float] = 240.0
    deployed: Mapping[str, Any]
    standing: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    _machine: str = ""

    def record(self, deployment: str) -> dict[str, Any]:
        return journal.deployment(self.environment, deployment) or {}

    def first(self, version: str) -> None:
        """One whole deployment from source; what its phases found out is kept for the later ones."""
        self._lead("telling", machine.telling(self.deployed))
        source = upload(self.environment, Path(self.environment.configuration.backend.source))
        deployment = self._start(version, Request(NAME, version, "deploy", source=source).document())
        self.kept = json.loads(self._succeeded(deployment))["kept"]
        self.standing[self.live["colour"]] = version

    def shift(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """All traffic to what stands on the idle colour; the record of the deployment that did it."""
        self._lead("shifting", machine.shifting(self.deployed, self.kept))
        deployment = self._request(self.standing[self.idle], {}, configuration)
        self._succeeded(deployment)
        return self.record(deployment)

    def release(
        self, version: str, settings: Mapping[str, str] | None = None, *, watched: bool = False
    ) -> str:
        """A release on the idle colour, which then takes the traffic; its deployment's id. A watched one is
        only begun: the caller waits for what it expects."""
        named = "watched" if watched else "releasing"
        self._lead(named, machine.releasing(self.deployed, self.kept, watched=watched))
        colour = self.idle
        deployment = self._request(version, settings or {}, {})
        if not watched:
            self._succeeded(deployment)
        self.standing[colour] = version
        return deployment

    def cutover(self, *arguments: str) -> dict[str, Any]:
        """Run the command as an operator does; its JSON answer, with when it began and how long it took."""
        began, at = time.perf_counter(), time.time()
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments, "--json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        if done.returncode:
            raise BenchError(f"`cutover {' '.join(arguments)}`: {(done.stderr or done.stdout).strip()}")
        return {**json.loads(done.stdout), "began_at": at, "command_seconds": time.perf_counter() - began}

    @contextlib.contextmanager
    def users(self, rate: int) -> Iterator[Users]:
        """`rate` requests a second over TLS on the live listener, by USERS keep-alive connections."""
        backend = self.environment.configuration.backend
        found = self.environment.balancer.describe_load_balancers(Names=[f"cutover-{NAME}"])
        users = Users(self.settings, rate, USERS)
        users.start(found["LoadBalancers"][0]["DNSName"], backend.listener_port, backend.domain, PATH)
        try:
            yield users
        finally:
            users.stop()

    def execution(self, deployment: str) -> str:
        arn = self.environment.state_machine_arn.replace(":stateMachine:", ":execution:")
        return f"{arn}:{deployment}"

    def _request(self, version: str, settings: Mapping[str, str], configuration: Mapping[str, Any]) -> str:
        live, request = self.live, Request(NAME, version, "deploy", image=self.kept["image"])
        known = {name: live[name] for name in ("deployment", "version", "colour", "image")}
        plan = {**self.kept["plan"], "idle_colour": self.idle, "live": known}
        document = {**request.document(), **({"settings": dict(settings)} if settings else {})}
        given = {"request": document, "kept": {**self.kept, "plan": plan}, "configuration": configuration}
        return self._start(version, given)

    def _start(self, version: str, given: Mapping[str, Any]) -> str:
        deployment = new_deployment_id(version, datetime.now(UTC))
        self.environment.states.start_execution(
            stateMachineArn=self.environment.state_machine_arn, name=deployment, input=json.dumps(given)
        )
        return deployment

    def _succeeded(self, deployment: str) -> str:
        """Wait for the execution's end; its output."""
        arn = self.execution(deployment)
        ended = self.until(f"the end of {deployment}", lambda: describe_end(self.environment, arn))
        if ended.status != "SUCCEEDED":
            raise BenchError(f"{deployment} ended as {ended.status}: {ended.error}: {ended.cause}")
        return json.dumps(ended.output)

    def _lead(self, name: str, definition: Mapping[str, Any]) -> None:
        if name != self._machine:
            self.root("stepfunctions").update_state_machine(
                stateMachineArn=self.environment.state_machine_arn, definition=json.dumps(definition)
            )
            self._machine = name


@contextlib.contextmanager
def running_site(folder: Path, tell: Callable[[str], None]) -> Iterator[Site]:
    """A new sandbox in `folder`, which is ended afterwards, whatever happened."""
    with running_sandbox(folder, PLACE, tell) as settings:
        environment = Environment(configuration())
        root = identities.root_session(settings).client("stepfunctions", endpoint_url=settings.endpoint_url)
        found = root.describe_state_machine(stateMachineArn=environment.state_machine_arn)
        yield Site(settings, environment, json.loads(found["definition"]))
