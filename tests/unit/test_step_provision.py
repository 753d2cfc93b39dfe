"""The change sets of four stacks, their execution, and the look afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.colours import Weights
from cutover.domain.errors import (
    ChangeSetFailedError,
    DestructiveChangeError,
    MisconfiguredError,
    PlanChangedError,
    StackFailedError,
)
from cutover.domain.stacks import Stack
from cutover.ports import Group
from cutover.steps.execute_change_sets import discard_change_sets, execute_change_sets
from cutover.steps.prepare_change_sets import prepare_change_sets
from tests.contract.fakes import BLUE, GREEN, FakeInstances
from tests.contract.formation import FakeFormation
from tests.contract.provisioning import FULL, execute, prepare, provision
from tests.contract.scenes import DEPLOYMENT

NAME = "cutover-d2"
ALL = ["network", "data", "service", "monitoring"]


@pytest.fixture
def formation() -> FakeFormation:
    """The environment is there, and nothing is to be changed."""
    return FakeFormation()


def change(formation: FakeFormation, template: str, logical_id: str, **properties: Any) -> None:
    formation.stacks[template].wanted["Resources"][logical_id]["Properties"].update(properties)


def first_look(formation: FakeFormation, mode: str = "deploy") -> dict[str, Any]:
    return prepare_change_sets(
        replace(DEPLOYMENT, mode=mode), layers=formation.layers, balancer=formation.balancer
    )


def test_a_first_environment_is_made_stack_by_stack_with_all_weight_on_blue() -> None:
    formation = FakeFormation(there=False)
    planned = prepare(formation)
    assert [each["basis"] for each in planned] == ["change_set", "template", "template", "template"]
    assert all(kind == "create" for each in planned for kind in (c["kind"] for c in each["changes"]))
    execute(formation, planned)

    assert formation.executed == [(name, NAME) for name in ALL]
    weights = formation.stacks["service"].there
    assert weights is not None
    assert (weights.parameters["BlueWeight"], weights.parameters["TestBlueWeight"]) == ("100", "0")
    assert (weights.parameters["FrontendGreenWeight"], weights.parameters["FrontendTestGreenWeight"]) == (
        "0",
        "100",
    )


def test_a_stack_that_a_plan_left_in_review_is_still_to_be_created() -> None:
    formation = FakeFormation(there=False)
    prepare(formation, replace(DEPLOYMENT, id="d1", mode="plan"))
    discard_change_sets(replace(DEPLOYMENT, id="d1"), layers=formation.layers)
    provision(formation)

    assert formation.executed == [(name, NAME) for name in ALL]


def test_an_update_carries_the_weights_that_are_live_and_leaves_them(formation: FakeFormation) -> None:
    live = dict(zip(formation.balancer.of, (GREEN, BLUE, Weights(30, 70), Weights(1, 2)), strict=True))
    formation.balancer.of |= live
    change(formation, "service", "Balancer", Version=2)
    provision(formation)

    assert formation.balancer.of == live
    assert formation.stacks["service"].live["Resources"]["Balancer"]["Properties"]["Version"] == 2


def test_cloudformation_is_told_of_the_live_weights_before_it_is_asked_for_an_update(
    formation: FakeFormation,
) -> None:
    """An update that fails goes back to what CloudFormation set last."""
    moved = dict(zip(formation.balancer.of, (GREEN, BLUE, GREEN, BLUE), strict=True))
    formation.balancer.of |= moved
    change(formation, "service", "Balancer", Version=2)
    planned = prepare(formation)
    formation.stacks["service"].breaks = "Balancer (AWS::X): the subnet is too small"
    with pytest.raises(StackFailedError):
        execute(formation, planned)

    assert formation.executed == [("service", f"{NAME}-weights"), ("service", NAME)]
    assert formation.balancer.of == moved


def test_traffic_that_moves_again_is_noted_again(formation: FakeFormation) -> None:
    formation.balancer.of["listener"] = GREEN
    while ("service", f"{NAME}-weights") not in formation.executed:
        assert first_look(formation)["status"] == "preparing"
        formation.advance()
    formation.balancer.of["listener"] = BLUE
    prepare(formation)

    assert formation.executed == [("service", f"{NAME}-weights")] * 2
    assert formation.stacks["service"].there.parameters["BlueWeight"] == "100"  # type: ignore[union-attr]


def test_traffic_that_moves_before_it_is_noted_is_not_moved_back(formation: FakeFormation) -> None:
    formation.balancer.of["listener"] = GREEN
    first_look(formation)
    formation.advance()
    assert formation.stacks["service"].sets[f"{NAME}-weights"].execution_status == "AVAILABLE"
    formation.balancer.of["listener"] = Weights(50, 50)
    prepare(formation)

    assert formation.balancer.of["listener"] == Weights(50, 50)


def test_a_plan_moves_nothing_and_tells_nobody(formation: FakeFormation) -> None:
    formation.balancer.of["listener"] = GREEN
    change(formation, "service", "Balancer", Version=2)
    planned = prepare(formation, replace(DEPLOYMENT, mode="plan"))

    assert formation.executed == []
    assert [change["logical_id"] for each in planned for change in each["changes"]] == ["Balancer"]


def test_preparing_again_looks_instead_of_creating(formation: FakeFormation) -> None:
    prepare(formation)
    prepare(formation)
    assert formation.effects == [("create", name, NAME) for name in ALL]


def test_nothing_to_change_is_ready_and_executing_it_does_nothing(formation: FakeFormation) -> None:
    planned = prepare(formation)
    assert [each["empty"] for each in planned] == [True] * 4
    execute(formation, planned)

    assert (formation.executed, formation.unexecuted) == ([], [])


def test_only_the_stack_that_changes_is_executed(formation: FakeFormation) -> None:
    change(formation, "data", "Database", Nodes=3)
    provision(formation)
    assert formation.executed == [("data", NAME)]


def test_the_stack_that_is_waited_for_is_named(formation: FakeFormation) -> None:
    change(formation, "data", "Database", Nodes=3)
    waits = execute(formation, prepare(formation))
    assert waits[0] == "CloudFormation begins with the stack cutover-sandbox-data"
    assert first_look(FakeFormation())["waiting_for"].count("computes the changes of the stack") == 4


def test_a_change_set_that_failed_says_cloudformations_reason_and_the_stack(formation: FakeFormation) -> None:
    prepare(formation)
    sets = formation.stacks["data"].sets
    sets[NAME] = replace(sets[NAME], status="FAILED", reason="Parameter Layer must have values")
    with pytest.raises(ChangeSetFailedError, match=r"cutover-sandbox-data: .*Layer must have values"):
        prepare(formation)


def test_nothing_is_refused_while_another_change_set_is_still_being_made(formation: FakeFormation) -> None:
    """One that is being made can't be deleted, and would be left behind."""
    first_look(formation)
    sets = formation.stacks["network"].sets
    sets[NAME] = replace(sets[NAME], status="FAILED", reason="no such type")
    assert first_look(formation)["status"] == "preparing"


