"""How often the paired judge is wrong, and what it finds: `make bench-judge`.

Simulated runs of two releases under one load. A request takes a lognormal time; the environment slows both
releases together from block to block, each release a little by itself, and in one block of twenty a release
pauses, which delays every seventh request of it. Nothing of that is told to the judge.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any

from bench.results_file import is_quick, keep, table
from config.model import load
from cutover.domain.judge import ALPHA, Arm, Block, Judgement, Requirements, judge

PLOT = Path(__file__).parents[1] / "docs" / "images" / "judge.svg"
RATE, BLOCK_SECONDS = 100, 2
BASE_ERRORS = 0.001


@dataclass(frozen=True)
class Truth:
    """The new release takes `slower` times as long as the old one and fails `more_errors` (a share) more."""

    name: str
    slower: float = 1.0
    more_errors: float = 0.0


ALIKE = Truth("alike (A/A)")
SLOW, FAULTY = Truth("p95 +20 %", slower=1.2), Truth("errors +1 %", more_errors=0.01)
SIZES = (0.25, 0.5, 1.0)  # the spread of the lognormal: how unlike requests are


@dataclass(frozen=True)
class Run:
    """How a comparison is made: requests a second for each release, blocks, and what is required."""

    rate: int
    block_seconds: float
    requirements: Requirements


# No least size: the curve shows what too little is.
REAL = Run(RATE, BLOCK_SECONDS, Requirements(fewest_blocks=0, fewest_answers=0))
# One block of two seconds in twenty has a pause in it.
PAUSES, PAUSE_SECONDS = 0.05, 1.0


def arm(
    draw: random.Random, common: float, spread: float, truth: Truth, *, answers: int, paused: bool | None
) -> Arm:
    """`paused` is drawn here where a block is as long as a pause at least."""
    made, own = Arm(), exp(draw.gauss(0, 0.05))
    stalls = draw.random() < PAUSES if paused is None else paused
    for number in range(answers):
        seconds = 0.02 * exp(draw.gauss(0, spread)) * common * own * truth.slower
        made.latency.add(seconds + (0.3 * draw.random() if stalls and number % 7 == 0 else 0))
        made.failed += draw.random() < BASE_ERRORS + truth.more_errors
    return made


def pauses(draw: random.Random, blocks: int, block_seconds: float) -> list[bool | None]:
    """Whether a release pauses in each block: a pause is a second long, and short blocks share one."""
    length = round(PAUSE_SECONDS / block_seconds)
    if length <= 1:
        return [None] * blocks
    begun = [at for at in range(blocks) if draw.random() < PAUSES * block_seconds / BLOCK_SECONDS]
    inside = {at + more for at in begun for more in range(length)}
    return [at in inside for at in range(blocks)]


def simulate(seed: int, truth: Truth, seconds: float, spread: float, run: Run = REAL) -> Judgement:
    draw = random.Random(seed)
    count, answers = int(seconds / run.block_seconds), int(run.rate * run.block_seconds)
    new_pauses, old_pauses = (pauses(draw, count, run.block_seconds) for _ in range(2))
    blocks = []
    for new_paused, old_paused in zip(new_pauses, old_pauses, strict=True):
        common = exp(draw.gauss(0, 0.15))
        new = arm(draw, common, spread, truth, answers=answers, paused=new_paused)
        blocks.append(Block(new, arm(draw, common, spread, ALIKE, answers=answers, paused=old_paused)))
    return judge(blocks, run.requirements)


def called(task: tuple[int, Truth, float, float, Run]) -> tuple[bool, bool]:
    """Whether the judge called the new release worse in errors, and in latency."""
    judgement = simulate(*task)
    errors, latency = judgement.errors, judgement.latency
    return bool(errors and errors.worse), bool(latency and latency.worse)


def row(
    pool: ProcessPoolExecutor, truth: Truth, seconds: int, spread: float, runs: int, run: Run = REAL
) -> dict[str, Any]:
    tasks = [(1000 * seconds + number, truth, seconds, spread, run) for number in range(runs)]
    answers = list(pool.map(called, tasks, chunksize=10))
    return {
        "truth": truth.name,
        "spread": spread,
        "seconds": seconds,
        "answers of each": seconds * run.rate,
        "runs": runs,
        "called worse in errors": sum(errors for errors, _ in answers),
        "called worse in p95": sum(latency for _, latency in answers),
        "called worse at all": sum(errors or latency for errors, latency in answers),
    }


def rows(quick: bool) -> Iterator[dict[str, Any]]:
    alike, different = (40, 20) if quick else (1000, 100)
    with ProcessPoolExecutor(2) as pool:
        yield row(pool, ALIKE, 120, 0.5, alike)
        for truth in (SLOW, FAULTY):
            for spread in SIZES:
                for seconds in (60,) if quick else (40, 60, 120, 240):
                    yield row(pool, truth, seconds, spread, different)


def sandbox_rows(quick: bool) -> Iterator[dict[str, Any]]:
    """What the sandbox's few seconds can tell."""
    settings = load("sandbox").load.judge
    run = Run(settings.requests_per_second, settings.block_seconds, Requirements.read(settings.model_dump()))
    alike, different = (200, 50) if quick else (2000, 300)
    with ProcessPoolExecutor(2) as pool:
        for truth in (ALIKE, SLOW, Truth("p95 x 2", 2.0), Truth("p95 x 4", 4.0), Truth("p95 x 10", 10.0)):
            yield row(pool, truth, settings.seconds, 0.5, alike if truth is ALIKE else different, run)
        for share in (0.01, 0.1, 0.2, 0.5):
            truth = Truth(f"errors +{share:.0%}", more_errors=share)
            yield row(pool, truth, settings.seconds, 0.5, different, run)


def plot(found: list[dict[str, Any]]) -> None:
    import matplotlib  # noqa: PLC0415  a slow import that only this needs

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "cutover"
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, truth, key in (
        (axes[0], SLOW, "called worse in p95"),
        (axes[1], FAULTY, "called worse in errors"),
    ):
        for spread in SIZES:
            of = [r for r in found if r["truth"] == truth.name and r["spread"] == spread]
            share = [100 * r[key] / r["runs"] for r in of]
            axis.plot([r["answers of each"] for r in of], share, marker="o", label=f"spread {spread}")
        axis.axhline(95, color="grey", linewidth=0.8, linestyle="--")
        axis.set_title(f"{truth.name}: how often it is found")
        axis.set_xlabel("answers of each release")
        axis.set_ylim(0, 102)
        axis.legend(loc="lower right")
    axes[0].set_ylabel("runs, %")
    figure.tight_layout()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


def main() -> None:
    found, sandbox = list(rows(is_quick())), list(sandbox_rows(is_quick()))
    print(table(found))
    print("\nWith the sandbox's figures ([load.judge] of config/sandbox.toml):\n")
    print(table(sandbox))
    about = {"alpha_each": ALPHA, "rate": RATE, "block_seconds": BLOCK_SECONDS}
    keep("judge", {**about, "rows": found, "sandbox": sandbox})
    if not is_quick():
        plot(found)


if __name__ == "__main__":
    main()
