"""`explain`: the plan and what its execution examined, in MongoDB 7's shape.

https://www.mongodb.com/docs/manual/reference/explain-results/
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

from sandbox.database import execution, predicates, projection
from sandbox.database.collection import Collection
from sandbox.database.errors import Document
from sandbox.database.execution import Query, Statistics
from sandbox.database.implication import guarantees_presence
from sandbox.database.intervals import ALL
from sandbox.database.planner import Access, CollectionScan, IdLookup, IndexScan, Union
from sandbox.database.values import encode


def explain(
    collection: Collection | None,
    namespace: str,
    query: Query,
    *,
    verbosity: str,
    projected: Document | None = None,
    wrapper: str | None = None,
) -> Document:
    """`queryPlanner` and, unless the verbosity is "queryPlanner", `executionStats`.

    `wrapper` is the stage on top for commands that aren't a find: COUNT, UPDATE or DELETE.
    """
    access, rejected = execution.plan(collection, query)
    shape = hashlib.sha256(encode({"q": query.predicate.describe(), "s": dict(query.order)})).hexdigest()
    result: Document = {
        "queryPlanner": {
            "namespace": namespace,
            "indexFilterSet": False,
            "parsedQuery": query.predicate.describe(),
            "queryHash": shape[:8].upper(),
            "planCacheKey": shape[8:16].upper(),
            "maxIndexedOrSolutionsReached": False,
            "maxIndexedAndSolutionsReached": False,
            "maxScansToExplodeReached": False,
            "winningPlan": _stages(collection, query, access, projected, wrapper, None),
            "rejectedPlans": [
                _stages(collection, query, scan, projected, wrapper, None) for scan in rejected
            ],
        }
    }
    if verbosity == "queryPlanner":
        return result
    statistics = Statistics()
    began = time.perf_counter()
    execution.run(collection, query, access, statistics)
    result["executionStats"] = {
        "executionSuccess": True,
        "nReturned": 0 if wrapper else statistics.returned,
        "executionTimeMillis": int((time.perf_counter() - began) * 1000),
        "totalKeysExamined": statistics.keys_examined,
        "totalDocsExamined": statistics.docs_examined,
        "executionStages": _stages(collection, query, access, projected, wrapper, statistics),
    }
    if verbosity == "allPlansExecution":
        # Plans are chosen by counting keys, not by trying them out, so there are no trial runs to show.
        result["executionStats"]["allPlansExecution"] = []
    return result


def _counters(statistics: Statistics | None, returned: int) -> Document:
    if statistics is None:
        return {}
    return {
        "nReturned": returned,
        "executionTimeMillisEstimate": 0,
        "works": max(statistics.keys_examined, statistics.docs_examined) + 1,
        "advanced": returned,
        "needTime": max(statistics.keys_examined, statistics.docs_examined)
        - min(returned, max(statistics.keys_examined, statistics.docs_examined)),
        "needYield": 0,
        "saveState": 0,
        "restoreState": 0,
        "isEOF": 1,
    }


def _stages(  # noqa: PLR0917 - the tree is made of all of it
    collection: Collection | None,
    query: Query,
    access: Access,
    projected: Document | None,
    wrapper: str | None,
    ran: Statistics | None,
) -> Document:
    matched = ran.matched if ran else 0
    returned = ran.returned if ran else 0
    if collection is None:
        stage: Document = {"stage": "EOF", **_counters(ran, 0)}
    else:
        stage = _access_stage(query, access, ran)
        if query.order and not (isinstance(access, IndexScan) and access.sorted):
            limited = query.skip + query.limit if query.limit else 0
            sorted_count = min(matched, limited) if limited else matched
            stage = {
                "stage": "SORT",
                **_counters(ran, sorted_count),
                "sortPattern": dict(query.order),
                "memLimit": 104857600,
                **({"limitAmount": limited} if limited else {}),
                "type": "simple",
                **({"totalDataSizeSorted": 0, "usedDisk": False, "spills": 0} if ran else {}),
                "inputStage": stage,
            }
            if query.skip:
                stage = _over("SKIP", stage, ran, returned, skipAmount=query.skip)
        else:
            if query.skip:
                stage = _over("SKIP", stage, ran, max(0, matched - query.skip), skipAmount=query.skip)
            if query.limit:
                stage = _over("LIMIT", stage, ran, returned, limitAmount=query.limit)
    if projected:
        kind = "PROJECTION_SIMPLE" if projection.is_simple(projected) else "PROJECTION_DEFAULT"
        stage = _over(kind, stage, ran, returned, transformBy=projected)
    if wrapper:
        counted = {"COUNT": "nCounted", "UPDATE": "nMatched", "DELETE": "nWouldDelete"}[wrapper]
        stage = _over(wrapper, stage, ran, 0, **({counted: returned} if ran else {}))
    return stage


def _over(name: str, below: Document, ran: Statistics | None, returned: int, **fields: Any) -> Document:
    return {"stage": name, **_counters(ran, returned), **fields, "inputStage": below}


def _access_stage(query: Query, access: Access, ran: Statistics | None) -> Document:
    matched = ran.matched if ran else 0
    examined = {"docsExamined": ran.docs_examined} if ran else {}
    condition = (
        {} if isinstance(query.predicate, predicates.Everything) else {"filter": query.predicate.describe()}
    )
    if isinstance(access, CollectionScan):
        return {
            "stage": "COLLSCAN",
            **condition,
            **_counters(ran, matched),
            "direction": "forward" if access.step > 0 else "backward",
            **examined,
        }
    if isinstance(access, IdLookup):
        keys = {"keysExamined": ran.keys_examined} if ran else {}
        return {"stage": "IDHACK", **_counters(ran, matched), **keys, **examined}
    if isinstance(access, IndexScan):
        below = _index_stage(access, ran)
        condition = _left_to_check(access, query)
    else:
        branches = ran.branches if ran else []
        below = {
            "stage": "OR",
            **_counters(ran, ran.docs_examined if ran else 0),
            **(
                {"dupsTested": ran.docs_examined + ran.duplicates, "dupsDropped": ran.duplicates}
                if ran
                else {}
            ),
            "inputStages": [
                _index_stage(branch, branches[at] if at < len(branches) else (Statistics() if ran else None))
                for at, branch in enumerate(access.branches)
            ],
        }
    extra = {**examined, "alreadyHasObj": 0} if ran else {}
    stage = {"stage": "FETCH", **condition, **_counters(ran, matched), **extra, "inputStage": below}
    return (
        {"stage": "SUBPLAN", **_counters(ran, matched), "inputStage": stage}
        if isinstance(access, Union)
        else stage
    )


def _left_to_check(access: IndexScan, query: Query) -> Document:
    """What the bounds don't say exactly; as in MongoDB, FETCH shows only that as its filter."""
    bounded = {
        path for (path, _), each in zip(access.index.key, access.bounds, strict=True) if each is not ALL
    }
    rest = [
        part
        for part in predicates.conjuncts(query.predicate)
        if access.index.multikey
        or not isinstance(part, (predicates.Comparison, predicates.In))
        or part.path not in bounded
        or not guarantees_presence(part)
    ]
    if not rest:
        return {}
    left = rest[0] if len(rest) == 1 else predicates.And(rest)
    return {"filter": left.describe()}


def _index_stage(scan: IndexScan, ran: Statistics | None) -> Document:
    index = scan.index
    forward = scan.direction == "forward"
    counters: Document = {}
    if ran:
        counters = {
            **_counters(ran, ran.keys_examined - ran.duplicates),
            "keysExamined": ran.keys_examined,
            "seeks": len(scan.ranges),
            "dupsTested": ran.keys_examined if index.multikey else 0,
            "dupsDropped": ran.duplicates,
        }
    return {
        "stage": "IXSCAN",
        **counters,
        "keyPattern": dict(index.specification["key"]),
        "indexName": index.name,
        "isMultiKey": index.multikey,
        "multiKeyPaths": {
            path: [".".join(index.fields[at][:depth]) for depth in sorted(index.array_depths[at])]
            for at, (path, _) in enumerate(index.key)
        },
        "isUnique": index.unique,
        "isSparse": index.sparse,
        "isPartial": index.partial is not None,
        "indexVersion": 2,
        "direction": scan.direction,
        "indexBounds": {
            path: [
                each.text(direction if forward else -direction)
                for each in (bounds if (direction > 0) == forward else reversed(bounds))
            ]
            for (path, direction), bounds in zip(index.key, scan.bounds, strict=True)
        },
    }
