"""A report as a document: what was seen, what it means, and what nobody saw (requirements F1, F3, F4).

The document holds facts in numbers and codes; `cutover.domain.report_page` puts them into words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import fmean, median
from typing import Any

from cutover.domain.change_points import change_points
from cutover.domain.dora import Change, four_keys
from cutover.domain.figures import BALANCER_ERRORS, CPU, ERRORS, MEMORY, P50, P95, P99
from cutover.domain.gates import Verdict
from cutover.domain.measures import Limits
from cutover.domain.moves import Spell
from cutover.domain.observed import CACHE_HIT, ERROR_RATE, LINES, THROUGHPUT, Observed
from cutover.domain.readiness import Reason, decide_ready, rates, reasons_of
from cutover.domain.series import Block, Series, Span
from cutover.domain.times import text
from cutover.domain.trend import CONFIDENCE, slope_of

#: Of users' words, the latest.
MOST_WORDS = 20
DAY, HOUR, FIVE_MINUTES = timedelta(days=1), timedelta(hours=1), timedelta(minutes=5)


class Kind(StrEnum):
    """F1, F3, F4; and a trend over any time."""

    CHECKPOINT = "checkpoint"
    DAILY = "daily"
    WEEKLY = "weekly"
    TREND = "trend"


#: How long each looks back.
SPANS: Mapping[Kind, timedelta] = {
    Kind.CHECKPOINT: HOUR,
    Kind.DAILY: DAY,
    Kind.WEEKLY: timedelta(days=7),
}
#: The lines that a threshold holds for, by its measure.
LIMITED = {name: name for name in (P50, P95, P99, CPU, MEMORY, CACHE_HIT)} | {ERROR_RATE: "errors"}
#: Whose slopes and changes a report tells: the three of F4.
TRENDS = (P95, THROUGHPUT, ERROR_RATE)


@dataclass(frozen=True)
class Facts:
    """What a report is made of. `records` are deployments' records, `live` the item LIVE; `feedback` what
    users said in the time; `asked` the lines whose trends are wanted, `error_log` the errors of the
    backends' log (`cutover.report_ports.ErrorLog`), where one was read."""

    kind: Kind
    environment: str
    zone: str
    span: Span
    made_at: datetime
    spells: Sequence[Spell]
    observed: Observed
    records: Sequence[Mapping[str, Any]]
    live: Mapping[str, Any] | None
    feedback: Sequence[Mapping[str, Any]]
    limits: Limits
    asked: Sequence[str] = TRENDS
    error_log: Mapping[str, Any] | None = None


def report_of(facts: Facts) -> dict[str, Any]:
    """The document, as JSON."""
    observed, span = facts.observed, facts.span
    rollbacks = [record for record in facts.records if _rolled_back(record, span)]
    board = next(
        (
            record.get("board")
            for record in facts.records
            if facts.live is not None and record.get("id") == facts.live.get("deployment")
        ),
        None,
    )
    reasons = reasons_of(observed, facts.limits, rollbacks=len(rollbacks), board=board)
    trends = {name: _trend(observed, name, span) for name in facts.asked}
    changes = {name: _changes(observed, name, span) for name in facts.asked}
    feedback = _feedback(facts.feedback)
    document = {
        "kind": facts.kind.value,
        "environment": facts.environment,
        "zone": facts.zone,
        "since": text(span.since),
        "until": text(span.until),
        "made_at": text(facts.made_at),
        "period_seconds": int(observed.requests.period.total_seconds()),
        "release": _release(facts.live),
        "traffic": [
            {"colour": spell.colour.value, "since": text(spell.since), "until": text(spell.until)}
            for spell in facts.spells
        ],
        "coverage": _coverage(observed.requests),
        "totals": _totals(observed),
        "figures": {name: _figure(observed.lines[name]) for name in LINES},
        "trends": trends,
        "changes": changes,
        "errors": _error_windows(observed),
        "error_log": facts.error_log,
        "rollbacks": [_rollback(record) for record in rollbacks],
        "feedback": feedback,
        "readiness": {
            "verdict": decide_ready(reasons).value,
            "reasons": [reason.as_json() for reason in reasons],
        },
        "dora": four_keys([Change.read(each) for each in facts.records], *span).as_json(),
        "series": {name: _plotted(observed, name, span) for name in LINES},
        "limits": {name: facts.limits.threshold(measure).limit for name, measure in LIMITED.items()},
    }
    return {**document, "improvements": _improvements(document, reasons)}


