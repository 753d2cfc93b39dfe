"""The plan function: one document of everything that a deployment would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.artifacts import BucketSources, ElasticRegistry
from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.adapters.stacks import CloudFormationStacks
from cutover.domain.records import Deployment
from cutover.handlers.dispatch import dispatch
from cutover.handlers.migrations import wanted_indexes
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.plan import make_plan


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    journal_table: str
    stack_name: str
    repository: str
    artifacts_bucket: str


@dataclass(frozen=True)
class Wiring:
    journal: DynamoJournal
    balancer: ElasticLoadBalancer
    stacks: CloudFormationStacks
    registry: ElasticRegistry
    sources: BucketSources
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    return Wiring(
        DynamoJournal(client("dynamodb"), variables.journal_table),
        ElasticLoadBalancer(client("elbv2")),
        CloudFormationStacks(client("cloudformation"), variables.stack_name),
        # A plan names the repository; the address is the release's business.
        ElasticRegistry(client("ecr"), variables.repository, variables.repository),
        BucketSources(client("s3"), variables.artifacts_bucket),
        SystemClock(),
    )


def plan(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return make_plan(
        deployment,
        event.get("configuration") or {},
        event.get("change_set"),
        wanted_indexes(),
        journal=wired.journal,
        balancer=wired.balancer,
        stacks=wired.stacks,
        registry=wired.registry,
        sources=wired.sources,
        clock=wired.clock,
    )


ACTIONS = {"plan": plan}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS, default="plan")
