"""A sandbox with a sound release live, and deployments in it as a user starts them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import site
from bench.environment import NAME
from bench.faults.environment import PLACE, configuration
from bench.sandbox import BenchError, running_sandbox
from cli import journal
from cli.execution import Ended, Request, deployment_id, describe_end, start, states_entered
from cli.session import Environment
from cli.source import upload
from sandbox.configuring import Change, configured
from stacks.naming import TEMPLATES, Names

#: Longer than any of these deployments, the one that waits for a standing alarm included.
LONGEST_SECONDS = 420.0
Undo = Callable[[], None]


@dataclass(frozen=True)
class Deployed:
    """How a deployment ended. `record` is the journal's, `states` every state that it went through."""

    ended: Ended
    record: Mapping[str, Any]
    states: frozenset[str]
    seconds: float


@dataclass
class Site(site.Site):
    """`image` is the sound release's, by which every release is deployed that is not built anew."""

    image: str = ""

    @cached_property
    def names(self) -> Names:
        where = self.environment.configuration
        return Names(NAME, where.account, where.region)

    def weights(self) -> dict[str, int]:
        """Of the live listener, by the target group's ARN, as the balancer's API tells them."""
        found = self.environment.balancer.describe_listeners(ListenerArns=[self.live["listener_arn"]])
        groups = found["Listeners"][0]["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        return {group["TargetGroupArn"]: int(group["Weight"]) for group in groups}

    def first(self, version: str) -> None:
        """The first release, from its source and under the configuration as it is."""
        source = upload(self.environment, Path(self.environment.configuration.backend.source))
        deployed = self.deploy(Request(NAME, version, "deploy", source=source))
        if deployed.ended.status != "SUCCEEDED":
            raise BenchError(f"{version}: {deployed.ended.error}: {deployed.ended.cause}")
        self.image = self.live["image"]

    def deploy(
        self, request: Request, at: str | None = None, hand: Callable[[], None] = lambda: None
    ) -> Deployed:
        """From the start to the end. `hand` is called as soon as the state `at` is entered.

        Raises BenchError when it does not end, or ends without having come to `at`, or when `hand` raises it:
        once the deployment has ended.
        """
        began, pending = time.monotonic(), at
        trouble: BenchError | None = None
        execution = start(self.environment, request)
        while (ended := describe_end(self.environment, execution)) is None:
            if pending and pending in self._entered(execution):
                pending = None
                try:
                    hand()
                except BenchError as error:
                    trouble = error
            if time.monotonic() - began > LONGEST_SECONDS:
                self.environment.states.stop_execution(executionArn=execution, error="TooLong")
                raise BenchError(f"{execution} still ran after {LONGEST_SECONDS:.0f} s")
            time.sleep(site.POLL_SECONDS)
        record = journal.deployment(self.environment, deployment_id(execution)) or {}
        if pending:
            trouble = BenchError(f"it ended before {at!r}: {ended.error}: {ended.cause}")
        if trouble:
            raise trouble
        return Deployed(ended, record, self._entered(execution), time.monotonic() - began)

    def _entered(self, execution: str) -> frozenset[str]:
        return frozenset(state.name for _, state in states_entered(self.environment, execution, 0))

    def configured(self, *changes: Change) -> contextlib.AbstractContextManager[None]:
        """While it is open, what the functions read as their configuration is changed."""
        return configured(self.root("ssm"), self.names.parameter, *changes)

    @contextlib.contextmanager
    def waiting(self, waits: Mapping[str, str]) -> Iterator[None]:
        """While it is open, the deployed state machine waits less long: `waits` maps expressions of its
        definition to what stands there instead.

        Raises BenchError for one that is not there exactly once.
        """
        states, arn = self.root("stepfunctions"), self.environment.state_machine_arn
        before = states.describe_state_machine(stateMachineArn=arn)["definition"]
        changed = before
        for expression, instead in waits.items():
            if changed.count(expression) != 1:
                raise BenchError(
                    f"the machine has {expression!r} {changed.count(expression)} times, not once"
                )
            changed = changed.replace(expression, instead)
        if waits:
            states.update_state_machine(stateMachineArn=arn, definition=changed)
        try:
            yield
        finally:
            if waits:
                states.update_state_machine(stateMachineArn=arn, definition=before)

    @cached_property
    def _resources(self) -> list[tuple[str, str, str]]:
        """(type, physical id, logical id) of each resource of the environment."""
        formation = self.root("cloudformation")
        return [
            (each["ResourceType"], each["PhysicalResourceId"], each["LogicalResourceId"])
            for template in TEMPLATES
            for each in formation.describe_stack_resources(StackName=self.names.stack(template))[
                "StackResources"
            ]
            if "PhysicalResourceId" in each
        ]

    def _resource(self, kind: str, physical_id: str | None) -> tuple[str, str]:
        for its_kind, physical, logical in self._resources:
            if its_kind == kind and physical_id in (None, physical):
                return physical, logical
        raise BenchError(f"the environment has no {kind} {physical_id or ''}")

    def resource(self, kind: str) -> str:
        """The physical id of the first of its kind (AWS::…). Raises BenchError when there is none."""
        return self._resource(kind, None)[0]

    def gate_of(self, kind: str, physical_id: str | None = None) -> str:
        """What phase 1 calls the gate of this resource, or of the first of its kind.

        Raises BenchError when there is none.
        """
        return f"{kind.removeprefix('AWS::')} {self._resource(kind, physical_id)[1]}"


@contextlib.contextmanager
def running_site(folder: Path, tell: Callable[[str], None]) -> Iterator[Site]:
    """A new sandbox in `folder`, which is ended afterwards, whatever happened."""
    with running_sandbox(folder, PLACE, tell) as settings:
        yield Site(settings, Environment(configuration()))
