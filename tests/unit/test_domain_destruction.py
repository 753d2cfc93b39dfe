"""Which changes would destroy something, and what the deployment says to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.destruction import STATEFUL, destruction, refused
from cutover.domain.errors import DestructiveChangeError, InvalidInputError
from cutover.domain.input import read_input
from cutover.steps.prepare_change_sets import prepare_change_sets
from sandbox.emulator.formation_changes import resource_schema
from tests.contract.formation import FakeFormation
from tests.contract.provisioning import execute, prepare
from tests.contract.scenes import DEPLOYMENT

KINDS = sorted(STATEFUL)


def change(kind: str, action: str = "Modify", replacement: str = "True", *properties: str) -> dict[str, Any]:
    return {
        "action": action,
        "logical_id": "Kept",
        "type": kind,
        "replacement": replacement,
        "scope": ["Properties"],
        "properties": list(properties),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_replacing_or_deleting_is_destructive_for_each_of_the_six_kinds(kind: str) -> None:
    for each in (change(kind), change(kind, "Remove", "False"), change(kind, "Dynamic", "False")):
        found = destruction(each)
        assert found is not None
        assert str(found).startswith(f"Kept ({kind}): ")


@pytest.mark.parametrize("kind", KINDS)
def test_perhaps_is_settled_by_the_create_only_properties(kind: str) -> None:
    for name in STATEFUL[kind]:
        found = destruction(change(kind, "Modify", "Conditional", "Tags", name))
        assert found is not None
        assert found.reason == f"it may be replaced, because of {name}"
    assert destruction(change(kind, "Modify", "Conditional", "Tags")) is None


@pytest.mark.parametrize("kind", KINDS)
def test_perhaps_without_a_property_is_no_proof_that_nothing_is_lost(kind: str) -> None:
    assert destruction(change(kind, "Modify", "Conditional")) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_making_it_or_changing_it_in_place_destroys_nothing(kind: str) -> None:
    assert destruction(change(kind, "Add", "False")) is None
    assert destruction(change(kind, "Modify", "False", "Tags")) is None


def test_what_holds_no_data_may_be_replaced() -> None:
    assert destruction(change("AWS::EC2::LaunchTemplate")) is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_has_what_the_resource_schemas_call_create_only(kind: str) -> None:
    """https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html"""
    schema = resource_schema("ap-northeast-2", kind)
    assert schema is not None
    paths = [
        path
        for key in ("createOnlyProperties", "conditionalCreateOnlyProperties")
        for path in schema.get(key, [])
    ]
    assert paths
    assert {path.split("/")[2] for path in paths} == STATEFUL[kind]


def test_only_what_is_named_is_let_through() -> None:
    changes = [{**change(KINDS[0]), "logical_id": name} for name in ("One", "Two")]
    assert [lost.logical_id for lost in refused(changes, ["One"])] == ["Two"]
    assert refused(changes, ["Two", "One"]) == []


def replacing(kind: str) -> FakeFormation:
    """The data stack's change set would replace a resource of this kind."""
    formation = FakeFormation()
    prepare_change_sets(DEPLOYMENT, layers=formation.layers, balancer=formation.balancer)
    formation.advance()
    data = formation.stacks["data"]
    made = replace(data.sets["cutover-d2"], status="CREATE_COMPLETE", execution_status="AVAILABLE", reason="")
    data.sets["cutover-d2"] = replace(made, changes=[change(kind)])
    return formation


@pytest.mark.parametrize("kind", KINDS)
def test_a_deployment_refuses_with_the_name_and_the_way_out(kind: str) -> None:
    formation = replacing(kind)
    with pytest.raises(DestructiveChangeError, match=f"Kept .{kind}.*--allow-destructive Kept"):
        prepare(formation)
    assert formation.executed == []


def test_executing_refuses_too() -> None:
    formation = replacing(KINDS[0])
    planned = prepare(formation, replace(DEPLOYMENT, mode="plan"))
    with pytest.raises(DestructiveChangeError):
        execute(formation, planned)
    assert formation.executed == []


def test_what_is_named_goes_through() -> None:
    allowing = replace(DEPLOYMENT, allow_destructive=("Kept",))
    formation = replacing(KINDS[0])
    execute(formation, prepare(formation, allowing), allowing)
    assert formation.executed == [("data", "cutover-d2")]


def test_a_plan_shows_the_destruction() -> None:
    planned = prepare(replacing(KINDS[0]), replace(DEPLOYMENT, mode="plan"))
    assert planned[1]["changes"][0]["destructive"].startswith("it would be replaced")


@pytest.mark.parametrize("value", ["Database", [1], ["a b"], [""]])
def test_a_list_that_names_nothing_is_refused(value: object) -> None:
    given = {"environment": "sandbox", "version": "v", "image": f"sha256:{'0' * 64}"}
    with pytest.raises(InvalidInputError, match=r"^allow_destructive: "):
        read_input({**given, "allow_destructive": value}, "sandbox")
    assert read_input({**given, "allow_destructive": ["Kept"]}, "sandbox").allow_destructive == ("Kept",)