def test_a_busy_stack_is_waited_for(formation: FakeFormation) -> None:
    formation.stacks["data"].there = Stack("UPDATE_IN_PROGRESS", "", {})
    assert "the stack cutover-sandbox-data is UPDATE_IN_PROGRESS" in first_look(formation)["waiting_for"]


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_stuck_stack_is_told_with_its_way_out(formation: FakeFormation, status: str) -> None:
    formation.stacks["data"].there = Stack(status, "", {})
    with pytest.raises(StackFailedError, match=f"cutover-sandbox-data is {status}.*(delete|aws cloud)"):
        prepare(formation)


def test_what_a_killed_deployment_left_is_cleared_away(formation: FakeFormation) -> None:
    prepare(formation, replace(DEPLOYMENT, id="d1"))
    assert {name for _, name in formation.unexecuted} == {"cutover-d1"}
    provision(formation)
    assert formation.unexecuted == []


def test_a_stack_that_fails_says_its_first_resources_reason_and_the_later_ones_stay(
    formation: FakeFormation,
) -> None:
    change(formation, "data", "Database", Nodes=3)
    change(formation, "service", "Balancer", Version=2)
    planned = prepare(formation)
    formation.stacks["data"].breaks = "Database (AWS::DocDB::DBCluster): no capacity"
    with pytest.raises(
        StackFailedError,
        match=r"cutover-sandbox-data is UPDATE_ROLLBACK_COMPLETE: Database .*: no capacity",
    ):
        execute(formation, planned)

    assert formation.executed == [("data", NAME)]
    discard_change_sets(DEPLOYMENT, layers=formation.layers)
    assert formation.unexecuted == []


def new_subnet(formation: FakeFormation) -> None:
    """The network hands on another subnet than it did."""
    change(formation, "network", "Subnet", CidrBlock="10.0.2.0/24")
    formation.stacks["network"].wanted["Outputs"]["PrivateSubnet1"] = "subnet-2"


