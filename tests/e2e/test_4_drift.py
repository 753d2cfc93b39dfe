"""Given an environment, when somebody opens a door by hand, then it is told, and closed on request."""

from __future__ import annotations

import json
from typing import Any

import pytest

SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


@pytest.fixture(scope="module")
def group(product: Any) -> Any:
    """The backend's security group, of an environment that is there and without drift."""
    product.given_live()
    (found,) = product.root("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["cutover-sandbox-backend"]}]
    )["SecurityGroups"]
    return found["GroupId"]


def drift(product: Any, *options: str) -> tuple[int, dict[str, Any]]:
    done = product.cutover("drift", "sandbox", "--json", *options)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_an_environment_as_it_was_deployed_has_no_drift(product: Any, group: str) -> None:
    code, told = drift(product)
    assert (code, told["findings"], told["status"]) == (0, [], "none")
    assert told["cloudformation"]["status"] == "IN_SYNC", told["cloudformation"]


def test_ssh_from_anywhere_is_told_then_closed(product: Any, group: str) -> None:
    product.root("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[SSH])
    opened = {"group": "cutover-sandbox-backend", "rule": "tcp 22 from 0.0.0.0/0", "what": "opened"}
    code, told = drift(product)
    assert (code, told["findings"]) == (1, [{**opened, "done": "left"}])

    code, told = drift(product, "--restore")
    assert (code, told["findings"]) == (0, [{**opened, "done": "closed"}])
    assert drift(product)[0] == 0
    (found,) = product.root("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert not [each for each in found["IpPermissions"] if each.get("FromPort") == 22]


def described(rule: dict[str, Any]) -> list[str]:
    return [pair.get("Description", "") for pair in rule["UserIdGroupPairs"]]


def test_the_nights_look_puts_back_what_was_taken_away_and_tells_it(product: Any, group: str) -> None:
    ec2 = product.root("ec2")
    (before,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    (taken,) = [rule for rule in before["IpPermissions"] if described(rule) == ["BalancerToBackend"]]
    source = {"UserIdGroupPairs": [{"GroupId": taken["UserIdGroupPairs"][0]["GroupId"]}]}
    ports = {key: taken[key] for key in ("IpProtocol", "FromPort", "ToPort")}
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[{**ports, **source}])
    assert drift(product)[0] == 1

    started = product.environment.states.start_execution(
        stateMachineArn=product.environment.state_machine_arn,
        input=json.dumps({"environment": "sandbox", "version": "nightly", "mode": "nightly"}),
    )["executionArn"]
    ended, record = product.end_of(started), product.record(started)
    assert (ended.status, record["status"]) == ("SUCCEEDED", "VERIFIED"), ended.cause
    (finding,) = record["drift"]["findings"]
    assert (finding["group"], finding["what"], finding["done"]) == (
        "cutover-sandbox-backend",
        "missing",
        "put back",
    )
    drilled = product.end_of(ended.output["drill"])
    # The night's drill, which follows the look, finds no release to go back to: a failed one came after it.
    assert (drilled.status, "no drill now" in drilled.cause) == ("FAILED", True), drilled.cause
    assert drift(product)[0] == 0
    (after,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert ["BalancerToBackend"] in [described(rule) for rule in after["IpPermissions"]]
