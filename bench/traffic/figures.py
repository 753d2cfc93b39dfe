"""From the measured lines to the figures, and which of issue 5's promises they do not keep. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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
        return {"rounds": len(every), "rolled_back": 0, "missing": missing}
    return {
        "rounds": len(every),
        "rolled_back": len(lines),
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
            found[kind]["asked_to_modified_ms"] = spread([line["asked_to_modified_ms"] for line in those])
    return found


def missed(found: Figures) -> list[str]:
    """The promises that are not kept, or of which nothing was measured, in words."""
    return [what for what, kept in promises(found) if not kept]


def promises(found: Figures) -> list[tuple[str, bool]]:
    """(a promise of issue 5, whether these figures keep it). What was not measured is not kept."""
    moves, rolled, hand = (found.get(part) or {} for part in ("moves", "rollbacks", "by hand"))
    kinds, longest = moves.get("kinds", {}), hand.get("within the watch", {}).get("command_seconds", {})
    steps = [step for kind in hand.values() for step in kind.get("steps", {}).values()]
    modified, last = rolled.get("alarm_to_modified_ms", {}), rolled.get("alarm_to_last_bad_ms", {})
    never = math.inf
    return [
        ("100 swaps", kinds.get("swap", {}).get("number", 0) >= 100),
        ("50 canaries", kinds.get("canary", {}).get("number", 0) >= 50),
        ("500,000 requests", moves.get("requests", 0) >= 500_000),
        ("no request failed while the traffic moved", moves.get("failed", never) == 0),
        ("50 of 50 alarm rollbacks", rolled.get("rounds", 0) == rolled.get("rolled_back", -1) >= 50),
        ("five kinds of bad releases", len(rolled.get("kinds", {})) == 5),
        ("ALARM → rule modified p50 ≤ 100 ms", modified.get("p50", never) <= 100),
        ("ALARM → rule modified p99 ≤ 600 ms", modified.get("p99", never) <= 600),
        ("ALARM → last request of the bad colour p99 ≤ 1 s", last.get("p99", never) <= 1000),
        ("no request failed after a rollback", rolled.get("failed_after", never) == 0),
        ("by hand within the watch ≤ 3 s", longest.get("max", never) <= 3),
        (
            "by hand by the image, inside the four budgets",
            bool(steps) and all(step["longest_s"] <= step["budget_s"] for step in steps),
        ),
    ]
