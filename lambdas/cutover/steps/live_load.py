"""A little load on the live release while it is watched: at night its alarms would else have nothing to see
(requirement E1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.aim import Aim
from cutover.domain.errors import NotReachableError
from cutover.domain.load_plan import Stage, needs_token, read_scenarios
from cutover.domain.load_result import LoadResult, merged, packed
from cutover.ports import Load


def ask_live(
    wanted: Mapping[str, Any],
    seconds: float,
    so_far: Mapping[str, Any] | None,
    *,
    aim: Aim,
    port: int,
    load: Load,
) -> dict[str, Any]:
    """{requests, failed, p95_ms, result}: with those of all turns before.

    It judges nothing: after the swap the alarms take a release back, and they see these requests too. Only
    scenarios without a limit and without a user are asked: real users have the limits to themselves.
    """
    rate = float(wanted["live_requests_per_second"])
    before = [str(so_far["result"])] if so_far and so_far.get("result") else []
    now: list[str] = []
    if rate:
        tables = [
            table for table in wanted["scenarios"] if not (table.get("most_per_minute") or needs_token(table))
        ]
        scenarios = read_scenarios(tables, aim.name, {}, None)
        try:
            now = [
                packed(
                    load.run(port=port, scenarios=scenarios, stages=[Stage(rate, seconds)], users=int(rate))
                )
            ]
        except NotReachableError:
            requests = round(rate * seconds)
            lost = LoadResult(scheduled=requests)
            lost.errors["connection"] = requests
            now = [packed([lost])]
    (whole,) = merged([*before, *now]) or [LoadResult()]
    return {
        "requests": whole.scheduled,
        "failed": whole.failed,
        "p95_ms": whole.latency.percentiles_ms(95)[0] if whole.latency.samples else None,
        "result": packed([whole]) if whole.scheduled else "",
    }
