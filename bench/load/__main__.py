"""Our load generator beside artillery, locust, wrk and hey: `make bench-load`.

All of them with 200 users on one core, against the same servers on another: how many requests a CPU second
sends at most, what 1200 requests a second look like, and what each says of a server that stands still for one
second in every four. What theory says of the last: a request that comes at any moment finds the server frozen
in a quarter of the cases, and then waits evenly between 0 and 1 s, so that p95 is 800 ms and p99 is 960 ms.
"""

from __future__ import annotations

from typing import Any

from bench.load.servers import frozen_server, quick_server
from bench.load.tools import GENERATORS, USERS, MissingError, Seen
from bench.results_file import is_quick, keep, table

RATE = 1200
THEORY_MS = {"p95": 800.0, "p99": 960.0}


def tried(name: str, port: int, rate: float | None, seconds: float) -> Seen | str:
    """What was seen, or why not."""
    try:
        return GENERATORS[name](port, rate, seconds)
    except MissingError as error:
        return str(error)


def row(name: str, fast: Seen | str, steady: Seen | str, frozen: Seen | str) -> dict[str, Any]:
    found: dict[str, Any] = {"generator": name}
    for seen in (fast, steady, frozen):
        if isinstance(seen, str):
            return {**found, **dict.fromkeys(COLUMNS, "–"), COLUMNS[0]: f"not had: {seen}"}
    assert isinstance(fast, Seen)
    assert isinstance(steady, Seen)
    assert isinstance(frozen, Seen)
    values = (
        f"{fast.rate:,.0f}",
        f"{fast.requests / fast.cpu_seconds:,.0f}",
        "has no rate" if name == "wrk" else f"{steady.rate:,.0f}",
        "–" if name == "wrk" else f"{steady.p50:.1f} / {steady.p95:.1f} / {steady.p99:.1f}",
        "–" if steady.lag_p99 is None else f"{steady.lag_p99:.1f}",
        f"{frozen.p95:,.0f}",
        f"{frozen.p99:,.0f}",
    )
    return {**found, **dict(zip(COLUMNS, values, strict=True))}


COLUMNS = (
    "most RPS",
    "requests per CPU second",
    f"RPS of {RATE}",
    "p50 / p95 / p99 ms",
    "own lag p99 ms",
    "frozen: p95 ms",
    "frozen: p99 ms",
)


def main() -> None:
    seconds, frozen_seconds = (4.0, 8.0) if is_quick() else (8.0, 16.0)
    rows, raw = [], {}
    for name in GENERATORS:
        with quick_server() as port:
            fast, steady = tried(name, port, None, seconds), tried(name, port, RATE, seconds)
        with frozen_server() as port:
            frozen = tried(name, port, RATE, frozen_seconds)
        rows.append(row(name, fast, steady, frozen))
        raw[name] = {
            key: seen if isinstance(seen, str) else vars(seen)
            for key, seen in (("fast", fast), ("steady", steady), ("frozen", frozen))
        }
    theory = dict.fromkeys(COLUMNS, "–") | {COLUMNS[5]: "800", COLUMNS[6]: "960"}
    rows.append({"generator": "theory", **theory})
    print(table(rows))
    keep("load", {"users": USERS, "rate": RATE, "theory_ms": THEORY_MS, "raw": raw, "rows": rows})


if __name__ == "__main__":
    main()
