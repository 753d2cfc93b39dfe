"""The load, its merged figures, and every gate of it: open, closed, and with nothing to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cutover.domain.aim import Aim, Allowed
from cutover.domain.errors import InvalidInputError
from cutover.domain.load_result import LoadResult, merged, packed, unpacked
from cutover.domain.measures import Limits
from cutover.steps.compare_releases import compare_releases
from cutover.steps.live_load import ask_live
from cutover.steps.load import judge_load, work
from cutover.steps.load_session import Session
from tests.contract.fake_http import FakeHttp
from tests.contract.fakes import FakeClock, FakeLoad
from tests.contract.scenes import LOAD, THRESHOLDS

AIM = Aim("balancer", "api.example.com")
USER = {"email": "smoke@example.com", "password": "right"}
LIMITS = Limits(THRESHOLDS, {})
LIMITED = {"list files", "list models", "evaluate", "upload a file", "log in"}


def session(http: FakeHttp | None = None, clock: FakeClock | None = None) -> Session:
    return Session(USER, http or FakeHttp("v2"), clock or FakeClock())


def worked(load: FakeLoad, worker: int = 0, user: Session | None = None) -> dict[str, Any]:
    return work(
        worker,
        LOAD,
        aim=AIM,
        port=8443,
        deployment="d2",
        begin_at=7.0,
        load=load,
        session=user or session(),
    )


def judged(load: FakeLoad | None = None, workers: int = 2) -> dict[str, Any]:
    load = load or FakeLoad()
    return judge_load([worked(load, number) for number in range(workers)], LOAD, LIMITS)


def verdicts(answer: dict[str, Any]) -> dict[str, str]:
    return {gate["name"]: gate["verdict"] for gate in answer["gates"]}


def broken(change: Callable[[LoadResult], None]) -> FakeLoad:
    load = FakeLoad()
    load.break_result = change
    return load


def test_each_worker_sends_its_part_of_the_rate_and_of_the_users_and_all_begin_together() -> None:
    load = FakeLoad()
    for worker in (0, 1):
        worked(load, worker)

    assert [asked["users"] for asked in load.asked] == [25, 25]
    assert [[(s.rate, s.seconds) for s in asked["stages"]] for asked in load.asked] == [
        [(75, 1), (150, 5)]
    ] * 2
    assert {asked["begin_at"] for asked in load.asked} == {7.0}


def test_what_has_a_limit_or_a_user_is_the_first_workers_alone() -> None:
    load = FakeLoad()
    for worker in (0, 1):
        worked(load, worker)

    first, second = ({scenario.name for scenario in asked["scenarios"]} for asked in load.asked)
    assert first >= LIMITED
    assert not second & LIMITED
    assert second


def test_a_user_that_cannot_log_in_leaves_out_what_needs_one_and_its_gate_says_so() -> None:
    load = FakeLoad()
    lost = Session({**USER, "password": "wrong"}, FakeHttp("v2"), FakeClock())
    answers = [worked(load, 0, lost), worked(load, 1, lost)]
    (gate,) = [
        g for g in judge_load(answers, LOAD, LIMITS)["gates"] if g["name"] == "Every scenario was answered"
    ]

    assert (gate["verdict"], gate["must"]) == ("Inconclusive", False)
    assert "never: list files, list models, evaluate, upload a file" in gate["found"]


def test_no_secret_is_in_what_a_worker_sends_back() -> None:
    user = session()
    token = user.token(8443)
    answer = str(worked(FakeLoad(), user=user)) + str(judged())

    assert token
    assert token not in answer
    assert USER["password"] not in answer.replace("right answer", "")


def test_a_quick_and_right_service_passes_every_gate() -> None:
    answer = judged()

    assert set(verdicts(answer).values()) == {"Pass"}
    assert answer["summary"]["mean_rps"] == 300
    assert answer["summary"]["peak_rps"] == 300
    assert [stage["requests"] for stage in answer["summary"]["ramp"]] == [150]


def slow(result: LoadResult) -> None:
    for _ in range(result.scheduled // 10):
        result.latency.add(0.9)


def half_lost(result: LoadResult) -> None:
    result.errors["timeout"] = result.scheduled // 2


def server_errors(result: LoadResult) -> None:
    result.wrong["5xx"] = 5


def late(result: LoadResult) -> None:
    for _ in range(result.scheduled // 10):
        result.lag.add(0.4)


def busy(result: LoadResult) -> None:
    result.busiest = 0.97


def slower_than_asked(result: LoadResult) -> None:
    for name in list(result.exercised):
        result.exercised[name] = int(result.exercised[name] * 0.8)


def refused(result: LoadResult) -> None:
    result.statuses[429] = result.scheduled // 10


def no_cache(result: LoadResult) -> None:
    result.cache.clear()


def cold_cache(result: LoadResult) -> None:
    result.cache.update(miss=50)


def both(*changes: Callable[[LoadResult], None]) -> Callable[[LoadResult], None]:
    return lambda result: [change(result) for change in changes] and None


@pytest.mark.parametrize(
    ("change", "gate", "verdict"),
    [
        pytest.param(slow, "p95 latency", "Fail", id="slow"),
        pytest.param(both(slow, late), "p95 latency", "Inconclusive", id="slow, but the client was late"),
        pytest.param(both(slow, busy), "p95 latency", "Inconclusive", id="slow, but the client was busy"),
        pytest.param(late, "p95 latency", "Pass", id="quick for a late client is quick"),
        pytest.param(late, "The load's own client", "Inconclusive", id="late"),
        pytest.param(half_lost, "Errors", "Fail", id="timeouts"),
        pytest.param(half_lost, "Availability", "Fail", id="not available"),
        pytest.param(server_errors, "Errors", "Fail", id="5xx"),
        pytest.param(refused, "Errors", "Inconclusive", id="refused by the rate limit"),
        pytest.param(slower_than_asked, "Throughput under load", "Fail", id="below the rate"),
        pytest.param(slower_than_asked, "Throughput", "Fail", id="below the requirement"),
        pytest.param(
            both(slower_than_asked, late), "Throughput under load", "Inconclusive", id="by its own fault"
        ),
        pytest.param(both(slower_than_asked, busy), "Throughput", "Inconclusive", id="by its own fault too"),
        pytest.param(no_cache, "Cache hit", "Inconclusive", id="no cache seen"),
        pytest.param(cold_cache, "Cache hit", "Fail", id="cold cache"),
    ],
)
def test_each_trouble_closes_its_own_gate(
    change: Callable[[LoadResult], None], gate: str, verdict: str
) -> None:
    assert verdicts(judged(broken(change)))[gate] == verdict


def test_errors_are_told_by_kind() -> None:
    def lost(result: LoadResult) -> None:
        result.errors.update(timeout=2, tls=1)
        result.wrong.update({"5xx": 3})

    (gate,) = [gate for gate in judged(broken(lost))["gates"] if gate["name"] == "Errors"]

    assert "2 × 5xx" not in gate["found"]
    assert (
        "6 × 5xx, 4 × timeout, 2 × tls" in gate["found"] or "6 × 5xx, 2 × tls, 4 × timeout" in gate["found"]
    )
    assert gate["evidence"]["kinds"] == {"timeout": 4, "tls": 2, "5xx": 6}


def test_a_worker_that_did_not_come_back_leaves_no_throughput_to_judge() -> None:
    found = verdicts(judged(workers=1))

    assert found["Throughput under load"] == "Inconclusive"


def test_no_worker_at_all_is_no_data() -> None:
    found = verdicts(judge_load([], LOAD, LIMITS))

    assert "Pass" not in found.values()
    assert found["p95 latency"] == found["Errors"] == "Inconclusive"


def test_workers_that_began_far_apart_were_never_one_load() -> None:
    first, second = worked(FakeLoad(), 0), worked(FakeLoad(), 1)
    stages = unpacked(second["result"])
    for stage in stages:
        stage.began += 4
        stage.exercised.clear()
    found = verdicts(judge_load([first, {"worker": 1, "result": packed(stages)}], LOAD, LIMITS))

    assert found["Throughput under load"] == "Inconclusive"


def test_workers_merge_to_what_they_are_together() -> None:
    one, two = LoadResult(scheduled=3, began=100, seconds=10), LoadResult(scheduled=2, began=101, seconds=10)
    for result, seconds in ((one, (0.1, 0.2, 0.3)), (two, (0.4, 0.5))):
        for each in seconds:
            result.latency.add(each)
            result.exercised["x"] += 1
            result.per_second[105] += 1
    (whole,) = merged([packed([one]), packed([two])])

    assert (whole.scheduled, whole.began, whole.seconds, whole.apart) == (5, 100, 11, 1)
    assert (whole.mean_rate, whole.peak_rate) == (0.5, 5)
    assert whole.latency.percentiles_ms(50)[0] == pytest.approx(300, rel=0.02)


def test_a_long_loads_result_stays_far_below_what_a_payload_holds() -> None:
    result = LoadResult(scheduled=900_000, seconds=600)
    for number in range(20_000):
        result.latency.add(0.001 * 1.0006**number if number < 13_000 else 1.0)
        result.lag.add(0.00001 * (number % 500))
    for second in range(600):
        result.per_second[1_770_000_000 + second] = 1500 + second % 7

    assert len(packed([result])) < 10_000  # twenty of them in 256 KiB


@pytest.mark.parametrize(
    ("aim", "port", "words"),
    [
        (Aim("evil.example.com", AIM.name), 8443, "the host 'evil.example.com' is not this environment's"),
        (Aim(AIM.host, "www.example.com"), 8443, "the name 'www.example.com'"),
        (AIM, 22, "port 22 is no listener"),
    ],
)
def test_a_load_on_anything_but_the_environments_own_listeners_is_refused(
    aim: Aim, port: int, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        Allowed(AIM, frozenset({443, 8443})).check(aim, port)
    Allowed(AIM, frozenset({443, 8443})).check(AIM, 443)


def test_a_token_is_asked_for_once_and_again_when_it_is_not_taken_any_more() -> None:
    http, clock = FakeHttp("v2"), FakeClock()
    user = session(http, clock)
    asked: list[str] = []
    request = http.request

    def counted(method: str, port: int, path: str, **more: Any) -> Any:
        asked.append(path)
        return request(method, port, path, **more)

    http.request = counted  # type: ignore[method-assign]

    first = user.token(8443)
    assert first
    assert [user.token(8443) for _ in range(2)] == [first] * 2
    assert asked.count("/api/auth/login") == 1
    clock.sleep(601)
    assert user.token(8443)
    assert asked.count("/api/auth/login") == 2


def compared(load: FakeLoad, live: str | None = "v1") -> list[dict[str, Any]]:
    return list(
        compare_releases(
            live, LOAD, aim=AIM, ports=(8443, 443), deployment="d2", load=load, session=session()
        )["gates"]
    )


def test_both_releases_get_the_same_load_at_once_with_the_limits_shared() -> None:
    load = FakeLoad()
    gates = compared(load)

    (asked,) = load.asked
    assert (asked["new_port"], asked["old_port"]) == (8443, 443)
    limits = {scenario.name: scenario.most_per_minute for scenario in asked["scenarios"]}
    assert limits["list files"] == 200
    assert limits["ask for health"] is None
    assert {gate["verdict"] for gate in gates} == {"Pass"}


@pytest.mark.parametrize(
    ("milliseconds", "failing", "expected"),
    [
        ({"new": 60.0, "old": 20.0}, {"new": 0.0, "old": 0.0}, ["Pass", "Fail"]),
        ({"new": 20.0, "old": 20.0}, {"new": 0.2, "old": 0.0}, ["Fail", "Pass"]),
        ({"new": 60.0, "old": 2.0}, {"new": 0.0, "old": 0.5}, ["Pass", "Inconclusive"]),
    ],
)
def test_a_worse_release_is_called_and_a_broken_live_one_is_no_measure(
    milliseconds: dict[str, float], failing: dict[str, float], expected: list[str]
) -> None:
    load = FakeLoad()
    load.milliseconds, load.failing = milliseconds, failing
    gates = compared(load)

    assert [gate["verdict"] for gate in gates] == expected
    # What can't be compared because of the live release must not keep its repair away.
    assert [gate["must"] for gate in gates if gate["verdict"] == "Inconclusive"] in ([], [False])


def test_the_first_release_is_compared_with_nothing_and_says_so() -> None:
    load = FakeLoad()
    gates = compared(load, live=None)

    assert load.asked == []
    assert {(gate["verdict"], gate["must"]) for gate in gates} == {("Inconclusive", False)}
    assert "no live release yet" in gates[0]["found"]


def test_the_live_release_is_asked_sparingly_and_its_answers_add_up() -> None:
    load = FakeLoad()
    first = ask_live(LOAD, 2.0, {}, aim=AIM, port=443, load=load)
    load.dead = True
    second = ask_live(LOAD, 2.0, first, aim=AIM, port=443, load=load)

    assert (first["requests"], first["failed"]) == (10, 0)
    assert (second["requests"], second["failed"]) == (20, 10)
    assert not {scenario.name for scenario in load.asked[0]["scenarios"]} & LIMITED


def test_a_live_load_that_is_switched_off_asks_nothing() -> None:
    load = FakeLoad()
    answer = ask_live({**LOAD, "live_requests_per_second": 0}, 2.0, None, aim=AIM, port=443, load=load)

    assert (answer["requests"], answer["p95_ms"], load.asked) == (0, None, [])
