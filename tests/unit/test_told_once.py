"""A step that dies just before or just after it has told is run again: people hear of everything once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from cutover.adapters.control import EventBus
from cutover.domain.alarms import read_alarm_event
from cutover.domain.happenings import DISCRIMINATING
from cutover.domain.notices import Channel, Event, Notice
from cutover.domain.records import LOCK
from cutover.domain.window import read_hours
from cutover.domain.wording import CATALOGUE
from cutover.handlers import rollback
from cutover.steps import migrate
from cutover.steps.announce import announce, withdraw
from cutover.steps.contraction import end_contraction
from cutover.steps.freeze import freeze, unfreeze
from cutover.steps.notify import notify
from cutover.steps.roll_back import roll_back_deployment, roll_back_on_alarm
from tests.contract.fakes import FakeClock, FakeJournal, FakeWorld
from tests.contract.machine import TaskFailed, Walk
from tests.contract.scenes import V1, alarm_event, live
from tests.unit.crash_matrix import HASHED, WISH, Dead
from tests.unit.test_drill_walk import DEFINITION as DRILL
from tests.unit.test_drill_walk import Scene as Practice
from tests.unit.test_handler_walk import INPUT, House
from tests.unit.test_notices import SETTINGS
from tests.unit.test_redeploy_walk import DEFINITION as ROLLBACK
from tests.unit.test_redeploy_walk import Scene as Redeployment
from tests.unit.test_step_roll_back import DEPLOYMENT, FAILURE, on_alarm, swapped


@dataclass
class Bus:
    """EventBridge, where each publication is an event with an id of its own. The step that makes publication
    `dies` (counted from 0) dies once, `moment` (before or after) it."""

    dies: int | None = None
    moment: str = "after"
    delivered: list[dict[str, Any]] = field(default_factory=list)

    def on(self, events: Any) -> Bus:
        """What is published by `events` from now on, as the adapter does it."""
        events.publish = EventBus(self, "bus", "staging").publish
        return self

    def put_events(self, **request: Any) -> dict[str, Any]:
        (entry,), number = request["Entries"], len(self.delivered)
        last = number == self.dies
        self.dies = None if last else self.dies
        if last and self.moment == "before":
            raise Dead
        envelope = {"id": f"envelope-{number}", "time": f"2026-03-04T12:00:{number:02}Z"}
        detail = json.loads(entry["Detail"])
        self.delivered.append({**envelope, "detail-type": entry["DetailType"], "detail": detail})
        if last:
            raise Dead
        return {}

    def told(self) -> list[tuple[str, ...]]:
        """What people get on every channel, in order, of all that was delivered: (channel, part, kind, text)."""
        heard: list[tuple[str, ...]] = []

        class Listener:
            def deliver(self, notice: Notice, _text: str, _place: str | None) -> str:
                heard.append((notice.channel, notice.part, notice.event.kind, notice.text))
                return "C1/1.0"

        for channel in Channel:
            journal, clock = FakeJournal(), FakeClock()
            for envelope in self.delivered:
                event = Event.read(envelope)
                notify(channel, event, SETTINGS, journal=journal, messenger=Listener(), clock=clock)
        return heard


def deployment(patch: pytest.MonkeyPatch) -> tuple[Any, Walk, Any]:
    patch.setattr(migrate, "hash_password", HASHED)
    house = House(patch)
    return house.world.events, house.walk, INPUT


def manual_rollback(patch: pytest.MonkeyPatch) -> tuple[Any, Walk, Any]:
    scene = Redeployment(patch)
    scene.world.executions.under_way.add("arn:rb1")
    walk = Walk(
        {"${RollbackFunction}": lambda event: rollback.handler(event, None)},
        scene.world.clock,
        name="rb1",
        arn="arn:rb1",
        on_wait=scene.advance,
        definition=ROLLBACK,
    )
    return scene.world.events, walk, WISH


def drill(patch: pytest.MonkeyPatch) -> tuple[Any, Walk, Any]:
    scene = Practice(patch)
    walk = scene.another("drill1")
    walk._definition, walk._on_wait = DRILL, scene.wait
    return scene.world.events, walk, WISH


Machine = Callable[[pytest.MonkeyPatch], tuple[Any, Walk, Any]]


@cache
def undisturbed(machine: Machine) -> Bus:
    with pytest.MonkeyPatch.context() as patch:
        events, walk, given = machine(patch)
        bus = Bus().on(events)
        status, output = walk.run(given)
        assert status == "SUCCEEDED", output
        return bus


#: Of seven phases the first and the last. Of a drill the first and the last: a walk does its parallel branches
#: anew, as Step Functions does not.
CASES = [
    *((deployment, number) for number in (0, 1, 7, 8, 9, 10)),
    *((drill, number) for number in (0, 3)),
    (manual_rollback, 0),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("machine", "number"), CASES)
def test_a_step_that_dies_about_its_telling_is_told_once(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, number: int, moment: str
) -> None:
    whole = undisturbed(machine)
    events, walk, given = machine(monkeypatch)
    bus = Bus(number, moment).on(events)
    with pytest.raises(Dead):
        walk.run(given)
    status, output = walk.redrive()

    assert status == "SUCCEEDED", output
    published = [event["detail-type"] for event in bus.delivered]
    assert len(published) == len(whole.delivered) + (moment == "after"), published
    assert bus.told() == whole.told()


def test_every_kind_that_a_machine_publishes_is_among_those_whose_step_dies() -> None:
    for machine in (deployment, drill, manual_rollback):
        every = [event["detail-type"] for event in undisturbed(machine).delivered]
        dying = {every[number] for which, number in CASES if which is machine}
        assert set(every) - dying == ({"TrafficShifted"} if machine is drill else set())


def test_a_success_whose_answer_was_lost_before_it_was_told_is_told_by_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events, walk, given = deployment(monkeypatch)
    bus = Bus(10, "before").on(events)
    attempt = walk._attempts

    def attempts(state: Any, arguments: Any) -> Any:
        try:
            return attempt(state, arguments)
        except Dead as dead:
            raise TaskFailed("Lambda.Unknown", "the process ended") from dead

    monkeypatch.setattr(walk, "_attempts", attempts)
    walk.run(given)

    assert bus.told() == undisturbed(deployment).told()


def kinds(bus: Bus) -> list[str]:
    """What Slack was told, by kind."""
    return [kind for channel, part, kind, _ in bus.told() if (channel, part) == ("slack", "main")]


def test_freezing_again_is_told_again_and_freezing_what_is_frozen_is_not() -> None:
    world = FakeWorld()
    live(world.journal, V1)
    bus = Bus().on(world.events)
    for by in ("kim", "lee"):
        freeze("smoke", by, "staging", "staging", world)
        freeze("smoke", "park", "staging", "staging", world)
        world.clock.sleep(1)
        unfreeze(by, "staging", "staging", world)
        world.clock.sleep(1)
    assert kinds(bus) == ["Frozen", "Unfrozen"] * 2


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_end_of_a_freeze_that_died_about_its_telling_is_told_once(moment: str) -> None:
    world = FakeWorld()
    live(world.journal, V1)
    bus = Bus(1, moment).on(world.events)
    freeze("smoke", "kim", "staging", "staging", world)
    with pytest.raises(Dead):
        unfreeze("kim", "staging", "staging", world)
    world.clock.sleep(90)
    again = unfreeze("lee", "staging", "staging", world)

    assert again == {"action": "not_frozen", "problems": []}
    assert kinds(bus) == ["Frozen", "Unfrozen"]
    assert {event["detail"]["by"] for event in bus.delivered} == {"kim"}


def test_an_environment_that_was_never_frozen_tells_of_no_end() -> None:
    world = FakeWorld()
    assert unfreeze("kim", "staging", "staging", world)["action"] == "not_frozen"
    assert world.events.kinds == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ({"applied": ["0003_drop_words"]}, "SchemaContracted"),
        ({"failure": {"Error": "MigrationRefusedError", "Cause": "0003: edited"}}, "ContractionFailed"),
    ],
)
def test_an_end_of_a_contraction_that_died_about_its_telling_is_told_once_and_the_lock_is_free(
    moment: str, outcome: dict[str, Any], kind: str
) -> None:
    world = FakeWorld()
    live(world.journal, V1)
    lock = {"holder": "contraction-of-d1", "fence": 7}
    world.journal.items[LOCK] = {**lock, "since": "noon", "execution_arn": "arn:c"}
    bus = Bus(0, moment).on(world.events)

    def end() -> dict[str, Any]:
        return end_contraction(
            "d1", lock, outcome, journal=world.journal, events=world.events, clock=world.clock
        )

    with pytest.raises(Dead):
        end()
    world.clock.sleep(30)
    again = end()

    assert again["status"] == ("FAILED" if "failure" in outcome else "CONTRACTED")
    assert kinds(bus) == [kind]
    assert world.journal.items[LOCK]["holder"] is None


def test_the_same_release_for_the_same_hour_is_announced_and_withdrawn_as_often_as_people_do() -> None:
    world, hours = FakeWorld(), read_hours({"start": "02:00", "end": "04:00"}, "Asia/Seoul")
    bus = Bus().on(world.events)
    for _ in range(2):
        announce(
            "v2", None, "kim", hours=hours, journal=world.journal, events=world.events, clock=world.clock
        )
        world.clock.sleep(1)
        withdraw("no", "kim", journal=world.journal, events=world.events, clock=world.clock)
        world.clock.sleep(1)
    assert kinds(bus) == ["ReleaseAnnounced", "ReleaseWithdrawn"] * 2


def test_an_announcement_and_its_end_that_died_before_they_wrote_that_they_were_told_are_told_once() -> None:
    world, hours = FakeWorld(), read_hours({"start": "02:00", "end": "04:00"}, "Asia/Seoul")
    bus = Bus(0, "after").on(world.events)
    with pytest.raises(Dead):
        announce(
            "v2", None, "kim", hours=hours, journal=world.journal, events=world.events, clock=world.clock
        )
    world.clock.sleep(60)
    announce("v2", None, "kim", hours=hours, journal=world.journal, events=world.events, clock=world.clock)
    bus.dies = 2
    with pytest.raises(Dead):
        withdraw("no", "kim", journal=world.journal, events=world.events, clock=world.clock)
    world.clock.sleep(60)
    withdraw("no", "kim", journal=world.journal, events=world.events, clock=world.clock)
    assert [event["detail-type"][7:] for event in bus.delivered] == ["Announced"] * 2 + ["Withdrawn"] * 2
    assert kinds(bus) == ["ReleaseAnnounced", "ReleaseWithdrawn"]


def test_a_refused_alarm_is_told_once_however_often_it_is_delivered_and_the_next_one_again() -> None:
    world = swapped(sound=0)
    bus = Bus().on(world.events)
    for _ in range(3):
        on_alarm(world)
    assert kinds(bus) == ["RollbackRefused"]
    later = read_alarm_event(alarm_event(at="2026-03-04T13:00:00.000+0000"))
    assert later is not None
    roll_back_on_alarm(later, "sandbox", world)
    assert kinds(bus) == ["RollbackRefused"] * 2


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_rollback_by_an_alarm_that_died_about_its_telling_is_told_once(moment: str) -> None:
    whole, broken = swapped(), swapped()
    undisturbed_bus, bus = Bus().on(whole.events), Bus(0, moment).on(broken.events)
    on_alarm(whole)
    with pytest.raises(Dead):
        on_alarm(broken)
    broken.clock.sleep(60)
    for _ in range(2):
        assert on_alarm(broken)["action"] == "ignored"
    assert kinds(bus) == ["RolledBack"]
    assert bus.told() == undisturbed_bus.told()


def test_an_alarm_that_is_ignored_tells_of_no_other_alarms_rollback() -> None:
    world = swapped()
    bus = Bus().on(world.events)
    on_alarm(world)
    later = read_alarm_event(alarm_event(at="2026-03-04T13:00:00.000+0000"))
    assert later is not None
    assert roll_back_on_alarm(later, "sandbox", world)["action"] == "ignored"
    assert len(bus.delivered) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_deployments_own_rollback_that_died_about_its_telling_is_told_once(moment: str) -> None:
    whole, broken = swapped(), swapped()
    undisturbed_bus, bus = Bus().on(whole.events), Bus(0, moment).on(broken.events)
    roll_back_deployment(DEPLOYMENT, FAILURE, whole)
    with pytest.raises(Dead):
        roll_back_deployment(DEPLOYMENT, FAILURE, broken)
    broken.clock.sleep(60)
    for _ in range(2):
        assert roll_back_deployment(DEPLOYMENT, FAILURE, broken)["action"] == "not_needed"
    assert bus.told() == undisturbed_bus.told()
    assert "RolledBack" in kinds(bus)


def test_an_event_whose_details_tell_it_from_no_other_goes_by_the_buss_own_id() -> None:
    bus = Bus()
    own = EventBus(bus, "bus", "staging")
    for detail in ({"deployment": None, "from": "green"}, {"deployment": "d1", "from": "green"}):
        own.publish("RolledBack", detail)
    own.publish("SomethingNew", {"deployment": "d1"})
    assert [Event.read(each).id for each in bus.delivered] == ["envelope-0", "envelope-1", "envelope-2"]


def test_every_event_that_has_a_text_has_what_tells_it_apart() -> None:
    assert set(DISCRIMINATING) == {key for key in CATALOGUE["en"] if key[0].isupper() and "." not in key}
