"""The paired judge: a difference is called only with evidence, and nothing is said of too little."""

from __future__ import annotations

import random

import pytest

from config.load import Judge
from cutover.domain.gates import Verdict
from cutover.domain.histogram import Histogram
from cutover.domain.judge import ALPHA, Arm, Block, Requirements, gates_of, judge, signed_rank_p


def arm(draw: random.Random, *, slower: float = 1.0, errors: float = 0.0, answers: int = 150) -> Arm:
    made = Arm()
    for _ in range(answers):
        made.latency.add(0.02 * draw.lognormvariate(0, 0.5) * slower)
        made.failed += draw.random() < errors
    return made


def blocks(count: int = 60, answers: int = 200, **new: float) -> list[Block]:
    draw = random.Random(7)
    return [Block(arm(draw, answers=answers, **new), arm(draw, answers=answers)) for _ in range(count)]


def test_equals_are_not_told_apart() -> None:
    judgement = judge(blocks())

    assert judgement.errors is not None
    assert judgement.latency is not None
    assert (judgement.errors.worse, judgement.latency.worse) == (False, False)
    assert {gate.verdict for gate in gates_of(judgement)} == {Verdict.PASS}


def test_a_slower_release_is_called_by_its_p95_alone() -> None:
    judgement = judge(blocks(slower=1.3))

    assert judgement.errors is not None
    assert judgement.latency is not None
    assert (judgement.errors.worse, judgement.latency.worse) == (False, True)
    assert judgement.latency.new > judgement.latency.old * 1.2


def test_a_release_that_fails_more_is_called_by_its_errors_alone() -> None:
    judgement = judge(blocks(errors=0.02))

    assert judgement.errors is not None
    assert judgement.latency is not None
    assert (judgement.errors.worse, judgement.latency.worse) == (True, False)


def test_a_better_release_is_no_worse() -> None:
    judgement = judge(blocks(slower=0.5))

    assert judgement.latency is not None
    assert (judgement.latency.worse, judgement.latency.p) == (False, 1.0)


@pytest.mark.parametrize(("count", "answers"), [(59, 250), (70, 150), (0, 0)])
def test_with_too_few_blocks_or_answers_nothing_is_said(count: int, answers: int) -> None:
    judgement = judge(blocks(count, answers))

    assert (judgement.errors, judgement.latency) == (None, None)
    assert {gate.verdict for gate in gates_of(judgement)} == {Verdict.INCONCLUSIVE}


def test_a_block_in_which_one_of_them_did_not_answer_says_nothing() -> None:
    silent = [Block(Arm(), block.old) for block in blocks(5)]

    assert judge([*blocks(), *silent]).blocks == 60


def test_a_difference_that_does_not_matter_is_not_called_however_sure_it_is() -> None:
    judgement = judge(blocks(count=300, slower=1.03))

    assert judgement.latency is not None
    assert judgement.latency.p < 0.005
    assert not judgement.latency.worse


def test_one_block_with_a_pause_is_no_evidence() -> None:
    paused = blocks()
    for _ in range(800):
        paused[3].new.latency.add(2.0)
    judgement = judge(paused)

    assert judgement.latency is not None
    assert not judgement.latency.worse


@pytest.mark.parametrize(
    ("differences", "low", "high"),
    [([], 1, 1), ([0.0] * 30, 1, 1), ([-1.0] * 30, 1, 1), ([1.0] * 30, 0, 0.0003), ([1, 1, 1], 0.1, 0.15)],
)
def test_the_p_value_counts_signs(differences: list[float], low: float, high: float) -> None:
    """Three differences of one sign come by chance once in eight."""
    assert low <= signed_rank_p(differences) <= high


def test_the_same_data_have_the_same_answer() -> None:
    differences = [0.3, -0.1, 0.2, 0.4, -0.2, 0.1, 0.5]

    assert signed_rank_p(differences) == signed_rank_p(differences)


def test_a_histogram_knows_the_share_above_a_limit() -> None:
    histogram = Histogram()
    for milliseconds in (10, 20, 30, 40):
        histogram.add(milliseconds / 1000)

    assert histogram.share_above(25) == 0.5
    with pytest.raises(ValueError, match="no samples"):
        Histogram().share_above(1)


def test_a_difference_that_is_too_small_for_anybody_is_not_called() -> None:
    slower = blocks(slower=1.3)
    judgement = judge(slower, Requirements(least_slower=1.0))
    by_time = judge(slower, Requirements(least_slower_ms=200))

    assert judgement.latency is not None
    assert by_time.latency is not None
    assert (judgement.latency.p < ALPHA, judgement.latency.worse, by_time.latency.worse) == (
        True,
        False,
        False,
    )


def test_the_requirements_are_the_configurations() -> None:
    assert Requirements.read(Judge().model_dump()) == Requirements()
