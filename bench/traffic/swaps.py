"""Swaps and canaries under load: does any request fail while the traffic moves?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bench.traffic.site import Site
from sandbox.demo.users import Users

RATE = 1000
#: Ten per cent first, judged after one comparison of five seconds: the least that the configuration takes.
CANARY: Mapping[str, Any] = {
    "shares": [10, 100],
    "bake_seconds": 5,
    "comparison_seconds": 5,
    "requests_per_second": 50,
    "users": 10,
    "fewest_answers": 10,
}
KINDS: Mapping[str, Mapping[str, Any]] = {"swap": {}, "canary": {"shift": CANARY}}


def block(site: Site, kind: str, number: int) -> dict[str, Any]:
    """`number` swaps or canaries in a row, with users of their own: what each took, what the users saw."""
    moves, before = [], time.monotonic()
    with site.users(RATE) as users:
        for _ in range(number):
            moves.append(_move(site, kind))
        seconds = time.monotonic() - before
    return {"part": "moves", "kind": kind, "moves": moves, "seconds": round(seconds, 1), **seen(users)}


def _move(site: Site, kind: str) -> dict[str, Any]:
    """From `TrafficShifted` to the proof: milliseconds until the first of the answers in a row."""
    began = time.monotonic()
    record = site.shift(KINDS[kind])
    moved = datetime.fromisoformat(record["swap"]["modified_at"])
    first = datetime.fromisoformat(record["proof"]["first_answer_at"])
    return {
        "seconds": round(time.monotonic() - began, 2),
        "proved_ms": round((first - moved).total_seconds() * 1000),
        "tries": int(record["proof"]["tries"]),
    }


def seen(users: Users) -> dict[str, Any]:
    """The whole run in the users' eyes."""
    report = users.report()
    return {
        "requests": report["answers"] + sum(report["unanswered"].values()),
        "failed": report["failed"],
        "latency_ms": report["latency_ms"],
        "failures": report["failures"][:20],
    }
