"""The kinds of changes, what is foreseen of a stack without a change set, and what was not planned."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.changes import (
    change_sets_of,
    foreseen,
    in_order,
    kind_of,
    security_group_changes,
    unplanned,
)


def template(**resources: Any) -> dict[str, Any]:
    return {"Resources": resources}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def change(action: str, logical_id: str, replacement: str = "False") -> dict[str, Any]:
    return {"action": action, "logical_id": logical_id, "type": "AWS::X", "replacement": replacement}


@pytest.mark.parametrize(
    ("action", "replacement", "kind"),
    [
        ("Add", "False", "create"),
        ("Remove", "False", "delete"),
        ("Modify", "False", "change"),
        ("Modify", "True", "replace"),
        ("Modify", "Conditional", "perhaps replace"),
        ("Import", "False", "import"),
    ],
)
def test_a_change_is_one_of_a_few_kinds(action: str, replacement: str, kind: str) -> None:
    assert kind_of({"action": action, "replacement": replacement}) == kind


def test_a_stack_that_is_not_there_makes_everything_of_its_template() -> None:
    wanted = template(Vpc=resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"), Igw=resource("AWS::EC2::X"))
    told = in_order(foreseen(wanted, None))

    assert [(each["logical_id"], each["kind"]) for each in told] == [("Igw", "create"), ("Vpc", "create")]
    assert told[1] == {
        "action": "Add",
        "logical_id": "Vpc",
        "type": "AWS::EC2::VPC",
        "replacement": "False",
        "scope": [],
        "properties": [],
        "causes": [],
        "destructive": None,
        "kind": "create",
    }


def test_between_two_templates_what_differs_is_told_with_its_properties() -> None:
    same = resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16")
    live = template(Vpc=same, Gone=resource("AWS::S3::Bucket"), Cache=resource("AWS::X", Size=1, Old=1))
    wanted = template(Vpc=same, New=resource("AWS::X"), Cache=resource("AWS::X", Size=2, New=1))
    told = in_order(foreseen(wanted, live))

    assert [(each["logical_id"], each["kind"], each["properties"]) for each in told] == [
        ("Cache", "perhaps replace", ["New", "Old", "Size"]),
        ("Gone", "delete", []),
        ("New", "create", []),
    ]


def test_what_a_foreseen_change_would_destroy_is_told() -> None:
    live = template(
        Kept=resource("AWS::S3::Bucket", BucketName="a", Tags=[]), Gone=resource("AWS::DocDB::DBCluster")
    )
    wanted = template(Kept=resource("AWS::S3::Bucket", BucketName="b", Tags=[]))

    assert {each["logical_id"]: each["destructive"] for each in foreseen(wanted, live)} == {
        "Kept": "it may be replaced, because of BucketName",
        "Gone": "it would be deleted",
    }


def test_a_change_set_is_believed_and_a_missing_one_is_foreseen() -> None:
    change_sets = [
        {"template": "network", "basis": "change_set", "empty": False, "changes": [change("Modify", "Vpc")]},
        {"template": "data", "basis": "template", "empty": False, "changes": []},
    ]
    wanted = {"network": template(), "data": template(Database=resource("AWS::DocDB::DBCluster"))}
    told = change_sets_of(change_sets, wanted, {"network": None, "data": None})

    assert [(each["template"], [c["kind"] for c in each["changes"]]) for each in told] == [
        ("network", ["change"]),
        ("data", ["create"]),
    ]


def test_changes_that_touch_who_may_come_in_are_named_with_their_template() -> None:
    door = {**change("Add", "Door"), "type": "AWS::EC2::SecurityGroupIngress", "kind": "create"}
    other = {**change("Add", "Vpc"), "kind": "create"}
    assert security_group_changes([{"template": "network", "changes": [door, other]}]) == [
        {
            "template": "network",
            "logical_id": "Door",
            "type": "AWS::EC2::SecurityGroupIngress",
            "kind": "create",
        }
    ]


def test_a_change_that_was_not_planned_is_named_with_what_was() -> None:
    planned = [change("Modify", "Vpc"), change("Add", "New"), change("Modify", "Same")]
    found = [change("Modify", "Vpc", "True"), change("Modify", "Same"), change("Remove", "Bucket")]

    assert unplanned(planned, found) == [
        "Bucket (AWS::X): planned nothing, now to delete",
        "New (AWS::X): planned to create, now nothing",
        "Vpc (AWS::X): planned to change, now to replace",
    ]
    assert unplanned(planned, list(reversed(planned))) == []


@pytest.mark.parametrize(
    ("found", "covered"),
    [
        ([change("Modify", "Cache", "True")], True),
        ([change("Modify", "Cache", "False")], True),
        ([change("Modify", "Cache", "Conditional")], True),
        ([], True),
        ([change("Remove", "Cache")], False),
    ],
)
def test_perhaps_replace_stands_for_whatever_cloudformation_decides_but_not_for_a_deletion(
    found: list[dict[str, Any]], covered: bool
) -> None:
    assert (not unplanned([change("Modify", "Cache", "Conditional")], found)) is covered
