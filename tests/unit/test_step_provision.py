"""Change sets, their execution, and the look afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.colours import Weights
from cutover.domain.declared import KINDS
from cutover.domain.errors import (
    ChangeSetFailedError,
    NotReachableError,
    StackFailedError,
)
from cutover.ports import Group, Stack, StackResource
from cutover.steps.execute_change_set import discard_change_set, execute_change_set, look_at_stack
from cutover.steps.prepare_change_set import prepare_change_set
from cutover.steps.verify_resources import verify_resources
from tests.contract.fakes import (
    FakeInstances,
    FakeInventory,
    FakeLive,
    FakeLoadBalancer,
    FakeStacks,
)
from tests.contract.scenes import DEPLOYMENT, STACK

NAME = "cutover-d2"
FULL = FakeInstances(backend_blue=Group(["i-1", "i-2"], 2), backend_green=Group(["i-3", "i-4"], 2))


def prepare(stacks: FakeStacks, balancer: FakeLoadBalancer | None = None) -> dict[str, Any]:
    return prepare_change_set(
        DEPLOYMENT, stacks=stacks, change_sets=stacks, balancer=balancer or FakeLoadBalancer()
    )


def look(stacks: FakeStacks, instances: FakeInstances = FULL) -> dict[str, Any]:
    return look_at_stack(DEPLOYMENT, stacks=stacks, change_sets=stacks, instances=instances)


def test_a_first_environment_is_created_with_all_weight_on_blue() -> None:
    stacks = FakeStacks()

    assert prepare(stacks)["status"] == "preparing"
    ((name, new, parameters),) = stacks.created
    assert (name, new) == (NAME, True)
    assert parameters == {
        "BlueWeight": "100",
        "GreenWeight": "0",
        "TestBlueWeight": "0",
        "TestGreenWeight": "100",
    }


def test_a_stack_that_a_plan_left_in_review_is_still_to_be_created() -> None:
    stacks = FakeStacks(Stack("REVIEW_IN_PROGRESS", "", {}))
    prepare(stacks)

    assert stacks.created[0][1] is True


def test_an_update_carries_the_weights_that_the_listeners_have() -> None:
    stacks, balancer = FakeStacks(STACK), FakeLoadBalancer(Weights(0, 100), Weights(100, 0))
    prepare(stacks, balancer)

    assert stacks.created[0][1:] == (
        False,
        {"BlueWeight": "0", "GreenWeight": "100", "TestBlueWeight": "100", "TestGreenWeight": "0"},
    )


def test_preparing_again_looks_instead_of_creating() -> None:
    stacks = FakeStacks(STACK)
    prepare(stacks)
    prepare(stacks)
    stacks.become(NAME, "CREATE_COMPLETE")
    answer = prepare(stacks)

    assert len(stacks.created) == 1
    assert answer["status"] == "ready"
    assert answer["change_set"]["changes"] == [
        {"action": "Modify", "logical_id": "Balancer", "destructive": None}
    ]


@pytest.mark.parametrize(
    "reason", ["The submitted information didn't contain changes.", "No updates are to be performed."]
)
def test_nothing_to_change_is_ready_and_executing_it_does_nothing(reason: str) -> None:
    stacks = FakeStacks(STACK)
    prepare(stacks)
    stacks.become(NAME, "FAILED", "UNAVAILABLE", reason)

    answer = prepare(stacks)
    assert answer["status"] == "ready"
    assert answer["change_set"] == {"name": NAME, "empty": True, "changes": []}
    assert execute_change_set(
        DEPLOYMENT, stacks=stacks, change_sets=stacks, instances=FULL, balancer=FakeLoadBalancer()
    ) == {"status": "settled"}
    assert stacks.executed == []


def test_a_change_set_that_failed_says_cloudformations_reason() -> None:
    stacks = FakeStacks(STACK)
    prepare(stacks)
    stacks.become(NAME, "FAILED", "UNAVAILABLE", "Parameter Layer must have values")

    with pytest.raises(ChangeSetFailedError, match="Layer must have values"):
        prepare(stacks)


def test_a_busy_stack_is_waited_for() -> None:
    stacks = FakeStacks(Stack("UPDATE_IN_PROGRESS", "", {}))

    assert "UPDATE_IN_PROGRESS" in prepare(stacks)["waiting_for"]
    assert stacks.created == []


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_stuck_stack_is_told_with_its_way_out(status: str) -> None:
    with pytest.raises(StackFailedError, match=f"{status}.*(delete|aws cloudformation)"):
        prepare(FakeStacks(Stack(status, "", {})))


def test_executing_begins_once() -> None:
    stacks = FakeStacks(STACK)
    prepare(stacks)
    stacks.become(NAME, "CREATE_COMPLETE")

    for _ in range(2):
        answer = execute_change_set(
            DEPLOYMENT, stacks=stacks, change_sets=stacks, instances=FULL, balancer=FakeLoadBalancer()
        )
        assert answer["status"] == "settling"
    assert stacks.executed == [NAME]


def test_a_settled_stack_has_its_instances_too() -> None:
    stacks = FakeStacks(STACK)
    short = FakeInstances(backend_blue=Group(["i-1"], 2), backend_green=Group(["i-3", "i-4"], 2))

    assert look(stacks, short)["waiting_for"] == "backend-blue has 1 of 2 instances"
    assert look(stacks) == {"status": "settled"}


def test_a_stack_that_failed_says_its_first_resources_reason() -> None:
    stacks = FakeStacks(Stack("UPDATE_ROLLBACK_COMPLETE", "", {}))
    stacks.failure = "Balancer (AWS::X): the subnet is too small"

    with pytest.raises(StackFailedError, match="the subnet is too small"):
        look(stacks)


@pytest.mark.parametrize("under_way", ["AVAILABLE", "EXECUTE_IN_PROGRESS"])
def test_the_status_of_the_operation_before_is_not_taken_for_this_ones(under_way: str) -> None:
    stacks = FakeStacks(STACK)
    prepare(stacks)
    stacks.become(NAME, "CREATE_COMPLETE", under_way)

    assert look(stacks)["status"] == "settling"
    stacks.become(NAME, "CREATE_COMPLETE", "EXECUTE_COMPLETE")
    assert look(stacks)["status"] == "settled"


def test_a_stack_that_rolls_back_is_waited_for() -> None:
    stacks = FakeStacks(Stack("UPDATE_ROLLBACK_IN_PROGRESS", "", {}))

    assert look(stacks)["status"] == "settling"


def test_a_change_set_that_is_gone_is_named() -> None:
    stacks = FakeStacks(STACK)
    with pytest.raises(ChangeSetFailedError, match=NAME):
        execute_change_set(
            DEPLOYMENT, stacks=stacks, change_sets=stacks, instances=FULL, balancer=FakeLoadBalancer()
        )


def test_a_plan_leaves_no_change_set() -> None:
    stacks = FakeStacks(STACK)
    prepare(stacks)
    discard_change_set(DEPLOYMENT, stacks=stacks, change_sets=stacks)

    assert stacks.sets == {}


def verify(
    stacks: FakeStacks | None = None,
    balancer: FakeLoadBalancer | None = None,
    instances: FakeInstances = FULL,
    inventory: FakeInventory | None = None,
    resources: FakeLive | None = None,
) -> dict[str, str]:
    answer = verify_resources(
        "cutover-sandbox",
        stacks=stacks or FakeStacks(STACK),
        balancer=balancer or FakeLoadBalancer(),
        instances=instances,
        inventory=inventory or FakeInventory(),
        resources=resources or FakeLive(),
    )
    return {gate["name"]: gate["verdict"] for gate in answer["gates"]}


def test_a_sound_environment_passes_every_gate() -> None:
    assert set(verify().values()) == {"Pass"}


def test_a_resource_that_is_not_complete_fails_its_gate() -> None:
    stacks = FakeStacks(STACK)
    stacks.held = [StackResource("Cache", "AWS::ElastiCache::ReplicationGroup", "CREATE_FAILED")]

    assert verify(stacks)["Every resource of the stack is complete"] == "Fail"


def test_a_stack_without_resources_is_no_data() -> None:
    stacks = FakeStacks(STACK)
    stacks.held = []

    assert verify(stacks)["Every resource of the stack is complete"] == "Inconclusive"


def test_what_can_not_be_read_is_inconclusive() -> None:
    balancer = FakeLoadBalancer()
    balancer.unreadable.add("listener")
    found = verify(balancer=balancer)

    assert found["The listener forwards to both colours"] == "Inconclusive"
    assert found["The test listener forwards to both colours"] == "Pass"


@pytest.mark.parametrize(
    ("found", "gate"),
    [
        ({"inventory": FakeInventory(database="creating")}, "The database is available"),
        ({"inventory": FakeInventory(cache=None)}, "The cache is available"),
        ({"balancer": FakeLoadBalancer(Weights(50, 50))}, "The listener forwards to both colours"),
        ({"instances": FakeInstances(backend_blue=Group([], 0))}, "The blue group has its instances"),
        ({"instances": FakeInstances()}, "The green group has its instances"),
    ],
)
def test_what_is_not_as_it_should_be_fails(found: dict[str, Any], gate: str) -> None:
    assert verify(**found)[gate] == "Fail"


ROWS = sorted(KINDS)


@pytest.mark.parametrize("kind", ROWS)
def test_each_resource_of_section_b_has_a_row_of_its_own(kind: str) -> None:
    name, logical_id = f"{kind.removeprefix('AWS::')} {kind.rsplit('::', 1)[1]}", kind.rsplit("::", 1)[1]
    assert verify()[name] == "Pass"
    for found, verdict in (
        (None, "Fail"),
        ({"cidr": "of another kind"}, "Fail"),
        (NotReachableError("it does not answer"), "Inconclusive"),
    ):
        live = FakeLive()
        live.found[logical_id] = found
        verdicts = verify(resources=live)
        assert verdicts.pop(name) == verdict
        assert set(verdicts.values()) == {"Pass"}


def test_a_kind_that_the_template_lacks_is_told() -> None:
    stacks = FakeStacks(STACK)
    stacks.declares = [each for each in stacks.declares if each.type != "AWS::EC2::NatGateway"]
    assert verify(stacks)["Every kind of resource of section B is declared"] == "Fail"
