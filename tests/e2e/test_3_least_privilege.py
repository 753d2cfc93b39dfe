"""IAM is real: with one action less in one role, the deployment fails naming it, and rolls back cleanly."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def without_modify_listener(product):
    """Given a swap role that may no longer change the listener."""
    iam = product.root("iam")
    role = "cutover-sandbox-swap"
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    document = json.loads(document) if isinstance(document, str) else document
    action = "elasticloadbalancing:ModifyListener"
    less = json.loads(json.dumps(document))
    removed = 0
    for statement in less["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        removed += actions.count(action)
        statement["Action"] = [a for a in actions if a != action]
    less["Statement"] = [statement for statement in less["Statement"] if statement["Action"]]
    assert removed, "the role never had the action, so that removing it would prove nothing"
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(less))
    yield action
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


def test_a_missing_permission_fails_the_deployment_by_name_and_leaves_traffic_alone(
    product, without_modify_listener, limits_off
):
    """An image that is known is promoted, and gets as far as the swap."""
    before, weights = product.given_live(), product.weights()
    builds = product.root("codebuild").list_builds()["ids"]
    ended, record = product.deploy("v10", image=before["image"])
    assert ended.status == "FAILED"
    assert "AccessDenied" in ended.error
    assert without_modify_listener in ended.cause
    assert "cutover-sandbox-swap" in ended.cause
    assert record["status"] in {"FAILED", "ROLLED_BACK"}
    assert record["image"] == before["image"]
    assert product.root("codebuild").list_builds()["ids"] == builds, "it was built anew"
    gates = {gate["name"]: gate for phase in record["phases"] for gate in phase["gates"]}
    scan = gates["The image has no critical or high vulnerability"]
    assert (scan["verdict"], scan["found"]) == ("Pass", "0 critical, 0 high")
    audit = gates["The Python packages have no known vulnerability"]
    assert (audit["verdict"], audit["found"][:8]) == ("Pass", "0 known ")
    web = gates["The web scan finds nothing critical or high"]
    assert (web["verdict"], web["found"][:8]) == ("Inconclusive", "not run:")
    assert product.live()["version"] == before["version"]
    assert product.weights() == weights
    assert json.loads(product.cutover("status", "sandbox", "--json").stdout)["lock"] is None
