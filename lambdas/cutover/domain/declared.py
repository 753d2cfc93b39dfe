"""What the deployed template declares, with its references resolved, and the facts that follow from it.

The wanted state of the environment is read from the template that CloudFormation deployed, so that no second
list of it can grow old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cutover.domain.gates import Persona, Subject

WORLD = frozenset({"0.0.0.0/0", "::/0"})
#: How a reference begins that can't be resolved.
UNRESOLVED = "${"
Facts = Mapping[str, str]


@dataclass(frozen=True)
class Declared:
    """One resource of the stack; `properties` are the template's, resolved."""

    logical_id: str
    type: str
    physical_id: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Rule:
    """Who may come in where, or go out: one peer (a CIDR, a group's or a prefix list's id). Ports are -1 for
    a protocol without. What describes a rule makes no difference."""

    protocol: str
    first_port: int
    last_port: int
    peer: str
    outward: bool = False
    description: str = field(default="", compare=False)

    def __str__(self) -> str:
        ports = (
            str(self.first_port)
            if self.first_port == self.last_port
            else f"{self.first_port}-{self.last_port}"
        )
        what = "everything" if self.protocol == "-1" else f"{self.protocol} {ports}"
        return f"{what} {'to' if self.outward else 'from'} {self.peer}"

    @property
    def lets_the_world_in(self) -> bool:
        return self.peer in WORLD and not self.outward


def resolve(
    template: Mapping[str, Any], physical: Mapping[str, str], parameters: Mapping[str, str]
) -> list[Declared]:
    """The template's resources. What can't be resolved becomes `${Name.Attribute}`, which equals nothing."""
    known = {**parameters, **physical}
    return [
        Declared(id, str(body["Type"]), physical.get(id, ""), _resolved(body.get("Properties") or {}, known))
        for id, body in (template.get("Resources") or {}).items()
    ]


