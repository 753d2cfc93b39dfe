"""The drill's state machine, walked through with the real handlers over the ports in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cutover.domain.colours import Colour
from cutover.domain.errors import InvalidInputError, NotReachableError, ThrottledError
from cutover.domain.records import DRILL, FREEZE, LIVE, LOCK, Candidate, colour_key, deployment_key
from cutover.handlers import load, rollback
from cutover.ports import VersionAnswers
from cutover.steps.freeze import freeze
from cutover.steps.roll_back import roll_back_by_hand
from sandbox.emulator.embedded_metrics import metrics_of
from tests.contract.fakes import BLUE, GREEN, TARGETS
from tests.contract.machine import ROOT, Walk
from tests.contract.scenes import STARTED, V1, V2, alarm_event, live
from tests.unit.test_handler_walk import House

DEFINITION = json.loads((ROOT / "statemachines" / "drill.asl.json").read_text())
WISH = {"environment": "sandbox", "by": "kim", "reason": "it is Tuesday"}


class Scene(House):
    """v2 is live on green after v1 on blue; both are well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.monkeypatch = monkeypatch
        live(self.world.journal, V2)
        self.world.balancer.of |= {TARGETS.listener_arn: GREEN, TARGETS.test_listener_arn: BLUE}
        for colour in Colour:
            self.world.balancer.populate(colour, healthy=6)
        for name, version in (("d1", "v1"), ("d2", "v2")):
            self.world.journal.items[deployment_key(name)] = {
                "id": name,
                "version": version,
                "status": "SUCCEEDED",
                "started": STARTED,
            }
        self.world.journal.items[colour_key(Colour.BLUE)] = {"deployment": "d1", "version": "v1"}
        self.http.serving[443] = lambda: "v2" if self.world.balancer.of["listener"] == GREEN else "v1"
        self.load.on_compare = lambda: self.world.clock.sleep(16)
        monkeypatch.setattr(load, "SystemClock", lambda: self.world.clock)
        self.on_wait: Callable[[], None] = lambda: None

    def drill(self, name: str = "drill1", **wish: Any) -> tuple[str, Any]:
        self.walk = self.another(name)
        self.walk._definition, self.walk._on_wait = DEFINITION, self.wait
        return self.walk.run({**WISH, **wish})

    def wait(self) -> None:
        self.on_wait()

    @property
    def drilled(self) -> dict[str, Any]:
        return self.world.journal.items[deployment_key("drill1")]

    @property
    def moves(self) -> list[Any]:
        return [to for listener, to in self.world.balancer.moves if listener == "listener"]

    def back_and_free(self) -> bool:
        return (
            self.world.balancer.of["listener"] == GREEN
            and self.live.candidate is None
            and (self.live.deployment, self.live.rolled_back) == ("d2", False)
            and self.world.journal.items.get(LOCK, {}).get("holder") is None
        )


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_the_traffic_goes_to_the_previous_release_and_back_under_load(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output = scene.drill()

    assert (status, output["verdict"]) == ("SUCCEEDED", "Pass"), output
    assert scene.moves == [BLUE, GREEN]
    assert scene.back_and_free()
    assert scene.load.asked[-1] == {
        "port": 443,
        "path": "/api/health",
        "rate": 50,
        "users": 10,
        "seconds": 16,
    }
    assert {name: output["drill"][name] for name in ("requests", "lost", "versions")} == {
        "requests": 1100,
        "lost": 0,
        "versions": {"v1": 900, "v2": 200},
    }
    assert (scene.drilled["status"], scene.drilled["drill"]) == ("SUCCEEDED", output["drill"])
    assert scene.drilled["input"]["reason"] == "kim: it is Tuesday"
    assert scene.world.journal.items[DRILL]["deployment"] == "drill1"
    assert scene.world.events.kinds == ["DrillStarted", "TrafficShifted", "TrafficShifted", "DrillCompleted"]
    (line,) = [each for each in capsys.readouterr().out.splitlines() if '"_aws"' in each]
    metrics = metrics_of(line)["Cutover"]
    assert {entry["MetricName"] for entry in metrics} == {
        "Drills",
        "DrillLostRequests",
        "DrillThereMilliseconds",
        "DrillBackMilliseconds",
    }


def test_the_journal_names_the_candidate_before_the_listener_moves(scene: Scene) -> None:
    seen, move = [], scene.world.balancer.set_weights

    def watched(*arguments: Any) -> None:
        seen.append(scene.live.candidate)
        move(*arguments)

    scene.world.balancer.set_weights = watched
    scene.drill()

    assert seen[0] == Candidate("drill1", "v1", Colour.BLUE, 100, drill=True)


def lost(scene: Scene) -> None:
    scene.load.answers["v1"] = VersionAnswers(900, 3, 20.0)


def silent(scene: Scene) -> None:
    scene.load.answers = {}


def one_sided(scene: Scene) -> None:
    scene.load.answers = {"v2": VersionAnswers(900, 0, 20.0)}


def short(scene: Scene) -> None:
    scene.load.on_compare = lambda: scene.world.clock.sleep(6)


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (lost, "“No request is lost” (A5) failed: found 3 of 1100"),
        (silent, "“The load saw both ways” (A5) is inconclusive: found no answers"),
        (one_sided, "is inconclusive: found 900 of v2"),
        (short, "is inconclusive: found it ended before the second was through"),
    ],
)
def test_what_was_measured_and_is_not_good_fails_the_drill_with_the_traffic_back(
    scene: Scene, breaks: Any, words: str
) -> None:
    breaks(scene)
    status, output = scene.drill()

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert words in output["Cause"]
    assert scene.back_and_free()
    assert (scene.drilled["status"], scene.drilled["drill"]["verdict"]) == ("FAILED", "Fail")
    assert scene.world.events.kinds[-1] == "DrillCompleted"


