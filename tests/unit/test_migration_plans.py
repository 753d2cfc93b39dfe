"""The database function's look at the migrations, as the plan function asks for it."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from cutover.adapters.migration_plans import AskedMigrationPlans
from cutover.domain.errors import (
    MigrationRefusedError,
    MisconfiguredError,
    NotReachableError,
    ServiceRefusedError,
)
from cutover.handlers import database
from tests.unit.test_handler_walk import SOURCE, House, house  # noqa: F401  the walk's fixture

STEP = {"phase": "expand", "name": "0001_words", "what": "Words in lower case."}


class Asked:
    def __init__(self) -> None:
        client = boto3.client(
            "lambda", region_name="ap-northeast-2", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.stub = Stubber(client)
        self.stub.activate()
        self.plans = AskedMigrationPlans(client, "cutover-sandbox-database")

    def answer(self, told: Any, error: str | None = None) -> None:
        answer: dict[str, Any] = {"Payload": io.BytesIO(json.dumps(told).encode())}
        wanted = {
            "FunctionName": "cutover-sandbox-database",
            "Payload": json.dumps({"action": "plan", "source": SOURCE}).encode(),
        }
        self.stub.add_response("invoke", {**answer, **({"FunctionError": error} if error else {})}, wanted)


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_steps_and_refusals_are_handed_on(asked: Asked) -> None:
    told = {"steps": [STEP], "refused": [], "estimate": {"reasons": {"create users.email": "12 documents"}}}
    asked.answer(told)
    assert asked.plans.look(SOURCE) == told


def test_before_the_first_deployment_there_is_nobody_to_ask(asked: Asked) -> None:
    asked.stub.add_client_error("invoke", "ResourceNotFoundException", http_status_code=404)
    assert asked.plans.look(SOURCE) is None


def test_a_function_of_before_there_were_plans_tells_none(asked: Asked) -> None:
    asked.answer(
        {"errorType": "InvalidInputError", "errorMessage": "action: 'plan' is not known"}, "Unhandled"
    )
    assert asked.plans.look(SOURCE) is None


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("MisconfiguredError", MisconfiguredError),
        ("NotReachableError", NotReachableError),
        ("AccessDeniedError", ServiceRefusedError),
        ("Sandbox.Timedout", ServiceRefusedError),
    ],
)
def test_what_the_function_could_not_do_is_told_in_its_words(
    asked: Asked, kind: str, raised: type[Exception]
) -> None:
    asked.answer({"errorType": kind, "errorMessage": "0003_words.py:7"}, "Unhandled")
    with pytest.raises(raised, match=f"{kind}: 0003_words.py:7"):
        asked.plans.look(SOURCE)


def test_a_release_that_is_refused_has_a_plan_too(house: House) -> None:  # noqa: F811
    house.migrator.pending = ["0003_drop_words"]
    told = database.handler({"action": "plan", "source": SOURCE}, None)
    assert [step["name"] for step in told["steps"]] == ["0003_drop_words"]

    def refused() -> None:
        raise MigrationRefusedError("two of number 3")

    house.migrator.plan = refused  # type: ignore[method-assign,assignment]
    told = database.handler({"action": "plan", "source": SOURCE}, None)
    assert told == {"steps": [], "refused": ["two of number 3"], "estimate": {}}