def _resolved(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_resolved(each, known) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return known.get(value["Ref"], f"${{{value['Ref']}}}")
    if set(value) == {"Fn::GetAtt"}:
        name, attribute = value["Fn::GetAtt"]
        # A security group's id is its physical id; no other attribute is needed here.
        return known.get(name) if attribute == "GroupId" and name in known else f"${{{name}.{attribute}}}"
    if set(value) == {"Fn::Join"}:
        separator, parts = value["Fn::Join"]
        return str(separator).join(str(_resolved(part, known)) for part in parts)
    return {key: _resolved(each, known) for key, each in value.items()}


#: What EC2 gives a group for which the template declares no way out.
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroup.html
EVERYWHERE = Rule("-1", -1, -1, "0.0.0.0/0", outward=True)
PEERS = (
    "CidrIp",
    "CidrIpv6",
    "SourceSecurityGroupId",
    "DestinationSecurityGroupId",
    "SourcePrefixListId",
    "DestinationPrefixListId",
)


def rules(declared: Iterable[Declared]) -> dict[str, frozenset[Rule]]:
    """By the security group's id, every rule that the template declares, in both directions."""
    groups: dict[str, set[Rule]] = {}
    for each in declared:
        if each.type == "AWS::EC2::SecurityGroup":
            own = groups.setdefault(each.physical_id, set())
            own.update(_rule(rule, False) for rule in each.properties.get("SecurityGroupIngress") or [])
            own.update(_rule(rule, True) for rule in each.properties.get("SecurityGroupEgress") or [])
        elif each.type in ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"):
            rule = _rule(each.properties, each.type.endswith("Egress"))
            groups.setdefault(str(each.properties["GroupId"]), set()).add(rule)
    return {
        group: frozenset(found if any(rule.outward for rule in found) else found | {EVERYWHERE})
        for group, found in groups.items()
    }


def _rule(properties: Mapping[str, Any], outward: bool) -> Rule:
    protocol = str(properties["IpProtocol"])
    # Ports count for nothing where every protocol is meant.
    ports = ("FromPort", "ToPort") if protocol != "-1" else ()
    first, last = (int(properties.get(name, -1)) for name in ports) if ports else (-1, -1)
    return Rule(
        protocol,
        first,
        last,
        next((str(properties[name]) for name in PEERS if properties.get(name)), "nowhere"),
        outward,
        str(properties.get("Description") or ""),
    )


@dataclass(frozen=True)
class Kind:
    """A type of resource that section B asks for, and what of it must be found as declared. One that is not
    `required` may stand outside of the templates, as a certificate does whose ARN is configured."""

    subject: Subject
    facts: Callable[[Declared, Sequence[Declared]], Facts]
    required: bool = True


def _of(requirement: str) -> Subject:
    return Subject(requirement, Persona.SECURITY if requirement == "B2" else Persona.RELIABILITY)


def _rules(group: Declared, every: Sequence[Declared]) -> Facts:
    return rule_facts(rules(every).get(group.physical_id, frozenset()))


def rule_facts(found: Iterable[Rule]) -> Facts:
    """The rules of one security group, in the order in which they are compared."""
    ordered = sorted(found)
    return {
        name: "; ".join(str(rule) for rule in ordered if rule.outward is outward) or "none"
        for name, outward in (("ingress", False), ("egress", True))
    }


def _cluster(cluster: Declared, every: Sequence[Declared]) -> Facts:
    nodes = [
        each
        for each in every
        if each.type == "AWS::DocDB::DBInstance"
        and each.properties.get("DBClusterIdentifier") == cluster.physical_id
    ]
    encrypted = yes(cluster.properties.get("StorageEncrypted"))
    return {"status": "available", "nodes": str(len(nodes)), "encrypted": encrypted}


def yes(value: object) -> str:
    return "yes" if str(value).lower() == "true" else "no"


def _encryption(bucket: Declared) -> str:
    rules = (bucket.properties.get("BucketEncryption") or {}).get("ServerSideEncryptionConfiguration") or []
    algorithms = [(rule.get("ServerSideEncryptionByDefault") or {}).get("SSEAlgorithm") for rule in rules]
    return str(algorithms[0]) if algorithms else "none"


def hosts(conditions: Iterable[Mapping[str, Any]]) -> str:
    """The host names of a rule's conditions, in either of the two forms in which they are written.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RuleCondition.html
    """
    named = [each for each in conditions if each.get("Field") == "host-header"]
    found = [each.get("Values") or (each.get("HostHeaderConfig") or {}).get("Values") or [] for each in named]
    return ", ".join(sorted({str(name) for names in found for name in names})) or "any"


def number(value: object) -> str:
    """5, 5.0 and "5" are the same number."""
    return f"{float(str(value)):g}"


def _health_check(p: Mapping[str, Any]) -> str:
    return (
        f"{p.get('HealthCheckPath')} every {p.get('HealthCheckIntervalSeconds')} s, "
        f"{p.get('HealthyThresholdCount')} up, {p.get('UnhealthyThresholdCount')} down"
    )


def _secret(secret: Declared, every: Sequence[Declared]) -> Facts:
    rotated = any(
        each.type == "AWS::SecretsManager::RotationSchedule"
        and each.properties.get("SecretId") == secret.physical_id
        for each in every
    )
    return {"name": str(secret.properties["Name"]), "value": "generated", "rotated": yes(rotated)}


def names(domain: object, others: Iterable[object] | None) -> str:
    """A certificate's names, each once, in the order in which they are compared."""
    return ", ".join(sorted({str(domain), *(str(other) for other in others or ())}))


#: Every required kind must be in the templates at least once.
KINDS: Mapping[str, Kind] = {
    "AWS::EC2::VPC": Kind(_of("B1"), lambda d, _: {"cidr": d.properties["CidrBlock"]}),
    "AWS::EC2::Subnet": Kind(
        _of("B1"), lambda d, _: {"cidr": d.properties["CidrBlock"], "zone": d.properties["AvailabilityZone"]}
    ),
    "AWS::EC2::NatGateway": Kind(
        _of("B1"), lambda d, _: {"subnet": d.properties["SubnetId"], "state": "available"}
    ),
    "AWS::EC2::Route": Kind(
        _of("B1"),
        lambda d, _: {
            "to": str(d.properties["DestinationCidrBlock"]),
            "through": str(d.properties.get("NatGatewayId") or d.properties.get("GatewayId")),
            "state": "active",
        },
    ),
    "AWS::EC2::FlowLog": Kind(
        _of("B1"),
        lambda d, _: {
            "of": str(d.properties["ResourceId"]),
            "traffic": str(d.properties["TrafficType"]),
            "state": "ACTIVE",
        },
    ),
    "AWS::EC2::SecurityGroup": Kind(_of("B2"), _rules),
    "AWS::EC2::LaunchTemplate": Kind(
        _of("B3"), lambda d, _: {"type": d.properties["LaunchTemplateData"]["InstanceType"]}
    ),
    "AWS::AutoScaling::AutoScalingGroup": Kind(
        _of("B3"),
        lambda d, _: {
            "desired": number(d.properties["DesiredCapacity"]),
            "in service": number(d.properties["DesiredCapacity"]),
        },
    ),
    "AWS::DocDB::DBCluster": Kind(_of("B4"), _cluster),
    "AWS::DocDB::DBInstance": Kind(
        _of("B4"), lambda d, _: {"class": d.properties["DBInstanceClass"], "status": "available"}
    ),
    "AWS::ElastiCache::ReplicationGroup": Kind(
        _of("B5"),
        lambda d, _: {
            "status": "available",
            "nodes": number(d.properties["NumCacheClusters"]),
            "TLS": yes(d.properties.get("TransitEncryptionEnabled")),
            "encrypted": yes(d.properties.get("AtRestEncryptionEnabled")),
        },
    ),
    "AWS::SecretsManager::Secret": Kind(_of("B5"), _secret),
    "AWS::S3::Bucket": Kind(_of("B6"), lambda d, _: {"encryption": _encryption(d)}),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": Kind(
        _of("B7"),
        lambda d, _: {
            "state": "active",
            "scheme": str(d.properties["Scheme"]),
            "zones": str(len(d.properties["Subnets"])),
        },
    ),
    "AWS::ElasticLoadBalancingV2::Listener": Kind(
        _of("B7"),
        lambda d, _: {
            "port": number(d.properties["Port"]),
            "protocol": str(d.properties["Protocol"]),
            "TLS policy": str(d.properties.get("SslPolicy")),
        },
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": Kind(
        _of("B7"),
        lambda d, _: {
            "priority": number(d.properties["Priority"]),
            "hosts": hosts(d.properties["Conditions"]),
        },
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": Kind(
        _of("B7"),
        lambda d, _: {"port": number(d.properties["Port"]), "health check": _health_check(d.properties)},
    ),
    "AWS::CertificateManager::Certificate": Kind(
        _of("B7"),
        lambda d, _: {
            "status": "ISSUED",
            "names": names(d.properties["DomainName"], d.properties.get("SubjectAlternativeNames")),
        },
        required=False,
    ),
    "AWS::CloudWatch::Alarm": Kind(
        _of("D1"),
        lambda d, _: {
            "threshold": number(d.properties["Threshold"]),
            "periods": number(d.properties["EvaluationPeriods"]),
            "missing data": str(d.properties.get("TreatMissingData", "missing")),
        },
    ),
}


def wanted(declared: Declared, every: Sequence[Declared]) -> Facts:
    """What the live API must say of the resource."""
    return KINDS[declared.type].facts(declared, every)
