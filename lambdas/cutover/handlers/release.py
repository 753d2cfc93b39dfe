"""The release function: the images' digests and scans, the commands on the idle colour, the targets, and the
monitoring tier's own rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.artifacts import ElasticRegistry
from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.documents import BucketDocuments
from cutover.adapters.fleet import AutoScalingInstances, Ec2Addresses, SystemsManagerCommands
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.colours import Colour
from cutover.domain.environment import Environment
from cutover.domain.records import Deployment
from cutover.domain.services import Service, read_images
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.boot import boot, look_at_boot, read_launch
from cutover.steps.dependency_scan import with_dependencies
from cutover.steps.find_image import find_image
from cutover.steps.release import World, look_at_release, start_release
from cutover.steps.roll_out_monitoring import roll_out_monitoring
from cutover.steps.scan import look_at_scans


@dataclass(frozen=True, kw_only=True)
class Variables(Journalling):
    repository: str
    repository_uri: str
    release_document: str
    frontend_repository: str
    frontend_repository_uri: str
    frontend_release_document: str
    artifacts_bucket: str

    @property
    def documents(self) -> Mapping[Service, str]:
        return {Service.BACKEND: self.release_document, Service.FRONTEND: self.frontend_release_document}


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    world: World
    addresses: Ec2Addresses
    reports: BucketDocuments


@cache
def wiring() -> Wiring:
    variables, images = read_variables(Variables), client("ecr")
    registries = {
        Service.BACKEND: ElasticRegistry(images, variables.repository, variables.repository_uri),
        Service.FRONTEND: ElasticRegistry(
            images, variables.frontend_repository, variables.frontend_repository_uri
        ),
    }
    return Wiring(
        variables,
        World(
            DynamoJournal(client("dynamodb"), variables.journal_table),
            registries,
            AutoScalingInstances(client("autoscaling")),
            SystemsManagerCommands(client("ssm")),
            ElasticLoadBalancer(client("elbv2")),
            SystemClock(),
        ),
        Ec2Addresses(client("ec2")),
        BucketDocuments(client("s3"), variables.artifacts_bucket),
    )


def digest(event: Mapping[str, Any]) -> dict[str, Any]:
    world, service = wiring().world, Service(event["service"])
    return dict(
        find_image(
            Deployment.read(event["deployment"]),
            str(event["tag"]),
            registry=world.registries[service],
            journal=world.journal,
            service=service,
        )
    )


def scan(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    look = look_at_scans(
        read_images(event), str(event["since"]), registries=wired.world.registries, clock=wired.world.clock
    )
    return with_dependencies(look, str(event["source"]), reports=wired.reports)


def start(event: Mapping[str, Any]) -> dict[str, Any]:
    return start_release(
        Deployment.read(event["deployment"]),
        Environment.read(event["environment"]),
        Colour(event["colour"]),
        read_images(event),
        world=wiring().world,
    )


def poll(event: Mapping[str, Any]) -> dict[str, Any]:
    return look_at_release(
        Deployment.read(event["deployment"]),
        Environment.read(event["environment"]),
        Colour(event["colour"]),
        world=wiring().world,
    )


def monitoring(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    world = wired.world
    return roll_out_monitoring(
        Deployment.read(event["deployment"]),
        Environment.read(event["environment"]),
        Colour(event["colour"]),
        event["configuration"]["monitoring"]["gate"] == "must",
        journal=world.journal,
        instances=world.instances,
        addresses=wired.addresses,
        commands=world.commands,
        clock=world.clock,
    )


def launched(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    group, instance = read_launch(event["launch"])
    return boot(
        wired.variables.cutover_environment,
        group,
        instance,
        wired.variables.documents,
        journal=wired.world.journal,
        registries=wired.world.registries,
        commands=wired.world.commands,
    )


def booted(event: Mapping[str, Any]) -> dict[str, Any]:
    return look_at_boot(str(event["command"]), commands=wiring().world.commands)


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
