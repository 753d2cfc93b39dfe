"""Whether a release is ready for production (requirement F3), by the same thresholds that let it in, and what
its users had instead of a load of our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cutover.domain.figures import CPU, ERRORS, MEMORY, P50, P95, P99
from cutover.domain.gates import Comparison, Threshold, Unit, Verdict
from cutover.domain.measures import Limits
from cutover.domain.observed import CACHE_HIT, Observed
from cutover.domain.series import percentile

#: So many of a hundred periods have to keep a limit of time or load, and so many have to be seen at all.
SHARE = 0.95
SEEN = "seen"
KEPT = "kept"
FINDINGS = "findings"


class Ready(StrEnum):
    """UNDECIDED: nothing speaks against it, and not everything that has to speak for it could be seen."""

    READY = "ready"
    NOT_READY = "not_ready"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Reason:
    """One line of the judgement. `value` is None where nothing could be seen."""

    measure: str
    verdict: Verdict
    value: float | None
    threshold: Threshold
    must: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "verdict": self.verdict.value,
            "value": self.value,
            "comparison": self.threshold.comparison.value,
            "limit": self.threshold.limit,
            "unit": self.threshold.unit.value,
            "must": self.must,
        }


def reasons_of(
    observed: Observed, limits: Limits, *, rollbacks: int, board: Mapping[str, Any] | None
) -> list[Reason]:
    """`rollbacks` in the time that is reported on; `board` of the deployment whose release is live."""
    requests = sum(observed.requests.values.values())
    rate, availability = rates(observed)
    found = [
        _judge("errors", rate, int(requests), limits),
        _judge("availability", availability, int(requests), limits),
        # Percentiles of periods can't be added up: the limit has to be kept in 95 of 100 periods.
        *(
            _judge(name, percentile(observed.lines[name].values.values(), SHARE), int(requests), limits)
            for name in (P95, P50, P99)
        ),
        *(
            _judge(
                name,
                percentile(observed.lines[name].values.values(), SHARE),
                len(observed.lines[name].values),
                limits,
            )
            for name in (CPU, MEMORY)
        ),
        # Of a share that must be above its limit, the worst periods are the lowest.
        _judge(
            CACHE_HIT,
            percentile(observed.lines[CACHE_HIT].values.values(), 1 - SHARE),
            len(observed.lines[CACHE_HIT].values),
            limits,
        ),
        _findings(board, limits),
        _seen(observed),
        _kept(rollbacks),
    ]
    return found


def rates(observed: Observed) -> tuple[float | None, float | None]:
    """The share of the requests that were answered with an error, and the availability; None where there was
    no request. What the balancer answered by itself never came to a container: it was not available."""
    requests = sum(observed.requests.values.values())
    if not requests:
        return None, None
    errors = sum(observed.counts[ERRORS].values.values())
    refused = sum(observed.counts["balancer_errors"].values.values())
    return errors / requests, 1 - (errors + refused) / (requests + refused)


def decide_ready(reasons: Iterable[Reason]) -> Ready:
    """By those that must hold; the others are told, and decide nothing."""
    verdicts = {reason.verdict for reason in reasons if reason.must}
    if Verdict.FAIL in verdicts:
        return Ready.NOT_READY
    return Ready.UNDECIDED if Verdict.INCONCLUSIVE in verdicts or not verdicts else Ready.READY


def _judge(measure: str, value: float | None, samples: int, limits: Limits) -> Reason:
    gate = limits.judge(measure, value, samples=samples)
    known = value if gate.verdict is not Verdict.INCONCLUSIVE else None
    return Reason(measure, gate.verdict, known, limits.threshold(measure), gate.must)


def _findings(board: Mapping[str, Any] | None, limits: Limits) -> Reason:
    """As the image's scan said before the release took the traffic."""
    rows: Sequence[Mapping[str, Any]] = (board or {}).get("rows") or []
    row = next((each for each in rows if each.get("measure") == FINDINGS), {})
    verdict = Verdict(row.get("verdict") or Verdict.INCONCLUSIVE)
    value = (row.get("evidence") or {}).get("value") if verdict is not Verdict.INCONCLUSIVE else None
    told = float(value) if value is not None else None
    return Reason(FINDINGS, verdict, told, limits.threshold(FINDINGS), limits.must(FINDINGS))


def _seen(observed: Observed) -> Reason:
    """What nobody saw can't have been good."""
    wanted, there = len(observed.requests.moments), len(observed.requests.values)
    threshold = Threshold(Comparison.AT_LEAST, SHARE, Unit.SHARE)
    if not wanted:
        return Reason(SEEN, Verdict.INCONCLUSIVE, None, threshold, True)
    value = there / wanted
    verdict = Verdict.PASS if threshold.holds(value) else Verdict.INCONCLUSIVE
    return Reason(SEEN, verdict, value, threshold, True)


def _kept(rollbacks: int) -> Reason:
    threshold = Threshold(Comparison.AT_MOST, 0, Unit.COUNT)
    verdict = Verdict.PASS if threshold.holds(rollbacks) else Verdict.FAIL
    return Reason(KEPT, verdict, float(rollbacks), threshold, True)
