"""A plan has one digest, binds the deployment that names it, and waits for a person where one is asked for.

That an approval nobody gives expires is walked (tests/unit/test_handler_walk.py): here it would wait for a minute.
"""

from __future__ import annotations

import json
import time

import pytest

from cli.execution import deployment_id
from config.model import load


def planned(product, *more):
    done = product.cutover("plan", "sandbox", "--version", "planned", "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def free(product):
    return json.loads(product.cutover("status", "sandbox", "--json").stdout)["lock"] is None


@pytest.fixture
def asks_for_approval(product, limits_off):
    """Given an environment, with a release, that is configured to wait for a person, for a minute."""
    product.given_live()

    def ask(configuration):
        assert configuration["approval"] == load("sandbox").for_lambdas()["approval"]
        configuration["approval"] = {"required": True, "expires_minutes": 1}

    with product.configured(ask):
        yield


def waiting(product, execution_arn):
    """Wait until the deployment waits."""
    key = {"pk": {"S": f"DEPLOYMENT#{deployment_id(execution_arn)}"}, "sk": {"S": "APPROVAL"}}
    deadline = time.monotonic() + 60
    while "Item" not in product.environment.journal.get_item(
        TableName=product.environment.journal_table, Key=key, ConsistentRead=True
    ):
        assert time.monotonic() < deadline, "nobody was asked"
        time.sleep(0.3)
    return deployment_id(execution_arn)


def test_the_same_plan_has_the_same_digest_and_is_kept(product):
    first, again = planned(product), planned(product)
    assert first["sha256"] == again["sha256"]
    assert first["deployment"] != again["deployment"]
    kept = product.environment.storage.get_object(
        Bucket=product.environment.artifacts_bucket, Key=f"plans/{first['sha256']}.json"
    )
    assert json.loads(kept["Body"].read())["sha256"] == first["sha256"]
    assert first["location"].endswith(f"/plans/{first['sha256']}.json")
    assert first["cost"]["unpriced"], "the table has no price of DocumentDB: it has to say so"
    assert [each["template"] for each in first["change_sets"]] == ["network", "data", "service", "monitoring"]
    assert first["console"].endswith(f"prefix=plans/{first['sha256']}.json")


def test_people_read_the_plan_by_persona(product):
    done = product.cutover("plan", "sandbox", "--version", "planned", "--persona", "security")
    assert done.returncode == 0, done.stderr
    order = [done.stdout.index(f"\n{name}\n") for name in ("security", "reliability", "performance")]
    assert order == sorted(order)
    assert "--plan" in done.stdout


def test_an_unknown_plan_is_refused(product):
    done = product.cutover("deploy", "sandbox", "--plan", "0" * 64)
    assert done.returncode == 2
    assert "PlanNotFoundError" in done.stderr


def test_a_setting_that_was_not_planned_is_refused_by_its_name(product):
    digest = planned(product)["sha256"]
    done = product.cutover("deploy", "sandbox", "--plan", digest, "--set", "LOG_LEVEL=DEBUG")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "PlanChangedError" in done.stderr
    assert "changed since: settings. settings (LOG_LEVEL): nothing → DEBUG" in done.stderr
    assert free(product)


def test_an_answer_to_nobody_is_told(product):
    done = product.cutover("approve", "sandbox", "no-such-deployment", "--reason", "why not")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "deployment no-such-deployment is not known" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rejected_plan_touches_nothing_and_says_who_and_why(product, asks_for_approval):
    execution_arn = product.start("rejected")
    name = waiting(product, execution_arn)
    done = product.cutover("reject", "sandbox", name, "--reason", "not on a Monday", "--json")
    assert done.returncode == 0, done.stderr
    ended = product.end_of(execution_arn)
    assert (ended.status, ended.error) == ("FAILED", "ApprovalRejectedError")
    assert "user/operator" in ended.cause
    assert "not on a Monday" in ended.cause
    assert product.record(execution_arn)["phases"] == []
    again = product.cutover("approve", "sandbox", name, "--reason", "I say yes")
    assert again.returncode == 3
    assert "it was rejected by" in again.stderr
    assert free(product)


def test_an_approved_plan_promotes_its_image_without_a_build_and_holds_once(product, asks_for_approval):
    image, builds = product.live()["image"], product.root("codebuild").list_builds()["ids"]
    document = planned(product, "--image", image)
    execution_arn = product.start("planned", image=image, plan=document["sha256"])
    name = waiting(product, execution_arn)
    done = product.cutover("approve", "sandbox", name, "--reason", "the plan is sound")
    assert done.returncode == 0, done.stderr
    ended = product.end_of(execution_arn)
    assert ended.status == "SUCCEEDED", f"{ended.error}: {ended.cause}"
    record = product.record(execution_arn)
    assert record["approval"]["status"] == "APPROVED"
    assert record["approval"]["by"].endswith("user/operator")
    assert record["image"] == product.live()["image"] == image
    assert product.root("codebuild").list_builds()["ids"] == builds
    gates = {gate["name"]: gate for phase in record["phases"] for gate in phase["gates"]}
    scan = gates["The image has no critical or high vulnerability"]
    assert (scan["verdict"], scan["found"]) == ("Pass", "0 critical, 0 high")
    audit = gates["The Python packages have no known vulnerability"]
    assert (audit["verdict"], audit["found"][:8]) == ("Pass", "0 known ")
    web = gates["The web scan finds nothing critical or high"]
    assert (web["verdict"], web["found"][:8]) == ("Inconclusive", "not run:")
    assert product.live()["version"] == "planned"
    again = product.cutover("deploy", "sandbox", "--plan", document["sha256"])
    assert again.returncode == 3, again.stdout + again.stderr
    assert "weights backend" in again.stderr
    assert "live release" in again.stderr
