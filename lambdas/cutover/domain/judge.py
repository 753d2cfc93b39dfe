"""Whether one release is worse than another that answered the same load at the same time (C6, C7).

Both get the same synthetic requests side by side, so that whatever slows the environment slows both. The run
is cut into blocks of a few seconds, and a block gives one difference: requests of one block share their fate
(a pause of a process delays all that are under way), so that blocks, and not requests, are what is
independent. If the releases are alike, each block's difference might as well have had the other sign; how
often random signs give ranks of differences as large as those that were seen is the p-value (no distribution
is assumed). Latency is compared by the share of requests above the common p95 of both.

How often it is wrong, and what it finds, is measured: docs/judge.md.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.histogram import Histogram

SUBJECT = Subject("C6a", Persona.PERFORMANCE)
# One alarm in 200 comparisons of equals by each of the two tests: at most 1 % together.
ALPHA = 0.005
RESAMPLES = 4000
# A live release that fails this much answers quickly, and its latency is no measure of the new one's.
BROKEN = 0.05


@dataclass(frozen=True)
class Requirements:
    """What a comparison needs, and from where on a difference is somebody's business. The defaults find a p95
    that is 20 % higher, or 1 % more errors, in 95 of 100 runs (docs/judge.md).

    `least_errors` is a share; a p95 has to be higher by the share `least_slower` and by `least_slower_ms`.
    """

    fewest_blocks: int = 60
    fewest_answers: int = 12_000
    least_errors: float = 0.002
    least_slower: float = 0.05
    least_slower_ms: float = 2.0

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Self:
        """From the configuration's [load.judge]."""
        return cls(
            int(table["fewest_blocks"]),
            int(table["fewest_answers"]),
            float(table["least_errors"]),
            float(table["least_slower"]),
            float(table["least_slower_ms"]),
        )


DEFAULT = Requirements()


@dataclass
class Arm:
    """What one release answered in one block. `latency` holds every request, failed ones too."""

    latency: Histogram = field(default_factory=Histogram)
    failed: int = 0

    @property
    def answers(self) -> int:
        return self.latency.samples


@dataclass(frozen=True)
class Block:
    """The two releases in the same few seconds."""

    new: Arm
    old: Arm


@dataclass(frozen=True)
class Finding:
    """`worse` only with evidence: a p-value below ALPHA, and a difference that matters."""

    worse: bool
    p: float
    new: float
    old: float


@dataclass(frozen=True)
class Judgement:
    """`errors` are shares, `latency` p95 in milliseconds; None when there are too few blocks or answers."""

    errors: Finding | None
    latency: Finding | None
    blocks: int
    answers: int


def judge(blocks: Sequence[Block], requirements: Requirements = DEFAULT) -> Judgement:
    """`answers` is that of the release with fewer of them."""
    used = [block for block in blocks if block.new.answers and block.old.answers]
    new, old = _merged([block.new for block in used]), _merged([block.old for block in used])
    answers = min(new.answers, old.answers)
    if len(used) < max(1, requirements.fewest_blocks) or answers < requirements.fewest_answers:
        return Judgement(None, None, len(used), answers)
    errors = _errors(used, new, old, requirements)
    return Judgement(errors, _latency(used, new, old, requirements), len(used), answers)


def _errors(blocks: Sequence[Block], new: Arm, old: Arm, requirements: Requirements) -> Finding:
    differences = [b.new.failed / b.new.answers - b.old.failed / b.old.answers for b in blocks]
    p = signed_rank_p(differences)
    shares = new.failed / new.answers, old.failed / old.answers
    return Finding(p < ALPHA and shares[0] - shares[1] >= requirements.least_errors, p, *shares)


def _latency(blocks: Sequence[Block], new: Arm, old: Arm, requirements: Requirements) -> Finding:
    common = Histogram()
    common.merge(new.latency)
    common.merge(old.latency)
    (limit,) = common.percentiles_ms(95)
    p = signed_rank_p([b.new.latency.share_above(limit) - b.old.latency.share_above(limit) for b in blocks])
    (fresh,), (known,) = new.latency.percentiles_ms(95), old.latency.percentiles_ms(95)
    least = max(known * (1 + requirements.least_slower), known + requirements.least_slower_ms)
    return Finding(p < ALPHA and fresh >= least, p, fresh, known)


def _merged(arms: Sequence[Arm]) -> Arm:
    whole = Arm()
    for arm in arms:
        whole.latency.merge(arm.latency)
        whole.failed += arm.failed
    return whole


def signed_rank_p(differences: Sequence[float]) -> float:
    """Wilcoxon's signed-rank test, one-sided: how often random signs give ranks of positive differences with
    a sum at least as large; 1 / (RESAMPLES + 1) at the least.

    Ranks, because one block with a pause in it would drown all others. The signs are drawn from a fixed seed,
    so that one set of data always has one answer.
    """
    sizes = sorted(abs(d) for d in differences if d)
    rank = {size: (bisect_left(sizes, size) + bisect_right(sizes, size) + 1) / 2 for size in set(sizes)}
    ranks = [rank[size] for size in sizes]
    found = sum(rank[d] for d in differences if d > 0)
    if found * 2 <= sum(ranks):
        return 1.0
    draw = random.Random(20_26)  # noqa: S311  a statistic, not a secret
    as_large = 0
    for _ in range(RESAMPLES):
        bits = draw.getrandbits(len(ranks))
        as_large += sum(size for at, size in enumerate(ranks) if bits >> at & 1) >= found
    return (as_large + 1) / (RESAMPLES + 1)


ERRORS, LATENCY = "Errors against the live release", "p95 latency against the live release"
SURE = f"no worse than the live release, as far as p < {ALPHA} can tell"


def gates_of(judgement: Judgement, requirements: Requirements = DEFAULT) -> list[Gate]:
    """Two gates; both Inconclusive with too little to go by."""
    if judgement.errors is None or judgement.latency is None:
        found = (
            f"{judgement.answers} answers in {judgement.blocks} blocks; "
            f"{requirements.fewest_answers} in {requirements.fewest_blocks} are needed"
        )
        return [SUBJECT.inconclusive(name, found=found, wanted=SURE) for name in (ERRORS, LATENCY)]
    by_errors, by_latency, samples = judgement.errors, judgement.latency, judgement.answers
    shares = f"{by_errors.new:.3%} against {by_errors.old:.3%} (p = {by_errors.p:.4f})"
    times = f"{by_latency.new:.1f} ms against {by_latency.old:.1f} ms (p = {by_latency.p:.4f})"
    errors = SUBJECT.judge(
        ERRORS,
        not by_errors.worse,
        found=shares,
        wanted=SURE,
        samples=samples,
        evidence={**asdict(by_errors), "blocks": judgement.blocks},
    )
    if by_errors.old > BROKEN:
        broken = f"{times}, but the live release failed {by_errors.old:.1%}: nothing to measure latency by"
        return [errors, SUBJECT.inconclusive(LATENCY, found=broken, wanted=SURE, must=False)]
    latency = SUBJECT.judge(
        LATENCY,
        not by_latency.worse,
        found=times,
        wanted=SURE,
        samples=samples,
        evidence={**asdict(by_latency), "blocks": judgement.blocks},
    )
    return [errors, latency]


def not_compared(why: str) -> list[Gate]:
    """The same two where there is nothing to compare with; they close nothing."""
    return [SUBJECT.inconclusive(name, found=why, wanted=SURE, must=False) for name in (ERRORS, LATENCY)]
