"""The figures as Markdown tables, for the terminal and for docs/performance.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.results_file import RESULTS, table
from bench.traffic.figures import Figures, Promise, promises

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
#: Between these two lines the page is written by `python -m bench.traffic --table`, and by nobody else.
BEGIN, END = "<!-- bench.traffic: begin -->", "<!-- bench.traffic: end -->"

Row = dict[str, Any]


def write_page() -> None:
    """Put the tables of bench/results/traffic.json into docs/performance.md.

    Raises ValueError when the page lacks its two marks.
    """
    text = PAGE.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{PAGE} has no lines {BEGIN} and {END}, between which the tables belong")
    found = json.loads((RESULTS / "traffic.json").read_text(encoding="utf-8"))
    head, rest = text.split(BEGIN, 1)
    PAGE.write_text(f"{head}{BEGIN}\n{show(found)}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


def show(found: Mapping[str, Any]) -> str:
    """All parts that were measured."""
    parts = []
    if "measured_at" in found:
        where = f"{found['cores']} cores, Python {found['python']}"
        earlier = "".join(f" {part.capitalize()}: {at}." for part, at in found.get("earlier", {}).items())
        took = f"Measured {found['measured_at']} on {where}; it took {found['minutes']} minutes."
        parts.append(took + (f" Measured before that:{earlier}" if earlier else ""))
    parts.append(table([_promise(promise) for promise in promises(found)]))
    tables = {"moves": _moves, "rollbacks": _rollbacks, "by hand": _by_hand}
    parts += [write(found[name]) for name, write in tables.items() if name in found]
    return "\n\n".join(parts)


def _promise(promise: Promise) -> Row:
    measured = "not measured" if promise.measured is None else f"{promise.measured:,.10g}"
    return {"promise": promise.what, "measured": measured, "kept": "yes" if promise.kept else "**no**"}


def _moves(moves: Figures) -> str:
    rows: list[Row] = [_move(name, kind) for name, kind in moves["kinds"].items()]
    total = f"{moves['requests']:,} requests at {moves['requests_per_second']} a second"
    return f"**Moving the traffic**: {total}, {moves['failed']} failed.\n\n{table(rows)}"


def _move(name: str, kind: Figures) -> Row:
    latency, proved, each = (
        kind[key] for key in ("worst_block_latency_ms", "modified_to_proved_ms", "seconds_each")
    )
    return {
        "": name,
        "done": kind["number"],
        "requests": f"{kind['requests']:,}",
        "failed": kind["failed"],
        "latency p50 / p95 / p99, worst block": " / ".join(
            f"{latency[key]:.0f}" for key in ("p50", "p95", "p99")
        )
        + " ms",
        "modified → proof's first answer p50 / p99": f"{proved['p50']:.0f} / {proved['p99']:.0f} ms",
        "whole execution p50": f"{each['p50']:.1f} s",
    }


def _rollbacks(rolled: Figures) -> str:
    if not rolled["rolled_back"]:
        return f"**Back by alarm**: none of {rolled['rounds']}: {'; '.join(rolled['missing'])}"
    rows = [_rolled(f"{name} ({', '.join(kind['alarms'])})", kind) for name, kind in rolled["kinds"].items()]
    rows += [_rolled(name, rolled[name]) for name in ("warm", "cold") if rolled[name]]
    rows.append(_rolled("all", rolled))
    head = (
        f"**Back by alarm**: {rolled['rolled_back']} of {rolled['rounds']} bad releases under load, "
        f"{rolled['cold_starts']} of them by a cold function; {rolled['failed_after']} of "
        f"{rolled['requests']:,} requests failed after a rollback."
    )
    return f"{head}\n\n{table(rows)}"


def _rolled(name: str, of: Figures) -> Row:
    modified, last = of["alarm_to_modified_ms"], of["alarm_to_last_bad_ms"]
    return {
        "": name,
        "rounds": modified["n"],
        "cold": of.get("cold_starts", ""),
        "ALARM → rule modified p50 / p99 (ms)": f"{modified['p50']:.0f} / {modified['p99']:.0f}",
        "ALARM → last request of the bad colour p50 / p99 (ms)": f"{last['p50']:.0f} / {last['p99']:.0f}",
        "failed after": of.get("failed_after", ""),
    }


def _by_hand(hand: Figures) -> str:
    rows: list[Row] = []
    for name, kind in hand.items():
        if name == "over_budget":
            continue
        command = kind["command_seconds"]
        steps = [
            f"{step}: {one['longest_s']:.1f} of {one['budget_s']} s"
            for step, one in kind.get("steps", {}).items()
        ]
        back = kind.get("start_to_modified_s")
        rows.append(
            {
                "": name,
                "done": kind["number"],
                "the command's start → rule modified p50 / longest": (
                    f"{back['p50']:.1f} / {back['max']:.1f} s" if back else "–"
                ),
                "the command, start to end p50 / longest": f"{command['p50']:.1f} / {command['max']:.1f} s",
                "longest of each step": "; ".join(steps) or "–",
                "failed": f"{kind['failed']} of {kind['requests']:,}" if "failed" in kind else "–",
            }
        )
    return f"**Back by hand**\n\n{table(rows)}"