def first(scene: Scene) -> None:
    live(scene.world.journal, replace(V1, colour=Colour.GREEN))


def nothing(scene: Scene) -> None:
    del scene.world.journal.items[LIVE]


def taken_back(scene: Scene) -> None:
    live(scene.world.journal, replace(V2, rolled_back=True))


def contracted(scene: Scene) -> None:
    live(scene.world.journal, replace(V2, contracted_at=STARTED))


def other_release(scene: Scene) -> None:
    scene.world.journal.items[colour_key(Colour.BLUE)] = {"deployment": "d3"}


def sick(scene: Scene) -> None:
    scene.world.balancer.populate(Colour.BLUE, healthy=5, sick=1)


def edited(scene: Scene) -> None:
    scene.world.balancer.of["listener"] = BLUE


def standing(scene: Scene) -> None:
    scene.alarms.alarms = [replace(alarm, state="ALARM") for alarm in scene.alarms.alarms]


def unguarded(scene: Scene) -> None:
    scene.alarms.alarms = []


def backup(scene: Scene) -> None:
    """Noon in UTC is nine in the evening of that Wednesday in Seoul."""
    hours = {"start": "21:00", "end": "23:00", "day": "wednesday"}
    _windows(scene, backup=hours)


def soon_a_backup(scene: Scene) -> None:
    _windows(scene, backup={"start": "21:00", "end": "23:00"})
    scene.world.clock.turn_to(scene.world.clock.now() - timedelta(seconds=10))


def _windows(scene: Scene, **hours: Any) -> None:
    scene.configuration.settings["window"] = {"enforced": True, "zone": "Asia/Seoul", **hours}


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (nothing, "nothing is released"),
        (first, "version v1 is the first release"),
        (taken_back, "version v1, which was rolled back"),
        (contracted, "whose schema was contracted at 2026-03-04T12:00:00.000Z"),
        (other_release, "deployment d3 stands on blue since"),
        (sick, "blue: 5 of 6 healthy"),
        (edited, "found blue 100, green 0, wanted blue 0, green 100"),
        (standing, "in ALARM: cutover-sandbox-backend-blue"),
        (unguarded, "not there: cutover-sandbox-backend-blue-errors"),
        (
            backup,
            "“No backup runs” (A3) failed: found one runs, wanted outside Wednesday 21:00–23:00 Asia/Seoul",
        ),
        (soon_a_backup, "found the next begins at 2026-03-04 21:00"),
    ],
)
def test_without_everything_well_there_is_no_drill_and_nothing_moves(
    scene: Scene, breaks: Any, words: str
) -> None:
    breaks(scene)
    before = scene.world.journal.items.get(LIVE)
    status, output = scene.drill()

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert "no drill now" in output["Cause"]
    assert words in output["Cause"]
    assert scene.moves == []
    assert scene.world.journal.items.get(LIVE) == before
    assert scene.world.journal.items[LOCK]["holder"] is None
    assert scene.world.events.kinds[-1] == "DrillFailed"


