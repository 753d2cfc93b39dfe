"""`python -m bench.traffic [PART …] [--fresh] [--table]`, or `make bench-traffic`.

Each part is measured in a sandbox; what was measured is kept in .bench/traffic/measured.jsonl line by line,
so that a run which was cut short goes on where it was. In the end the figures are written to
bench/results/traffic.json and the tables to docs/performance.md; the next run starts anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.results_file import RESULTS, is_quick, keep
from bench.sandbox import BenchError
from bench.traffic import by_hand, rollbacks, swaps
from bench.traffic.figures import figures, missed
from bench.traffic.site import Site, running_site
from bench.traffic.tables import show, write_page

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".bench" / "traffic"
MEASURED = WORK / "measured.jsonl"
PARTS = ("moves", "rollbacks", "by hand")


class Plan:
    """How much is measured. QUICK=1 shows that all of it works, and says nothing of percentiles."""

    def __init__(self, *, quick: bool) -> None:
        self.swaps, self.canaries, self.in_a_block = (4, 2, 4) if quick else (100, 50, 25)
        self.requests = 0 if quick else 500_000
        self.rollbacks = 1 if quick else 10  # of each kind
        self.instant, self.full = (1, 1) if quick else (5, 3)


class Measured:
    """The lines measured up to now, on disk as soon as they are there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = {key: value for key, value in line.items() if key not in ("moves", "failures")}
        print(f"{time.strftime('%H:%M:%S')} {json.dumps(shown)}", flush=True)

    def count(self, part: str, kind: str) -> int:
        return sum(
            len(line.get("moves", [0])) for line in self.lines if (line["part"], line["kind"]) == (part, kind)
        )

    @property
    def requests(self) -> int:
        return sum(line["requests"] for line in self.lines if line["part"] == "moves")


def measure_moves(site: Site, plan: Plan, measured: Measured) -> None:
    for kind, wanted in (("swap", plan.swaps), ("canary", plan.canaries)):
        while (left := wanted - measured.count("moves", kind)) > 0:
            measured.add(swaps.block(site, kind, min(left, plan.in_a_block)))
    while measured.requests < plan.requests:
        measured.add(swaps.block(site, "swap", plan.in_a_block))


def measure_rollbacks(site: Site, plan: Plan, measured: Measured) -> None:
    for kind in rollbacks.FAULTS:
        if measured.count("rollbacks", kind) < plan.rollbacks:
            with site.users(rollbacks.RATE) as users:
                while (number := measured.count("rollbacks", kind)) < plan.rollbacks:
                    measured.add(rollbacks.rollback(site, users, kind, number, cold=number % 5 == 0))


def measure_by_hand(site: Site, plan: Plan, measured: Measured) -> None:
    with site.users(by_hand.RATE) as users:
        while (number := measured.count("by hand", "within the watch")) < plan.instant:
            measured.add(by_hand.instant(site, number))
        while (number := measured.count("by hand", "users blocked")) < plan.full:
            for line in by_hand.full(site, users, number):
                measured.add(line)


MEASURES: dict[str, Callable[[Site, Plan, Measured], None]] = {
    "moves": measure_moves,
    "rollbacks": measure_rollbacks,
    "by hand": measure_by_hand,
}


def measure(parts: list[str], plan: Plan, measured: Measured) -> None:
    with running_site(WORK / "sandbox", _tell) as site:
        _tell("v1, whole, from its source")
        site.first("v1")
        _tell("v2, from its image")
        site.release("v2")
        for part in parts:
            _tell(part)
            if part != "moves":
                # Swaps release nothing: the journal must know what stands on both colours.
                site.release("good")
            MEASURES[part](site, plan, measured)


def _tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def _other_parts(path: Path, parts: list[str]) -> dict[str, Any]:
    """Of the last results, what is not measured now, and when it was (`earlier`, by part)."""
    if not parts or not path.exists():
        return {}
    last = json.loads(path.read_text(encoding="utf-8"))
    kept = {part: last[part] for part in PARTS if part in last and part not in parts}
    return {
        **kept,
        "earlier": {part: last.get("earlier", {}).get(part, last["measured_at"]) for part in kept},
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.traffic", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run has measured")
    parser.add_argument("--table", action="store_true", help="only write the tables from bench/results anew")
    options = parser.parse_args()
    if options.table:
        write_page()
        return 0
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {sorted(unknown)[0]!r}; parts are {', '.join(PARTS)}")
    if options.fresh or is_quick():
        MEASURED.unlink(missing_ok=True)
    measured, began = Measured(MEASURED), time.monotonic()
    try:
        measure(options.parts or list(PARTS), Plan(quick=is_quick()), measured)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    name = "traffic.quick" if is_quick() else "traffic"
    found = {**_other_parts(RESULTS / f"{name}.json", options.parts), **figures(measured.lines)}
    keep(name, {"minutes": round((time.monotonic() - began) / 60, 1), **found})
    print(show(found))
    MEASURED.unlink()
    if not is_quick():
        write_page()
    for broken in (wrong := missed(found)):
        print(f"not reached: {broken}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
