"""Releasing on the idle colour, swapping, proving and watching."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cutover.domain.alarms import alarm_names
from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import (
    DataPlaneNotProvedError,
    GateFailedError,
    ImageNotFoundError,
    LockLostError,
    NotReachableError,
    ReleaseFailedError,
    UnhealthyTargetsError,
)
from cutover.domain.records import LIVE, LOCK, Live, colour_key, deployment_key
from cutover.domain.services import Service
from cutover.ports import Alarm, Group, Invocation
from cutover.steps.find_image import find_image
from cutover.steps.prove import prove
from cutover.steps.release import World, look_at_release, start_release
from cutover.steps.swap import aim_test_listener, swap
from cutover.steps.watch import watch
from tests.contract.fake_http import FakeHttp
from tests.contract.fakes import (
    BLUE,
    GREEN,
    NOON,
    TARGETS,
    FakeAlarms,
    FakeClock,
    FakeCommands,
    FakeEvents,
    FakeInstances,
    FakeJournal,
    FakeLoadBalancer,
    FakeRegistry,
)
from tests.contract.scenes import DEPLOYMENT, DIGEST, ENVIRONMENT, V1, V2, WATCH, live, locked


class Stage:
    """Blue is live with v1, the deployment d2 holds the lock, green has two instances."""

    def __init__(self) -> None:
        self.journal = locked(FakeJournal())
        live(self.journal, V1)
        self.balancer, self.events, self.clock = FakeLoadBalancer(), FakeEvents(), FakeClock()
        self.commands, self.alarms = FakeCommands(), FakeAlarms()
        self.instances = FakeInstances(backend_green=Group(["i-green0", "i-green1"], 2))
        self.balancer.populate(Colour.BLUE, healthy=6)
        self.images = {Service.BACKEND: DIGEST}

    @property
    def world(self) -> World:
        registries = dict.fromkeys(Service, FakeRegistry())
        return World(self.journal, registries, self.instances, self.commands, self.balancer, self.clock)

    @property
    def record(self) -> dict[str, Any]:
        return self.journal.items[deployment_key("d2")]

    def start(self, colour: Colour = Colour.GREEN) -> dict[str, Any]:
        return start_release(
            DEPLOYMENT,
            ENVIRONMENT,
            colour,
            self.images,
            world=self.world,
        )

    def look(self) -> dict[str, Any]:
        return look_at_release(
            DEPLOYMENT,
            ENVIRONMENT,
            Colour.GREEN,
            world=self.world,
        )

    def swap(self) -> dict[str, Any]:
        return swap(
            DEPLOYMENT,
            ENVIRONMENT,
            Colour.GREEN,
            self.images,
            WATCH,
            journal=self.journal,
            balancer=self.balancer,
            events=self.events,
            clock=self.clock,
        )

    def watch(self) -> dict[str, Any]:
        return watch(
            DEPLOYMENT,
            {service: ENVIRONMENT.services[service] for service in self.images},
            Colour.GREEN,
            journal=self.journal,
            balancer=self.balancer,
            alarms=self.alarms,
            clock=self.clock,
        )

    def script_ends(self, *states: str, output: str = "") -> None:
        self.commands.results = [
            Invocation(f"i-green{number}", state, output) for number, state in enumerate(states)
        ]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_tag_becomes_a_digest() -> None:
    registry, journal = FakeRegistry(d2=DIGEST), locked(FakeJournal())
    assert find_image(DEPLOYMENT, "d2", registry=registry, journal=journal)["digest"] == DIGEST
    with pytest.raises(ImageNotFoundError, match="tag d3"):
        find_image(DEPLOYMENT, "d3", registry=registry, journal=journal)


def test_the_release_is_started_on_every_instance_of_the_idle_colour(stage: Stage) -> None:
    assert stage.start() == {"status": "waiting", "command": "command-1"}

    ((document, instances, parameters),) = stage.commands.sent
    assert (document, instances) == ("release-document", ("i-green0", "i-green1"))
    assert parameters == {
        "Action": "release",
        "Deployment": "d2",
        "Version": "v2",
        "Image": f"{FakeRegistry.uri}@{DIGEST}",
        "Settings": "{}",
        "Colour": "green",
    }
    assert (stage.record["colour"], stage.record["command_id"]) == ("green", "command-1")
    assert stage.journal.items[colour_key(Colour.GREEN)]["version"] == "v2"


def test_a_second_start_finds_the_first_command(stage: Stage) -> None:
    assert stage.start() == stage.start()
    assert len(stage.commands.sent) == 1


def test_nothing_is_released_on_the_live_colour(stage: Stage) -> None:
    with pytest.raises(ReleaseFailedError, match="blue is live with version v1"):
        stage.start(Colour.BLUE)
    assert stage.commands.sent == []


def test_a_colour_without_instances_is_named(stage: Stage) -> None:
    stage.instances = FakeInstances(backend_green=Group([], 2))
    with pytest.raises(ReleaseFailedError, match="backend-green has no instance"):
        stage.start()


def test_an_instance_that_has_not_reported_yet_is_waited_for(stage: Stage) -> None:
    stage.commands.unmanaged = True
    assert stage.start()["command"] is None
    assert stage.look()["command"] is None

    stage.commands.unmanaged = False
    assert stage.look()["command"] == "command-1"
    assert len(stage.commands.sent) == 1


def test_healthy_means_that_the_script_ended_and_the_balancer_agrees(stage: Stage) -> None:
    stage.start()
    stage.script_ends("Success", "InProgress")
    assert stage.look()["found"] == "the script ended on 1 of 2 instances"

    stage.script_ends("Success", "Success")
    stage.balancer.populate(Colour.GREEN, healthy=5, sick=1)
    assert stage.look()["status"] == "waiting"

    stage.balancer.populate(Colour.GREEN, healthy=6)
    answer = stage.look()
    assert answer["status"] == "healthy"
    assert [gate["verdict"] for gate in answer["gates"]] == ["Pass", "Pass"]


def test_an_instance_that_was_not_heard_of_yet_is_waited_for(stage: Stage) -> None:
    stage.start()
    stage.script_ends("Success")
    stage.balancer.populate(Colour.GREEN, healthy=6)

    assert stage.look()["status"] == "waiting"


@pytest.mark.parametrize("state", ["Failed", "TimedOut", "Cancelled", "Undeliverable"])
def test_a_script_that_failed_says_its_last_lines(stage: Stage, state: str) -> None:
    stage.start()
    stage.script_ends("Success", state, output="pulling\n\nrelease: the containers did not become healthy")

    with pytest.raises(
        ReleaseFailedError, match=f"i-green1 {state}: pulling . release: the containers did not"
    ):
        stage.look()


def test_targets_that_stay_sick_end_the_wait(stage: Stage) -> None:
    stage.start()
    stage.script_ends("Success", "Success")
    stage.balancer.populate(Colour.GREEN, healthy=0, sick=6)
    stage.look()
    stage.clock.sleep(299)
    stage.look()
    stage.clock.sleep(2)

    with pytest.raises(UnhealthyTargetsError, match="0 of 6 healthy"):
        stage.look()


def test_the_test_listener_is_aimed_at_the_idle_colour_only(stage: Stage) -> None:
    stage.balancer.of["test-listener"] = BLUE
    for _ in range(2):
        aim_test_listener(
            DEPLOYMENT,
            {Service.BACKEND: TARGETS},
            Colour.GREEN,
            journal=stage.journal,
            balancer=stage.balancer,
        )
    assert stage.balancer.moves == [("test-listener", GREEN)]

    with pytest.raises(ReleaseFailedError, match="blue carries traffic"):
        aim_test_listener(
            DEPLOYMENT,
            {Service.BACKEND: TARGETS},
            Colour.BLUE,
            journal=stage.journal,
            balancer=stage.balancer,
        )


def test_a_swap_moves_all_traffic_in_one_change_and_writes_down_what_was_before(stage: Stage) -> None:
    stage.balancer.populate(Colour.GREEN, healthy=6)
    moved = stage.swap()

    assert stage.balancer.moves == [("listener", GREEN), ("test-listener", BLUE)]
    assert moved == {
        "modified_at": "2026-03-04T12:00:00.000Z",
        "colour": "green",
        "previous_colour": Colour.BLUE,
        "watch_until": "2026-03-05T12:00:00.000Z",
    }
    now = Live.read(stage.journal.items[LIVE])
    assert (now.version, now.previous_version, now.previous_colour) == ("v2", "v1", Colour.BLUE)
    assert now.watch_until == "2026-03-05T12:00:00.000Z"
    assert stage.record["swap"]["modified_at"] == moved["modified_at"]
    assert stage.events.kinds == ["TrafficShifted"]


def test_traffic_never_goes_to_a_colour_without_a_healthy_target(stage: Stage) -> None:
    stage.balancer.populate(Colour.GREEN, healthy=0, sick=6)
    with pytest.raises(UnhealthyTargetsError, match="the listener was not touched"):
        stage.swap()
    assert stage.balancer.moves == []


def test_who_lost_the_lock_moves_no_traffic(stage: Stage) -> None:
    stage.balancer.populate(Colour.GREEN, healthy=6)
    stage.journal.items[LOCK]["fence"] = 8
    with pytest.raises(LockLostError):
        stage.swap()
    assert stage.balancer.moves == []


def test_a_swap_that_was_killed_before_the_journal_converges(stage: Stage) -> None:
    stage.balancer.populate(Colour.GREEN, healthy=6)
    stage.balancer.of["listener"] = GREEN  # moved, and then killed
    stage.swap()

    now = Live.read(stage.journal.items[LIVE])
    assert (now.version, now.previous_version) == ("v2", "v1")
    assert (stage.balancer.of["listener"], stage.balancer.of["test-listener"]) == (GREEN, BLUE)


def test_swapping_twice_keeps_the_release_before_it(stage: Stage) -> None:
    stage.balancer.populate(Colour.GREEN, healthy=6)
    first = stage.swap()
    stage.clock.sleep(5)

    assert stage.swap() == first
    assert Live.read(stage.journal.items[LIVE]).previous_version == "v1"


def test_a_swap_that_was_killed_before_the_test_listener_converges(stage: Stage) -> None:
    stage.balancer.populate(Colour.GREEN, healthy=6)
    stage.balancer.unreadable.add("test-listener")
    with pytest.raises(NotReachableError):
        stage.swap()
    stage.balancer.unreadable.clear()
    stage.swap()

    assert (stage.balancer.of["listener"], stage.balancer.of["test-listener"]) == (GREEN, BLUE)


def test_a_first_release_has_none_before_it(stage: Stage) -> None:
    del stage.journal.items[LIVE]
    stage.balancer.populate(Colour.GREEN, healthy=6)
    stage.swap()

    assert Live.read(stage.journal.items[LIVE]).previous_deployment is None


def test_proof_is_n_answers_in_a_row() -> None:
    http, clock = FakeHttp(), FakeClock()
    http.versions = ["v1", "v2", "v2", "v1", "v2", "v2", "v2"]
    proof = prove("v2", 3, 443, http=http, clock=clock)

    assert (proof["answers"], proof["tries"]) == (3, 7)
    # Two pauses after the two answers of v1: the first of the row comes after both.
    assert proof["first_answer_at"] == "2026-03-04T12:00:00.200Z"


@pytest.mark.parametrize(
    ("http", "seen"), [(FakeHttp("v1"), "200 from v1"), (FakeHttp(faults=["dead"]), "refused")]
)
def test_without_proof_the_last_thing_seen_is_told(http: FakeHttp, seen: str) -> None:
    with pytest.raises(DataPlaneNotProvedError, match=seen):
        prove("v2", 3, 443, http=http, clock=FakeClock())


def swapped(stage: Stage, healthy: int = 6) -> Stage:
    live(stage.journal, V2)
    stage.balancer.of["listener"] = Weights(0, 100)
    stage.balancer.populate(Colour.GREEN, healthy=healthy, sick=6 - healthy)
    return stage


def alarm(minutes_ago: float, kind: int = 0) -> Alarm:
    name = alarm_names("sandbox", Colour.GREEN)[kind]
    return Alarm(name, "ALARM", NOON - timedelta(minutes=minutes_ago), "")


def test_a_quiet_watch_says_how_many_are_healthy(stage: Stage) -> None:
    assert swapped(stage, healthy=5).watch() == {"healthy": 5, "total": 6, "alarms": []}


def test_a_live_colour_that_is_down_fails_the_deployment(stage: Stage) -> None:
    with pytest.raises(UnhealthyTargetsError):
        swapped(stage, healthy=0).watch()


def test_a_release_that_was_taken_back_fails_the_deployment(stage: Stage) -> None:
    swapped(stage)
    live(stage.journal, V1)
    with pytest.raises(GateFailedError, match="not live any more: version v1 on blue is"):
        stage.watch()


def test_a_fresh_alarm_is_left_to_the_rollback(stage: Stage) -> None:
    stage.alarms.alarms = [alarm(1)]
    assert swapped(stage).watch()["alarms"] == ["cutover-sandbox-backend-green-errors"]


def test_an_alarm_that_nobody_heard_fails_the_deployment(stage: Stage) -> None:
    """One that stood before the swap sends no event; ten minutes after it (see V2), that is too long."""
    stage.alarms.alarms = [alarm(60)]
    with pytest.raises(GateFailedError, match="backend-green-errors"):
        swapped(stage).watch()


def test_an_old_alarm_has_time_to_see_the_new_traffic(stage: Stage) -> None:
    stage.alarms.alarms = [alarm(60)]
    swapped(stage)
    live(stage.journal, replace(V2, swapped_at="2026-03-04T11:59:00.000Z"))
    stage.watch()
