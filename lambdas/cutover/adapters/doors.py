"""Ingress rules of security groups: read, and closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.adapters.aws import aws_errors
from cutover.domain.declared import Rule

# Where the API keeps each kind of source, and how it is given back to close it.
SOURCES = (
    ("IpRanges", "CidrIp"),
    ("Ipv6Ranges", "CidrIpv6"),
    ("UserIdGroupPairs", "GroupId"),
    ("PrefixListIds", "PrefixListId"),
)


def rules_of(group: Mapping[str, Any]) -> frozenset[Rule]:
    """The rules of a described security group, one for each source."""
    return frozenset(
        Rule(
            str(permission["IpProtocol"]),
            int(permission.get("FromPort", -1)),
            int(permission.get("ToPort", -1)),
            str(entry[name]),
        )
        for permission in group.get("IpPermissions") or []
        for kind, name in SOURCES
        for entry in permission.get(kind) or []
    )


class SecurityGroupDoors:
    def __init__(self, ec2: Any) -> None:
        self._ec2 = ec2

    def rules(self, groups: Sequence[str]) -> Mapping[str, frozenset[Rule]]:
        with aws_errors():
            found = self._ec2.describe_security_groups(GroupIds=list(groups))["SecurityGroups"]
        return {group["GroupId"]: rules_of(group) for group in found}

    def close(self, group: str, rule: Rule) -> None:
        kind, name = SOURCES[1] if ":" in rule.source else SOURCES[0]
        permission: dict[str, Any] = {"IpProtocol": rule.protocol, kind: [{name: rule.source}]}
        if rule.protocol != "-1":
            permission |= {"FromPort": rule.first_port, "ToPort": rule.last_port}
        with aws_errors():
            self._ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
