"""The crash matrix as a table: what died where, and whether everything agreed in the end.

Counts cases, not time. `make bench-crashes`; QUICK=1 runs the manual rollback's machine alone.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections import Counter

from bench.results_file import write
from tests.unit.crash_matrix import NEXT, Case, cases, run

QUICK = bool(os.environ.get("QUICK"))


def converges(case: Case) -> str | None:
    """None, or what does not agree."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            run(case)
    except AssertionError as error:
        return f"{case}: {error}"
    return None


def main() -> None:
    """Run every case, print the table, write bench/results/crashes.json."""
    logging.disable(logging.CRITICAL)
    rows, wrong = [], list[str]()
    for machine in ("rollback",) if QUICK else ("deploy", "rollback"):
        every = cases(machine)
        states, good = len({case.state for case in every}), Counter[str]()
        for case in every:
            told = converges(case)
            good[case.then] += told is None
            wrong += [told] if told else []
        for then in NEXT[machine]:
            number = sum(case.then == then for case in every)
            rows.append(
                {"machine": machine, "states": states, "then": then, "cases": number, "converge": good[then]}
            )
    print("| machine | states | what comes then | cases | converge |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['machine']} | {row['states']} | {row['then']} | {row['cases']} | {row['converge']} |")
    write("crashes", {"rows": rows, "wrong": wrong})
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
