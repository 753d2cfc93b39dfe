"""What `cutover plan` tells people, and what `cutover deploy --plan` takes from a plan."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.commands.deploy import exit_code, kept_plan
from cli.commands.plan import told
from cli.errors import ExitCode, UserError
from cli.execution import Ended
from cli.options import build_request
from cli.session import Environment
from tests.contract.scenes import DEPLOYMENT, DIGEST, V1, live
from tests.unit.test_step_plan import BIGGER, DOOR, SOURCE, Planner, replace

NOTHING: dict[str, Any] = {
    "version": None,
    "source": None,
    "image": None,
    "settings": (),
    "force_reason": None,
    "persona": "all",
    "user_centric": False,
}


@pytest.fixture
def document() -> dict[str, Any]:
    planner = Planner()
    live(planner.journal, V1)
    planner.changes = [BIGGER, DOOR]
    planner.templates.body = {"Resources": {"Lake": {"Type": "AWS::LakeFormation::Resource"}}}
    return planner.plan(replace(DEPLOYMENT, source=SOURCE, settings={"LOG_LEVEL": "DEBUG"}))


def test_people_read_what_changes_why_and_what_a_rollback_would_do(document: dict[str, Any]) -> None:
    text = "\n".join(told(document))
    for words in (
        "v1 on blue",
        "blue 100, green 0 → blue 0, green 100",
        "1 to create, 1 to change",
        "because of LaunchTemplateData",
        "users{email} unique",
        "version v1 still runs there",
        "AWS::LakeFormation::Resource",
        "3 Release        unknown (at most 90 min)",
        f"cutover deploy sandbox --plan {document['sha256']}",
    ):
        assert words in text
    assert "security groups  Door" in text


def test_people_read_what_would_be_destroyed(document: dict[str, Any]) -> None:
    assert "  destroys" not in "\n".join(told(document))
    document["change_set"]["changes"][0]["destructive"] = "it would be deleted"
    logical_id = document["change_set"]["changes"][0]["logical_id"]
    assert f"{logical_id}: it would be deleted" in "\n".join(told(document))


@pytest.mark.parametrize("persona", ["reliability", "performance", "security"])
def test_the_persona_that_asks_comes_first(document: dict[str, Any], persona: str) -> None:
    assert told(document, persona)[1] == f"[bold]{persona}[/]"


def environment(body: dict[str, Any] | None = None) -> Environment:
    return cast(Environment, SimpleNamespace(name="sandbox"))


def test_a_deployment_by_plan_asks_for_what_the_plan_says(document: dict[str, Any]) -> None:
    request = build_request(environment(), "deploy", plan=document, **NOTHING).document()
    assert request == {
        "environment": "sandbox",
        "version": "v2",
        "mode": "deploy",
        "persona": "all",
        "user_centric": False,
        "source": SOURCE,
        "settings": {"LOG_LEVEL": "DEBUG"},
        "plan": document["sha256"],
    }


def test_what_is_given_beside_a_plan_goes_over_it(document: dict[str, Any]) -> None:
    given = {**NOTHING, "image": DIGEST, "version": "v9"}
    request = build_request(environment(), "deploy", plan=document, **given)
    assert (request.image, request.source, request.version) == (DIGEST, None, "v9")


def test_without_a_plan_a_version_is_needed() -> None:
    with pytest.raises(UserError, match="--version is missing"):
        build_request(environment(), "deploy", **{**NOTHING, "source": Path()})


def test_a_plan_is_given_by_its_whole_digest() -> None:
    with pytest.raises(UserError, match="no digest"):
        kept_plan(environment(), "abc")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("PlanChangedError", ExitCode.REFUSED),
        ("ApprovalRejectedError", ExitCode.REFUSED),
        ("ApprovalExpiredError", ExitCode.REFUSED),
        ("PlanNotFoundError", ExitCode.BAD_INPUT),
        ("GateFailedError", ExitCode.FAILED),
    ],
)
def test_a_refusal_is_told_from_a_failure(error: str, code: ExitCode) -> None:
    from datetime import UTC, datetime

    assert exit_code(Ended("FAILED", datetime.now(UTC), error=error)) is code
