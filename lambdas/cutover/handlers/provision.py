"""The provision function: the environment's change set, its execution, and what came of it."""

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
from cutover.adapters.stacks import CloudFormationStacks, Template
from cutover.domain.records import Deployment
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.execute_change_set import discard_change_set, execute_change_set, look_at_stack
from cutover.steps.preflight import preflight
from cutover.steps.prepare_change_set import prepare_change_set
from cutover.steps.verify_resources import verify_resources


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    template_url: str
    stack_name: str
    service_role_arn: str
    code_bucket: str
    code_key: str
    layer_arn: str
    buckets: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    stacks: CloudFormationStacks
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
    template = Template(variables.template_url, variables.service_role_arn, code)
    return Wiring(
        variables,
        CloudFormationStacks(client("cloudformation"), variables.stack_name, template),
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
        stacks=wired.stacks,
    )


def prepare(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return prepare_change_set(
        deployment, stacks=wired.stacks, change_sets=wired.stacks, balancer=wired.balancer
    )


def execute(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return execute_change_set(
        deployment,
        stacks=wired.stacks,
        change_sets=wired.stacks,
        instances=wired.instances,
        balancer=wired.balancer,
    )


def look(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return look_at_stack(deployment, stacks=wired.stacks, change_sets=wired.stacks, instances=wired.instances)


def discard(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return discard_change_set(deployment, stacks=wired.stacks, change_sets=wired.stacks)


def verify(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return verify_resources(
        f"cutover-{wired.variables.cutover_environment}",
        stacks=wired.stacks,
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
    "executed": look,
    "discard": discard,
    "verify": verify,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
