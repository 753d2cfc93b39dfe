"""From the measured lines to the figures, and which of issue 5's promises they do not keep. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Line = Mapping[str, Any]
Figures = dict[str, Any]


def percentile(values: Iterable[float], percent: float) -> float:
    """By nearest rank: the smallest value that `percent` of all do not exceed. Raises ValueError for none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured, and nothing has no percentiles")
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "n": len(values),
        "p50": percentile(values, 50),
        "p99": percentile(values, 99),
        "max": max(values),
    }


def figures(lines: Sequence[Line]) -> Figures:
    """By part; a part of which nothing was measured is left out."""
    parts = {"moves": _moves, "rollbacks": _rollbacks, "by hand": _by_hand}
    found = {name: [line for line in lines if line["part"] == name] for name in parts}
    return {name: parts[name](those) for name, those in found.items() if those}


def _moves(lines: Sequence[Line]) -> Figures:
    kinds: Figures = {}
    for kind in dict.fromkeys(line["kind"] for line in lines):
        those = [line for line in lines if line["kind"] == kind]
        moves = [move for line in those for move in line["moves"]]
        kinds[kind] = {
            "number": len(moves),
            "requests": sum(line["requests"] for line in those),
            "failed": sum(line["failed"] for line in those),
            "seconds_each": spread([move["seconds"] for move in moves]),
            "modified_to_proved_ms": spread([move["proved_ms"] for move in moves]),
            "worst_block_latency_ms": {
                name: max(line["latency_ms"][name] for line in those) for name in ("p50", "p95", "p99")
            },
        }
    return {
        "requests": sum(kind["requests"] for kind in kinds.values()),
        "failed": sum(kind["failed"] for kind in kinds.values()),
        "requests_per_second": round(
            sum(line["requests"] for line in lines) / sum(line["seconds"] for line in lines)
        ),
        "kinds": kinds,
    }


def _rollbacks(every: Sequence[Line]) -> Figures:
    lines = [line for line in every if line["rolled_back"]]
    missing = [
        f"{line['kind']}-{line['number']}: {line['cause']}" for line in every if not line["rolled_back"]
    ]
    if not lines:
        return {"rounds": len(every), "rolled_back": 0, "not_rolled_back": len(missing), "missing": missing}
    return {
        "rounds": len(every),
        "rolled_back": len(lines),
        "not_rolled_back": len(missing),
        "number_of_kinds": len({line["kind"] for line in lines}),
        "missing": missing,
        "requests": sum(line["requests"] for line in lines),
        "cold_starts": sum(line["cold"] for line in lines),
        "failed_after": sum(line["failed_after"] for line in lines),
        "swap_to_first_answer_ms": spread([line["swap_ms"] for line in lines]),
        **_rolled(lines),
        "warm": _rolled([line for line in lines if not line["cold"]]),
        "cold": _rolled([line for line in lines if line["cold"]]),
        "kinds": {
            kind: _of_kind([line for line in lines if line["kind"] == kind])
            for kind in dict.fromkeys(line["kind"] for line in lines)
        },
        "problems": [problem for line in lines for problem in line["problems"]],
    }


def _of_kind(lines: Sequence[Line]) -> Figures:
    return {
        "rolled_back": len(lines),
        "cold_starts": sum(line["cold"] for line in lines),
        "alarms": sorted({line["alarm"] for line in lines}),
        "swap_to_alarm_s": spread([line["swap_to_alarm_s"] for line in lines]),
        "failed_after": sum(line["failed_after"] for line in lines),
        **_rolled(lines),
    }


def _rolled(lines: Sequence[Line]) -> Figures:
    names = ("alarm_to_modified_ms", "alarm_to_last_bad_ms")
    return {name: spread([line[name] for line in lines]) for name in names if lines}


def _by_hand(lines: Sequence[Line]) -> Figures:
    found: Figures = {}
    for kind in dict.fromkeys(line["kind"] for line in lines):
        those = [line for line in lines if line["kind"] == kind]
        found[kind] = {
            "number": len(those),
            "command_seconds": spread([line["command_seconds"] for line in those]),
        }
        if "steps" in those[0]:
            found[kind]["steps"] = {
                name: {
                    "budget_s": budget,
                    "longest_s": max(line["steps"][name] for line in those),
                }
                for name, budget in those[0]["budgets"].items()
            }
            found[kind]["requests"] = sum(line["requests"] for line in those)
            found[kind]["failed"] = sum(line["failed"] for line in those)
        else:
            found[kind]["start_to_modified_s"] = spread([line["start_to_modified_s"] for line in those])
            found[kind]["asked_to_modified_ms"] = spread([line["asked_to_modified_ms"] for line in those])
    steps = [step for kind in found.values() for step in kind.get("steps", {}).values()]
    if steps:
        found["over_budget"] = sum(step["longest_s"] > step["budget_s"] for step in steps)
    return found


@dataclass(frozen=True)
class Promise:
    """What issue 5 promises, and what was measured of it; None when nothing was."""

    what: str
    measured: float | None
    kept: bool


def missed(found: Mapping[str, Any]) -> list[str]:
    """The promises that are not kept, or of which nothing was measured, in words."""
    return [promise.what for promise in promises(found) if not promise.kept]


def promises(found: Mapping[str, Any]) -> list[Promise]:
    def value(*path: str) -> float | None:
        at: Any = found
        for key in path:
            at = at.get(key) if isinstance(at, Mapping) else None
        return float(at) if isinstance(at, int | float) else None

    def least(what: str, wanted: float, *path: str) -> Promise:
        measured = value(*path)
        return Promise(what, measured, measured is not None and measured >= wanted)

    def most(what: str, wanted: float, *path: str) -> Promise:
        measured = value(*path)
        return Promise(what, measured, measured is not None and measured <= wanted)

    rolled, last_bad = "rollbacks", "alarm_to_last_bad_ms"
    return [
        least("100 swaps", 100, "moves", "kinds", "swap", "number"),
        least("50 canaries", 50, "moves", "kinds", "canary", "number"),
        least("at least 500,000 requests while the traffic moved", 500_000, "moves", "requests"),
        most("0 of them failed", 0, "moves", "failed"),
        least("50 bad releases rolled back by an alarm", 50, rolled, "rolled_back"),
        most("0 bad releases that no alarm took back", 0, rolled, "not_rolled_back"),
        least("5 kinds of bad releases", 5, rolled, "number_of_kinds"),
        most("ALARM → rule modified, p50 ≤ 100 ms", 100, rolled, "alarm_to_modified_ms", "p50"),
        most("ALARM → rule modified, p99 ≤ 600 ms", 600, rolled, "alarm_to_modified_ms", "p99"),
        most("ALARM → last request of the bad colour, p99 ≤ 1 s", 1000, rolled, last_bad, "p99"),
        most("0 requests failed after a rollback", 0, rolled, "failed_after"),
        most(
            "by hand within the watch ≤ 3 s", 3, "by hand", "within the watch", "start_to_modified_s", "max"
        ),
        most("by hand by the image: 0 steps over their budget", 0, "by hand", "over_budget"),
    ]
