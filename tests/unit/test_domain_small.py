"""Colours, gates, locks, indexes, plans, failures and the other small decisions."""

from __future__ import annotations

import json

import pytest

from cutover.domain.alarms import read_alarm_event, read_note
from cutover.domain.colours import Colour, Weights, plan_colours
from cutover.domain.environment import Environment, snake_case
from cutover.domain.errors import InvalidInputError, MisconfiguredError
from cutover.domain.failure import read_failure
from cutover.domain.gates import Persona, Subject, Verdict, closed, sentence
from cutover.domain.health import Target, health_of, instances_of
from cutover.domain.indexes import read_indexes
from cutover.domain.lock import Claim, LockRecord, decide_claim
from cutover.domain.passwords import hash_password
from tests.contract.fakes import OUTPUTS

SUBJECT = Subject("C1", Persona.RELIABILITY)


def test_the_colour_without_weight_is_idle() -> None:
    plan = plan_colours(Weights(0, 100), Colour.GREEN)
    assert plan is not None
    assert (plan.live, plan.idle) == (Colour.GREEN, Colour.BLUE)


def test_nobody_can_say_which_colour_is_idle_when_the_listener_sends_all_elsewhere_than_the_journal() -> None:
    assert plan_colours(Weights(100, 0), Colour.GREEN) is None


def test_a_first_release_takes_the_colour_without_weight_too() -> None:
    plan = plan_colours(Weights(100, 0), None)
    assert plan is not None
    assert (plan.live, plan.idle) == (None, Colour.GREEN)


@pytest.mark.parametrize("weights", [Weights(50, 50), Weights(0, 0), Weights(1, 999)])
def test_nobody_can_say_which_colour_is_idle_while_traffic_is_split(weights: Weights) -> None:
    assert plan_colours(weights, Colour.BLUE) is None


def test_no_samples_are_inconclusive_however_good_the_number_looks() -> None:
    gate = SUBJECT.judge("p95", True, found="0 ms", wanted="< 500 ms", samples=0)
    assert gate.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("verdict", ["Fail", "Inconclusive", "pass", "", None])
def test_only_the_word_pass_opens_a_gate(verdict: str | None) -> None:
    assert closed([{"name": "x", "verdict": verdict, "must": True}])


def test_a_gate_that_need_not_be_open_closes_nothing() -> None:
    assert not closed([{"name": "x", "verdict": "Fail", "must": False}])


def test_a_gate_without_a_must_is_one() -> None:
    assert closed([{"name": "x", "verdict": "Fail"}])


def test_a_closed_gate_is_told_with_found_and_wanted() -> None:
    gate = SUBJECT.judge("p95 latency", False, found="812 ms", wanted="< 500 ms").as_json()
    assert sentence(gate) == "“p95 latency” (C1) failed: found 812 ms, wanted < 500 ms"


@pytest.mark.parametrize(
    ("lock", "runs", "claim"),
    [
        (None, False, Claim.TAKE),
        (LockRecord(None, 4, "", None), False, Claim.TAKE),
        (LockRecord("me", 4, "", "arn"), True, Claim.KEEP),
        (LockRecord("other", 4, "", "arn"), True, Claim.REFUSE),
        (LockRecord("other", 4, "", "arn"), False, Claim.TAKE_OVER),
    ],
)
def test_a_lock_is_taken_kept_refused_or_taken_over(
    lock: LockRecord | None, runs: bool, claim: Claim
) -> None:
    assert decide_claim(lock, "me", runs).claim is claim


@pytest.mark.parametrize(
    "raw",
    [
        [],
        {"users": [{"keys": [["email", 1]]}]},
        {"users": [{"name": "x", "keys": []}]},
        {"users": [{"name": "x", "keys": [["email", 2]]}]},
    ],
)
def test_indexes_that_are_none_are_named(raw: object) -> None:
    with pytest.raises(MisconfiguredError, match="wanted"):
        read_indexes(raw)


