"""What a template costs in a month, by a dated price table. What the table does not know is told as unpriced:
a missing price never counts as nothing.

Prices are list prices on demand; traffic, storage and requests are billed by use, and told so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Template = Mapping[str, Any]
UNKNOWN = "unknown"
UNPRICED = "unpriced"
# Resources that cost nothing by being there.
FREE = frozenset(
    {
        "AWS::AutoScaling::AutoScalingGroup",  # its instances cost, and are counted
        "AWS::CertificateManager::Certificate",
        "AWS::DocDB::DBCluster",  # its instances cost; its storage is billed by use
        "AWS::DocDB::DBClusterParameterGroup",
        "AWS::DocDB::DBSubnetGroup",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::LaunchTemplate",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPC",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ElastiCache::ParameterGroup",
        "AWS::ElastiCache::SubnetGroup",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::Role",
        "AWS::Lambda::Permission",
        "AWS::Route53::RecordSet",
        "AWS::S3::BucketPolicy",
        "AWS::SSM::Document",
        "AWS::SSM::Parameter",
    }
)
BY_USE = frozenset({"AWS::EC2::FlowLog", "AWS::Lambda::Function", "AWS::Logs::LogGroup", "AWS::S3::Bucket"})
# One of these is one priced item of this name.
SINGLE = {
    "AWS::CloudWatch::Alarm": "cloudwatch:alarm",
    "AWS::CloudWatch::Dashboard": "cloudwatch:dashboard",
    "AWS::EC2::EIP": "ec2:public-ipv4",
    "AWS::EC2::NatGateway": "ec2:nat-gateway",
    "AWS::SecretsManager::Secret": "secretsmanager:secret",
}


@dataclass(frozen=True)
class Item:
    """So many of something that has (or lacks) a price; `quantity` is a number or gigabytes."""

    logical_id: str
    name: str
    quantity: float


def items(template: Template) -> Iterator[Item]:
    """Everything in the template that costs by being there. A resource type that nobody has thought of is an
    item too, of its type's name, which no table knows."""
    resources: Mapping[str, Mapping[str, Any]] = template.get("Resources") or {}
    for logical_id, resource in sorted(resources.items()):
        kind, properties = str(resource.get("Type")), resource.get("Properties") or {}
        if kind in SINGLE:
            yield Item(logical_id, SINGLE[kind], 1)
        elif kind == "AWS::AutoScaling::AutoScalingGroup":
            yield from _instances(logical_id, properties, resources)
        elif kind == "AWS::DocDB::DBInstance":
            yield Item(logical_id, f"docdb:{properties.get('DBInstanceClass')}", 1)
        elif kind == "AWS::ElastiCache::ReplicationGroup":
            nodes = _number(properties.get("NumCacheClusters"))
            yield Item(logical_id, f"elasticache:{properties.get('CacheNodeType')}", nodes)
        elif kind == "AWS::ElasticLoadBalancingV2::LoadBalancer":
            yield Item(logical_id, f"elasticloadbalancing:{properties.get('Type', 'application')}", 1)
        elif kind not in FREE | BY_USE:
            yield Item(logical_id, kind, 1)


def _instances(
    logical_id: str, group: Mapping[str, Any], resources: Mapping[str, Mapping[str, Any]]
) -> Iterator[Item]:
    count = _number(group.get("DesiredCapacity", group.get("MinSize")))
    reference = (group.get("LaunchTemplate") or {}).get("LaunchTemplateId") or {}
    name = reference.get("Ref") if isinstance(reference, Mapping) else None
    launched = (resources.get(str(name)) or {}).get("Properties") or {}
    data = launched.get("LaunchTemplateData") or {}
    yield Item(logical_id, f"ec2:{data.get('InstanceType', UNKNOWN)}", count)
    for device in data.get("BlockDeviceMappings") or []:
        disk = device.get("Ebs") or {}
        size = _number(disk.get("VolumeSize")) * count
        yield Item(logical_id, f"ebs:{disk.get('VolumeType', UNKNOWN)}", size)


def _number(value: object) -> float:
    """Quantities that a template leaves to a parameter are not guessed: they count as one."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 1.0


def unit_price(name: str, prices: Mapping[str, Any]) -> float | None:
    """What one of it costs in a month; None when the table does not know it."""
    if name in (prices.get("hourly") or {}):
        return float(prices["hourly"][name]) * float(prices["hours_per_month"])
    for table in ("monthly", "monthly_per_gb"):
        if name in (prices.get(table) or {}):
            return float(prices[table][name])
    return None


def monthly(template: Template | None, prices: Mapping[str, Any]) -> tuple[float, list[str]]:
    """(the sum of what is priced, the names of what is not)."""
    total, unpriced = 0.0, set()
    for item in items(template or {}):
        price = unit_price(item.name, prices)
        if price is None:
            unpriced.add(item.name)
        else:
            total += price * item.quantity
    return total, sorted(unpriced)


def compare(wanted: Template, live: Template | None, prices: Mapping[str, Any]) -> dict[str, Any]:
    """What changes in a month's bill. `delta` is of what is priced; `unpriced` names what comes, goes or
    stays without a price, so that a delta beside it is not the whole truth (`complete` says so)."""
    after, lacking = monthly(wanted, prices)
    before, lacked = monthly(live, prices)
    changed = _counted(items(wanted))
    changed.subtract(_counted(items(live or {})))
    lines = [
        {"item": name, "quantity": quantity, "monthly": _rounded(unit_price(name, prices), quantity)}
        for name, quantity in sorted(changed.items())
        if quantity
    ]
    unpriced = sorted({*lacking, *lacked})
    return {
        "currency": prices.get("currency"),
        "as_of": prices.get("as_of"),
        "source": prices.get("source") or [],
        "monthly": {
            "now": round(before, 2),
            "after": round(after, 2),
            "delta": round(after - before, 2),
            "complete": not unpriced,
        },
        "unpriced": unpriced,
        "lines": lines,
        "billed_by_use": ["requests and balancer capacity", "traffic", "storage", "logs", "functions"],
    }


def per_deployment(builds: bool, build_seconds: float | None, prices: Mapping[str, Any]) -> dict[str, Any]:
    """A deployment's own cost: the build's minutes, as long as the last builds took. A promotion builds
    nothing."""
    name = "codebuild:general1.medium"
    if not builds:
        return {"item": name, "minutes": 0, "cost": 0.0}
    price = (prices.get("per_minute") or {}).get(name)
    minutes = round(build_seconds / 60, 1) if build_seconds is not None else UNKNOWN
    if price is None:
        return {"item": name, "minutes": minutes, "cost": UNPRICED}
    cost = UNKNOWN if build_seconds is None else round(build_seconds / 60 * float(price), 4)
    return {"item": name, "minutes": minutes, "cost": cost}


def _counted(every: Iterable[Item]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for item in every:
        counted[item.name] += item.quantity  # type: ignore[assignment]
    return counted


def _rounded(price: float | None, quantity: float) -> float | str:
    return UNPRICED if price is None else round(price * quantity, 2)
