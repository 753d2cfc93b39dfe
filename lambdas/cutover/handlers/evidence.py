"""The evidence function: it hears the product's own bus, and takes people's answers to the checklists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.documents import BucketDocuments
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.observation import CloudWatchAlarms
from cutover.adapters.plans import BucketPlans
from cutover.domain.embedded import embedded
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.checklist import answer_line
from cutover.steps.dora import dora
from cutover.steps.evidence import Sources, collect

#: After these the four keys are others than before.
MOVED_TRAFFIC = frozenset({"DeploymentSucceeded", "RolledBack"})


@dataclass(frozen=True, kw_only=True)
class Variables(Journalling):
    artifacts_bucket: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    journal: DynamoJournal
    bundles: BucketDocuments
    plans: BucketPlans
    alarms: CloudWatchAlarms
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    storage = client("s3")
    return Wiring(
        variables,
        DynamoJournal(client("dynamodb"), variables.journal_table),
        BucketDocuments(storage, variables.artifacts_bucket),
        BucketPlans(storage, variables.artifacts_bucket),
        CloudWatchAlarms(client("cloudwatch")),
        SystemClock(),
    )


def hear(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of the bus; one that is about no deployment adds nothing."""
    deployment = (event.get("detail") or {}).get("deployment")
    if not deployment:
        return {"added": []}
    collected = _collect(str(deployment))
    if event.get("detail-type") in MOVED_TRAFFIC:
        _tell_dora()
    return collected


def _tell_dora() -> None:
    """The four keys as metrics, whenever they may have changed: the same however often this is called."""
    wired = wiring()
    now = wired.clock.now()
    keys = dora(wired.journal, now).as_metrics()
    print(json.dumps(embedded(wired.variables.cutover_environment, keys, now)))


def answer(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, asked = wiring(), event.get("deployment") or {}
    given = answer_line(
        asked.get("id"),
        event.get("line"),
        event.get("by"),
        event.get("note"),
        journal=wired.journal,
        clock=wired.clock,
    )
    return {**given, "evidence": _collect(given["deployment"])}


def _collect(deployment: str) -> dict[str, Any]:
    wired = wiring()
    sources = Sources(wired.journal, wired.plans, wired.alarms, wired.clock)
    return collect(deployment, wired.variables.cutover_environment, store=wired.bundles, sources=sources)


ACTIONS = {"hear": hear, "answer": answer}
BY_PEOPLE = frozenset({"answer"})


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS, default="hear")
