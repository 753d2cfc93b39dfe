"""CloudFormation as the provision step asks it: real change sets, executions and failures."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from cutover.domain.errors import ChangeSetFailedError, PlanChangedError, StackFailedError
from cutover.handlers import provision
from cutover.steps.execute_change_sets import discard_change_sets
from tests.contract.provisioning import FULL
from tests.contract.site import BROKEN, Site, deployment
from tests.sandbox.conftest import Emulator
from tests.unit.test_handler_walk import INPUT, House


@pytest.fixture
def site(aws: Emulator) -> Site:
    return Site(aws)


def test_an_environment_is_created_then_unchanged_then_changed(site: Site) -> None:
    assert site.stacks.stack() is None
    (first,) = site.prepare(deployment(1))
    assert [change["action"] for change in first["changes"]] == ["Add"]
    site.execute(deployment(1), [first])
    assert (site.stack.status, site.stack.outputs["ListenerArn"]) == ("CREATE_COMPLETE", "listener")
    assert [resource.status for resource in site.stacks.resources()] == ["CREATE_COMPLETE"]

    (again,) = site.prepare(deployment(2))
    assert (again["name"], again["empty"], again["changes"]) == ("cutover-d2", True, [])
    site.execute(deployment(2), [again])
    assert site.left() == []

    site.write({"Type": "String", "Value": "changed"})
    (changed,) = site.prepare(deployment(3))
    assert [change["action"] for change in changed["changes"]] == ["Modify"]
    site.execute(deployment(3), [changed])
    assert site.stack.status == "UPDATE_COMPLETE"


def test_executing_again_finds_that_it_is_done(site: Site) -> None:
    planned = site.prepare(deployment(1))
    for _ in range(2):
        site.execute(deployment(1), planned)
    assert site.stack.status == "CREATE_COMPLETE"


def test_a_plan_of_a_first_environment_does_not_stand_in_the_way(site: Site) -> None:
    site.prepare(deployment(1))
    discard_change_sets(deployment(1), layers=site.layers)
    assert site.left() == []

    site.provision(deployment(2))
    assert site.stack.status == "CREATE_COMPLETE"


def test_what_a_killed_deployment_left_is_cleared_away(site: Site) -> None:
    site.prepare(deployment(1))
    assert site.left() == ["cutover-d1"]
    site.provision(deployment(2))
    assert site.left() == []


def test_a_failure_carries_the_first_resources_own_reason(site: Site) -> None:
    site.provision(deployment(1))
    site.write(BROKEN, kind="AWS::StepFunctions::StateMachine")

    with pytest.raises(
        StackFailedError,
        match=rf"{site.name} is UPDATE_ROLLBACK_COMPLETE: Setting "
        r"\(AWS::StepFunctions::StateMachine\): .*Next",
    ):
        site.provision(deployment(2))


def test_an_update_that_was_taken_back_can_be_deployed_over(site: Site) -> None:
    site.provision(deployment(1))
    site.write(BROKEN, kind="AWS::StepFunctions::StateMachine")
    with pytest.raises(StackFailedError):
        site.provision(deployment(2))

    site.write({"Type": "String", "Value": "mended"})
    site.provision(deployment(3))


def test_a_template_that_is_none_fails_the_change_set(site: Site) -> None:
    site.write({}, kind="AWS::Nothing::AtAll")
    with pytest.raises((ChangeSetFailedError, Exception), match="AWS::Nothing::AtAll"):
        site.prepare(deployment(1))


def test_a_stack_of_more_than_a_hundred_resources_is_read_to_its_end(site: Site) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html"""
    parameter = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "v"}}
    site.write_all({f"Setting{n}": parameter for n in range(101)})
    site.provision(deployment(1))

    assert len(site.stacks.resources()) == 101
    assert all(each.physical_id for each in site.stacks.declared())


class Terrace(Site):
    """Two stacks: what `network` hands on, `service` takes."""

    def __init__(self, aws: Emulator) -> None:
        super().__init__(aws)
        self.hand_on("one")
        self.take()

    def hand_on(self, zone: str) -> None:
        setting = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": zone}}
        self.write_all({"Ground": setting}, template="network", Zone={"Fn::GetAtt": ["Ground", "Value"]})

    def take(self, kind: str = "AWS::SSM::Parameter", **properties: Any) -> None:
        taken = properties or {"Type": "String", "Value": {"Ref": "Zone"}}
        self.write_all({"Roof": {"Type": kind, "Properties": taken}}, inputs=["Zone"])


@pytest.fixture
def terrace(aws: Emulator) -> Terrace:
    return Terrace(aws)


def test_a_stack_is_made_when_the_one_before_it_has_given_its_inputs(terrace: Terrace) -> None:
    planned = terrace.prepare(deployment(1))
    assert [each["basis"] for each in planned] == ["change_set", "template"]
    terrace.execute(deployment(1), planned)
    assert terrace.stack.parameters["Zone"] == "one"


def test_outputs_that_changed_make_the_later_change_set_anew_and_refuse_what_was_not_planned(
    terrace: Terrace,
) -> None:
    terrace.provision(deployment(1))
    terrace.hand_on("two")
    planned = terrace.prepare(deployment(2))
    with pytest.raises(PlanChangedError, match=rf"{terrace.name} would .*Roof .*planned nothing, now to"):
        terrace.execute(deployment(2), planned)

    assert (terrace.stack.status, terrace.stack.parameters["Zone"]) == ("CREATE_COMPLETE", "one")
    terrace.provision(deployment(3))
    assert terrace.stack.parameters["Zone"] == "two"


def test_a_stack_that_fails_leaves_the_others_as_they_are(terrace: Terrace) -> None:
    terrace.provision(deployment(1))
    formation = terrace.aws.client("cloudformation")
    before = _state(formation, terrace.name)
    setting = {"Type": "AWS::StepFunctions::StateMachine", "Properties": BROKEN}
    terrace.write_all({"Ground": setting}, template="network", Zone="one")
    terrace.take(Type="String", Value="later")
    with pytest.raises(
        StackFailedError, match=rf"{terrace.name}-network is UPDATE_ROLLBACK_COMPLETE: Ground"
    ):
        terrace.provision(deployment(2))
    discard_change_sets(deployment(2), layers=terrace.layers)

    assert (_state(formation, terrace.name), terrace.left()) == (before, [])


def test_a_failed_update_is_the_executions_cause_and_leaves_the_stack_as_it_was(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the whole machine: the words of the resource that failed first are what a person reads."""
    site.provision(deployment(1))
    formation = site.aws.client("cloudformation")
    before = _state(formation, site.name)
    site.write(BROKEN, kind="AWS::StepFunctions::StateMachine")

    house = House(monkeypatch)
    wired = SimpleNamespace(
        layers=site.layers,
        balancer=house.world.balancer,
        instances=FULL,
        offers=house.offers,
        variables=SimpleNamespace(buckets="files,logs"),
    )
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
