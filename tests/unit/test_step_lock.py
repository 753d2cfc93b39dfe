"""Taking the lock, concluding phases, ending well and badly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.errors import GateFailedError, InvalidInputError, LockHeldError, LockLostError
from cutover.domain.records import LOCK, Deployment, Status, deployment_key, history_key
from cutover.steps.acquire_lock import acquire_lock
from cutover.steps.conclude_phase import conclude_phase
from cutover.steps.fail import fail
from cutover.steps.finish import finish
from tests.contract.fakes import FakeClock, FakeConfiguration, FakeEvents, FakeExecutions, FakeJournal
from tests.contract.scenes import DEPLOYMENT, STARTED, V1, V2, arn, live, locked

INPUT = {"environment": "sandbox", "version": "v2", "source": f"sources/{'a' * 64}.zip"}
PASS = {"name": "a", "requirement": "C1", "verdict": "Pass", "found": "1", "wanted": "1", "must": True}
FAIL = {**PASS, "name": "p95", "verdict": "Fail", "found": "812 ms", "wanted": "< 500 ms"}
UNKNOWN = {**PASS, "name": "cpu", "verdict": "Inconclusive", "found": "no data"}
PHASE = {"number": 6, "name": "Perform", "started": STARTED, "deadline": 1}


class Desk:
    """A journal and what goes with it."""

    def __init__(self, *running: str) -> None:
        self.journal, self.events, self.clock = FakeJournal(), FakeEvents(), FakeClock()
        self.executions = FakeExecutions(*running)

    def acquire(self, deployment: str, given: object = INPUT) -> dict[str, Any]:
        return acquire_lock(
            {"Id": arn(deployment), "Name": deployment},
            given,
            "sandbox",
            journal=self.journal,
            executions=self.executions,
            configuration=FakeConfiguration(poll_seconds=1),
            events=self.events,
            clock=self.clock,
        )

    def conclude(self, gates: Any, deployment: Deployment = DEPLOYMENT) -> dict[str, Any]:
        return conclude_phase(
            deployment, PHASE, gates, journal=self.journal, events=self.events, clock=self.clock
        )

    def finish(self, status: Status = Status.SUCCEEDED) -> dict[str, Any]:
        plan = {"plan": {"idle_colour": "green"}, "swap": None}
        return finish(DEPLOYMENT, status, plan, journal=self.journal, events=self.events, clock=self.clock)

    def fail(self, rollback: dict[str, Any]) -> dict[str, Any]:
        cause = json.dumps({"errorMessage": "found 812 ms", "errorType": "GateFailedError"})
        failure = {"Error": "GateFailedError", "Cause": cause}
        return fail(DEPLOYMENT, failure, rollback, journal=self.journal, events=self.events, clock=self.clock)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_free_lock_is_taken_with_a_record_and_a_line_of_history(desk: Desk) -> None:
    answer = desk.acquire("d2")

    payload = answer["deployment"]
    assert (payload["id"], payload["version"], payload["fence"], payload["mode"]) == ("d2", "v2", 1, "deploy")
    assert answer["configuration"] == {"poll_seconds": 1}
    assert desk.journal.items[LOCK]["holder"] == "d2"
    assert desk.journal.items[deployment_key("d2")]["status"] == "RUNNING"
    assert desk.journal.items[history_key(payload["started"], "d2")]["version"] == "v2"
    assert desk.events.kinds == ["DeploymentStarted"]


def test_a_second_attempt_finds_its_own_lock(desk: Desk) -> None:
    first = desk.acquire("d2")
    desk.clock.sleep(60)

    assert desk.acquire("d2") == first


def test_a_second_deployment_is_told_who_holds_the_lock_and_since_when(desk: Desk) -> None:
    desk.executions.under_way.add(arn("d1"))
    desk.acquire("d1")

    with pytest.raises(LockHeldError, match=f"deployment d1 has held sandbox since {STARTED}"):
        desk.acquire("d2")
    assert desk.journal.items[LOCK]["holder"] == "d1"


def test_the_lock_of_a_dead_execution_is_taken_over_with_a_higher_fence(desk: Desk) -> None:
    desk.acquire("d1")

    answer = desk.acquire("d2")

    assert answer["deployment"]["fence"] == 2
    assert desk.journal.items[deployment_key("d1")]["status"] == "ABANDONED"
    assert "d2 took over" in desk.journal.items[deployment_key("d1")]["cause"]


def test_the_fence_goes_on_after_the_lock_was_free(desk: Desk) -> None:
    desk.acquire("d1")
    payload = Deployment.read(desk.journal.items[deployment_key("d1")]["payload"])
    finish(payload, Status.PLANNED, {}, journal=desk.journal, events=desk.events, clock=desk.clock)

    assert desk.journal.items[LOCK]["holder"] is None
    assert desk.acquire("d2")["deployment"]["fence"] == 2


def test_bad_input_takes_nothing(desk: Desk) -> None:
    with pytest.raises(InvalidInputError):
        desk.acquire("d2", {**INPUT, "environmnet": "sandbox"})
    assert not desk.journal.items


def test_a_phase_is_written_down_with_its_verdicts(desk: Desk) -> None:
    locked(desk.journal)

    assert desk.conclude([PASS, {**FAIL, "must": False}])["verdict"] == "Pass"
    (phase,) = desk.journal.items[deployment_key("d2")]["phases"]
    assert (phase["number"], phase["name"], len(phase["gates"])) == (6, "Perform", 2)
    assert desk.events.kinds == ["PhaseCompleted"]


def test_every_closed_gate_is_named_with_found_and_wanted(desk: Desk) -> None:
    locked(desk.journal)

    with pytest.raises(GateFailedError) as caught:
        desk.conclude([PASS, FAIL, UNKNOWN])
    for words in ("found 812 ms, wanted < 500 ms", "“cpu” (C1) is inconclusive"):
        assert words in str(caught.value)
    assert desk.journal.items[deployment_key("d2")]["phases"][0]["verdict"] == "Fail"
    assert desk.events.kinds == ["GateFailed"]


def test_a_phase_that_nobody_judged_is_closed(desk: Desk) -> None:
    locked(desk.journal)

    with pytest.raises(GateFailedError, match="no gate"):
        desk.conclude([])


def test_a_single_gate_may_come_without_its_list(desk: Desk) -> None:
    locked(desk.journal)

    assert desk.conclude(PASS)["gates"] == 1


def test_concluding_twice_writes_a_phase_once(desk: Desk) -> None:
    locked(desk.journal)
    desk.conclude([PASS])
    desk.conclude([PASS])

    assert len(desk.journal.items[deployment_key("d2")]["phases"]) == 1


def test_who_lost_the_lock_writes_nothing(desk: Desk) -> None:
    locked(desk.journal)

    with pytest.raises(LockLostError):
        desk.conclude([PASS], replace(DEPLOYMENT, fence=6))
    assert desk.journal.items[deployment_key("d2")]["phases"] == []


def test_success_is_recorded_and_the_lock_set_free(desk: Desk) -> None:
    locked(desk.journal)
    live(desk.journal, V2)

    assert desk.finish() == desk.finish()  # a second attempt changes nothing
    record = desk.journal.items[deployment_key("d2")]
    assert (record["status"], record["plan"]) == ("SUCCEEDED", {"idle_colour": "green"})
    assert desk.journal.items[history_key(STARTED, "d2")]["status"] == "SUCCEEDED"
    assert desk.journal.items[LOCK]["holder"] is None
    # The first may have died before it had told; people hear of both as of one (test_told_once.py).
    assert desk.events.kinds == ["DeploymentSucceeded"] * 2


def test_a_release_that_was_rolled_back_at_the_last_moment_is_no_success(desk: Desk) -> None:
    locked(desk.journal, status="ROLLED_BACK")
    live(desk.journal, V1)

    with pytest.raises(GateFailedError, match="rolled back"):
        desk.finish()


def test_success_without_the_lock_is_refused(desk: Desk) -> None:
    locked(desk.journal, replace(DEPLOYMENT, id="d3"))
    live(desk.journal, V2)

    with pytest.raises(LockLostError):
        desk.finish()


def test_a_failure_is_told_with_what_was_done_about_it(desk: Desk) -> None:
    locked(desk.journal)

    answer = desk.fail({"action": "rolled_back", "reason": "green is failing and blue is sound"})

    assert answer["cause"].startswith(
        "GateFailedError: found 812 ms (rollback: rolled_back: green is failing"
    )
    record = desk.journal.items[deployment_key("d2")]
    assert (record["status"], record["cause"]) == ("ROLLED_BACK", answer["cause"])
    assert desk.journal.items[LOCK]["holder"] is None
    assert desk.events.kinds == ["DeploymentFailed"]


def test_a_failure_before_the_swap_is_a_failure_and_no_rollback(desk: Desk) -> None:
    locked(desk.journal)

    assert desk.fail({"action": "not_needed", "reason": "the traffic had not moved"})["status"] == "FAILED"


def test_a_failure_leaves_a_lock_that_is_somebody_elses_alone(desk: Desk) -> None:
    locked(desk.journal, replace(DEPLOYMENT, id="d3", fence=8))
    desk.journal.items[deployment_key("d2")] = {"id": "d2", "status": "RUNNING", "started": STARTED}

    desk.fail({"action": "not_needed", "reason": "x"})

    assert desk.journal.items[LOCK]["holder"] == "d3"
    assert desk.journal.items[deployment_key("d2")]["status"] == "FAILED"


def test_what_an_alarm_wrote_down_stays(desk: Desk) -> None:
    locked(desk.journal, status="ROLLED_BACK", cause="alarm errors", rollback={"clock": {"ms": 300}})

    desk.fail({"action": "not_needed", "reason": "it had been rolled back already"})

    record = desk.journal.items[deployment_key("d2")]
    assert (record["status"], record["cause"]) == ("ROLLED_BACK", "alarm errors")
    assert record["rollback"] == {"clock": {"ms": 300}}
