"""The application's queries use their indexes and are quick (requirement C6b).

An index is wanted for a query: equality on its ascending fields, newest first by its descending one. That
query is asked with the values of a document that is there, so that it finds something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from cutover.domain.errors import ServiceRefusedError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.indexes import Index
from cutover.ports import Queries

SUBJECT = Subject("C6b", Persona.PERFORMANCE)
TIMES = 20
SCAN = "COLLSCAN"


def check_queries(
    indexes: Sequence[Index], thresholds: Mapping[str, Any], *, queries: Queries
) -> dict[str, Any]:
    """{gates}. A collection without a document gives no data, hence an Inconclusive gate."""
    gates: list[Gate] = []
    hits: list[bool] = []
    times: list[float] = []
    limit = float(thresholds["query_mean_ms"])
    for index in indexes:
        document = queries.sample(index.collection)
        name, wanted = f"Query by {index}", f"answered by an index, mean < {limit:g} ms"
        query = _query(index, document) if document else None
        if query is None:
            found = "no document to ask for" if document is None else "the sample document lacks a field"
            gates.append(SUBJECT.inconclusive(name, found=found, wanted=wanted))
            continue
        sort = [(field, direction) for field, direction in index.keys if direction < 0]
        explained = queries.explain(index.collection, query, sort)
        taken = queries.milliseconds(index.collection, query, sort, TIMES)
        indexed = SCAN not in explained.stages and bool(explained.index)
        hits.append(indexed)
        times += taken
        mean = fmean(taken) if taken else 0.0
        by = explained.index or "no index" if indexed else f"a scan ({' < '.join(explained.stages)})"
        found = f"{by}, mean {mean:.2f} ms"
        gates.append(
            SUBJECT.judge(name, indexed and mean < limit, found=found, wanted=wanted, samples=len(taken))
        )
    gates += [_mean(times, limit), _hits(hits, float(thresholds["index_hit"]))]
    gates.append(_pool(queries, float(thresholds["pool_use"])))
    return {"gates": [gate.as_json() for gate in gates]}


def _query(index: Index, document: Mapping[str, Any]) -> dict[str, Any] | None:
    fields = [field for field, direction in index.keys if direction > 0]
    if any(field not in document for field in fields):
        return None
    return {field: document[field] for field in fields}


def _mean(times: Sequence[float], limit: float) -> Gate:
    found = f"{fmean(times):.2f} ms" if times else "no query was timed"
    passed = bool(times) and fmean(times) < limit
    return SUBJECT.judge("Mean query time", passed, found=found, wanted=f"< {limit:g} ms", samples=len(times))


def _hits(hits: Sequence[bool], least: float) -> Gate:
    share = sum(hits) / len(hits) if hits else 0.0
    found = f"{share:.0%} of {len(hits)} queries" if hits else "no query was explained"
    return SUBJECT.judge("Index hit", share > least, found=found, wanted=f"> {least:.0%}", samples=len(hits))


def _pool(queries: Queries, most: float) -> Gate:
    name, wanted = "Connections in use", f"< {most:.0%}"
    try:
        connections = queries.connections()
    except ServiceRefusedError as error:
        return SUBJECT.inconclusive(name, found=str(error), wanted=wanted)
    if connections is None or connections[1] < 1:
        return SUBJECT.inconclusive(name, found="the server does not tell", wanted=wanted)
    used, limit = connections
    return SUBJECT.judge(name, used / limit < most, found=f"{used} of {limit}", wanted=wanted)
