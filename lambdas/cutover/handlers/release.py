"""The release function: an image's digest and scan, the command on the idle colour, the targets' health, and
the monitoring tier's own rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.artifacts import ElasticRegistry
from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.fleet import AutoScalingInstances, Ec2Addresses, SystemsManagerCommands
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.colours import Colour
from cutover.domain.environment import Environment
from cutover.domain.records import Deployment
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.boot import boot, look_at_boot, read_launch
from cutover.steps.find_image import find_image
from cutover.steps.release import look_at_release, start_release
from cutover.steps.roll_out_monitoring import roll_out_monitoring
from cutover.steps.scan import look_at_scan


@dataclass(frozen=True, kw_only=True)
class Variables(Journalling):
    repository: str
    repository_uri: str
    release_document: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    journal: DynamoJournal
    registry: ElasticRegistry
    instances: AutoScalingInstances
    addresses: Ec2Addresses
    commands: SystemsManagerCommands
    balancer: ElasticLoadBalancer
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    return Wiring(
        variables,
        DynamoJournal(client("dynamodb"), variables.journal_table),
        ElasticRegistry(client("ecr"), variables.repository, variables.repository_uri),
        AutoScalingInstances(client("autoscaling")),
        Ec2Addresses(client("ec2")),
        SystemsManagerCommands(client("ssm")),
        ElasticLoadBalancer(client("elbv2")),
        SystemClock(),
    )


def digest(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    return dict(find_image(deployment, str(event["tag"]), registry=wired.registry, journal=wired.journal))


def scan(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_at_scan(str(event["image"]), str(event["since"]), registry=wired.registry, clock=wired.clock)


def start(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return start_release(
        Deployment.read(event["deployment"]),
        Environment.read(event["environment"]),
        Colour(event["colour"]),
        str(event["image"]),
        journal=wired.journal,
        registry=wired.registry,
        instances=wired.instances,
        commands=wired.commands,
        clock=wired.clock,
    )


def poll(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_at_release(
        Deployment.read(event["deployment"]),
        Environment.read(event["environment"]),
        Colour(event["colour"]),
        journal=wired.journal,
        instances=wired.instances,
        commands=wired.commands,
        balancer=wired.balancer,
        clock=wired.clock,
    )


def monitoring(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return roll_out_monitoring(
        Deployment.read(event["deployment"]),
        Environment.read(event["environment"]),
        Colour(event["colour"]),
        event["configuration"]["monitoring"]["gate"] == "must",
        journal=wired.journal,
        instances=wired.instances,
        addresses=wired.addresses,
        commands=wired.commands,
        clock=wired.clock,
    )


def launched(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    group, instance = read_launch(event["launch"])
    return boot(
        wired.variables.cutover_environment,
        group,
        instance,
        wired.variables.release_document,
        journal=wired.journal,
        registry=wired.registry,
        commands=wired.commands,
    )


def booted(event: Mapping[str, Any]) -> dict[str, Any]:
    return look_at_boot(str(event["command"]), commands=wiring().commands)


ACTIONS = {
    "digest": digest,
    "scan": scan,
    "start": start,
    "poll": poll,
    "monitoring": monitoring,
    "boot": launched,
    "booted": booted,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
