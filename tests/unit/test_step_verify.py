"""The look at what is live, after CloudFormation has settled."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.colours import Weights
from cutover.domain.declared import KINDS
from cutover.domain.errors import NotReachableError
from cutover.domain.stacks import StackResource
from cutover.ports import Group
from cutover.steps.verify_resources import verify_resources
from tests.contract.fakes import FakeInstances, FakeInventory, FakeLive, FakeLoadBalancer
from tests.contract.formation import FakeFormation
from tests.contract.provisioning import FULL


def verify(
    formation: FakeFormation | None = None,
    balancer: FakeLoadBalancer | None = None,
    instances: FakeInstances = FULL,
    inventory: FakeInventory | None = None,
    resources: FakeLive | None = None,
) -> dict[str, str]:
    answer = verify_resources(
        "cutover-sandbox",
        layers=(formation or FakeFormation()).layers,
        balancer=balancer or FakeLoadBalancer(),
        instances=instances,
        inventory=inventory or FakeInventory(),
        resources=resources or FakeLive(),
    )
    return {gate["name"]: gate["verdict"] for gate in answer["gates"]}


def test_a_sound_environment_passes_every_gate() -> None:
    assert set(verify().values()) == {"Pass"}


@pytest.mark.parametrize("template", ["network", "data", "service", "monitoring"])
def test_a_resource_that_is_not_complete_fails_its_stacks_gate(template: str) -> None:
    formation = FakeFormation()
    formation.stacks[template].held = [StackResource("Cache", "AWS::X", "CREATE_FAILED")]
    verdicts = verify(formation)

    assert verdicts.pop(f"Every resource of the {template} stack is complete") == "Fail"
    assert set(verdicts.values()) == {"Pass"}


def test_a_stack_without_resources_is_no_data() -> None:
    formation = FakeFormation()
    formation.stacks["data"].held = []

    assert verify(formation)["Every resource of the data stack is complete"] == "Inconclusive"


def test_what_can_not_be_read_is_inconclusive() -> None:
    balancer = FakeLoadBalancer()
    balancer.unreadable.add("listener")
    found = verify(balancer=balancer)

    assert found["The listener forwards to both colours"] == "Inconclusive"
    assert found["The test listener forwards to both colours"] == "Pass"


def split_rule() -> FakeLoadBalancer:
    balancer = FakeLoadBalancer()
    balancer.of["listener/frontend-rule"] = Weights(50, 50)
    return balancer


@pytest.mark.parametrize(
    ("found", "gate"),
    [
        ({"inventory": FakeInventory(database="creating")}, "The database is available"),
        ({"inventory": FakeInventory(cache=None)}, "The cache is available"),
        ({"balancer": FakeLoadBalancer(Weights(50, 50))}, "The listener forwards to both colours"),
        ({"balancer": split_rule()}, "The frontend's rule forwards to both colours"),
        ({"instances": FakeInstances(backend_blue=Group([], 0))}, "The blue group has its instances"),
        ({"instances": FakeInstances()}, "The green group has its instances"),
        ({"instances": FakeInstances()}, "The frontend's green group has its instances"),
        ({"instances": FakeInstances()}, "The monitoring group has its instances"),
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


def test_a_kind_that_no_template_has_is_told() -> None:
    formation = FakeFormation()
    network = formation.stacks["network"]
    network.declares = [each for each in network.declares if each.type != "AWS::EC2::NatGateway"]
    assert verify(formation)["Every kind of resource of section B is declared"] == "Fail"


def test_a_certificate_may_stand_outside_of_the_templates() -> None:
    formation = FakeFormation()
    for stack in formation.stacks.values():
        stack.declares = [each for each in stack.declares if "Certificate" not in each.type]
    assert verify(formation)["Every kind of resource of section B is declared"] == "Pass"


def test_the_resources_of_all_stacks_are_looked_at_together() -> None:
    formation = FakeFormation()
    network, service = formation.stacks["network"], formation.stacks["service"]
    service.declares, network.declares = network.declares[5:], network.declares[:5]
    assert set(verify(formation).values()) == {"Pass"}