def test_lambdas_wrapping_is_taken_off_a_failure() -> None:
    cause = json.dumps(
        {"errorMessage": "no such image", "errorType": "ImageNotFoundError", "stackTrace": ["…"]}
    )
    assert (
        str(read_failure({"Error": "ImageNotFoundError", "Cause": cause}))
        == "ImageNotFoundError: no such image"
    )


def test_a_build_tells_its_failed_phase_and_where_its_log_is() -> None:
    build = {
        "Id": "cutover-sandbox-build:1",
        "BuildStatus": "FAILED",
        "Phases": [
            {"PhaseType": "INSTALL", "PhaseStatus": "SUCCEEDED", "Contexts": []},
            {
                "PhaseType": "BUILD",
                "PhaseStatus": "FAILED",
                "Contexts": [
                    {"StatusCode": "COMMAND_EXECUTION_ERROR", "Message": "docker build: exit status 1"}
                ],
            },
        ],
        "Logs": {"DeepLink": "https://logs"},
    }
    failure = read_failure({"Error": "States.TaskFailed", "Cause": json.dumps(build)})
    assert failure.error == "BuildFailedError"
    assert "BUILD: COMMAND_EXECUTION_ERROR docker build: exit status 1" in failure.message
    assert "https://logs" in failure.message


@pytest.mark.parametrize("failure", [None, {}, {"Error": "States.Timeout"}, {"Error": "X", "Cause": "[1"}])
def test_a_failure_without_a_readable_cause_is_still_a_sentence(failure: dict[str, str] | None) -> None:
    assert ": " in str(read_failure(failure))


def test_draining_targets_count_neither_way() -> None:
    targets = [Target("i-1", 8000, "healthy"), Target("i-2", 8000, "unhealthy", "Target.FailedHealthChecks")]
    gone = [
        Target("i-3", 8000, "draining"),
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
        Target("i-4", 8000, "unused", "Target.InvalidState"),
    ]
    health = health_of([*targets, *gone])
    assert str(health) == "1 of 2 healthy (1 unhealthy: Target.FailedHealthChecks)"
    assert instances_of([*targets, *targets]) == ("i-1", "i-2")


def test_a_group_without_targets_has_no_share_that_is_healthy() -> None:
    assert health_of([]).share == 0


def test_output_names_become_payload_names() -> None:
    assert snake_case("BlueTargetGroupArn") == "blue_target_group_arn"
    assert snake_case("FirstPort") == "first_port"


def test_an_output_that_is_missing_or_no_number_is_named() -> None:
    outputs = {snake_case(name): value for name, value in OUTPUTS.items()}
    assert Environment.read(outputs).first_port == 8000
    with pytest.raises(MisconfiguredError, match="'dashboard'"):
        Environment.read({**outputs, "dashboard": None})
    with pytest.raises(MisconfiguredError, match="'first_port' is 'x'"):
        Environment.read({**outputs, "first_port": "x"})


def test_an_alarms_description_says_what_to_roll_back() -> None:
    note = read_note(
        '{"meaning": "m", "environment": "sandbox", "colour": "green", "listener": "l", "test_listener": "t",'
        ' "blue": "b", "green": "g"}'
    )
    assert (note.colour, note.targets.listener_arn, note.targets.green) == (Colour.GREEN, "l", "g")


@pytest.mark.parametrize("description", ["", "none", "{}", '{"environment": "x", "colour": "red"}', "[]"])
def test_a_description_of_somebody_else_is_refused(description: str) -> None:
    with pytest.raises(InvalidInputError):
        read_note(description)
    with pytest.raises(InvalidInputError):
        read_alarm_event({"detail": {"alarmName": "a", "configuration": {"description": description}}})


def test_a_hash_is_salted_and_in_the_backends_format() -> None:
    from backend.passwords import verify_password

    assert verify_password("secret", hash_password("secret"))
    assert not verify_password("other", hash_password("secret"))
    assert hash_password("secret") != hash_password("secret")