def test_it_waits_for_no_deployment_and_a_frozen_environment_has_none(scene: Scene) -> None:
    scene.world.journal.items[LOCK] = {"holder": "d9", "fence": 1, "since": "noon", "execution_arn": "arn:d9"}
    scene.executions.under_way.add("arn:d9")
    assert scene.drill()[1]["Error"] == "LockHeldError"
    del scene.world.journal.items[LOCK]
    scene.world.journal.items[FREEZE] = {"frozen": True, "by": "kim", "since": "noon", "reason": "fire"}
    assert scene.drill()[1]["Error"] == "FrozenError"
    assert scene.moves == []


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"environment": "staging"}, "WrongEnvironmentError", "'staging'"),
        ({"version": "v1"}, "InvalidInputError", "version: not a field of a drill"),
        ({"reason": ""}, "InvalidInputError", "reason: '' says nothing"),
    ],
)
def test_bad_input_is_the_executions_cause(scene: Scene, wish: Any, error: str, words: str) -> None:
    status, output = scene.drill(**wish)

    assert (status, output["Error"]) == ("FAILED", error)
    assert words in output["Cause"]
    assert scene.moves == []


def between(scene: Scene, do: Callable[[], object]) -> None:
    """While the previous release has the traffic."""
    done: list[object] = []

    def wait() -> None:
        if scene.walk.visited[-1] == "Stay a while" and not done:
            done.append(do())

    scene.on_wait = wait


def test_an_alarm_of_the_previous_release_sends_the_traffic_back_and_rolls_nothing_back(scene: Scene) -> None:
    event = alarm_event(Colour.BLUE, at="2026-03-04T12:00:05.000+0000")
    answers: list[Any] = []
    between(scene, lambda: answers.append(rollback.handler(event, None)))
    status, _ = scene.drill()

    assert status == "FAILED"
    assert (answers[0]["action"], answers[0]["to"]) == ("rolled_back", "green")
    assert scene.moves == [BLUE, GREEN]
    assert scene.back_and_free()
    assert scene.world.journal.items[deployment_key("d2")]["status"] == "SUCCEEDED"
    assert scene.drilled["status"] == "FAILED"
    assert "backend-blue-errors" in scene.drilled["rollback"]["cause"]
    assert "DrillStopped" in scene.world.events.kinds
    assert "RolledBack" not in scene.world.events.kinds
    # The way back goes on standing.
    assert [sent for sent in scene.world.commands.sent if sent[2]["Action"] == "stop"] == []
    assert [arn for arn, _ in scene.executions.stopped] == ["arn:drill1"]


def test_a_late_alarm_of_it_after_the_drill_moves_nothing(scene: Scene) -> None:
    scene.drill()
    answer = rollback.handler(alarm_event(Colour.BLUE, at="2026-03-04T12:00:05.000+0000"), None)

    assert answer["action"] == "ignored"
    assert scene.back_and_free()


def test_an_alarm_of_the_live_release_is_its_own_and_the_traffic_stays_where_it_is(scene: Scene) -> None:
    event = alarm_event(Colour.GREEN, at="2026-03-04T12:00:05.000+0000")
    between(scene, lambda: rollback.handler(event, None))
    status, _ = scene.drill()

    assert status == "FAILED"
    assert scene.moves == [BLUE]
    assert (scene.live.deployment, scene.live.rolled_back, scene.live.candidate) == ("d1", True, None)
    assert scene.world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"
    assert scene.drilled["status"] == "FAILED"
    assert scene.world.journal.items[LOCK]["holder"] is None


def test_a_person_who_rolls_back_during_a_drill_leaves_the_live_release(scene: Scene) -> None:
    between(scene, lambda: roll_back_by_hand("it is slow", "kim", "sandbox", "sandbox", scene.world))
    scene.drill()

    assert scene.moves == [BLUE]
    assert (scene.live.deployment, scene.live.rolled_back, scene.live.candidate) == ("d1", True, None)


def test_a_freeze_during_a_drill_ends_it_on_the_live_release(scene: Scene) -> None:
    between(scene, lambda: freeze("fire", "kim", "sandbox", "sandbox", scene.world))
    status, _ = scene.drill()

    assert status == "FAILED"
    assert scene.moves == [BLUE, GREEN]
    assert scene.back_and_free()


