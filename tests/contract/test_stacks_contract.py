"""CloudFormation as the provision step asks it: real change sets, executions and failures."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from cutover.domain.errors import ChangeSetFailedError, StackFailedError
from cutover.handlers import provision
from cutover.steps.execute_change_set import discard_change_set
from tests.contract.site import BROKEN, FULL, Site, deployment
from tests.sandbox.conftest import Emulator
from tests.unit.test_handler_walk import INPUT, House


@pytest.fixture
def site(aws: Emulator) -> Site:
    return Site(aws)


def test_an_environment_is_created_then_unchanged_then_changed(site: Site) -> None:
    assert site.stacks.stack() is None
    first = site.prepare(deployment(1))
    assert [change["action"] for change in first["change_set"]["changes"]] == ["Add"]
    site.execute(deployment(1))
    found = site.stacks.stack()
    assert found is not None
    assert (found.status, found.outputs["ListenerArn"]) == ("CREATE_COMPLETE", "listener")
    assert [resource.status for resource in site.stacks.resources()] == ["CREATE_COMPLETE"]

    again = site.prepare(deployment(2))
    assert again["change_set"] == {"name": "cutover-d2", "empty": True, "changes": []}
    site.execute(deployment(2))

    site.write({"Type": "String", "Value": "changed"})
    changed = site.prepare(deployment(3))
    assert [change["action"] for change in changed["change_set"]["changes"]] == ["Modify"]
    site.execute(deployment(3))
    found = site.stacks.stack()
    assert found is not None
    assert found.status == "UPDATE_COMPLETE"


def test_executing_again_finds_that_it_is_done(site: Site) -> None:
    site.prepare(deployment(1))
    for _ in range(2):
        site.execute(deployment(1))
    found = site.stacks.stack()
    assert found is not None
    assert found.status == "CREATE_COMPLETE"


def test_a_plan_of_a_first_environment_does_not_stand_in_the_way(site: Site) -> None:
    site.prepare(deployment(1))
    discard_change_set(deployment(1), stacks=site.stacks, change_sets=site.stacks)
    assert site.stacks.find("cutover-d1") is None

    site.prepare(deployment(2))
    site.execute(deployment(2))
    found = site.stacks.stack()
    assert found is not None
    assert found.status == "CREATE_COMPLETE"


def test_a_failure_carries_the_first_resources_own_reason(site: Site) -> None:
    site.prepare(deployment(1))
    site.execute(deployment(1))
    site.write(BROKEN, kind="AWS::StepFunctions::StateMachine")

    site.prepare(deployment(2))
    with pytest.raises(
        StackFailedError,
        match=r"UPDATE_ROLLBACK_COMPLETE: Setting \(AWS::StepFunctions::StateMachine\): .*Next",
    ):
        site.execute(deployment(2))


def test_an_update_that_was_taken_back_can_be_deployed_over(site: Site) -> None:
    site.prepare(deployment(1))
    site.execute(deployment(1))
    site.write(BROKEN, kind="AWS::StepFunctions::StateMachine")
    site.prepare(deployment(2))
    with pytest.raises(StackFailedError):
        site.execute(deployment(2))

    site.write({"Type": "String", "Value": "mended"})
    site.prepare(deployment(3))
    site.execute(deployment(3))


def test_a_template_that_is_none_fails_the_change_set(site: Site) -> None:
    site.write({}, kind="AWS::Nothing::AtAll")
    with pytest.raises((ChangeSetFailedError, Exception), match="AWS::Nothing::AtAll"):
        site.prepare(deployment(1))


def test_a_failed_update_is_the_executions_cause_and_leaves_the_stack_as_it_was(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the whole machine: the words of the resource that failed first are what a person reads."""
    site.prepare(deployment(1))
    site.execute(deployment(1))
    formation = site.aws.client("cloudformation")
    before = _state(formation, site.name)
    site.write(BROKEN, kind="AWS::StepFunctions::StateMachine")

    house = House(monkeypatch)
    wired = SimpleNamespace(stacks=site.stacks, balancer=house.world.balancer, instances=FULL)
    monkeypatch.setattr(provision, "wiring", lambda: wired)
    house.walk._on_wait = lambda: time.sleep(0.2)
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "StackFailedError")
    assert "Setting (AWS::StepFunctions::StateMachine): " in output["Cause"]
    assert "UPDATE_ROLLBACK_COMPLETE" in output["Cause"]
    assert _state(formation, site.name) == before
    assert house.world.balancer.moves == []


def _state(formation: Any, name: str) -> tuple[Any, ...]:
    stack = formation.describe_stacks(StackName=name)["Stacks"][0]
    resources = formation.describe_stack_resources(StackName=name)["StackResources"]
    return (
        formation.get_template(StackName=name)["TemplateBody"],
        sorted((o["OutputKey"], o["OutputValue"]) for o in stack["Outputs"]),
        sorted((r["LogicalResourceId"], r["ResourceType"], r["PhysicalResourceId"]) for r in resources),
    )