def block_length(span: Span) -> timedelta:
    """What is compared with what: days where there are five of them, else hours, else five minutes."""
    length = span.until - span.since
    if length >= 5 * DAY:
        return DAY
    return HOUR if length > 6 * HOUR else FIVE_MINUTES


def blocks_of(observed: Observed, name: str, length: timedelta) -> list[Block]:
    """A line in blocks: a rate of errors is that of all the block's requests, a throughput the mean, and
    anything else the median of the block's periods."""
    if name == ERROR_RATE:
        above = observed.counts[ERRORS].blocks(length, sum)
        below = {block.index: block.value for block in observed.requests.blocks(length, sum)}
        return [
            replace(block, value=block.value / below[block.index])
            for block in above
            if below.get(block.index)
        ]
    return observed.lines[name].blocks(length, fmean if name == THROUGHPUT else median)


def _trend(observed: Observed, name: str, span: Span) -> dict[str, Any]:
    """`slope` for each `per_seconds`; None of fewer than two blocks."""
    length = block_length(span)
    per = DAY if length == DAY else HOUR
    blocks = blocks_of(observed, name, length)
    slope = slope_of([(block.index * (length / per), block.value) for block in blocks])
    return {
        "unit": LINES[name].value,
        "per_seconds": int(per.total_seconds()),
        "block_seconds": int(length.total_seconds()),
        "blocks": len(blocks),
        "confidence": CONFIDENCE,
        "slope": slope.value if slope else None,
        "low": slope.low if slope else None,
        "high": slope.high if slope else None,
        "direction": slope.direction.value if slope else "unknown",
    }


def _changes(observed: Observed, name: str, span: Span) -> list[dict[str, Any]] | None:
    """None where there is too little to say."""
    length = FIVE_MINUTES if span.until - span.since < 12 * HOUR else HOUR
    if span.until - span.since > 15 * DAY:
        length = 6 * HOUR
    rhythm = DAY // length if span.until - span.since >= 3 * DAY else None
    found = change_points(blocks_of(observed, name, length), rhythm)
    if found is None:
        return None
    return [{"at": text(point.at), "before": point.before, "after": point.after} for point in found]


def _coverage(requests: Series) -> dict[str, Any]:
    return {
        "wanted": len(requests.moments),
        "seen": len(requests.values),
        "gaps": [{"since": text(gap.since), "until": text(gap.until)} for gap in requests.gaps],
    }


def _totals(observed: Observed) -> dict[str, Any]:
    """Of what was seen; None where nothing was."""
    if not observed.requests.values:
        return {
            "requests": None,
            "errors": None,
            "balancer_errors": None,
            "error_rate": None,
            "availability": None,
        }
    rate, availability = rates(observed)
    return {
        "requests": int(sum(observed.requests.values.values())),
        "errors": int(sum(observed.counts[ERRORS].values.values())),
        "balancer_errors": int(sum(observed.counts[BALANCER_ERRORS].values.values())),
        "error_rate": rate,
        "availability": availability,
    }


def _figure(line: Series) -> dict[str, Any] | None:
    """None where nothing was seen. Means and medians are of periods, each as much as any other."""
    present = line.present
    if not present:
        return None
    values = [value for _, value in present]
    highest, lowest = max(present, key=lambda each: each[1]), min(present, key=lambda each: each[1])
    return {
        "periods": len(values),
        "mean": fmean(values),
        "median": median(values),
        "highest": highest[1],
        "highest_at": text(highest[0]),
        "lowest": lowest[1],
        "lowest_at": text(lowest[0]),
    }