STATES = [
    "Take back what was left",
    "May it be done?",
    "Be users",
    "Go to the previous release",
    "See the previous release answer",
    "Come back",
    "See the live release answer",
    "Conclude the drill",
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("state", STATES)
def test_a_step_that_dies_before_or_after_its_work_leaves_the_traffic_on_live(
    scene: Scene, state: str, after: bool
) -> None:
    invoke = Walk._invoke

    def dying(walk: Walk, arguments: Any) -> Any:
        if walk.visited[-1] != state:
            return invoke(walk, arguments)
        if after:
            invoke(walk, arguments)
        raise_dead()

    scene.monkeypatch.setattr(Walk, "_invoke", dying)
    status, _ = scene.drill()

    assert status == "FAILED"
    assert scene.back_and_free()
    assert scene.drilled["status"] in ("FAILED", "SUCCEEDED")
    if not after or state != "Conclude the drill":
        assert scene.drilled["status"] == "FAILED"


def raise_dead() -> None:
    from tests.contract.machine import TaskFailed

    raise TaskFailed("Lambda.Unknown", "the process ended")


def die_there(scene: Scene) -> None:
    """The execution dies while the previous release has the traffic."""

    class Dead(BaseException):
        pass

    def die() -> None:
        scene.executions.under_way.discard("arn:drill1")
        raise Dead

    between(scene, die)
    with pytest.raises(Dead):
        scene.drill()
    assert scene.world.balancer.of["listener"] == BLUE


def test_a_drill_whose_execution_dies_is_mended_by_the_next(scene: Scene) -> None:
    die_there(scene)
    scene.on_wait = lambda: None
    status, _ = scene.drill("drill2")

    assert status == "SUCCEEDED"
    assert scene.moves == [BLUE, GREEN, BLUE, GREEN]
    assert scene.back_and_free()
    assert scene.drilled["status"] == "FAILED"


def ended(name: str, status: str = "TIMED_OUT", machine: str = "drill") -> dict[str, Any]:
    """As Step Functions tells EventBridge.
    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"executionArn": f"arn:{name}", "stateMachineArn": f"arn:{machine}", "status": status},
    }


def test_traffic_that_a_dead_drill_has_left_comes_back_by_the_event_of_its_end(scene: Scene) -> None:
    die_there(scene)
    answer = rollback.handler(ended("drill1"), None)

    assert answer["action"] == "rolled_back"
    assert "the execution of drill1 ended (TIMED_OUT) while it moved the traffic" in answer["cause"]
    assert scene.back_and_free()
    assert scene.drilled["status"] == "FAILED"
    assert scene.world.events.kinds[-1] == "DrillStopped"
    assert rollback.handler(ended("drill1"), None)["action"] == "not_needed"
    assert scene.moves == [BLUE, GREEN]


def test_the_event_of_an_end_that_was_its_own_or_anothers_moves_nothing(scene: Scene) -> None:
    scene.drill()
    moves = list(scene.moves)
    for name in ("drill1", "somebody"):
        answer = rollback.handler(ended(name, "FAILED"), None)
        assert (answer["action"], answer["reason"]) == (
            "not_needed",
            "the execution had unlocked before it ended",
        )
    with pytest.raises(InvalidInputError, match="executionArn: None says nothing"):
        rollback.handler({"source": "aws.states", "detail": {}}, None)
    assert scene.moves == moves


def test_a_throttled_step_is_done_again(scene: Scene) -> None:
    move, failures = scene.world.balancer.set_weights, [ThrottledError("once"), NotReachableError("twice")]

    def flaky(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        move(*arguments)

    scene.world.balancer.set_weights = flaky
    status, _ = scene.drill()

    assert (status, scene.walk.tried) == ("SUCCEEDED", ["NotReachableError", "ThrottledError"])


def test_where_live_can_not_take_it_back_the_traffic_stays_and_the_cause_says_so(scene: Scene) -> None:
    between(scene, lambda: scene.world.balancer.populate(Colour.GREEN, healthy=0, sick=6))
    status, output = scene.drill()

    assert (status, output["Error"]) == ("FAILED", "UnhealthyTargetsError")
    assert "green can't take the traffic back of the backend: 0 of 6 healthy" in output["Cause"]
    assert scene.moves == [BLUE]
