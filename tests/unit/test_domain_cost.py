"""What the environment's templates cost: resource by resource, and what changes in a month's bill."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.cost import compare, cost_of, items, per_deployment
from cutover.domain.errors import MisconfiguredError
from cutover.domain.prices import NO_PRICES, PriceTable
from cutover.handlers.plan import PRICES, price_table

TABLE = PriceTable.read(
    {
        "currency": "USD",
        "as_of": "2026-01-02",
        "hours_per_month": 100,
        "sources": {
            "list": {"what": "the price list", "url": "https://example.com/list"},
            "memory": {"what": "remembered", "url": "https://example.com"},
        },
        "prices": {
            "ec2:t3.large": {"price": 0.1, "per": "hour", "checked": "2026-01-02", "source": "list"},
            "ec2:public-ipv4": {"price": 0.01, "per": "hour", "checked": "2026-01-02", "source": "list"},
            "elasticloadbalancing:application": {
                "price": 0.2,
                "per": "hour",
                "checked": "2026-01-02",
                "source": "list",
            },
            "ebs:gp3": {"price": 0.1, "per": "gigabyte-month", "checked": False, "source": "memory"},
            "cloudwatch:alarm": {"price": 0.1, "per": "month", "checked": "2026-01-02", "source": "list"},
            "codebuild:general1.medium": {
                "price": 0.01,
                "per": "minute",
                "checked": False,
                "source": "memory",
            },
        },
    }
)


def fleet(instance_type: str = "t3.large", count: int = 3, **more: Any) -> dict[str, Any]:
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


def one(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Resources": {"It": {"Type": kind, "Properties": properties}}}


def test_a_bigger_fleet_costs_what_its_instances_and_disks_cost() -> None:
    cost = compare({"service": fleet(count=4)}, {"service": fleet(count=3)}, TABLE)

    assert cost["monthly"] == {"now": 39.0, "after": 52.0, "delta": 13.0, "complete": True}
    assert cost["lines"] == [
        {"template": "service", "item": "ebs:gp3", "quantity": 30, "monthly": 3.0, "checked": False},
        {"template": "service", "item": "ec2:t3.large", "quantity": 1, "monthly": 10.0, "checked": True},
    ]


def test_the_bill_is_told_template_by_template() -> None:
    before = {"network": None, "service": fleet(count=1)}
    cost = compare({"network": one("AWS::EC2::EIP"), "service": fleet(count=1)}, before, TABLE)

    assert [(line["template"], line["monthly"]) for line in cost["lines"]] == [("network", 1.0)]
    assert cost["monthly"]["delta"] == 1.0


def test_what_moves_to_another_template_costs_nothing_more() -> None:
    cost = compare({"a": one("AWS::EC2::EIP"), "b": {}}, {"a": None, "b": one("AWS::EC2::EIP")}, TABLE)

    assert cost["monthly"]["delta"] == 0.0
    assert [(line["template"], line["quantity"]) for line in cost["lines"]] == [("a", 1), ("b", -1)]


def test_prices_that_nobody_has_looked_up_are_named_and_only_those() -> None:
    cost = compare({"service": fleet()}, {}, TABLE)

    assert (cost["as_of"], cost["unchecked"]) == ("2026-01-02", ["ebs:gp3"])
    assert cost["source"] == ["the price list: https://example.com/list", "remembered: https://example.com"]


def test_nothing_changed_costs_nothing_more() -> None:
    cost = compare({"service": fleet()}, {"service": fleet()}, TABLE)
    assert (cost["monthly"]["delta"], cost["lines"]) == (0.0, [])


def test_a_type_without_a_price_is_unpriced_and_never_free() -> None:
    cost = compare({"service": fleet("x9.huge")}, {"service": fleet()}, TABLE)

    assert cost["unpriced"] == ["ec2:x9.huge"]
    assert cost["monthly"]["complete"] is False
    assert [line["monthly"] for line in cost["lines"]] == [-30.0, "unpriced"]


def test_a_resource_type_that_nobody_has_thought_of_is_unpriced() -> None:
    cost = compare({"data": one("AWS::LakeFormation::Resource")}, {"data": None}, TABLE)
    assert cost["unpriced"] == ["AWS::LakeFormation::Resource"]


def test_without_a_table_for_the_region_all_is_unpriced() -> None:
    assert price_table("mars-north-1") is NO_PRICES
    cost = compare({"service": fleet()}, {}, NO_PRICES)
    assert (cost["monthly"]["complete"], cost["unpriced"]) == (False, ["ebs:gp3", "ec2:t3.large"])
    assert per_deployment(True, 60, NO_PRICES)["cost"] == "unpriced"


def test_a_balancer_that_faces_the_internet_pays_for_an_address_in_each_zone() -> None:
    """https://aws.amazon.com/vpc/pricing/: every public IPv4 address costs, a load balancer's too."""
    public = one("AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets=["a", "b"], Scheme="internet-facing")
    inside = one("AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets=["a", "b"], Scheme="internal")

    assert cost_of("It", public, TABLE) == "22.00"
    assert cost_of("It", inside, TABLE) == "20.00"


def test_an_alarm_costs_as_often_as_it_looks_at_metrics_and_more_below_a_minute() -> None:
    """https://aws.amazon.com/cloudwatch/pricing/: per alarm metric; high resolution has its own price."""
    metrics = [
        {"Id": "rate", "Expression": "errors/requests"},
        {"Id": "errors", "MetricStat": {"Period": 60}},
        {"Id": "requests", "MetricStat": {"Period": 60}},
    ]
    quick = [{"Id": "errors", "MetricStat": {"Period": 10}}]

    assert [(i.name, i.quantity) for i in items(one("AWS::CloudWatch::Alarm", Metrics=metrics))] == [
        ("cloudwatch:alarm", 2)
    ]
    assert [i.name for i in items(one("AWS::CloudWatch::Alarm", Metrics=quick))] == [
        "cloudwatch:high-resolution-alarm"
    ]
    assert [i.name for i in items(one("AWS::CloudWatch::Alarm", Period=300))] == ["cloudwatch:alarm"]


@pytest.mark.parametrize(
    ("logical_id", "told"),
    [("Blue", "39.00?"), ("Launch", ""), ("Lake", "unpriced"), ("Code", "by use")],
)
def test_each_resources_month_is_told_in_a_word(logical_id: str, told: str) -> None:
    template = fleet(Lake={"Type": "AWS::LakeFormation::Resource"}, Code={"Type": "AWS::Lambda::Function"})
    assert cost_of(logical_id, template, TABLE) == told


def test_a_build_costs_its_minutes_and_a_promotion_none() -> None:
    built = per_deployment(True, 120, TABLE)

    assert built["cost"] == 0.02
    assert built["lines"] == [
        {"item": "codebuild:general1.medium", "minutes": 2.0, "cost": 0.02, "checked": False}
    ]
    assert per_deployment(True, None, TABLE)["cost"] == "unknown"
    assert per_deployment(False, 120, TABLE)["cost"] == 0.0


@pytest.mark.parametrize(
    "row", [{}, {"price": "free", "per": "hour", "source": "x"}, {"price": 1, "per": "week", "source": "x"}]
)
def test_a_price_that_can_not_be_read_is_named(row: dict[str, Any]) -> None:
    with pytest.raises(MisconfiguredError, match=r"prices: ec2:t3\.large: "):
        PriceTable.read({"prices": {"ec2:t3.large": row}})


@pytest.mark.parametrize("path", sorted(PRICES.glob("*.json")), ids=lambda path: path.stem)
def test_the_tables_that_ship_have_prices_with_sources_and_dates(path: Any) -> None:
    table = price_table(path.stem)

    assert table.prices
    assert table.as_of >= "2026"
    for name, price in table.prices.items():
        assert price.amount > 0, name
        assert price.source in table.sources, name
        assert (price.source == "memory") == (price.checked is None), name
