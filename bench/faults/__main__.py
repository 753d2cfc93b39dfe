"""`python -m bench.faults [--only WORD] [--resume] [--clean N] [--table]`, or `make bench-faults`.

One sandbox, a sound v1, then a release with each fault of the table, and after them clean releases. What came
of each is in bench/results/faults.json as soon as it is known; `--resume` goes on with what is not there yet,
`--only` measures some anew.

QUICK=1 seeds one fault of phase 1 and deploys no clean release: the sandbox and v1 take most of the
two minutes that it lasts.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.environment import NAME
from bench.faults.seeds import LEFT_OUT, SEEDS, Seed
from bench.faults.site import Deployed, Site, running_site
from bench.results_file import RESULTS, is_quick, keep, table
from bench.sandbox import ROOT, BenchError
from cli.execution import Request
from cli.source import upload
from cutover.domain.gates import closed
from sandbox.configuring import without_limits_and_scan
from sandbox.installation import InstallationError
from tests.unit import fault_table
from tests.unit.fault_table import FAULTS, STOPPED, Fault

WORK = ROOT / ".bench" / "faults"
CLEAN, CLEAN_ONES = 20, "clean"
QUICK_FAULT = "an alarm's threshold was raised by hand"
WRONG_GATE, NOT_STOPPED, BROKEN = "wrong gate", "not stopped", "not measured"
MOST_OF_A_GATE = 200
#: Between these two lines docs/verification.md is written by `python -m bench.faults --table`.
BEGIN, END = "<!-- bench.faults: begin -->", "<!-- bench.faults: end -->"
BY_WORDS = {fault.words: fault for fault in FAULTS}
Row = dict[str, Any]


class Measured:
    """The rows up to now, on disk as soon as they are there."""

    def __init__(self, *, resume: bool) -> None:
        self._name = "faults.quick" if is_quick() else "faults"
        path = RESULTS / f"{self._name}.json"
        last = json.loads(path.read_text(encoding="utf-8")) if resume and path.exists() else {}
        self.faults: list[Row] = [row for row in last.get("faults", []) if row["fault"] not in LEFT_OUT]
        self.clean: list[Row] = last.get("clean", [])
        self.minutes: float = last.get("minutes", 0.0)
        self._since = time.monotonic()

    def known(self, words: str) -> bool:
        return any(row["fault"] == words and row["outcome"] != BROKEN for row in self.faults)

    def add_fault(self, row: Row) -> None:
        """In the order of the table, and in the place of an earlier one."""
        others = [each for each in self.faults if each["fault"] != row["fault"]]
        order = list(BY_WORDS)
        self.faults = sorted([*others, row], key=lambda each: order.index(each["fault"]))
        self._keep(f"{row['outcome']}: {row['fault']} ({row['seconds']} s) {'; '.join(row['closed'])}")

    def add_clean(self, row: Row) -> None:
        self.clean.append(row)
        self._keep(f"{row['status']}: clean release {row['version']} ({row['seconds']} s) {row['cause']}")

    def _keep(self, told: str) -> None:
        now = time.monotonic()
        self.minutes, self._since = self.minutes + (now - self._since) / 60, now
        keep(
            self._name,
            {
                "minutes": round(self.minutes, 1),
                **figures(self.faults, self.clean),
                "faults": self.faults,
                "clean": self.clean,
                "left_out": [{"fault": words, "why": why} for words, why in LEFT_OUT.items()],
            },
        )
        _tell(told)


def figures(faults: list[Row], clean: list[Row]) -> Row:
    """How many of how many."""
    return {
        "stopped_by_the_right_gate": sum(row["outcome"] == STOPPED for row in faults),
        "seeded": len(faults),
        "clean_passed": sum(row["status"] == "SUCCEEDED" for row in clean),
        "clean_deployed": len(clean),
    }


def measure(seeds: list[Seed], clean: int, measured: Measured) -> None:
    """The faults that can be undone, the clean releases, then the faults that can't."""
    with running_site(WORK / "sandbox", _tell) as site:
        _tell("v1, whole, from its source")
        site.first("v1")
        passing = [seed for seed in seeds if not seed.lasting]
        for number, seed in enumerate(passing, 1):
            measured.add_fault(attempt(site, seed, f"fault-{number:02}"))
        for number in range(len(measured.clean) + 1, clean + 1):
            measured.add_clean(clean_release(site, f"clean-{number:02}"))
        for number, seed in enumerate((seed for seed in seeds if seed.lasting), 1):
            measured.add_fault(attempt(site, seed, f"lasting-{number}"))


