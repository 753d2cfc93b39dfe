"""A plan has one digest, binds the deployment that names it, and waits for a person where one is asked for.

One that is approved is executed in test_9_migrations.py. That an approval nobody gives expires is walked (tests/unit/test_handler_walk.py): here it would wait for a minute.
"""

from __future__ import annotations

import json


def planned(product, *more):
    done = product.cutover("plan", "sandbox", "--version", "planned", "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def free(product):
    return json.loads(product.cutover("status", "sandbox", "--json").stdout)["lock"] is None


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


def test_a_rejected_plan_touches_nothing_and_says_who_and_why(product):
    product.given_live()
    with product.asks_for_approval():
        execution_arn = product.start("rejected")
        name = product.asked()
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