def test_a_change_that_earlier_outputs_bring_about_was_not_planned_and_is_refused_there(
    formation: FakeFormation,
) -> None:
    new_subnet(formation)
    planned = prepare(formation)
    assert [len(each["changes"]) for each in planned] == [1, 0, 0, 0]
    with pytest.raises(
        PlanChangedError, match=r"the stack cutover-sandbox-data would .*Database .*planned nothing, now to"
    ):
        execute(formation, planned)

    assert formation.executed == [("network", NAME)]
    discard_change_sets(DEPLOYMENT, layers=formation.layers)
    assert formation.unexecuted == []
    provision(formation, replace(DEPLOYMENT, id="d3"))
    assert formation.executed[1:] == [("data", "cutover-d3"), ("service", "cutover-d3")]


def test_a_change_set_is_made_again_for_the_outputs_that_there_are_now(formation: FakeFormation) -> None:
    """Both stacks take the new subnet, and change otherwise as planned: what is planned to change, may."""
    new_subnet(formation)
    change(formation, "service", "Balancer", Version=2)
    change(formation, "data", "Database", Nodes=3)
    execute(formation, prepare(formation))

    parameters = [formation.stacks[name].there.parameters for name in ("data", "service")]  # type: ignore[union-attr]
    assert [given["PrivateSubnet1"] for given in parameters] == ["subnet-2", "subnet-2"]
    assert formation.effects.count(("delete", "data", NAME)) == 1


def test_an_existing_stack_whose_new_input_is_not_there_yet_is_planned_from_its_template(
    formation: FakeFormation,
) -> None:
    formation.stacks["network"].wanted["Outputs"]["Zone"] = "a"
    change(formation, "service", "Balancer", Zone={"Ref": "Zone"})
    planned = prepare(formation)
    assert [each["basis"] for each in planned] == ["change_set", "change_set", "template", "change_set"]
    assert [c["kind"] for c in planned[2]["changes"]] == ["perhaps replace"]
    execute(formation, planned)
    assert formation.executed == [("network", NAME), ("service", NAME)]


def test_an_output_that_no_earlier_stack_has_is_named(formation: FakeFormation) -> None:
    change(formation, "service", "Balancer", Zone={"Ref": "Nowhere"})
    with pytest.raises(MisconfiguredError, match="the template service takes Nowhere, and no stack before"):
        execute(formation, prepare(formation))


@pytest.mark.parametrize("template", ALL)
def test_destruction_in_any_stack_is_refused_before_one_is_touched(
    formation: FakeFormation, template: str
) -> None:
    change(formation, "network", "Subnet", Tags="new")
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {}}
    formation.stacks[template].live["Resources"]["Precious"] = bucket
    with pytest.raises(
        DestructiveChangeError, match=f"Precious .*deleted .in the stack cutover-sandbox-{template}"
    ):
        prepare(formation)
    assert formation.executed == []


def test_traffic_that_moved_while_the_plan_was_read_is_not_moved_back(formation: FakeFormation) -> None:
    change(formation, "service", "Balancer", Version=2)
    planned = prepare(formation)
    formation.balancer.of["listener/frontend-rule"] = GREEN
    with pytest.raises(
        ChangeSetFailedError,
        match=r"carries .*frontend blue 100, green 0; .*has .*frontend blue 0, green 100",
    ):
        execute(formation, planned)
    assert formation.executed == []


def test_a_settled_environment_has_its_instances_too(formation: FakeFormation) -> None:
    short = FakeInstances(**{**FULL.groups, "frontend-blue": Group(["i-5"], 2)})
    answer = execute_change_sets(
        DEPLOYMENT,
        prepare(formation),
        layers=formation.layers,
        instances=short,
        balancer=formation.balancer,
    )
    assert answer == {"status": "settling", "waiting_for": "frontend-blue has 1 of 2 instances"}


def test_a_stack_that_rolls_back_is_waited_for(formation: FakeFormation) -> None:
    change(formation, "data", "Database", Nodes=3)
    planned = prepare(formation)
    stack = formation.stacks["data"]
    assert stack.there is not None
    stack.sets[NAME] = replace(stack.sets[NAME], execution_status="EXECUTE_FAILED")
    stack.there = replace(stack.there, status="UPDATE_ROLLBACK_IN_PROGRESS")
    answer = execute_change_sets(
        DEPLOYMENT, planned, layers=formation.layers, instances=FULL, balancer=formation.balancer
    )
    assert answer["waiting_for"] == "the stack cutover-sandbox-data is UPDATE_ROLLBACK_IN_PROGRESS"


def test_a_plan_leaves_no_change_set(formation: FakeFormation) -> None:
    prepare(formation)
    discard_change_sets(DEPLOYMENT, layers=formation.layers)
    assert formation.unexecuted == []
