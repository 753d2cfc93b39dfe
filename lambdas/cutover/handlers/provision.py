"""The provision function: the change sets of the environment's stacks, their execution, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.fleet import AutoScalingInstances
from cutover.adapters.live import LiveResources
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.adapters.observation import DataStores
from cutover.adapters.offers import AwsOffers
from cutover.adapters.stacks import layers_of
from cutover.domain.records import Deployment
from cutover.domain.templates import read_templates
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.ports import Layer
from cutover.steps.execute_change_sets import discard_change_sets, execute_change_sets
from cutover.steps.give_up import give_up
from cutover.steps.preflight import preflight
from cutover.steps.prepare_change_sets import prepare_change_sets
from cutover.steps.verify_resources import verify_resources


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    templates: str
    service_role_arn: str
    code_bucket: str
    code_key: str
    layer_arn: str
    buckets: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    layers: tuple[Layer, ...]
    balancer: ElasticLoadBalancer
    instances: AutoScalingInstances
    inventory: DataStores
    resources: LiveResources
    offers: AwsOffers


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    code = {
        "CodeBucket": variables.code_bucket,
        "CodeKey": variables.code_key,
        "LayerArn": variables.layer_arn,
    }
    return Wiring(
        variables,
        layers_of(
            client("cloudformation"),
            read_templates(variables.templates),
            service_role=variables.service_role_arn,
            code=code,
        ),
        ElasticLoadBalancer(client("elbv2")),
        AutoScalingInstances(client("autoscaling")),
        DataStores(client("docdb"), client("elasticache")),
        LiveResources(client),
        AwsOffers(client),
    )


def look_ahead(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return preflight(
        event["configuration"],
        wired.variables.buckets.split(","),
        offers=wired.offers,
        layers=wired.layers,
    )


def prepare(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return prepare_change_sets(deployment, layers=wired.layers, balancer=wired.balancer)


def execute(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return execute_change_sets(
        deployment,
        event["planned"],
        layers=wired.layers,
        instances=wired.instances,
        balancer=wired.balancer,
    )


def withdraw(_event: Mapping[str, Any]) -> dict[str, Any]:
    return give_up(layers=wiring().layers)


def discard(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return discard_change_sets(deployment, layers=wired.layers)


def verify(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return verify_resources(
        f"cutover-{wired.variables.cutover_environment}",
        layers=wired.layers,
        balancer=wired.balancer,
        instances=wired.instances,
        inventory=wired.inventory,
        resources=wired.resources,
    )


ACTIONS = {
    "preflight": look_ahead,
    "prepare": prepare,
    "prepared": prepare,
    "execute": execute,
    "executed": execute,
    "discard": discard,
    "give_up": withdraw,
    "verify": verify,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
