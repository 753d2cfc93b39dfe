"""Rules of security groups: read, taken away, and put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.declared import Rule

# Where the API keeps each kind of peer.
PEERS = (
    ("IpRanges", "CidrIp"),
    ("Ipv6Ranges", "CidrIpv6"),
    ("UserIdGroupPairs", "GroupId"),
    ("PrefixListIds", "PrefixListId"),
)
DIRECTIONS = (("IpPermissions", False), ("IpPermissionsEgress", True))


def rules_of(group: Mapping[str, Any]) -> frozenset[Rule]:
    """The rules of a described security group, one for each peer."""
    return frozenset(
        Rule(
            str(permission["IpProtocol"]),
            int(permission.get("FromPort", -1)),
            int(permission.get("ToPort", -1)),
            str(entry[name]),
            outward,
        )
        for direction, outward in DIRECTIONS
        for permission in group.get(direction) or []
        for kind, name in PEERS
        for entry in permission.get(kind) or []
    )


class SecurityGroupDoors:
    def __init__(self, ec2: Any) -> None:
        self._ec2 = ec2

    def rules(self, groups: Sequence[str]) -> Mapping[str, frozenset[Rule]]:
        """By filter, because a group that is gone must not hide the others."""
        pages = self._ec2.get_paginator("describe_security_groups")
        with aws_errors():
            found = pages.paginate(Filters=[{"Name": "group-id", "Values": list(groups)}])
            return {group["GroupId"]: rules_of(group) for page in found for group in page["SecurityGroups"]}

    def close(self, group: str, rule: Rule) -> None:
        self._change("revoke", group, rule, done="InvalidPermission.NotFound")

    def put_back(self, group: str, rule: Rule) -> None:
        self._change("authorize", group, rule, done="InvalidPermission.Duplicate")

    def _change(self, verb: str, group: str, rule: Rule, *, done: str) -> None:
        """`done` is the error that says that somebody was faster."""
        call = getattr(self._ec2, f"{verb}_security_group_{'egress' if rule.outward else 'ingress'}")
        with aws_errors():
            try:
                call(GroupId=group, IpPermissions=[_permission(rule, described=verb == "authorize")])
            except ClientError as error:
                if code(error) != done:
                    raise


def _permission(rule: Rule, *, described: bool) -> dict[str, Any]:
    kind, name = _kind(rule.peer)
    entry = {name: rule.peer}
    if described and rule.description:
        entry["Description"] = rule.description
    permission: dict[str, Any] = {"IpProtocol": rule.protocol, kind: [entry]}
    if rule.protocol != "-1":
        permission |= {"FromPort": rule.first_port, "ToPort": rule.last_port}
    return permission


def _kind(peer: str) -> tuple[str, str]:
    if peer.startswith("sg-"):
        return PEERS[2]
    if peer.startswith("pl-"):
        return PEERS[3]
    return PEERS[1] if ":" in peer else PEERS[0]