def attempt(site: Site, seed: Seed, version: str) -> Row:
    """Seed one fault, deploy, undo it; what came of it.

    Raises BenchError when the fault can't be undone again.
    """
    fault, began = BY_WORDS[seed.words], time.monotonic()
    about: Row = {"fault": fault.words, "phase": fault.phase, "how": seed.how}
    with ExitStack() as undoing, tempfile.TemporaryDirectory(prefix="fault-") as folder:
        configure = [without_limits_and_scan, *([seed.configure] if seed.configure else [])]
        undoing.enter_context(site.configured(*configure))
        undoing.enter_context(site.waiting(seed.waits))
        before = (site.weights(), site.live["version"])
        gate = fault.gate

        def hand() -> None:
            try:
                if seed.hand:
                    undoing.callback(seed.hand(site))
            except Exception as error:  # whatever a service or its client has to say
                raise BenchError(f"{seed.how}: {error}") from error

        try:
            gate = seed.gate(site) if seed.gate else fault.gate
            request = _request(site, seed, version, Path(folder))
            if seed.at is None:
                hand()
            deployed = site.deploy(request, seed.at, hand)
        except BenchError as error:
            return {**about, "gate": gate, **_nothing(str(error)), "seconds": _since(began)}
        after = (site.weights(), site.live["version"])
        row = {**about, "gate": gate, **judged(fault, gate, seed.says, deployed, moved=before != after)}
    # The seconds count what makes the environment sound again, too.
    return {**row, "seconds": _since(began)}


def judged(fault: Fault, gate: str, says: str, deployed: Deployed, *, moved: bool) -> Row:
    """`closed` are the gates that did, `moved` whether any traffic has."""
    phases = deployed.record.get("phases") or []
    last: Mapping[str, Any] = phases[-1] if phases else {"name": "", "gates": []}
    shut = closed(last["gates"])
    moved = moved or "Swap" in deployed.states
    right = (
        (deployed.ended.status, deployed.ended.error) == ("FAILED", "GateFailedError")
        and last["name"] == fault.phase
        and any(each["name"] == gate and says in str(each["found"]) for each in shut)
        and not moved
    )
    stopped = deployed.ended.status != "SUCCEEDED" and not moved
    return {
        "outcome": STOPPED if right else WRONG_GATE if stopped else NOT_STOPPED,
        "status": deployed.ended.status,
        "error": deployed.ended.error,
        "stopped_in": last["name"] if stopped else "",
        "closed": [
            f"{each['name']}: {each['verdict']}: {str(each['found'])[:MOST_OF_A_GATE]}" for each in shut
        ]
        or [deployed.ended.cause[:MOST_OF_A_GATE]],
        "traffic_moved": moved,
    }


def clean_release(site: Site, version: str) -> Row:
    """A sound release under the environment's own configuration; whether it passed, and took the traffic."""
    deployed = site.deploy(Request(NAME, version, "deploy", image=site.image))
    status = deployed.ended.status
    if status == "SUCCEEDED" and site.live["version"] != version:
        status = f"SUCCEEDED, and {site.live['version']} is live"
    return {
        "version": version,
        "status": status,
        "seconds": round(deployed.seconds, 1),
        "cause": deployed.ended.cause[:MOST_OF_A_GATE],
    }


