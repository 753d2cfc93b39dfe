"""The provision step dies before or after any of its side effects, and is done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest

from cutover.domain.errors import CutoverError
from cutover.steps.execute_change_sets import discard_change_sets
from tests.contract.fakes import BLUE, GREEN
from tests.contract.formation import FakeFormation, Kill, Killed
from tests.contract.provisioning import provision
from tests.contract.scenes import DEPLOYMENT

Scene = Callable[[], FakeFormation]
When = Literal["before", "after"]
MOST_EFFECTS = 40


def first() -> FakeFormation:
    return FakeFormation(there=False)


def nothing() -> FakeFormation:
    return FakeFormation()


def update() -> FakeFormation:
    """Two stacks change, and traffic has moved since CloudFormation set it."""
    formation = FakeFormation()
    formation.balancer.of |= {"listener": GREEN, "test-listener": BLUE, "frontend-rule": GREEN}
    formation.stacks["data"].wanted["Resources"]["Database"]["Properties"]["Nodes"] = 3
    formation.stacks["service"].wanted["Resources"]["Balancer"]["Properties"]["Version"] = 2
    return formation


def handed_on() -> FakeFormation:
    """The network hands on something else, so that the later change sets have to be made again."""
    formation = update()
    network = formation.stacks["network"].wanted
    network["Resources"]["Subnet"]["Properties"]["CidrBlock"] = "10.0.2.0/24"
    network["Outputs"]["PrivateSubnet1"] = "subnet-2"
    return formation


def late() -> FakeFormation:
    """A change set of an existing stack that can only be made at the end."""
    formation = update()
    formation.stacks["network"].wanted["Outputs"]["Zone"] = "a"
    balancer = formation.stacks["service"].wanted["Resources"]["Balancer"]
    balancer["Properties"]["Zone"] = {"Ref": "Zone"}
    return formation


def destructive() -> FakeFormation:
    formation = update()
    formation.stacks["monitoring"].live["Resources"]["Precious"] = {
        "Type": "AWS::S3::Bucket",
        "Properties": {},
    }
    return formation


def failing() -> FakeFormation:
    formation = update()
    formation.stacks["service"].breaks = "Balancer (AWS::X): the subnet is too small"
    return formation


SCENES = [first, nothing, update, handed_on, late, destructive, failing]


def run(formation: FakeFormation, deployment: str = "d2") -> str | None:
    """As the machine does it: every call that died is done again, and a failure ends with the discarding."""
    wanted = replace(DEPLOYMENT, id=deployment)
    try:
        provision(formation, wanted, again=Killed)
    except CutoverError as error:
        for _ in range(2):
            try:
                discard_change_sets(wanted, layers=formation.layers)
            except Killed:
                continue
        return f"{type(error).__name__}: {error}"
    return None


def moments(scene: Scene) -> list[tuple[int, When]]:
    formation = scene()
    run(formation)
    assert formation.kill.seen < MOST_EFFECTS
    return [(n, when) for n in range(1, formation.kill.seen + 1) for when in ("before", "after")]


CASES: list[Any] = [
    pytest.param(scene, at, when, id=f"{scene.__name__}-{when}-{at}")
    for scene in SCENES
    for at, when in moments(scene)
]


@pytest.mark.parametrize(("scene", "at", "when"), CASES)
def test_a_step_that_died_and_is_done_again_ends_where_an_undisturbed_one_does(
    scene: Scene, at: int, when: When
) -> None:
    undisturbed, disturbed = scene(), scene()
    disturbed.kill = Kill(at, when)
    assert run(disturbed) == run(undisturbed)

    assert disturbed.kill.seen >= at, "nothing died"
    assert disturbed.state == undisturbed.state
    assert disturbed.executed == undisturbed.executed
    assert disturbed.unexecuted == []


@pytest.mark.parametrize(("scene", "at", "when"), CASES)
def test_another_deployment_after_one_that_was_killed_ends_there_too_and_clears_up(
    scene: Scene, at: int, when: When
) -> None:
    """The first one is never heard of again: nobody discards what it prepared."""
    undisturbed, killed = scene(), scene()
    killed.kill = Kill(at, when)
    outcome = run(undisturbed)
    try:
        provision(killed, replace(DEPLOYMENT, id="d1"))
    except (Killed, CutoverError):
        killed.kill = Kill(0, "before")
    for _ in range(3):
        killed.advance()

    if outcome is None:
        assert run(killed) is None
        assert killed.state == undisturbed.state
    else:
        run(killed)
    assert killed.unexecuted == []
