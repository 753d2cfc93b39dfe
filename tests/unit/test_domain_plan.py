"""A plan's fingerprint, its differences, and what its template costs."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.cost import compare, items, per_deployment
from cutover.domain.plan import canonical, differences, fingerprint, kind_of
from cutover.handlers.plan import price_table

PRICES = {
    "currency": "USD",
    "as_of": "2026-01",
    "source": ["https://example.com"],
    "hours_per_month": 100,
    "hourly": {"ec2:t3.large": 0.1, "ec2:nat-gateway": 0.05},
    "monthly": {"cloudwatch:alarm": 0.1},
    "monthly_per_gb": {"ebs:gp3": 0.1},
}


def environment(instance_type: str = "t3.large", count: int = 3, **more: Any) -> dict[str, Any]:
    launch = {
        "InstanceType": instance_type,
        "BlockDeviceMappings": [{"Ebs": {"VolumeSize": 30, "VolumeType": "gp3"}}],
    }
    group = {"DesiredCapacity": str(count), "LaunchTemplate": {"LaunchTemplateId": {"Ref": "Launch"}}}
    return {
        "Resources": {
            "Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": launch}},
            "Blue": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": group},
            **more,
        }
    }


def test_one_content_has_one_spelling() -> None:
    assert (
        canonical({"b": [1, 2], "a": "é"})
        == canonical({"a": "é", "b": [1, 2]})
        == '{"a":"é","b":[1,2]}'.encode()
    )


def test_a_plans_fingerprint_covers_what_is_done_and_not_under_which_id() -> None:
    plan = {
        "deployment": "d1",
        "made_at": "now",
        "image": {"digest": "sha256:1", "tag": "d1"},
        "idle_colour": "green",
    }
    again = {**plan, "deployment": "d2", "made_at": "then", "image": {"digest": "sha256:1", "tag": "d2"}}
    assert fingerprint(plan) == fingerprint(again)
    assert fingerprint(plan) != fingerprint({**plan, "image": {"digest": "sha256:2", "tag": "d1"}})
    assert fingerprint(plan) != fingerprint({**plan, "idle_colour": "blue"})


def test_a_long_difference_is_cut_short() -> None:
    (found,) = differences({"version": "v" * 500}, {"version": "v1"})
    assert str(found) == f"version: {'v' * 59}… → v1"


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


def test_a_bigger_fleet_costs_what_its_instances_and_disks_cost() -> None:
    cost = compare(environment(count=4), environment(count=3), PRICES)

    assert cost["monthly"] == {"now": 39.0, "after": 52.0, "delta": 13.0, "complete": True}
    assert cost["lines"] == [
        {"item": "ebs:gp3", "quantity": 30, "monthly": 3.0},
        {"item": "ec2:t3.large", "quantity": 1, "monthly": 10.0},
    ]
    assert (cost["as_of"], cost["source"]) == ("2026-01", ["https://example.com"])


def test_nothing_changed_costs_nothing_more() -> None:
    cost = compare(environment(), environment(), PRICES)
    assert (cost["monthly"]["delta"], cost["lines"]) == (0.0, [])


def test_a_type_without_a_price_is_unpriced_and_never_free() -> None:
    cost = compare(environment("x9.huge"), environment(), PRICES)

    assert cost["unpriced"] == ["ec2:x9.huge"]
    assert cost["monthly"]["complete"] is False
    assert {"item": "ec2:x9.huge", "quantity": 3, "monthly": "unpriced"} in cost["lines"]


def test_a_resource_type_that_nobody_has_thought_of_is_unpriced() -> None:
    cost = compare(environment(Lake={"Type": "AWS::LakeFormation::Resource"}), None, PRICES)
    assert cost["unpriced"] == ["AWS::LakeFormation::Resource"]


def test_without_a_table_for_the_region_all_is_unpriced() -> None:
    assert price_table("mars-north-1") == {}
    cost = compare(environment(), None, {})
    assert (cost["monthly"]["complete"], cost["unpriced"]) == (False, ["ebs:gp3", "ec2:t3.large"])
    assert per_deployment(True, 60, {})["cost"] == "unpriced"


def test_a_build_costs_its_minutes() -> None:
    prices = {"per_minute": {"codebuild:general1.medium": 0.01}}
    assert per_deployment(True, 120, prices)["cost"] == 0.02
    assert per_deployment(True, None, prices)["cost"] == "unknown"


def test_the_table_that_ships_is_dated_and_has_sources() -> None:
    table = price_table("ap-northeast-2")
    assert table["as_of"]
    assert all(source.startswith("https://aws.amazon.com/") for source in table["source"])
    assert all(
        price > 0 for kind in ("hourly", "monthly", "monthly_per_gb") for price in table[kind].values()
    )
    assert [item.name for item in items(environment())] == ["ec2:t3.large", "ebs:gp3"]
    assert compare(environment(), None, table)["monthly"]["complete"]
