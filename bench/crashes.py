"""The crash matrix as a table: what died where, and whether everything agreed in the end.

Counts cases, not time. `make bench-crashes`; QUICK=1 runs the manual rollback's machine alone.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections import Counter
from importlib import import_module
from typing import Any

from bench.results_file import is_quick, keep, table

# The cases are those of the tests, which are not typed as strictly as what ships.
matrix: Any = import_module("tests.unit.crash_matrix")


def converges(case: Any) -> str | None:
    """None, or what does not agree."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            matrix.run(case)
    except AssertionError as error:
        return f"{case}: {error}"
    return None


def main() -> None:
    """Run every case, print the table, keep bench/results/crashes.json."""
    logging.disable(logging.CRITICAL)
    rows, wrong = [], list[str]()
    for machine in ("rollback",) if is_quick() else ("deploy", "rollback"):
        every = matrix.cases(machine)
        states, good = len({case.state for case in every}), Counter[str]()
        for case in every:
            told = converges(case)
            good[case.then] += told is None
            wrong += [told] if told else []
        for then in matrix.NEXT[machine]:
            number = sum(case.then == then for case in every)
            rows.append(
                {"machine": machine, "states": states, "then": then, "cases": number, "converge": good[then]}
            )
    print(table(rows))
    keep("crashes", {"rows": rows, "wrong": wrong})
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
