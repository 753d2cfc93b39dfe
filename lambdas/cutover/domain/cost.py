"""What the environment's templates cost in a month, by a dated price table, resource by resource. What the
table does not know is told as unpriced: a missing price never counts as nothing.

Traffic, storage, requests and metrics are billed by use, and told so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cutover.domain.prices import PriceTable

Template = Mapping[str, Any]
UNKNOWN = "unknown"
UNPRICED = "unpriced"
# Resources that cost nothing by being there.
FREE = frozenset(
    {
        "AWS::AutoScaling::AutoScalingGroup",  # its instances cost, and are counted
        "AWS::CertificateManager::Certificate",
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
        "AWS::SNS::TopicPolicy",
        "AWS::SSM::Document",
        "AWS::SSM::Parameter",
        "AWS::SecretsManager::RotationSchedule",
    }
)
BY_USE = frozenset(
    {
        "AWS::CodeBuild::Project",
        "AWS::DocDB::DBCluster",
        "AWS::EC2::FlowLog",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
    }
)
# One of these is one priced item of this name.
SINGLE = {
    "AWS::CloudWatch::CompositeAlarm": "cloudwatch:composite-alarm",
    "AWS::CloudWatch::Dashboard": "cloudwatch:dashboard",
    "AWS::EC2::EIP": "ec2:public-ipv4",
    "AWS::EC2::NatGateway": "ec2:nat-gateway",
    "AWS::SecretsManager::Secret": "secretsmanager:secret",
}
# What a deployment and an environment cost beside the lines, in the order of their usual size.
BILLED_BY_USE = ("requests and balancer capacity", "traffic", "storage", "logs and metrics", "functions")
BUILD = "codebuild:general1.medium"


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
        for name, quantity in _parts(resource, resources):
            yield Item(logical_id, name, quantity)


def _parts(
    resource: Mapping[str, Any], resources: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, float]]:
    properties = resource.get("Properties") or {}
    match str(resource.get("Type")):
        case kind if kind in SINGLE:
            yield SINGLE[kind], 1
        case "AWS::AutoScaling::AutoScalingGroup":
            yield from _instances(properties, resources)
        case "AWS::CloudWatch::Alarm":
            yield _alarm(properties)
        case "AWS::DocDB::DBInstance":
            yield f"docdb:{properties.get('DBInstanceClass')}", 1
        case "AWS::ElastiCache::ReplicationGroup":
            nodes = _number(properties.get("NumCacheClusters"))
            yield f"elasticache:{properties.get('CacheNodeType')}", nodes
        case "AWS::ElasticLoadBalancingV2::LoadBalancer":
            yield from _balancer(properties)
        case kind if kind not in FREE | BY_USE:
            yield kind, 1


def _instances(
    group: Mapping[str, Any], resources: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, float]]:
    count = _number(group.get("DesiredCapacity", group.get("MinSize")))
    reference = (group.get("LaunchTemplate") or {}).get("LaunchTemplateId") or {}
    name = reference.get("Ref") if isinstance(reference, Mapping) else None
    launched = (resources.get(str(name)) or {}).get("Properties") or {}
    data = launched.get("LaunchTemplateData") or {}
    yield f"ec2:{data.get('InstanceType', UNKNOWN)}", count
    for device in data.get("BlockDeviceMappings") or []:
        disk = device.get("Ebs") or {}
        yield f"ebs:{disk.get('VolumeType', UNKNOWN)}", _number(disk.get("VolumeSize")) * count


def _balancer(properties: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """One that faces the internet has a public address in each of its zones.

    https://aws.amazon.com/vpc/pricing/ (Public IPv4 Address)
    """
    yield f"elasticloadbalancing:{properties.get('Type', 'application')}", 1
    if properties.get("Scheme", "internet-facing") == "internet-facing":
        yield "ec2:public-ipv4", len(properties.get("Subnets") or properties.get("SubnetMappings") or [])


def _alarm(properties: Mapping[str, Any]) -> tuple[str, float]:
    """An alarm costs as often as it looks at metrics, and more below a minute.

    https://aws.amazon.com/cloudwatch/pricing/ (Alarms)
    """
    metrics = [each["MetricStat"] for each in properties.get("Metrics") or [] if each.get("MetricStat")]
    periods = [_number(each.get("Period")) for each in metrics] or [_number(properties.get("Period", 60))]
    name = "cloudwatch:high-resolution-alarm" if min(periods) < 60 else "cloudwatch:alarm"
    return name, len(periods)


def _number(value: object) -> float:
    """Quantities that a template leaves to a parameter are not guessed: they count as one."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 1.0