def _request(site: Site, seed: Seed, version: str, folder: Path) -> Request:
    if seed.source is None:
        return Request(NAME, version, "deploy", image=site.image, settings=dict(seed.settings) or None)
    seed.source(folder)
    return Request(NAME, version, "deploy", source=upload(site.environment, folder))


def _nothing(why: str) -> Row:
    return {
        "outcome": BROKEN,
        "status": "",
        "error": "",
        "stopped_in": "",
        "closed": [why],
        "traffic_moved": False,
    }


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def show(measured: Measured) -> str:
    """The rows as tables, and the figures."""
    number = figures(measured.faults, measured.clean)
    rows = [
        {
            "fault": row["fault"],
            "wanted": f"{row['phase']}: {row['gate']}",
            "stopped in": row["stopped_in"] or "–",
            "outcome": row["outcome"],
            "seconds": row["seconds"],
        }
        for row in measured.faults
    ]
    parts = [table(rows)] if rows else []
    parts.append(
        f"{number['stopped_by_the_right_gate']} of {number['seeded']} faults stopped before the swap by the "
        f"right gate; {number['clean_passed']} of {number['clean_deployed']} clean releases passed; "
        f"{measured.minutes:.0f} minutes."
    )
    parts += [f"left out: {words}: {why}" for words, why in LEFT_OUT.items()]
    return "\n\n".join(parts)


def write_page() -> None:
    """Put the last results' figures and the table of faults into docs/verification.md."""
    lines = fault_table.PAGE.read_text(encoding="utf-8").splitlines()
    begin, end = lines.index(BEGIN), lines.index(END)
    lines[begin + 1 : end] = [sentence(json.loads(fault_table.RESULTS.read_text(encoding="utf-8")))]
    first = lines.index(fault_table.HEAD) + 2
    last = next((at for at in range(first, len(lines)) if not lines[at].startswith("|")), len(lines))
    lines[first:last] = fault_table.table(fault_table.stopped_in_sandbox()).splitlines()
    fault_table.PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def sentence(results: Row) -> str:
    """The figures in words."""
    right, seeded = results["stopped_by_the_right_gate"], results["seeded"]
    passed, clean = results["clean_passed"], results["clean_deployed"]
    return (
        f"**{right} of {seeded}** faults were stopped before the swap by the right gate, and "
        f"**{passed} of {clean}** clean releases passed\n({results['measured_at'][:10]}, "
        f"{results['cores']} cores, {results['minutes']:.0f} minutes)."
    )


def chosen(only: list[str], measured: Measured, *, resume: bool) -> list[Seed]:
    if is_quick() and not only:
        only = [QUICK_FAULT]
    wanted = [seed for seed in SEEDS if not only or any(word in seed.words for word in only)]
    return [seed for seed in wanted if not (resume and measured.known(seed.words))]


def _end(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD",
        help=f"the faults whose words have it, or {CLEAN_ONES!r}: the clean releases; repeatable",
    )
    parser.add_argument("--resume", action="store_true", help="keep what is known, and measure the rest")
    parser.add_argument(
        "--clean", type=int, default=0 if is_quick() else CLEAN, help="how many clean releases"
    )
    parser.add_argument("--table", action="store_true", help="only write docs/verification.md anew")
    options = parser.parse_args()
    if options.table:
        write_page()
        return 0
    # Ended like by Ctrl-C: through every `finally`, so that nothing is left running.
    signal.signal(signal.SIGTERM, _end)
    measured = Measured(resume=options.resume or bool(options.only))
    seeds = chosen(options.only, measured, resume=options.resume)
    if CLEAN_ONES in options.only:
        measured.clean = []
    try:
        measure(seeds, options.clean if not options.only or CLEAN_ONES in options.only else 0, measured)
    except (BenchError, InstallationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    print(show(measured))
    if not is_quick():
        write_page()
    number = figures(measured.faults, measured.clean)
    whole = number["stopped_by_the_right_gate"], number["clean_passed"]
    return 0 if whole == (number["seeded"], number["clean_deployed"]) else 1


if __name__ == "__main__":
    sys.exit(main())
