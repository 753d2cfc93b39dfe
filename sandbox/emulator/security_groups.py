"""Security groups as EC2 has them, where ministack is more lenient.

- The filter `group-id` of DescribeSecurityGroups counts; one that names a group which is gone is no error.
  https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
- A rule that is there already is InvalidPermission.Duplicate, one to revoke that is not there
  InvalidPermission.NotFound, and descriptions make no difference for either.
  https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
"""

from __future__ import annotations

from typing import Any

from ministack.services import ec2

from sandbox.emulator.context import Context, replace, seam

Parameters = dict[str, Any]
_PAIRS = {"UserIdGroupPairs": "GroupId", "PrefixListIds": "PrefixListId"}


def install(_context: Context) -> None:
    actions: dict[str, Any] = seam(ec2, "_ACTION_MAP")
    actions["DescribeSecurityGroups"] = _filtered(actions["DescribeSecurityGroups"])
    for direction, key in (("Ingress", "IpPermissions"), ("Egress", "IpPermissionsEgress")):
        for verb, present in (("Authorize", True), ("Revoke", False)):
            name = f"{verb}SecurityGroup{direction}"
            actions[name] = _strict(actions[name], key, present=present)
    strip = seam(ec2, "_strip_descriptions")

    def stripped(rule: Parameters) -> Parameters:
        bare: Parameters = strip(rule)
        for key, name in _PAIRS.items():
            bare[key] = [{name: each.get(name)} for each in bare.get(key) or []]
        return bare

    replace(ec2, "_strip_descriptions", stripped)


def _filtered(describe: Any) -> Any:
    def describe_groups(parameters: Parameters) -> Any:
        wanted = ec2._parse_filters(parameters).get("group-id")
        if wanted is None:
            return describe(parameters)
        there = [group for group in wanted if group in ec2._security_groups]
        if not there:
            return ec2._xml(200, "DescribeSecurityGroupsResponse", "<securityGroupInfo/>")
        return describe({**parameters, **{f"GroupId.{n}": [group] for n, group in enumerate(there, 1)}})

    return describe_groups


def _strict(change: Any, key: str, *, present: bool) -> Any:
    """Refuses a rule that is `present` already (for authorising), or that is not (for revoking)."""

    def change_rules(parameters: Parameters) -> Any:
        group = ec2._security_groups.get(ec2._p(parameters, "GroupId"))
        for rule in ec2._parse_ip_permissions(parameters, "IpPermissions") if group else ():
            if any(ec2._rules_match(rule, each) for each in group[key]) is present:
                if present:
                    told = "the specified rule already exists"
                    return ec2._error("InvalidPermission.Duplicate", told, 400)
                told = "The specified rule does not exist in this security group."
                return ec2._error("InvalidPermission.NotFound", told, 400)
        return change(parameters)

    return change_rules
