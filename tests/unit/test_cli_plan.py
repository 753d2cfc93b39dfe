"""What `cutover plan` tells people, and what `cutover deploy --plan` takes from a plan."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.commands.deploy import exit_code, kept_plan
from cli.errors import ExitCode, UserError
from cli.execution import Ended
from cli.options import build_request
from cli.plan_text import told
from cli.session import Environment
from cutover.ports import Finding, ImageScan
from tests.contract.scenes import DEPLOYMENT, DIGEST, V1, live
from tests.unit.test_step_plan import BIGGER, BUILT, DOOR, SOURCE, Planner, replace

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
def planner() -> Planner:
    planner = Planner()
    live(planner.journal, V1)
    planner.changes = {"network": [DOOR], "service": [BIGGER]}
    return planner


@pytest.fixture
def document(planner: Planner) -> dict[str, Any]:
    planner.want("data", "Lake", "AWS::LakeFormation::Resource")
    return planner.plan(replace(DEPLOYMENT, source=SOURCE, settings={"LOG_LEVEL": "DEBUG"}))


def text(document: dict[str, Any]) -> str:
    return "\n".join(told(document))


def test_people_read_what_changes_why_and_what_a_rollback_would_do(document: dict[str, Any]) -> None:
    for words in (
        "v1 on blue",
        "backend: blue 100, green 0 → blue 0, green 100",
        "frontend: stays blue 100, green 0",
        "network: 1 to create",
        "data: nothing changes",
        "create Door (EC2::SecurityGroupIngress)",
        "change Template (EC2::LaunchTemplate) because of LaunchTemplateData",
        "index users{email} unique",
        "version v1 still runs there",
        "unpriced         AWS::LakeFormation::Resource",
        "3 Release    unknown, at most 90 min",
        "security groups  create Door",
        "may destroy      nothing",
        "scan             unknown until the image is built",
        f"cutover deploy sandbox --plan {document['sha256']}",
        f"in the console     https://console/plans/{document['sha256']}.json",
    ):
        assert words in text(document), words


def test_nothing_needs_attention_when_nothing_does(document: dict[str, Any]) -> None:
    assert "[bold red]" not in text(document)


def test_what_would_be_destroyed_comes_first_with_its_way_out(planner: Planner) -> None:
    lost = {**BIGGER, "logical_id": "Database", "destructive": "it would be deleted"}
    planner.changes = {"data": [lost]}
    refused = told(planner.plan(BUILT))
    allowed = told(planner.plan(replace(BUILT, allow_destructive=("Database",))))

    assert "DESTROYS" in refused[1]
    assert "Database (data): it would be deleted; refused without --allow-destructive Database" in refused[1]
    assert "allowed by this plan" in allowed[1]
    assert "  may destroy      Database" in allowed


def test_an_image_that_the_gate_would_block_comes_first_with_its_findings_below(planner: Planner) -> None:
    finding = Finding("CVE-2", "HIGH", "jinja2", "3.1.2", "3.1.6")
    planner.registry.scans = [ImageScan("COMPLETE", counts={"HIGH": 1}, findings=[finding])]
    lines = told(planner.plan(replace(DEPLOYMENT, image=DIGEST, mode="plan")))

    assert "BLOCKED" in lines[1]
    assert "Fail: 1 high" in lines[1]
    assert any("HIGH jinja2 3.1.2 CVE-2: fixed in 3.1.6" in line for line in lines)


def test_of_many_findings_the_worst_are_told_and_the_others_counted(planner: Planner) -> None:
    findings = [Finding(f"CVE-{number}", "LOW", "curl", "8.0") for number in range(50)]
    planner.registry.scans = [ImageScan("COMPLETE", findings=findings)]
    lines = told(planner.plan(replace(DEPLOYMENT, image=DIGEST, mode="plan")))

    assert sum("LOW curl 8.0" in line for line in lines) == 10
    assert any("and 40 more" in line for line in lines)


def test_many_new_resources_are_counted_by_their_type(planner: Planner) -> None:
    planner.changes = {"network": [{**DOOR, "logical_id": f"Door{number}"} for number in range(20)]}
    lines = text(planner.plan(BUILT))

    assert "network: 20 to create" in lines
    assert "create 20 EC2::SecurityGroupIngress" in lines
    assert "Door7" not in lines


def test_a_stack_that_can_not_be_asked_about_is_said_to_be_foreseen() -> None:
    planner = Planner(there=False)
    planner.unmade = {"data", "service", "monitoring"}
    assert "data: 1 to create, foreseen from the template" in text(planner.plan(BUILT))


def test_a_plan_with_markup_in_its_names_is_printed_as_it_is(planner: Planner) -> None:
    assert r"plan for [bold]\[red]v2" in text(planner.plan(replace(BUILT, version="[red]v2")))


@pytest.mark.parametrize("persona", ["reliability", "performance", "security"])
def test_the_persona_that_asks_comes_first(document: dict[str, Any], persona: str) -> None:
    headings = [line for line in told(document, persona) if line.startswith("[bold]")]
    assert headings[1] == f"[bold]{persona}[/]"
    assert len(headings) == 4


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


def test_a_deployment_by_plan_may_destroy_what_the_plan_may(document: dict[str, Any]) -> None:
    document["allow_destructive"] = ["Database"]
    request = build_request(environment(), "deploy", plan=document, **NOTHING)
    assert request.document()["allow_destructive"] == ["Database"]


def test_a_plan_of_an_image_is_deployed_without_a_build(planner: Planner) -> None:
    plan = planner.plan(replace(DEPLOYMENT, image=DIGEST))
    request = build_request(environment(), "deploy", plan=plan, **NOTHING)

    assert plan["source"]["key"] == SOURCE
    assert (request.image, request.source) == (DIGEST, None)


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
