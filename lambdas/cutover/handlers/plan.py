"""The plan function: one document of everything that a deployment would do."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cutover.adapters.artifacts import BucketSources, ElasticRegistry
from cutover.adapters.aws import client, patient_client
from cutover.adapters.clock import SystemClock
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.adapters.migration_plans import AskedMigrationPlans
from cutover.adapters.plans import BucketPlans, StackTemplates
from cutover.adapters.stacks import layers_of
from cutover.domain.prices import NO_PRICES, PriceTable
from cutover.domain.records import Deployment
from cutover.domain.services import Service
from cutover.domain.templates import read_templates
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.ports import Layer
from cutover.steps.plan import Declared, make_plan

# To look for duplicates under a unique index, the database reads a whole collection.
LOOK_SECONDS = 90
PRICES = Path(__file__).resolve().parent.parent / "prices"


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    journal_table: str
    templates: str
    repository: str
    frontend_repository: str
    artifacts_bucket: str
    code_key: str
    layer_arn: str
    database_function: str


@dataclass(frozen=True)
class Wiring:
    declared: Declared
    journal: DynamoJournal
    balancer: ElasticLoadBalancer
    layers: tuple[Layer, ...]
    templates: StackTemplates
    registries: Mapping[Service, ElasticRegistry]
    sources: BucketSources
    plans: BucketPlans
    migrations: AskedMigrationPlans
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    storage, formation, images = client("s3"), client("cloudformation"), client("ecr")
    templates = read_templates(variables.templates)
    return Wiring(
        Declared(
            code=variables.code_key,
            libraries=variables.layer_arn,
            prices=price_table(os.environ.get("AWS_REGION", "")),
        ),
        DynamoJournal(client("dynamodb"), variables.journal_table),
        ElasticLoadBalancer(client("elbv2")),
        layers_of(formation, templates),
        StackTemplates(storage, formation, templates),
        # A plan names the repository; the address is the release's business.
        {
            Service.BACKEND: ElasticRegistry(images, variables.repository, variables.repository),
            Service.FRONTEND: ElasticRegistry(
                images, variables.frontend_repository, variables.frontend_repository
            ),
        },
        BucketSources(storage, variables.artifacts_bucket),
        BucketPlans(storage, variables.artifacts_bucket),
        AskedMigrationPlans(patient_client("lambda", LOOK_SECONDS), variables.database_function),
        SystemClock(),
    )


def price_table(region: str, directory: Path = PRICES) -> PriceTable:
    """The region's prices; an empty table, which leaves everything unpriced, where nobody has made one."""
    path = directory / f"{region}.json"
    if not path.is_file():
        return NO_PRICES
    return PriceTable.read(json.loads(path.read_text(encoding="utf-8")))


def plan(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return make_plan(
        deployment,
        event.get("configuration") or {},
        event["change_sets"],
        wired.declared,
        journal=wired.journal,
        balancer=wired.balancer,
        layers=wired.layers,
        templates=wired.templates,
        registries=wired.registries,
        sources=wired.sources,
        plans=wired.plans,
        migrations=wired.migrations,
        clock=wired.clock,
    )


ACTIONS = {"plan": plan}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS, default="plan")
