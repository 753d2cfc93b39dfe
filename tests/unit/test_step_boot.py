"""What a new instance of a colour comes up with, and the machine that sees to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cutover.domain.colours import Colour
from cutover.domain.errors import InvalidInputError, NotReachableError, ReleaseFailedError
from cutover.domain.records import colour_key, deployment_key
from cutover.domain.services import Service
from cutover.handlers import release
from cutover.ports import Invocation
from cutover.steps.boot import boot, decide, look_at_boot, read_launch
from tests.contract.fakes import FakeCommands, FakeJournal, FakeRegistry
from tests.contract.scenes import DIGEST, V1, V2, live
from tests.unit.test_step_release import Stage

ROOT = Path(__file__).resolve().parents[2]
MACHINE: dict[str, Any] = json.loads((ROOT / "statemachines" / "boot.asl.json").read_text())
LINE = {"deployment": "d2", "version": "v2", "image": DIGEST, "settings": {"A": "b"}, "released": True}
RUNNING, FAILED = {"status": "RUNNING"}, {"status": "ROLLED_BACK"}


def send(journal: FakeJournal, commands: FakeCommands, group: str = "cutover-sandbox-backend-green") -> Any:
    return boot(
        "sandbox",
        group,
        "i-new",
        {Service.BACKEND: "document", Service.FRONTEND: "frontend-document"},
        journal=journal,
        registries=dict.fromkeys(Service, FakeRegistry()),
        commands=commands,
    )


def test_the_live_colours_new_instance_gets_the_live_release_with_its_settings() -> None:
    journal, commands = FakeJournal(), FakeCommands()
    live(journal, V2)
    journal.items[colour_key(Colour.GREEN)] = dict(LINE)

    assert send(journal, commands)["command"] == "command-1"
    ((document, instances, parameters),) = commands.sent
    assert (document, instances) == ("document", ("i-new",))
    assert parameters == {
        "Action": "release",
        "Deployment": "d2",
        "Version": "v2",
        "Image": f"{FakeRegistry.uri}@{DIGEST}",
        "Settings": '{"A": "b"}',
        "Colour": "green",
    }


@pytest.mark.parametrize(
    ("line", "live_", "record", "wanted", "words"),
    [
        (None, V1, None, False, "nothing was ever released on green"),
        (LINE, V2, FAILED, True, "version v2 is live on green"),
        ({**LINE, "released": False}, V2, RUNNING, True, "version v2 is live on green"),
        (LINE, V1, RUNNING, True, "version v2 stands by on green"),
        (LINE, V1, {"status": "SUCCEEDED"}, True, "version v2 stands by on green"),
        (LINE, None, RUNNING, True, "version v2 stands by on green"),
        ({**LINE, "released": False}, V1, RUNNING, False, "has not arrived on green"),
        (LINE, V1, FAILED, False, "is ROLLED_BACK; it does not come up again"),
        (LINE, V1, {"status": "FAILED"}, False, "is FAILED"),
        (LINE, V1, None, False, "is None"),
    ],
)
def test_what_a_new_instance_comes_up_with(
    line: Any, live_: Any, record: Any, wanted: bool, words: str
) -> None:
    answer = decide(Colour.GREEN, line, live_, record)
    assert answer.wanted is wanted
    assert words in answer.reason


def test_a_release_counts_as_arrived_once_its_targets_are_healthy() -> None:
    stage = Stage()
    stage.start()
    assert stage.journal.items[colour_key(Colour.GREEN)]["released"] is False

    stage.script_ends("Success", "Success")
    stage.balancer.populate(Colour.GREEN, healthy=6)
    stage.look()
    assert stage.journal.items[colour_key(Colour.GREEN)]["released"] is True


def test_a_colour_that_nothing_was_released_on_gets_nothing() -> None:
    commands = FakeCommands()
    assert send(FakeJournal(), commands)["status"] == "nothing"
    assert commands.sent == []


def test_an_instance_that_has_not_reported_yet_is_tried_again_by_the_machine() -> None:
    journal, commands = FakeJournal(), FakeCommands()
    journal.items[colour_key(Colour.GREEN)] = dict(LINE)
    journal.items[deployment_key("d2")] = dict(RUNNING)
    commands.unmanaged = True
    with pytest.raises(NotReachableError):
        send(journal, commands)
    (rule,) = MACHINE["States"]["Send the release"]["Retry"]
    assert "NotReachableError" in rule["ErrorEquals"]
    # User data takes minutes; the delay of 30 s is reached after nine attempts.
    assert (rule["MaxAttempts"] - 9) * rule["MaxDelaySeconds"] / 2 > 300


def test_a_script_that_failed_says_its_last_lines() -> None:
    commands = FakeCommands()
    assert look_at_boot("c", commands=commands) == {"status": "waiting"}
    commands.results = [Invocation("i-new", "InProgress")]
    assert look_at_boot("c", commands=commands) == {"status": "waiting"}
    commands.results = [Invocation("i-new", "Success")]
    assert look_at_boot("c", commands=commands) == {"status": "done"}
    commands.results = [Invocation("i-new", "Failed", "no space left")]
    with pytest.raises(ReleaseFailedError, match="i-new Failed: no space left"):
        look_at_boot("c", commands=commands)


def test_another_environments_group_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="cutover-staging-backend-green"):
        send(FakeJournal(), FakeCommands(), "cutover-staging-backend-green")


def test_an_event_that_names_no_instance_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="EC2InstanceId"):
        read_launch({"detail": {"AutoScalingGroupName": "g"}})


def test_every_action_of_the_machine_is_one_of_the_release_function_and_every_state_is_reached() -> None:
    states = MACHINE["States"]
    actions = {each["Arguments"]["Payload"]["action"] for each in states.values() if each["Type"] == "Task"}
    assert actions <= set(release.ACTIONS)
    ways = {MACHINE["StartAt"]} | {
        rule[key]
        for each in states.values()
        for rule in (each, *each.get("Choices", []), *each.get("Catch", []))
        for key in ("Next", "Default")
        if key in rule
    }
    assert ways == set(states)
