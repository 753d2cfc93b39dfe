"""Whether Prometheus sees a release: the dashboard's three queries (requirement C4b), and what they answer.

The queries are those of the dashboard that Grafana has (stacks/environment/tier/dashboard.json; a test holds
the two together), so that the gate proves what people will look at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cutover.domain.colours import Colour
from cutover.domain.gates import Gate, Persona, Subject

TARGETS, DASHBOARD = Subject("C4a", Persona.RELIABILITY), Subject("C4b", Persona.RELIABILITY)
#: By the panel's title, with the unit of its answer.
QUERIES = {
    "API response time, p95": (
        "histogram_quantile(0.95, sum by (colour, le) (rate(http_request_duration_seconds_bucket[5m])))",
        "s",
    ),
    "Request rate": ("sum by (colour) (rate(http_requests_total[1m]))", "a second"),
    # Without a 5xx there is no series to count; 0 is said only where there were requests.
    "5xx error rate": (
        'sum by (colour) (rate(http_requests_total{status=~"5.."}[1m]))'
        " or 0 * sum by (colour) (rate(http_requests_total[1m]))",
        "a second",
    ),
}
#: How many of the colour's containers answered the last scrape.
ANSWERING = 'sum by (colour) (up{job="backend"})'


@dataclass(frozen=True)
class Sample:
    """One series' value now."""

    labels: Mapping[str, str]
    value: float


def of_colour(samples: Sequence[Sample], colour: Colour) -> float | None:
    """The colour's value; None where there is none, or none that is a number."""
    values = [sample.value for sample in samples if sample.labels.get("colour") == colour.value]
    return values[0] if values and math.isfinite(values[0]) else None


def judge_target(answering: float | None, expected: int, colour: Colour, *, must: bool) -> Gate:
    """`answering` of the `expected` containers; None when Prometheus knows no target of the colour."""
    found = "Prometheus knows none of them" if answering is None else f"{answering:.0f} of {expected} answer"
    samples = 0 if answering is None else expected
    return TARGETS.judge(
        f"Prometheus scrapes {colour}",
        answering is not None and answering >= expected,
        found=found,
        wanted=f"all {expected} containers",
        samples=samples,
        must=must,
        evidence={"query": ANSWERING, "answering": answering, "expected": expected},
    )


def judge_query(title: str, value: float | None, colour: Colour, *, must: bool) -> Gate:
    """Open when there is a value; what it should be is for other gates to say."""
    query, unit = QUERIES[title]
    return DASHBOARD.judge(
        f"Grafana's “{title}”",
        value is not None,
        found="no data" if value is None else f"{value:.4g} {unit}",
        wanted=f"a value for {colour}",
        samples=0 if value is None else 1,
        must=must,
        evidence={"query": query, "value": value},
    )


def unseen(why: str, colour: Colour, *, must: bool) -> list[Gate]:
    """Nobody could be asked: every gate is inconclusive, and says why."""
    return [
        TARGETS.inconclusive(f"Prometheus scrapes {colour}", found=why, wanted="its containers", must=must),
        *(
            DASHBOARD.inconclusive(
                f"Grafana's “{title}”", found=why, wanted=f"a value for {colour}", must=must
            )
            for title in QUERIES
        ),
    ]