def cost_of(logical_id: str, template: Template, table: PriceTable) -> str:
    """A resource's month in words, for people: an amount, `by use`, `unpriced`, or nothing for what is free.
    A question mark stands at an amount whose price nobody has looked up."""
    kind = str(((template.get("Resources") or {}).get(logical_id) or {}).get("Type"))
    mine = [item for item in items(template) if item.logical_id == logical_id]
    if not mine:
        return "by use" if kind in BY_USE else ""
    prices = [table.monthly(item.name) for item in mine]
    if None in prices:
        return UNPRICED
    amount = sum(price * item.quantity for price, item in zip(prices, mine, strict=True) if price is not None)
    doubt = "" if all(table.checked(item.name) for item in mine) else "?"
    return f"{amount:.2f}{doubt}"


def compare(
    wanted: Mapping[str, Template], live: Mapping[str, Template | None], table: PriceTable
) -> dict[str, Any]:
    """What changes in a month's bill, template by template and line by line.

    `delta` is of what is priced; `unpriced` names what comes, goes or stays without a price, so that a delta
    beside it is not the whole truth (`complete` says so). `unchecked` names the prices that stand in the
    figures and that nobody has looked up.
    """
    after = {name: _counted(template) for name, template in wanted.items()}
    before = {name: _counted(template or {}) for name, template in live.items()}
    names = {item for counted in (*after.values(), *before.values()) for item in counted}
    unpriced = sorted(name for name in names if table.monthly(name) is None)
    totals = {
        when: round(sum(_total(counted, table) for counted in templates.values()), 2)
        for when, templates in (("now", before), ("after", after))
    }
    return {
        "currency": table.currency,
        "as_of": table.as_of,
        "source": table.told_sources(names),
        "monthly": {
            **totals,
            "delta": round(totals["after"] - totals["now"], 2),
            "complete": not unpriced,
        },
        "unpriced": unpriced,
        "unchecked": table.unchecked(names),
        "lines": [
            line
            for name in dict.fromkeys((*after, *before))
            for line in _lines(name, after.get(name, Counter()), before.get(name, Counter()), table)
        ],
        "billed_by_use": list(BILLED_BY_USE),
    }


def _lines(
    template: str, after: Mapping[str, float], before: Mapping[str, float], table: PriceTable
) -> Iterator[dict[str, Any]]:
    for name in sorted({*after, *before}):
        quantity = after.get(name, 0) - before.get(name, 0)
        if quantity:
            price = table.monthly(name)
            yield {
                "template": template,
                "item": name,
                "quantity": quantity,
                "monthly": UNPRICED if price is None else round(price * quantity, 2),
                "checked": table.checked(name),
            }


def per_deployment(builds: bool, build_seconds: float | None, table: PriceTable) -> dict[str, Any]:
    """A deployment's own cost: the build's minutes, as long as the last builds took. A promotion builds
    nothing."""
    price = table.minute(BUILD)
    minutes: float | str = UNKNOWN if build_seconds is None else round(build_seconds / 60, 1)
    cost: float | str = UNKNOWN if build_seconds is None else round(build_seconds / 60 * (price or 0), 4)
    line = {
        "item": BUILD,
        "minutes": minutes if builds else 0,
        "cost": (UNPRICED if price is None else cost) if builds else 0.0,
        "checked": table.checked(BUILD),
    }
    return {
        "cost": line["cost"],
        "lines": [line],
        "billed_by_use": ["state transitions", "functions", "logs"],
    }


def _counted(template: Template) -> Counter[str]:
    counted: Counter[str] = Counter()
    for item in items(template):
        counted[item.name] += item.quantity  # type: ignore[assignment]
    return counted


def _total(counted: Mapping[str, float], table: PriceTable) -> float:
    return sum((table.monthly(name) or 0) * quantity for name, quantity in counted.items())
