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


def arm(draw: random.Random, common: float, spread: float, slower: float, errors: float) -> Arm:
    made, own = Arm(), exp(draw.gauss(0, 0.05))
    paused = draw.random() < 0.05
    for number in range(RATE * BLOCK_SECONDS):
        seconds = 0.02 * exp(draw.gauss(0, spread)) * common * own * slower
        made.latency.add(seconds + (0.3 * draw.random() if paused and number % 7 == 0 else 0))
        made.failed += draw.random() < errors
    return made


def simulate(seed: int, truth: Truth, seconds: int, spread: float) -> Judgement:
    draw = random.Random(seed)
    blocks = []
    for _ in range(seconds // BLOCK_SECONDS):
        common = exp(draw.gauss(0, 0.15))
        new = arm(draw, common, spread, truth.slower, BASE_ERRORS + truth.more_errors)
        blocks.append(Block(new, arm(draw, common, spread, 1.0, BASE_ERRORS)))
    return judge(
        blocks, Requirements(fewest_blocks=0, fewest_answers=0)
    )  # the curve shows what too little is


def called(task: tuple[int, Truth, int, float]) -> tuple[bool, bool]:
    """Whether the judge called the new release worse in errors, and in latency."""
    judgement = simulate(*task)
    errors, latency = judgement.errors, judgement.latency
    return bool(errors and errors.worse), bool(latency and latency.worse)


def row(pool: ProcessPoolExecutor, truth: Truth, seconds: int, spread: float, runs: int) -> dict[str, Any]:
    tasks = [(1000 * seconds + number, truth, seconds, spread) for number in range(runs)]
    answers = list(pool.map(called, tasks, chunksize=10))
    return {
        "truth": truth.name,
        "spread": spread,
        "seconds": seconds,
        "answers of each": seconds * RATE,
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
    found = list(rows(is_quick()))
    print(table(found))
    keep("judge", {"alpha_each": ALPHA, "rate": RATE, "block_seconds": BLOCK_SECONDS, "rows": found})
    if not is_quick():
        plot(found)


if __name__ == "__main__":
    main()