def _error_windows(observed: Observed) -> list[dict[str, Any]]:
    """When there were errors, neighbouring periods together, the worst first."""
    period = observed.requests.period
    windows: list[dict[str, Any]] = []
    for at, errors in observed.counts[ERRORS].present:
        if errors <= 0:
            continue
        requests = int(observed.requests.values.get(at, 0))
        if windows and windows[-1]["until"] == text(at):
            windows[-1]["until"] = text(at + period)
            windows[-1]["errors"] += int(errors)
            windows[-1]["requests"] += requests
        else:
            windows.append(
                {"since": text(at), "until": text(at + period), "errors": int(errors), "requests": requests}
            )
    return sorted(windows, key=lambda each: -each["errors"])


def _rolled_back(record: Mapping[str, Any], span: Span) -> bool:
    at = ((record.get("rollback") or {}).get("clock") or {}).get("modified_at")
    return bool(at) and span.since <= datetime.fromisoformat(str(at)) < span.until


def _rollback(record: Mapping[str, Any]) -> dict[str, Any]:
    rollback = record["rollback"]
    return {
        "deployment": record.get("id"),
        "version": record.get("version"),
        "at": rollback["clock"]["modified_at"],
        "cause": rollback.get("cause") or record.get("cause"),
        "by": rollback.get("by"),
    }


def _release(live: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if live is None:
        return None
    return {name: live.get(name) for name in ("version", "deployment", "colour", "swapped_at", "rolled_back")}


def _feedback(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counts = {rating: sum(each.get("rating") == rating for each in said) for rating in ("good", "bad")}
    latest = sorted(said, key=lambda each: str(each.get("at")), reverse=True)[:MOST_WORDS]
    told = [{name: each.get(name) for name in ("at", "rating", "version", "text")} for each in latest]
    return {"total": len(said), **counts, "latest": told}


def _plotted(observed: Observed, name: str, span: Span) -> list[list[Any]]:
    """[moment, value or None], no more of them than a picture has room for."""
    length = max(observed.requests.period, (span.until - span.since) / 300)
    length = length if length == observed.requests.period else _whole(length, observed.requests.period)
    series = observed.lines[name]
    if not series.moments:
        return []
    there = {block.index: block.value for block in blocks_of(observed, name, length)}
    first, last = series.moments[0], series.moments[-1]
    return [[text(first + index * length), there.get(index)] for index in range((last - first) // length + 1)]


def _whole(length: timedelta, period: timedelta) -> timedelta:
    return -(-length // period) * period


def _improvements(document: Mapping[str, Any], reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    """What to do next, the most pressing first: {code, measure …}."""
    found: list[dict[str, Any]] = []
    order = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1}
    weak = [reason for reason in reasons if reason.verdict in order]
    for reason in sorted(weak, key=lambda each: (order[each.verdict], not each.must)):
        code = "missed" if reason.verdict is Verdict.FAIL else "unseen"
        found.append({"code": code, "measure": reason.measure})
    for name, changes in document["changes"].items():
        for change in changes or []:
            worse = change["after"] > change["before"] and name != THROUGHPUT
            if worse:
                found.append({"code": "changed", "measure": name, **change})
    for name, trend in document["trends"].items():
        # A step up is told already, and it has a slope as well.
        stepped = any(each["code"] == "changed" and each["measure"] == name for each in found)
        if trend["direction"] == "rising" and name != THROUGHPUT and not stepped:
            found.append({"code": "rising", "measure": name})
    feedback = document["feedback"]
    if feedback["bad"] > feedback["good"]:
        found.append({"code": "unhappy", "measure": "feedback"})
    return found
