"""Backend and frontend through the whole machine: released, moved and taken back together."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.alarms import FRONTEND_KINDS, read_alarm_event
from cutover.domain.colours import Colour, Weights
from cutover.domain.records import LIVE, LiveFrontend, colour_key
from cutover.domain.services import Service
from cutover.ports import Alarm
from cutover.steps.roll_back import roll_back_on_alarm
from tests.contract.fakes import BLUE, GREEN, NOON, PAGES, TARGETS, FakeRegistry, FakeSources
from tests.contract.scenes import DIGEST, V1, alarm_event, live
from tests.unit.test_handler_walk import FILES, INPUT, SOURCE, House
from tests.unit.test_shift_walk import CANARY, shifting

OLD, NEW = f"sha256:{'8' * 64}", f"sha256:{'9' * 64}"
PAGES_SOURCE = f"sources/{'f' * 64}.zip"
BOTH = {**INPUT, "frontend": {"source": PAGES_SOURCE}}
BACKEND_RULE, PAGES_RULE = TARGETS.listener_arn, PAGES.listener_arn


class Lockstep(House):
    """Blue is live with v1 of both services."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.pages_registry.tags.update(d1=OLD, d2=NEW)
        self.have(OLD)
        self.world.balancer.populate(Colour.BLUE, healthy=2, service=Service.FRONTEND)
        self.pages.serving[443] = lambda: self.live.version
        for colour in Colour:
            for kind in FRONTEND_KINDS:
                event = alarm_event(colour, kind=kind, service="frontend")["detail"]
                note = event["configuration"]["description"]
                self.alarms.alarms.append(Alarm(event["alarmName"], "OK", NOON, note))

    def have(self, image: str | None, colour: Colour | None = Colour.BLUE) -> None:
        live(self.world.journal, replace(V1, frontend=LiveFrontend(image, None, colour, PAGES)))

    def _sources(self) -> FakeSources:
        return FakeSources(SOURCE, PAGES_SOURCE, files=FILES)

    @property
    def weights(self) -> tuple[Weights, Weights]:
        of = self.world.balancer.of
        return of[BACKEND_RULE], of[PAGES_RULE]

    def sent(self, action: str) -> list[tuple[str, str]]:
        return [
            (document, parameters["Image"].partition("@")[2])
            for document, _, parameters in self.world.commands.sent
            if parameters["Action"] == action
        ]

    def alarm(self, service: str, **more: Any) -> dict[str, Any]:
        kind = "health" if service == "frontend" else "errors"
        raised = self.world.clock.now().isoformat()
        event = alarm_event(Colour.GREEN, kind=kind, service=service, at=raised)
        return roll_back_on_alarm(read_alarm_event(event), "sandbox", self.world)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Lockstep:
    return Lockstep(monkeypatch)


def test_both_services_are_built_released_proved_and_moved_to_one_colour(house: Lockstep) -> None:
    status, output = house.walk.run(BOTH)

    assert (status, output["image"], output["frontend_image"]) == ("SUCCEEDED", DIGEST, NEW), output
    assert house.weights == (GREEN, GREEN)
    of = house.world.balancer.of
    assert (of[TARGETS.test_listener_arn], of[PAGES.test_listener_arn]) == (BLUE, BLUE)
    assert house.sent("release") == [("release-document", DIGEST), ("frontend-release-document", NEW)]
    assert house.live.frontend == LiveFrontend(NEW, OLD, Colour.GREEN, PAGES)
    assert house.record["proof"]["frontend"]["answers"] == 3
    line = house.world.journal.items[colour_key(Colour.GREEN, Service.FRONTEND)]
    assert (line["image"], line["released"]) == (NEW, True)


def test_the_frontends_build_gets_its_own_source_and_repository(house: Lockstep) -> None:
    house.walk.run(BOTH)
    backend, pages = house.builds
    assert pages["SourceLocationOverride"] == f"artifacts/{PAGES_SOURCE}"
    assert backend["IdempotencyToken"] != pages["IdempotencyToken"]
    assert {"Name": "REPOSITORY", "Value": "${FrontendRepository}"} in pages["EnvironmentVariablesOverride"]


