"""Traffic that moves in steps, walked through the whole machine."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import AccessDeniedError
from cutover.domain.records import LIVE, LOCK
from cutover.ports import VersionAnswers
from tests.contract.fakes import BLUE, GREEN, FakeAlarms
from tests.unit.test_handler_walk import CONFIGURATION, INPUT, House

CANARY = {
    "strategy": "canary",
    "percentage": 10,
    "shares": [10, 100],
    "bake_seconds": 150,
    "comparison_seconds": 60,
    "requests_per_second": 50,
    "users": 10,
    "fewest_answers": 100,
}
LINEAR = {**CANARY, "strategy": "linear", "percentage": 40, "shares": [40, 80, 100]}


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return shifting(House(monkeypatch), CANARY)


def shifting(house: House, shift: dict[str, Any]) -> House:
    house.configuration.settings = {**CONFIGURATION, "shift": shift}
    house.load.on_compare = lambda: house.world.clock.sleep(60)
    return house


def live_weights(house: House) -> list[Weights]:
    return [weights for listener, weights in house.world.balancer.moves if listener == "listener"]


def shares(house: House) -> list[dict[str, Any]]:
    return [phase for phase in house.record["phases"] if phase["number"] > 7]


def test_a_canary_gets_a_share_bakes_and_takes_all(house: House) -> None:
    status, _ = house.walk.run(INPUT)

    assert status == "SUCCEEDED"
    assert live_weights(house) == [Weights(90, 10), GREEN]
    assert house.walk.visited.count("Compare the releases") == 3  # 60 s each, until 150 s have passed
    (share,) = shares(house)
    assert (share["name"], share["verdict"], len(share["gates"])) == ("Shift to 10 %", "Pass", 4)
    assert (house.live.version, house.live.candidate) == ("v2", None)


def test_linear_steps_are_each_judged_before_the_next(house: House) -> None:
    shifting(house, LINEAR)
    status, _ = house.walk.run(INPUT)

    assert status == "SUCCEEDED"
    assert live_weights(house) == [Weights(60, 40), Weights(20, 80), GREEN]
    assert [share["name"] for share in shares(house)] == ["Shift to 40 %", "Shift to 80 %"]


def test_the_comparison_asks_the_live_listener_at_the_configured_rate(house: House) -> None:
    house.walk.run(INPUT)

    asked = [each for each in house.load.asked if "path" in each]
    assert asked[-1] == {
        "port": 443,
        "path": "/api/health",
        "rate": 50.0,
        "users": 10,
        "seconds": 60.0,
    }


def test_the_journal_names_the_candidate_before_the_listener_does(house: House) -> None:
    seen = []
    set_weights = house.world.balancer.set_weights

    def look(listener: str, targets: Any, weights: Weights) -> None:
        if listener == "listener" and weights == Weights(90, 10):
            seen.append(house.live.candidate)
        set_weights(listener, targets, weights)

    house.world.balancer.set_weights = look
    house.walk.run(INPUT)

    assert [(c.deployment, c.version, c.colour, c.share) for c in seen if c] == [
        ("d2", "v2", Colour.GREEN, 10)
    ]


def test_the_first_release_of_all_takes_the_traffic_at_once(house: House) -> None:
    del house.world.journal.items[LIVE]
    status, _ = house.walk.run(INPUT)

    assert (status, live_weights(house), shares(house)) == ("SUCCEEDED", [GREEN], [])


def failing_answers(house: House) -> None:
    house.load.answers["v2"] = VersionAnswers(200, 7, 22.0)


def slow_answers(house: House) -> None:
    house.load.answers["v2"] = VersionAnswers(200, 0, 900.0)


def no_answers(house: House) -> None:
    del house.load.answers["v2"]


def lost_requests(house: House) -> None:
    house.load.answers[""] = VersionAnswers(3, 3, 0.0)


def standing_alarm(house: House) -> None:
    calm = house.alarms.alarms

    def compared() -> None:
        house.world.clock.sleep(60)
        alarms = [_alarmed(alarm) if alarm.name.endswith("green-errors") else alarm for alarm in calm]
        house.alarms.alarms = FakeAlarms(*alarms).alarms

    house.load.on_compare = compared


def _alarmed(alarm: Any) -> Any:
    from dataclasses import replace

    return replace(alarm, state="ALARM")


def sick_target(house: House) -> None:
    house.load.on_compare = lambda: (
        house.world.clock.sleep(60),
        house.world.balancer.populate(Colour.GREEN, healthy=1, sick=5),
    )[0]


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (failing_answers, "v2: 7 of 200 failed"),
        (slow_answers, "p95 900 ms"),
        (no_answers, "is inconclusive"),
        (lost_requests, "3 requests were not answered"),
        (standing_alarm, "cutover-sandbox-backend-green-errors"),
        (sick_target, "1 of 6 healthy"),
    ],
)
def test_a_share_that_is_not_good_goes_back_at_once_and_the_release_with_it(
    house: House, breaks: Any, words: str
) -> None:
    breaks(house)
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert words in output["Cause"]
    assert house.world.balancer.of["listener"] == BLUE
    assert (house.live.version, house.live.candidate, house.live.rolled_back) == ("v1", None, False)
    assert house.record["status"] == "ROLLED_BACK"
    assert house.world.journal.items[LOCK]["holder"] is None


def test_what_is_inconclusive_early_may_become_clear_while_the_share_bakes(house: House) -> None:
    enough = dict(house.load.answers)
    house.load.answers = {"v1": enough["v1"], "v2": VersionAnswers(20, 0, 22.0)}
    begun = house.world.clock.now()

    def compared() -> None:
        house.world.clock.sleep(60)
        if house.world.clock.now() - begun > timedelta(seconds=100):
            house.load.answers = enough

    house.load.on_compare = compared
    status, output = house.walk.run(INPUT)

    assert status == "SUCCEEDED", json.dumps(output)


def test_a_candidate_without_a_healthy_target_gets_no_share(house: House) -> None:
    aimed = house.world.balancer.set_weights

    def sicken(listener: str, targets: Any, weights: Weights) -> None:
        aimed(listener, targets, weights)

    house.world.balancer.set_weights = sicken
    judged = house.http.request

    def request(*arguments: Any, **more: Any) -> Any:
        house.world.balancer.populate(Colour.GREEN, healthy=0, sick=6)
        return judged(*arguments, **more)

    house.http.request = request  # type: ignore[method-assign]
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "UnhealthyTargetsError")
    assert "can't take 10 % of the traffic of the backend: 0 of 6 healthy" in output["Cause"]
    assert live_weights(house) == []


def test_a_share_that_could_not_be_given_leaves_no_candidate_behind(house: House) -> None:
    """Else `cutover rollback` would take the candidate for what is to be taken back."""
    set_weights = house.world.balancer.set_weights

    def refuse(listener: str, targets: Any, weights: Weights) -> None:
        if listener == "listener":
            raise AccessDeniedError("not authorized to perform: elasticloadbalancing:ModifyListener")
        set_weights(listener, targets, weights)

    house.world.balancer.set_weights = refuse
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "AccessDeniedError")
    assert house.world.balancer.of["listener"] == BLUE
    assert (house.live.version, house.live.candidate) == ("v1", None)
