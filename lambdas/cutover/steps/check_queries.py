"""The release's named queries use their indexes and are quick before they meet the traffic (requirement
C6b).

Each is explained and timed with values of a document that is there, so that it finds something. A small
collection may be scanned, for that costs nothing; a large one may neither be scanned nor sorted in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from cutover.database_ports import Queries
from cutover.domain.errors import ServiceRefusedError
from cutover.domain.gates import Gate, Persona, Subject, Threshold
from cutover.domain.measures import Limits
from cutover.domain.queries import NamedQuery

SUBJECT = Subject("C6b", Persona.PERFORMANCE)
TIMES = 20
FROM_SAMPLE = "from_sample"


@dataclass(frozen=True)
class Seen:
    """What one query did; None where there was no document to ask for."""

    indexed: bool
    times: Sequence[float]
    connections: tuple[int, int] | None


def check_queries(
    named: Sequence[NamedQuery], limits: Limits, scan_documents: int, *, queries: Queries
) -> dict[str, Any]:
    """{gates}: one a query, and mean, index hit and pool over all. Without data they are Inconclusive.

    `scan_documents`: up to so many documents a collection may be scanned, or sorted in memory.
    """
    gates: list[Gate] = []
    seen: list[Seen] = []
    for query in named:
        gate, found = _check(query, limits.threshold("query_mean"), scan_documents, queries)
        gates.append(gate)
        if found is not None:
            seen.append(found)
    gates += [_mean(seen, limits), _hits(seen, limits), _pool(seen, limits)]
    return {"gates": [gate.as_json() for gate in gates]}


def _check(
    query: NamedQuery, quick: Threshold, scan_documents: int, queries: Queries
) -> tuple[Gate, Seen | None]:
    name = f"Query: {query.name}"
    wanted = f"an index above {scan_documents:,} documents, mean {quick}"
    document = queries.sample(query.collection)
    if document is None:
        return SUBJECT.inconclusive(name, found=f"{query.collection} holds no document", wanted=wanted), None
    condition, missing = filled(query.filter, document)
    if missing:
        found = f"the sample document of {query.collection} lacks {', '.join(missing)}"
        return SUBJECT.inconclusive(name, found=found, wanted=wanted), None
    asked = replace(query, filter=condition)
    explained = queries.explain(asked)
    if not explained.stages:
        return SUBJECT.inconclusive(name, found="the server explains nothing", wanted=wanted), None
    taken = queries.milliseconds(asked, TIMES)
    size = queries.size(query.collection)
    mean = fmean(taken) if taken else 0.0
    costs = {"a scan of the whole collection": explained.scans, "a sort in memory": explained.sorts}
    costly = [words for words, paid in costs.items() if paid]
    right = (not costly or size <= scan_documents) and quick.holds(mean)
    how = " and ".join(costly) or f"the index {explained.index or 'of _id'}"
    found = f"{how} ({' < '.join(explained.stages)}) over {size:,} documents, mean {mean:.2f} ms"
    gate = SUBJECT.judge(name, right, found=found, wanted=wanted, samples=len(taken))
    return gate, Seen(not explained.scans, taken, _connections(queries))


def filled(condition: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The filter with the document's values for every {"from_sample": FIELD}, and the fields it lacks."""
    missing: list[str] = []

    def fill(value: Any) -> Any:
        if isinstance(value, Mapping):
            if set(value) == {FROM_SAMPLE}:
                return _value(document, str(value[FROM_SAMPLE]), missing)
            return {key: fill(inner) for key, inner in value.items()}
        return [fill(inner) for inner in value] if isinstance(value, list) else value

    return {key: fill(value) for key, value in condition.items()}, missing


def _value(document: Mapping[str, Any], path: str, missing: list[str]) -> Any:
    found: Any = document
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            missing.append(path)
            return None
        found = found[part]
    return found


def _mean(seen: Sequence[Seen], limits: Limits) -> Gate:
    times = [each for one in seen for each in one.times]
    if not times:
        return limits.inconclusive("query_mean", "no query was timed")
    return limits.judge("query_mean", fmean(times), samples=len(times), evidence={"slowest": max(times)})


def _hits(seen: Sequence[Seen], limits: Limits) -> Gate:
    if not seen:
        return limits.inconclusive("index_hit", "no query was explained")
    indexed = sum(one.indexed for one in seen)
    told = f"{indexed} of {len(seen)} queries"
    return limits.judge("index_hit", indexed / len(seen), samples=len(seen), found=told)


def _connections(queries: Queries) -> tuple[int, int] | None:
    try:
        return queries.connections()
    except ServiceRefusedError:
        return None


def _pool(seen: Sequence[Seen], limits: Limits) -> Gate:
    """The fullest moment, looked at after each query."""
    looked = [one.connections for one in seen if one.connections and one.connections[1] > 0]
    if not looked:
        return limits.inconclusive("pool_use", "the server does not tell")
    used, most = max(looked, key=lambda pair: pair[0] / pair[1])
    return limits.judge("pool_use", used / most, samples=len(looked), found=f"{used} of {most}")
