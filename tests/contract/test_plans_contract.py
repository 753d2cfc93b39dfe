"""Plans in a bucket, a stack's templates, and the answers to waiting tasks, as AWS has them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.adapters.plans import BucketPlans, StackTemplate
from cutover.adapters.tasks import StateMachineTasks
from cutover.domain.errors import NotWaitingError
from cutover.ports import Plans
from tests.contract.fakes import FakePlans
from tests.sandbox.conftest import Emulator

REGION = "ap-northeast-2"


def bucket(aws: Emulator) -> str:
    name = aws.unique("artifacts")
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture(params=["memory", "s3"])
def plans(request: pytest.FixtureRequest) -> Plans:
    if request.param == "memory":
        return FakePlans()
    aws = request.getfixturevalue("aws")
    return BucketPlans(aws.client("s3"), bucket(aws))


def test_a_plan_comes_back_as_it_was_kept(plans: Plans) -> None:
    document = {"version": "é", "cost": {"monthly": 1.5}, "live": None, "changes": [1, {"a": True}]}
    plans.keep("a" * 64, document)

    assert plans.read("a" * 64) == document
    assert plans.location("a" * 64).endswith(f"/plans/{'a' * 64}.json")


def test_a_plan_that_nobody_kept_is_none(plans: Plans) -> None:
    assert plans.read("b" * 64) is None


def test_the_wanted_template_is_the_assets_and_the_live_one_is_the_stacks(aws: Emulator) -> None:
    storage, formation, name = aws.client("s3"), aws.client("cloudformation"), aws.unique("environment")
    where = bucket(aws)
    template: dict[str, Any] = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    storage.put_object(Bucket=where, Key="t.json", Body=json.dumps(template).encode())
    url = f"https://s3.{REGION}.amazonaws.com/{where}/t.json"
    found = StackTemplate(storage, formation, url, name)

    assert found.live() is None
    body, digest = found.wanted()
    assert (body, len(digest)) == (template, 64)
    formation.create_stack(StackName=name, TemplateURL=url)
    aws.wait_for(
        lambda: formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE",
        what="the stack",
    )
    assert found.live() == template


def test_an_answer_that_nobody_waits_for_is_told_by_its_name(aws: Emulator) -> None:
    tasks = StateMachineTasks(aws.client("stepfunctions"))
    with pytest.raises(NotWaitingError):
        tasks.succeed("no-such-token", {})
    with pytest.raises(NotWaitingError):
        tasks.fail("no-such-token", "Error", "cause")
