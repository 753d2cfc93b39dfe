"""The observe function: alarms and dashboard, network, encryption, web scan, the watch after a swap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.documents import BucketDocuments
from cutover.adapters.encryption import LiveEncryption
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.adapters.observation import CloudWatchAlarms, VpcNetwork
from cutover.adapters.target_metrics import GroupMetrics
from cutover.domain.colours import Colour
from cutover.domain.environment import Environment, Services
from cutover.domain.measures import Limits
from cutover.domain.records import Deployment
from cutover.domain.services import Service
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.drill import check_drill
from cutover.steps.encryption import check_encryption
from cutover.steps.monitoring import check_monitoring
from cutover.steps.network_security import check_network
from cutover.steps.shift import judge_share
from cutover.steps.target_resources import check_resources
from cutover.steps.watch import watch
from cutover.steps.web_scan import look_at_web_scan


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    journal_table: str
    dashboard: str
    buckets: str
    artifacts_bucket: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    journal: DynamoJournal
    balancer: ElasticLoadBalancer
    alarms: CloudWatchAlarms
    network: VpcNetwork
    encryption: LiveEncryption
    metrics: GroupMetrics
    reports: BucketDocuments
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    balancers, ec2, cloudwatch, s3 = client("elbv2"), client("ec2"), client("cloudwatch"), client("s3")
    return Wiring(
        variables,
        DynamoJournal(client("dynamodb"), variables.journal_table),
        ElasticLoadBalancer(balancers),
        CloudWatchAlarms(cloudwatch),
        VpcNetwork(balancers, ec2),
        LiveEncryption(
            variables.cutover_environment,
            docdb=client("docdb"),
            elasticache=client("elasticache"),
            s3=s3,
            ec2=ec2,
        ),
        GroupMetrics(cloudwatch),
        BucketDocuments(s3, variables.artifacts_bucket),
        SystemClock(),
    )


def _services(event: Mapping[str, Any]) -> Services:
    """The services that the deployment releases."""
    services = Environment.read(event["environment"]).services
    released = {Service.BACKEND, *({Service.FRONTEND} if event.get("frontend_image") else {})}
    return {service: targets for service, targets in services.items() if service in released}


def monitoring(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return check_monitoring(
        Deployment.read(event["deployment"]),
        Environment.read(event["environment"]),
        Colour(event["colour"]),
        wired.variables.dashboard,
        _services(event),
        alarms=wired.alarms,
    )


def network(event: Mapping[str, Any]) -> dict[str, Any]:
    return check_network(Environment.read(event["environment"]), network=wiring().network)


def encryption(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    name = f"cutover-{wired.variables.cutover_environment}"
    return check_encryption(name, wired.variables.buckets.split(","), encryption=wired.encryption)


def web_scan(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_at_web_scan(
        Deployment.read(event["deployment"]),
        str(event["image"]),
        event["configuration"],
        event["ended"] or None,
        reports=wired.reports,
        clock=wired.clock,
    )


def look(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return watch(
        Deployment.read(event["deployment"]),
        _services(event),
        Colour(event["colour"]),
        journal=wired.journal,
        balancer=wired.balancer,
        alarms=wired.alarms,
        clock=wired.clock,
    )


def share(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return judge_share(
        Deployment.read(event["deployment"]),
        Colour(event["colour"]),
        event["gates"],
        float(event["configuration"]["watch"]["healthy_share"]),
        _services(event),
        balancer=wired.balancer,
        alarms=wired.alarms,
    )


def resources(event: Mapping[str, Any]) -> dict[str, Any]:
    configuration = event["configuration"]
    return check_resources(
        Environment.read(event["environment"]).group(Colour(event["colour"])),
        event["load"],
        int(configuration["backend"]["instances_per_colour"]),
        Limits.read(configuration),
        metrics=wiring().metrics,
    )


def drill(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return check_drill(
        Deployment.read(event["deployment"]),
        event["configuration"],
        journal=wired.journal,
        balancer=wired.balancer,
        alarms=wired.alarms,
        clock=wired.clock,
    )


ACTIONS = {
    "drill": drill,
    "monitoring": monitoring,
    "network": network,
    "encryption": encryption,
    "resources": resources,
    "share": share,
    "watch": look,
    "web_scan": web_scan,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
