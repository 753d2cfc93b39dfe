"""What lets a release with a share of the traffic have more of it."""

from __future__ import annotations

import pytest

from cutover.adapters.load import version_of
from cutover.domain.gates import Gate, Verdict
from cutover.domain.health import Health
from cutover.domain.shifting import Answers, Limits, compare, guard, is_decided

LIMITS = Limits(error_rate=0.001, p95_ms=500, fewest_answers=100)
OLD = Answers("v1", 900, 0, 20.0)
PASS, FAIL, INCONCLUSIVE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def verdicts(gates: list[Gate]) -> list[Verdict]:
    return [gate.verdict for gate in gates]


@pytest.mark.parametrize(
    ("new", "unanswered", "wanted"),
    [
        (Answers("v2", 100, 0, 20.0), 0, [PASS, PASS]),
        (Answers("v2", 100, 1, 20.0), 0, [FAIL, PASS]),
        (Answers("v2", 100, 0, 500.0), 0, [PASS, FAIL]),
        (Answers("v2", 99, 0, 20.0), 0, [INCONCLUSIVE, INCONCLUSIVE]),
        (Answers("v2", 0, 0, None), 0, [INCONCLUSIVE, INCONCLUSIVE]),
        (Answers("v2", 0, 0, None), 5, [FAIL, INCONCLUSIVE]),
        (Answers("v2", 100, 0, 20.0), 1, [FAIL, PASS]),
        (Answers("v2", 20, 9, 20.0), 0, [FAIL, PASS]),
    ],
)
def test_errors_and_latency_of_the_new_release_are_judged_by_enough_answers(
    new: Answers, unanswered: int, wanted: list[Verdict]
) -> None:
    assert verdicts(compare(new, OLD, unanswered, LIMITS)) == wanted


def test_the_old_release_is_told_beside_the_new_one() -> None:
    (errors, _) = compare(Answers("v2", 200, 3, 30.0), OLD, 0, LIMITS)

    assert errors.found == "v2: 3 of 200 failed, p95 30 ms; v1: 0 of 900 failed, p95 20 ms"
    assert errors.samples == 200


@pytest.mark.parametrize(
    ("standing", "missing", "health", "wanted"),
    [
        ([], [], Health(6, 6), [PASS, PASS]),
        (["errors"], [], Health(6, 6), [FAIL, PASS]),
        (["errors"], ["cpu"], Health(6, 6), [FAIL, PASS]),
        ([], ["cpu"], Health(6, 6), [INCONCLUSIVE, PASS]),
        ([], [], Health(3, 6), [PASS, PASS]),
        ([], [], Health(2, 6), [PASS, FAIL]),
        ([], [], Health(0, 0), [PASS, FAIL]),
    ],
)
def test_alarms_have_to_be_there_and_quiet_and_enough_targets_healthy(
    standing: list[str], missing: list[str], health: Health, wanted: list[Verdict]
) -> None:
    assert verdicts(guard(standing, missing, health, 0.5)) == wanted


@pytest.mark.parametrize(("verdict", "decided"), [("Pass", False), ("Inconclusive", False), ("Fail", True)])
def test_only_a_failure_ends_the_bake_early(verdict: str, decided: bool) -> None:
    assert is_decided([{"verdict": "Pass", "must": True}, {"verdict": verdict, "must": True}]) is decided


@pytest.mark.parametrize(
    ("head", "version"),
    [
        (b"http/1.1 200 ok\r\nx-release-version: v2\r\ncontent-length: 2", "v2"),
        (b"http/1.1 200 ok\r\ncontent-length: 2\r\nx-release-version:v2.1", "v2.1"),
        (b"http/1.1 502 bad gateway\r\ncontent-length: 2", ""),
    ],
)
def test_an_answer_names_its_version_in_a_header(head: bytes, version: str) -> None:
    assert version_of(head) == version