def test_without_a_frontend_the_one_that_is_live_comes_along_by_its_digest(house: Lockstep) -> None:
    status, output = house.walk.run(INPUT)

    assert (status, output["frontend_image"], len(house.builds)) == ("SUCCEEDED", OLD, 1)
    assert house.weights == (GREEN, GREEN)
    assert house.live.frontend == LiveFrontend(OLD, OLD, Colour.GREEN, PAGES)


def test_where_there_never_was_a_frontend_its_rule_stays_and_nothing_is_sent(house: Lockstep) -> None:
    house.have(None, None)
    house.world.balancer.targets[PAGES.blue] = []
    status, output = house.walk.run(INPUT)

    assert (status, output["frontend_image"]) == ("SUCCEEDED", "")
    assert house.weights == (GREEN, BLUE)
    assert [document for document, _ in house.sent("release")] == ["release-document"]


def test_a_first_frontend_is_released_on_the_colour_that_its_rule_begins_with(house: Lockstep) -> None:
    """The rule begins on blue, and blue may well be the idle colour by then: nobody stands there."""
    house.have(None, None)
    house.world.balancer.targets[PAGES.blue] = []
    house.world.balancer.of[PAGES_RULE] = GREEN
    status, output = house.walk.run(BOTH)

    assert (status, output["frontend_image"]) == ("SUCCEEDED", NEW), output
    assert house.weights == (GREEN, GREEN)


def test_an_image_of_the_frontend_is_promoted_without_a_build(house: Lockstep) -> None:
    status, output = house.walk.run({**INPUT, "frontend": {"image": NEW}})
    assert (status, output["frontend_image"], len(house.builds)) == ("SUCCEEDED", NEW, 1)


def test_an_image_of_the_frontend_that_is_not_there_is_refused_by_its_field(house: Lockstep) -> None:
    status, output = house.walk.run({**INPUT, "frontend": {"image": f"sha256:{'0' * 64}"}})
    assert (status, output["Error"]) == ("FAILED", "ImageNotFoundError")
    assert (
        output["Cause"].startswith("ImageNotFoundError: frontend.image: ")
        or "frontend.image" in output["Cause"]
    )
    assert house.weights == (BLUE, BLUE)


@pytest.mark.parametrize(
    ("fault", "words"), [("bare", "frontend's script"), ("torn", "404"), ("astray", "https://elsewhere")]
)
def test_a_frontend_that_is_not_whole_takes_nothing(house: Lockstep, fault: str, words: str) -> None:
    house.pages.faults.add(fault)
    status, output = house.walk.run(BOTH)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert words in output["Cause"]
    assert house.weights == (BLUE, BLUE)
    assert {document for document, _ in house.sent("stop")} == {
        "release-document",
        "frontend-release-document",
    }


def test_a_frontend_that_can_not_be_proved_takes_both_back(house: Lockstep) -> None:
    house.pages.serving[443] = lambda: "v1"
    status, output = house.walk.run(BOTH)

    assert (status, output["Error"]) == ("FAILED", "DataPlaneNotProvedError")
    assert house.weights == (BLUE, BLUE)
    assert (house.live.version, house.live.rolled_back) == ("v1", True)
    assert house.live.frontend == LiveFrontend(OLD, NEW, Colour.BLUE, PAGES)


@pytest.mark.parametrize("service", ["backend", "frontend"])
def test_an_alarm_of_either_service_takes_both_back(house: Lockstep, service: str) -> None:
    house.walk.run(BOTH)
    house.world.clock.sleep(60)
    answer = house.alarm(service)

    assert (answer["action"], answer["services"]) == ("rolled_back", ["backend", "frontend"]), answer
    assert house.weights == (BLUE, BLUE)
    assert house.live.frontend == LiveFrontend(OLD, NEW, Colour.BLUE, PAGES)
    assert house.sent("stop") == [("release-document", DIGEST), ("frontend-release-document", NEW)]


def test_with_the_journal_down_both_go_back_by_the_alarms_own_note(house: Lockstep) -> None:
    house.walk.run(BOTH)
    house.world.clock.sleep(60)
    house.world.journal.broken = True
    answer = house.alarm("backend")

    assert (answer["action"], answer["services"]) == ("rolled_back", ["backend", "frontend"])
    assert house.weights == (BLUE, BLUE)


