"""The plan: what is in it, what its digest covers, and a deployment that is bound to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import (
    GateFailedError,
    ImageNotFoundError,
    MigrationRefusedError,
    MisconfiguredError,
    NotReachableError,
    OutsideWindowError,
    PlanChangedError,
    PlanNotFoundError,
    SourceNotFoundError,
)
from cutover.domain.prices import NO_PRICES, PriceTable
from cutover.domain.records import Deployment, deployment_key, history_key, image_key
from cutover.domain.services import Service
from cutover.ports import Finding, ImageScan
from cutover.steps.plan import Declared, make_plan
from tests.contract.fakes import (
    OUTPUTS,
    FakeClock,
    FakeJournal,
    FakeMigrationPlans,
    FakePlans,
    FakeRegistry,
    FakeSources,
)
from tests.contract.formation import FakeFormation
from tests.contract.scenes import DEPLOYMENT, DIGEST, V1, live

SOURCE, OTHER = f"sources/{'a' * 64}.zip", f"sources/{'c' * 64}.zip"
OTHER_IMAGE = f"sha256:{'3' * 64}"
PAGES_IMAGE = f"sha256:{'7' * 64}"
INDEXES = b'{"users": [{"name": "email_unique", "keys": [["email", 1]], "unique": true}]}'
BIGGER = {
    "action": "Modify",
    "logical_id": "Template",
    "type": "AWS::EC2::LaunchTemplate",
    "replacement": "False",
    "scope": ["Properties"],
    "causes": [{"property": "LaunchTemplateData", "recreation": "Never", "cause": "DirectModification"}],
}
DOOR = {
    "action": "Add",
    "logical_id": "Door",
    "type": "AWS::EC2::SecurityGroupIngress",
    "replacement": "False",
    "scope": [],
    "causes": [],
}
TEMPLATES = ("network", "data", "service", "monitoring")
PRICES = PriceTable.read(
    {
        "sources": {"list": {"what": "the list", "url": "https://example.com"}},
        "prices": {
            "ec2:nat-gateway": {"price": 0.059, "per": "hour", "checked": "2026-01-02", "source": "list"},
            "codebuild:general1.medium": {"price": 0.01, "per": "minute", "checked": None, "source": "list"},
        },
    }
)
ADD_VPC = {**DOOR, "logical_id": "New", "type": "AWS::EC2::VPC", "properties": [], "destructive": None}


class Planner:
    """The whole environment stands; `changes` are of the stack of the service. A template in `unmade` has no
    change set."""

    def __init__(self, *, there: bool = True) -> None:
        self.journal, self.formation = FakeJournal(), FakeFormation(there=there)
        self.balancer = self.formation.balancer
        self.clock = FakeClock(datetime(2026, 3, 4, 12, tzinfo=UTC))
        self.configuration: dict[str, Any] = {"window": {"enforced": False}, "watch": {"bake_seconds": 30}}
        self.changes: dict[str, list[dict[str, Any]]] = {}
        self.unmade: set[str] = set()
        self.declared = Declared("code.zip", "layer:1", PRICES)
        self.migrations = FakeMigrationPlans()
        self.sources = FakeSources(SOURCE, OTHER, files={"indexes.json": INDEXES})
        for image in (DIGEST, OTHER_IMAGE):
            self.journal.items[image_key(image)] = {"source": SOURCE}
        self.plans = FakePlans()
        self.registry = FakeRegistry(v1=DIGEST, other=OTHER_IMAGE)
        self.pages = FakeRegistry(v1=PAGES_IMAGE)

    def want(self, template: str, logical_id: str, kind: str) -> None:
        """The template gets one more resource."""
        resources = self.formation.stacks[template].wanted["Resources"]
        resources[logical_id] = {"Type": kind, "Properties": {}}

    def plan(self, deployment: Deployment) -> dict[str, Any]:
        return make_plan(
            deployment,
            self.configuration,
            [self._change_set(name, deployment) for name in TEMPLATES],
            self.declared,
            journal=self.journal,
            balancer=self.balancer,
            layers=self.formation.layers,
            templates=self.formation,
            registries={Service.BACKEND: self.registry, Service.FRONTEND: self.pages},
            sources=self.sources,
            plans=self.plans,
            migrations=self.migrations,
            clock=self.clock,
        )

    def _change_set(self, name: str, deployment: Deployment) -> dict[str, Any]:
        made, changes = name not in self.unmade, self.changes.get(name, [])
        return {
            "template": name,
            "stack": f"cutover-sandbox-{name}",
            "basis": "change_set" if made else "template",
            "name": f"cutover-{deployment.id}" if made else None,
            "empty": made and not changes,
            "changes": changes,
        }

    def succeeded(self, name: str, started: str, release_seconds: int) -> None:
        phase = {
            "number": 3,
            "started": "2026-03-01T12:00:00.000Z",
            "finished": f"2026-03-01T12:00:{release_seconds:02d}.000Z",
        }
        self.journal.items[deployment_key(name)] = {"id": name, "phases": [phase]}
        self.journal.items[history_key(started, name)] = {"id": name, "status": "SUCCEEDED"}


BUILT = replace(DEPLOYMENT, source=SOURCE)


def test_a_plan_says_where_traffic_is_and_goes() -> None:
    planner = Planner()
    live(planner.journal, V1)
    plan = planner.plan(BUILT)

    assert (plan["live_colour"], plan["live_version"], plan["idle_colour"]) == ("blue", "v1", "green")
    assert plan["weights"] == {
        "backend": {"now": {"blue": 100, "green": 0}, "after": {"blue": 0, "green": 100}},
        "frontend": {"now": {"blue": 100, "green": 0}, "after": {"blue": 100, "green": 0}},
    }
    image = plan["image"]
    assert (image["digest"], image["tag"], image["repository"]) == (None, "d2", FakeRegistry.uri)
    assert plan["source"]["location"] == f"artifacts/{SOURCE}"
    assert plan["migrations"]["indexes"] == ["users{email} unique"]
    assert list(plan["migrations"]["files"]) == ["indexes.json"]
    assert [phase["budget_minutes"] for phase in plan["phases"]] == [60, 45, 90, 30, 45, 60, 45]
    assert len(plan["sha256"]) == 64


def test_two_plans_of_the_same_thing_agree() -> None:
    planner = Planner()
    first = planner.plan(BUILT)
    planner.clock.sleep(60)

    assert planner.plan(replace(BUILT, id="d3"))["sha256"] == first["sha256"]
    planner.balancer.of["listener"] = Weights(0, 100)
    assert planner.plan(BUILT)["sha256"] != first["sha256"]


def test_the_first_plan_has_no_live_colour() -> None:
    plan = Planner(there=False).plan(BUILT)

    assert (plan["live_colour"], plan["idle_colour"]) == (None, "green")
    assert plan["rollback"]["returns_to"] is None


def test_an_image_that_is_not_there_is_named_with_its_repository() -> None:
    unknown = f"sha256:{'9' * 64}"
    with pytest.raises(ImageNotFoundError, match=f"backend holds no {unknown}"):
        Planner().plan(replace(DEPLOYMENT, image=unknown))


def test_a_known_image_is_promoted() -> None:
    assert Planner().plan(replace(DEPLOYMENT, image=DIGEST))["image"]["digest"] == DIGEST


def test_a_source_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceNotFoundError, match=f"s3://artifacts/sources/{'b' * 64}"):
        Planner().plan(replace(DEPLOYMENT, source=f"sources/{'b' * 64}.zip"))


def test_split_traffic_can_not_be_planned_over() -> None:
    planner = Planner()
    planner.balancer.of["listener"] = Weights(50, 50)
    with pytest.raises(MisconfiguredError, match="blue 50, green 50"):
        planner.plan(BUILT)


def test_outside_the_window_a_plan_is_refused_unless_forced() -> None:
    planner = Planner()
    planner.configuration["window"] = {
        "enforced": True,
        "start": "02:00",
        "end": "04:00",
        "zone": "Asia/Seoul",
        "backup": None,
    }
    with pytest.raises(OutsideWindowError, match="force"):
        planner.plan(BUILT)
    forced = planner.plan(replace(BUILT, forced_because="security fix"))
    assert forced["window"]["forced"] is True


def test_a_listener_that_does_not_answer_stops_the_plan() -> None:
    planner = Planner()
    planner.balancer.unreadable.add("listener")
    with pytest.raises(NotReachableError):
        planner.plan(BUILT)


@pytest.mark.parametrize("weights", [Weights(0, 100), Weights(50, 50)], ids=str)
def test_a_listener_that_somebody_changed_by_hand_is_refused_with_the_way_out(weights: Weights) -> None:
    planner = Planner()
    live(planner.journal, V1)
    digest = planner.plan(BUILT)["sha256"]
    planner.balancer.of["listener"] = weights

    for wanted in (BUILT, replace(BUILT, plan=digest)):
        with pytest.raises(MisconfiguredError) as refused:
            planner.plan(wanted)
        assert f"the listener has {weights}, which no deployment did" in str(refused.value)
        assert "Give all weight to blue, where the journal has version v1 live" in str(refused.value)
    assert planner.balancer.moves == []


def test_a_plan_is_kept_under_its_digest() -> None:
    planner = Planner()
    plan = planner.plan(BUILT)

    assert plan["location"] == f"s3://artifacts/plans/{plan['sha256']}.json"
    assert planner.plans.read(plan["sha256"]) == plan


def test_changes_have_their_kind_and_one_order_whatever_cloudformations_was() -> None:
    planner = Planner()
    planner.changes = {"service": [BIGGER, DOOR]}
    plan = planner.plan(BUILT)
    planner.changes = {"service": [DOOR, BIGGER]}

    assert planner.plan(BUILT)["sha256"] == plan["sha256"]
    told = {
        each["template"]: [(c["logical_id"], c["kind"]) for c in each["changes"]]
        for each in plan["change_sets"]
    }
    assert told == {
        "network": [],
        "data": [],
        "service": [("Door", "create"), ("Template", "change")],
        "monitoring": [],
    }
    assert [(each["template"], each["logical_id"]) for each in plan["security_groups"]] == [
        ("service", "Door")
    ]


def test_a_stack_without_a_change_set_is_told_by_its_template() -> None:
    planner = Planner()
    planner.unmade = {"data", "service", "monitoring"}
    planner.want("data", "New", "AWS::EC2::VPC")
    network, data, *_ = planner.plan(BUILT)["change_sets"]

    assert (network["basis"], network["name"]) == ("change_set", "cutover-d2")
    assert (data["basis"], data["name"], data["empty"]) == ("template", None, False)
    assert data["changes"] == [{**ADD_VPC, "kind": "create"}]


def test_what_the_templates_foretell_and_what_cloudformation_then_says_have_one_digest() -> None:
    planner = Planner()
    planner.want("data", "New", "AWS::EC2::VPC")
    planner.unmade = {"data"}
    foretold = planner.plan(BUILT)["sha256"]
    planner.unmade, planner.changes = set(), {"data": [ADD_VPC]}

    assert planner.plan(BUILT)["sha256"] == foretold


def test_a_plan_shows_the_scan_of_a_given_image_and_whether_the_gate_would_close() -> None:
    planner = Planner()
    planner.registry.scans = [
        ImageScan(
            "COMPLETE",
            counts={"HIGH": 1, "LOW": 1},
            findings=[
                Finding("CVE-1", "LOW", "curl", "8.0"),
                Finding("CVE-2", "HIGH", "jinja2", "3.1.2", "3.1.6"),
            ],
        )
    ]
    scan = planner.plan(replace(DEPLOYMENT, image=DIGEST, mode="plan"))["image"]["scan"]

    assert planner.registry.scanned == [DIGEST]
    assert (scan["blocks"], scan["verdict"], scan["counts"]) == (True, "Fail", {"HIGH": 1, "LOW": 1})
    assert scan["findings"][0] == {
        "id": "CVE-2",
        "severity": "HIGH",
        "package": "jinja2",
        "version": "3.1.2",
        "fixed": "3.1.6",
    }


def test_an_image_that_the_gate_is_certain_to_refuse_is_refused_before_anything_is_touched() -> None:
    planner = Planner()
    planner.registry.scans = [ImageScan("COMPLETE", counts={"CRITICAL": 1})]
    with pytest.raises(GateFailedError, match=r"can't be released: 1 critical, 0 high\. Nothing was touched"):
        planner.plan(replace(DEPLOYMENT, image=DIGEST))
    assert len(planner.plans.kept) == 1


def test_a_scan_that_may_still_come_is_left_to_its_gate() -> None:
    planner = Planner()
    planner.registry.scans = [None]
    assert planner.plan(replace(DEPLOYMENT, image=DIGEST))["image"]["scan"]["blocks"] is True


def test_migrations_that_would_be_refused_are_refused_before_anything_is_touched() -> None:
    planner = Planner()
    planner.migrations.told = {"steps": [], "refused": ["0002_rename.py was edited after it was applied"]}
    assert planner.plan(replace(BUILT, mode="plan"))["migrations"]["refused"]
    with pytest.raises(MigrationRefusedError, match=r"0002_rename\.py was edited .* Nothing was touched"):
        planner.plan(BUILT)


def test_an_image_without_a_scan_would_be_blocked_too() -> None:
    planner = Planner()
    planner.registry.scans = [None]
    scan = planner.plan(replace(DEPLOYMENT, image=DIGEST))["image"]["scan"]

    assert (scan["blocks"], scan["verdict"], scan["counts"]) == (True, "Inconclusive", {})


def test_the_scan_of_what_is_not_built_yet_is_unknown() -> None:
    planner = Planner()
    scan = planner.plan(BUILT)["image"]["scan"]

    assert (scan["blocks"], scan["verdict"]) == (None, None)
    assert "until the image is built" in scan["found"]
    assert planner.registry.scanned == []


def test_a_scan_that_finds_more_by_tomorrow_leaves_the_plan_as_it_is() -> None:
    planner = Planner()
    wanted = replace(DEPLOYMENT, image=DIGEST)
    digest = planner.plan(wanted)["sha256"]
    planner.registry.scans = [ImageScan("COMPLETE", counts={"CRITICAL": 1})]

    again = planner.plan(replace(wanted, plan=digest, mode="plan"))
    assert again["image"]["scan"]["blocks"] is True


def test_a_phases_expected_time_is_the_median_of_the_last_successes() -> None:
    planner = Planner()
    for number, seconds in enumerate((10, 50, 20)):
        planner.succeeded(f"p{number}", f"2026-03-0{number + 1}", seconds)
    planner.journal.items[history_key("2026-03-09", "bad")] = {"id": "bad", "status": "FAILED"}
    release = planner.plan(BUILT)["phases"][2]

    assert (release["expected_seconds"], release["measured_on"]) == (20.0, 3)


def test_a_redeployment_of_a_former_release_says_nothing_of_the_phases() -> None:
    """Its record has the four steps of a manual rollback (requirement D3) in their place."""
    planner = Planner()
    planner.succeeded("p0", "2026-03-01", 10)
    planner.journal.items[history_key("2026-03-02", "back")] = {"id": "back", "status": "SUCCEEDED"}
    step = {"name": "health", "started": "2026-03-02T00:00:00Z", "finished": "2026-03-02T00:00:05Z"}
    planner.journal.items[deployment_key("back")] = {"id": "back", "phases": [step]}
    release = planner.plan(BUILT)["phases"][2]

    assert (release["expected_seconds"], release["measured_on"]) == (10.0, 1)


def test_without_a_history_every_time_is_unknown() -> None:
    plan = Planner().plan(BUILT)

    assert {phase["expected_seconds"] for phase in plan["phases"]} == {"unknown"}
    assert plan["cost"]["per_deployment"]["cost"] == "unknown"


def test_a_promotion_costs_no_build() -> None:
    assert Planner().plan(replace(DEPLOYMENT, image=DIGEST))["cost"]["per_deployment"]["cost"] == 0.0


def test_a_plan_says_what_its_rollback_would_do() -> None:
    planner = Planner()
    live(planner.journal, V1)
    rollback = planner.plan(BUILT)["rollback"]

    assert rollback["returns_to"]["version"] == "v1"
    assert rollback["after_the_swap"].startswith("one change of the live listener: blue 100, green 0")


def test_a_history_that_grows_and_prices_that_change_leave_the_digest_alone() -> None:
    planner = Planner()
    first = planner.plan(BUILT)
    planner.succeeded("p1", "2026-03-01", 30)
    planner.declared = replace(planner.declared, prices=NO_PRICES)

    assert planner.plan(BUILT)["sha256"] == first["sha256"]


def test_what_was_planned_is_what_is_done() -> None:
    planner = Planner()
    digest = planner.plan(BUILT)["sha256"]
    planner.clock.sleep(60)

    assert planner.plan(replace(BUILT, id="d9", plan=digest))["sha256"] == digest


def other_template(name: str) -> Callable[[Planner], None]:
    def change(planner: Planner) -> None:
        planner.want(name, "New", "AWS::EC2::VPC")

    return change


def other_changes(name: str) -> Callable[[Planner], None]:
    def change(planner: Planner) -> None:
        planner.changes = {name: [BIGGER]}

    return change


def other_code(planner: Planner) -> None:
    planner.declared = replace(planner.declared, code="other.zip")


def other_migrations(planner: Planner) -> None:
    planner.sources.files = {"indexes.json": INDEXES.replace(b"email_unique", b"by_email")}


def other_weights(planner: Planner) -> None:
    """As a swap leaves them."""
    planner.balancer.of["listener"] = Weights(0, 100)
    live(planner.journal, replace(V1, colour=Colour.GREEN))


def other_frontend_weights(planner: Planner) -> None:
    planner.balancer.of[OUTPUTS["FrontendRuleArn"]] = Weights(0, 100)


def other_release(planner: Planner) -> None:
    live(planner.journal, replace(V1, version="v1b"))


def other_configuration(planner: Planner) -> None:
    planner.configuration["watch"]["bake_seconds"] = 31


@pytest.mark.parametrize(
    ("change", "names", "words"),
    [
        *((other_template(name), [f"template {name}"], f"template {name}: ") for name in TEMPLATES),
        *(
            (other_changes(name), [f"changes {name}"], f"changes {name}: nothing → change Template")
            for name in TEMPLATES
        ),
        (other_code, ["code"], "code (functions): code.zip → other.zip"),
        (other_migrations, ["migrations"], "migrations: digest "),
        (
            other_weights,
            ["weights backend", "live release"],
            "weights backend: after (blue 0, green 100), now (blue 100, green 0) → ",
        ),
        (other_frontend_weights, ["weights frontend"], "weights frontend: "),
        (other_release, ["live release"], "live release (version): v1 → v1b"),
        (other_configuration, ["configuration"], "configuration (watch.bake_seconds): 30 → 31"),
        (replace(DEPLOYMENT, image=OTHER_IMAGE), ["image"], f"image (digest): {DIGEST[:50]}"),
        (replace(DEPLOYMENT, source=OTHER), ["image", "source"], "source: key sources/"),
        (replace(DEPLOYMENT, image=DIGEST, version="v3"), ["version"], "version: v2 → v3"),
        (
            replace(DEPLOYMENT, image=DIGEST, settings={"LOG_LEVEL": "DEBUG"}),
            ["settings"],
            "settings (LOG_LEVEL): nothing → DEBUG",
        ),
        (
            replace(DEPLOYMENT, image=DIGEST, allow_destructive=("Database",)),
            ["destructive permission"],
            "destructive permission: nothing → Database",
        ),
    ],
)
def test_whatever_changes_after_the_plan_is_refused_by_its_name(
    change: Callable[[Planner], None] | Deployment, names: list[str], words: str
) -> None:
    planner = Planner()
    live(planner.journal, V1)
    wanted = replace(DEPLOYMENT, image=DIGEST)
    digest = planner.plan(wanted)["sha256"]
    if isinstance(change, Deployment):
        wanted = change
    else:
        change(planner)

    with pytest.raises(PlanChangedError) as refused:
        planner.plan(replace(wanted, plan=digest))
    assert f"changed since: {', '.join(names)}. " in str(refused.value)
    assert words in str(refused.value)
    assert "cutover plan sandbox --version" in str(refused.value)
    assert list(planner.plans.kept) == [digest]


def test_another_source_is_refused_by_name() -> None:
    planner = Planner()
    digest = planner.plan(BUILT)["sha256"]
    with pytest.raises(PlanChangedError, match="changed since: source"):
        planner.plan(replace(DEPLOYMENT, source=OTHER, plan=digest))


def test_a_plan_that_nobody_made_is_not_found() -> None:
    with pytest.raises(PlanNotFoundError, match=f"there is no s3://artifacts/plans/{'0' * 64}.json"):
        Planner().plan(replace(BUILT, plan="0" * 64))


def test_a_kept_plan_that_was_altered_is_not_the_one_that_was_sealed() -> None:
    planner = Planner()
    plan = planner.plan(BUILT)
    planner.plans.kept[plan["sha256"]] = {**plan, "version": "v3"}
    with pytest.raises(PlanNotFoundError, match="not the document that was sealed"):
        planner.plan(replace(BUILT, version="v3", plan=plan["sha256"]))


def test_a_plan_tells_what_the_migrations_would_do_and_what_stands_against_them() -> None:
    planner, asked = Planner(), replace(BUILT, mode="plan")
    before = planner.plan(asked)
    assert "steps" not in before["migrations"], "there is no database yet"
    step = {"phase": "expand", "name": "create users.email_unique", "what": "it is wanted", "risk": "low"}
    planner.migrations.told = {"steps": [step], "refused": ["0003 was edited"]}
    after = planner.plan(asked)

    assert after["migrations"] == {**before["migrations"], "steps": [step], "refused": ["0003 was edited"]}
    assert after["sha256"] != before["sha256"]
