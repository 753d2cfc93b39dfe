"""The provision phase as the state machine goes through it, over CloudFormation in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cutover.domain.changes import change_sets_of
from cutover.domain.records import Deployment
from cutover.ports import Group
from cutover.steps.execute_change_sets import execute_change_sets
from cutover.steps.prepare_change_sets import prepare_change_sets
from tests.contract.fakes import FakeInstances
from tests.contract.formation import FakeFormation
from tests.contract.scenes import DEPLOYMENT

FULL = FakeInstances(
    backend_blue=Group(["i-1", "i-2"], 2),
    backend_green=Group(["i-3", "i-4"], 2),
    frontend_blue=Group(["i-5"], 1),
    frontend_green=Group(["i-6"], 1),
    monitoring=Group(["i-7"], 1),
)
LOOKS = 60
Step = Callable[[], dict[str, Any]]


def prepare(
    formation: FakeFormation, deployment: Deployment = DEPLOYMENT, again: type[Exception] | tuple[()] = ()
) -> Sequence[Mapping[str, Any]]:
    """The plan's change_sets. `again`: after this error, the step is simply done again."""
    answer = _until(
        "ready",
        formation,
        lambda: prepare_change_sets(deployment, layers=formation.layers, balancer=formation.balancer),
        again,
    )
    bodies = {name: body for name, (body, _) in formation.wanted().items()}
    return change_sets_of(answer["change_sets"], bodies, formation.live())


def execute(
    formation: FakeFormation,
    planned: Sequence[Mapping[str, Any]],
    deployment: Deployment = DEPLOYMENT,
    again: type[Exception] | tuple[()] = (),
    instances: FakeInstances = FULL,
) -> list[str]:
    """Until all has settled; answers what was waited for."""
    waits: list[str] = []

    def step() -> dict[str, Any]:
        answer = execute_change_sets(
            deployment,
            planned,
            layers=formation.layers,
            instances=instances,
            balancer=formation.balancer,
        )
        waits.append(str(answer.get("waiting_for")))
        return answer

    _until("settled", formation, step, again)
    return waits


def provision(
    formation: FakeFormation, deployment: Deployment = DEPLOYMENT, again: type[Exception] | tuple[()] = ()
) -> None:
    execute(formation, prepare(formation, deployment, again), deployment, again)


def _until(
    status: str, formation: FakeFormation, step: Step, again: type[Exception] | tuple[()]
) -> dict[str, Any]:
    for _ in range(LOOKS):
        try:
            answer = step()
        except again:
            continue
        if answer["status"] == status:
            return answer
        formation.advance()
    raise AssertionError(f"not {status} after {LOOKS} looks: {answer}")
