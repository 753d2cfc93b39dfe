"""Contract migrations: only after the watch, only for the release that is live, and never after a rollback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from cutover.adapters.control import ScheduledContractions
from cutover.domain.alarms import read_alarm_event
from cutover.domain.colours import Colour
from cutover.domain.contraction import Step, decide_contraction
from cutover.domain.errors import LockHeldError, MigrationRefusedError, NotReachableError, ServiceRefusedError
from cutover.domain.records import LIVE, LOCK, deployment_key
from cutover.domain.rollback import Action, Situation, Trigger, decide
from cutover.handlers import database, journal, rollback
from cutover.steps.contraction import begin_contraction
from cutover.steps.roll_back import roll_back_on_alarm
from tests.contract.fakes import GREEN, FakeClock, FakeExecutions, FakeJournal
from tests.contract.machine import ROOT, Walk
from tests.contract.scenes import V2, alarm_event, live, started
from tests.unit.test_handler_walk import INPUT, SOURCE, House, house  # noqa: F401  the walk's fixture

CONTRACT = json.loads((ROOT / "statemachines" / "contract.asl.json").read_text())
ENDED = datetime.fromisoformat(V2.watch_until)
SECOND = timedelta(seconds=1)
GIVEN = {"deployment": "d2", "source": SOURCE}


@pytest.mark.parametrize(
    ("release", "now", "step"),
    [
        (V2, ENDED - SECOND, Step.WAIT),
        (V2, ENDED, Step.MARK),
        (replace(V2, contracted_at="2026-03-05T11:50:00.000Z"), ENDED + 59 * SECOND, Step.WAIT),
        (replace(V2, contracted_at="2026-03-05T11:50:00.000Z"), ENDED + 60 * SECOND, Step.CONTRACT),
        (replace(V2, rolled_back=True), ENDED + SECOND, Step.NOTHING),
        (replace(V2, deployment="d3"), ENDED + SECOND, Step.NOTHING),
        (None, ENDED + SECOND, Step.NOTHING),
    ],
)
def test_the_way_back_is_closed_before_anything_is_taken_away(
    release: Any, now: datetime, step: Step
) -> None:
    decision = decide_contraction(release, "d2", now)
    assert decision.step is step
    assert (decision.until is not None) == (step is Step.WAIT)


@pytest.mark.parametrize("trigger", [Trigger.PERSON, Trigger.DEPLOYMENT])
def test_nobody_goes_back_to_a_release_whose_schema_is_gone(trigger: Trigger) -> None:
    gone = replace(V2, contracted_at="2026-03-05T11:50:00.000Z")
    decision = decide(Situation(trigger, Colour.GREEN, gone, GREEN, None, ENDED + 60 * SECOND))
    assert decision.action is Action.REFUSE
    assert "the schema may lack what version v1 needs; go forward" in decision.reason


class Later:
    """d2 is live and its watch is over; the schedule starts the contraction."""

    def __init__(self, house: House) -> None:  # noqa: F811
        self.house = house
        self.journal, self.clock = house.world.journal, house.world.clock
        live(self.journal, V2)
        started(self.journal, status="SUCCEEDED")
        self.clock._now = ENDED + SECOND

    def walk(self) -> Walk:
        functions = {
            "${JournalFunction}": lambda event: journal.handler(event, None),
            "${DatabaseFunction}": lambda event: database.handler(event, None),
        }
        return Walk(functions, self.clock, name="c", arn="arn:c", definition=CONTRACT)

    @property
    def record(self) -> dict[str, Any]:
        return self.journal.items[deployment_key("d2")]


@pytest.fixture
def later(house: House) -> Later:  # noqa: F811
    return Later(house)


def test_a_deployment_schedules_its_contraction_for_the_end_of_its_watch(house: House) -> None:  # noqa: F811
    assert house.walk.run(INPUT)[0] == "SUCCEEDED"

    (schedule,) = house.schedules
    assert schedule["ScheduleExpression"] == f"at({house.live.watch_until[:19]})"
    assert schedule["ActionAfterCompletion"] == "DELETE"
    assert json.loads(schedule["Target"]["Input"]) == GIVEN
    assert house.record["contraction"] == {"status": "SCHEDULED", "at": house.live.watch_until}


def test_a_schedule_that_could_not_be_made_costs_nobody_the_release(house: House) -> None:  # noqa: F811
    def refused(_: object) -> None:
        raise ServiceRefusedError("not authorized")

    house.walk._schedule = refused
    assert house.walk.run(INPUT)[0] == "SUCCEEDED"
    assert house.record["contraction"]["status"] == "NOT_SCHEDULED"
    assert "not authorized" in house.record["contraction"]["cause"]


def test_after_the_watch_the_schema_is_contracted_and_the_way_back_closed(later: Later) -> None:
    later.house.migrator.pending = ["0003_drop_words"]
    status, output = later.walk().run(GIVEN)

    assert (status, output["applied"]) == ("SUCCEEDED", ["0003_drop_words"])
    assert later.house.migrator.done == [("contract", "d2")]
    assert later.record["contraction"]["status"] == "CONTRACTED"
    assert later.house.live.contracted_at is not None
    assert later.journal.items[LOCK]["holder"] is None
    assert later.clock.now() >= ENDED + 61 * SECOND, "a rollback that was under way had no time to end"
    assert later.house.world.events.kinds == ["SchemaContracted"]


def test_a_long_contraction_goes_on_call_by_call(later: Later) -> None:
    later.house.migrator.slices = 4
    walk = later.walk()
    assert walk.run(GIVEN)[0] == "SUCCEEDED"
    assert walk.visited.count("Wait for the contraction") == 4


def test_an_event_before_the_watch_has_ended_waits_for_its_end(later: Later) -> None:
    later.clock._now = ENDED - timedelta(hours=3)
    walk = later.walk()
    assert walk.run(GIVEN)[0] == "SUCCEEDED"
    assert walk.visited[:4] == ["Remember the release", "Begin", "What is to be done?", "Wait for the moment"]
    assert later.house.live.contracted_at is not None
    assert later.house.live.contracted_at >= V2.watch_until


@pytest.mark.parametrize(
    "release",
    [
        replace(V2, deployment="d3"),
        replace(V2, deployment="d1", rolled_back=True),
        replace(V2, rolled_back=True),
    ],
)
def test_a_late_event_for_another_release_does_nothing(later: Later, release: Any) -> None:
    live(later.journal, release)
    before = json.dumps(later.journal.items[LIVE], default=str)
    status, output = later.walk().run(GIVEN)

    assert (status, output["action"]) == ("SUCCEEDED", "nothing")
    assert later.house.migrator.done == []
    assert json.dumps(later.journal.items[LIVE], default=str) == before
    assert LOCK not in later.journal.items


def test_a_rollback_cancels_the_contraction(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    world = later.house.world
    world.contractions.there = {"d2", "d1"}
    world.balancer.of["listener"], later.clock._now = GREEN, ENDED - timedelta(hours=1)
    told = roll_back_on_alarm(read_alarm_event(alarm_event()), "sandbox", world)

    assert (told["action"], world.contractions.there) == ("rolled_back", {"d1"})


def test_a_rollback_between_the_mark_and_the_contraction_wins(later: Later) -> None:
    """One that read the journal before the mark was there."""
    walk = later.walk()

    def taken_back() -> None:
        if later.house.live.contracted_at is not None and later.house.live.deployment == "d2":
            live(later.journal, replace(V2, deployment="d1", version="v1", rolled_back=True))

    walk._on_wait = taken_back
    status, output = walk.run(GIVEN)

    assert (status, output["action"]) == ("SUCCEEDED", "nothing")
    assert later.house.migrator.done == []
    assert later.journal.items[LOCK]["holder"] is None


def test_a_deployment_under_way_is_waited_for() -> None:
    book, executions = FakeJournal(), FakeExecutions("arn:d3")
    live(book, V2)
    book.items[LOCK] = {"holder": "d3", "fence": 4, "since": "noon", "execution_arn": "arn:d3"}
    clock = FakeClock(ENDED + SECOND)
    with pytest.raises(LockHeldError, match="deployment d3 is under way"):
        begin_contraction("d2", {"Id": "arn:c"}, journal=book, executions=executions, clock=clock)
    assert book.items[LIVE]["contracted_at"] is None

    executions.under_way.clear()
    told = begin_contraction("d2", {"Id": "arn:c"}, journal=book, executions=executions, clock=clock)
    assert (told["action"], told["lock"]) == ("wait", {"holder": "contraction-of-d2", "fence": 5})


def test_a_second_attempt_finds_its_own_lock(later: Later) -> None:
    executions = FakeExecutions("arn:c")
    told = [
        begin_contraction(
            "d2", {"Id": "arn:c"}, journal=later.journal, executions=executions, clock=later.clock
        )
        for _ in range(2)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("error", "closed"),
    [(MigrationRefusedError("0003: edited"), False), (ServiceRefusedError("0003: no such field"), True)],
)
def test_a_contraction_that_fails_is_told_and_only_a_refused_one_leaves_the_way_back(
    later: Later, error: Exception, closed: bool
) -> None:
    later.house.migrator.broken = {"contract": error}
    status, output = later.walk().run(GIVEN)

    assert (status, output["Error"]) == ("FAILED", "ContractionFailedError")
    assert str(error) in output["Cause"]
    assert later.record["contraction"]["status"] == "FAILED"
    assert (later.house.live.contracted_at is not None) is closed
    assert later.journal.items[LOCK]["holder"] is None
    assert later.house.world.events.kinds == ["ContractionFailed"]


@pytest.fixture
def scheduler() -> Iterator[Stubber]:
    client = boto3.client(
        "scheduler", region_name="ap-northeast-2", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        stub.contractions = ScheduledContractions(client, "cutover-sandbox-contractions")
        yield stub


def test_the_schedule_of_a_deployment_is_deleted_by_its_name(scheduler: Any) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteSchedule.html: up to 64 characters."""
    wanted = {"Name": "2" * 64, "GroupName": "cutover-sandbox-contractions"}
    scheduler.add_response("delete_schedule", {}, wanted)
    scheduler.contractions.cancel("1" + "2" * 64)
    scheduler.assert_no_pending_responses()


def test_a_schedule_that_is_gone_needs_no_cancelling(scheduler: Any) -> None:
    scheduler.add_client_error("delete_schedule", "ResourceNotFoundException", http_status_code=404)
    scheduler.contractions.cancel("d2")
    scheduler.add_client_error("delete_schedule", "InternalServerException", http_status_code=500)
    with pytest.raises(NotReachableError):
        scheduler.contractions.cancel("d2")


def test_the_rollback_function_makes_the_client_only_when_it_is_asked_for() -> None:
    variables = rollback.Variables(
        cutover_environment="sandbox",
        journal_table="t",
        event_bus="b",
        release_document="r",
        contraction_group="g",
        probe_function="p",
        repository="b",
        repository_uri="r/b",
        frontend_release_document="f",
        frontend_repository="f",
        frontend_repository_uri="r/f",
        state_machine_arn="m",
    )
    assert "contractions" not in vars(rollback.Wiring(variables))
