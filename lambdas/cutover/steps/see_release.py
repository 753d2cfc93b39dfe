"""Ask Prometheus, from inside the network, whether it sees the release (requirements C4a, C4b)."""

from __future__ import annotations

from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.errors import NotReachableError
from cutover.domain.seen import ANSWERING, QUERIES, judge_query, judge_target, of_colour, unseen
from cutover.ports import Metrics


def see_release(
    colour: Colour, expected: int, must: bool, *, metrics: Metrics | None, absent: str = ""
) -> dict[str, Any]:
    """{gates, seen}; `seen` when every gate is open, so that the wait for a scrape can end.

    `metrics` is None where no Prometheus runs, and `absent` says why. `expected`: the colour's containers.
    """
    if metrics is None:
        return _told(unseen(absent, colour, must=must))
    try:
        gates = [judge_target(of_colour(metrics.query(ANSWERING), colour), expected, colour, must=must)]
        for title, (query, _) in QUERIES.items():
            gates.append(judge_query(title, of_colour(metrics.query(query), colour), colour, must=must))
    except NotReachableError as error:
        gates = unseen(str(error), colour, must=must)
    return _told(gates)


def _told(gates: list[Any]) -> dict[str, Any]:
    return {
        "gates": [gate.as_json() for gate in gates],
        "seen": all(gate.verdict == "Pass" for gate in gates),
    }