def test_a_previous_frontend_that_is_sick_keeps_nobody_and_the_reason_says_so(house: Lockstep) -> None:
    house.walk.run(BOTH)
    house.world.clock.sleep(60)
    house.world.balancer.populate(Colour.BLUE, healthy=0, sick=2, service=Service.FRONTEND)
    answer = house.alarm("backend")

    assert (answer["action"], answer["services"]) == ("rolled_back", ["backend"])
    assert "the frontend stays on green: its blue can't take the traffic: 0 of 2 healthy" in answer["reason"]
    assert house.weights == (BLUE, GREEN), "never to a colour without a healthy target"
    assert house.live.frontend == LiveFrontend(NEW, OLD, Colour.GREEN, PAGES)
    assert ("frontend-release-document", NEW) not in house.sent("stop"), "it has the traffic"
    assert "frontend-release-document" in [document for document, _ in house.sent("start")]


def test_a_frontend_that_stayed_behind_is_joined_by_the_next_backend(house: Lockstep) -> None:
    test_a_previous_frontend_that_is_sick_keeps_nobody_and_the_reason_says_so(house)
    house.registry.tags["d3"] = DIGEST
    house.http.versions = ["v3"]
    status, output = house.another("d3").run({**INPUT, "version": "v3"})

    assert (status, output["frontend_image"]) == ("SUCCEEDED", ""), output
    assert house.weights == (GREEN, GREEN)
    assert house.live.frontend == LiveFrontend(NEW, None, Colour.GREEN, PAGES)


def test_a_frontend_that_stayed_behind_is_not_replaced_under_its_users(house: Lockstep) -> None:
    test_a_previous_frontend_that_is_sick_keeps_nobody_and_the_reason_says_so(house)
    status, output = house.another("d3").run({**BOTH, "version": "v3"})

    assert (status, output["Error"]) == ("FAILED", "MisconfiguredError")
    assert "deploy without one first" in output["Cause"]
    assert house.weights == (BLUE, GREEN)


def test_a_swap_that_could_move_one_service_only_is_taken_back_in_both(
    house: Lockstep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule is refused, whatever is tried: the listener has moved beside it."""
    moved = house.world.balancer.set_weights

    def refuse(listener: str, *rest: Any) -> None:
        if listener == PAGES_RULE and rest[-1] == GREEN:
            raise PermissionError("not authorized to perform: elasticloadbalancing:ModifyRule")
        moved(listener, *rest)

    monkeypatch.setattr(house.world.balancer, "set_weights", refuse)
    status, output = house.walk.run(BOTH)

    assert (status, "ModifyRule" in output["Cause"]) == ("FAILED", True), output
    assert house.weights == (BLUE, BLUE)
    assert house.live.version == "v1"


def test_the_plan_names_the_frontend_and_its_digest_covers_it(house: Lockstep) -> None:
    _, both = house.walk.run({**BOTH, "mode": "plan"})
    _, carried = house.another("d3").run({**INPUT, "mode": "plan"})

    assert both["frontend"]["source"]["key"] == PAGES_SOURCE
    assert (carried["frontend"]["digest"], carried["frontend"]["carried"]) == (OLD, True)
    assert both["weights"]["frontend"]["after"] == {"blue": 0, "green": 100}
    assert both["sha256"] != carried["sha256"]
    assert json.loads(json.dumps(both)) == both


def test_shares_go_to_both_services(house: Lockstep) -> None:
    shifting(house, CANARY)
    status, output = house.walk.run(BOTH)

    assert status == "SUCCEEDED", output
    for rule in (BACKEND_RULE, PAGES_RULE):
        ways = [weights for listener, weights in house.world.balancer.moves if listener == rule]
        assert ways == [Weights(90, 10), GREEN]
    assert LIVE in house.world.journal.items


def test_a_registry_of_its_own_judges_the_frontends_image(house: Lockstep) -> None:
    house.walk.run(BOTH)
    assert isinstance(house.pages_registry, FakeRegistry)
    assert house.pages_registry.scanned == [NEW]
    scans = [gate["name"] for gate in house.record["phases"][2]["gates"] if "image has" in gate["name"]]
    assert scans == [
        "The image has no critical or high vulnerability",
        "The frontend's image has no critical or high vulnerability",
    ]
