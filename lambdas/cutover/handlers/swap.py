"""The swap function: the only one that moves traffic forwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import EventBus
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.colours import Colour
from cutover.domain.environment import Environment, Services
from cutover.domain.records import Deployment
from cutover.domain.services import read_images
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.drill import come_back, go_there
from cutover.steps.shift import shift
from cutover.steps.swap import aim_test_listener, swap


@dataclass(frozen=True)
class Wiring:
    journal: DynamoJournal
    balancer: ElasticLoadBalancer
    events: EventBus
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Journalling)
    return Wiring(
        DynamoJournal(client("dynamodb"), variables.journal_table),
        ElasticLoadBalancer(client("elbv2")),
        EventBus(client("events"), variables.event_bus, variables.cutover_environment),
        SystemClock(),
    )


def _released(event: Mapping[str, Any]) -> Services:
    """The services that the deployment releases."""
    services = Environment.read(event["environment"]).services
    return {service: services[service] for service in read_images(event)}


def aim(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return aim_test_listener(
        Deployment.read(event["deployment"]),
        _released(event),
        Colour(event["colour"]),
        journal=wired.journal,
        balancer=wired.balancer,
    )


def share(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return shift(
        Deployment.read(event["deployment"]),
        _released(event),
        Colour(event["colour"]),
        int(event["share"]),
        journal=wired.journal,
        balancer=wired.balancer,
        events=wired.events,
        clock=wired.clock,
    )


def move(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return swap(
        Deployment.read(event["deployment"]),
        Environment.read(event["environment"]),
        Colour(event["colour"]),
        read_images(event),
        event["configuration"]["watch"],
        journal=wired.journal,
        balancer=wired.balancer,
        events=wired.events,
        clock=wired.clock,
    )


def drill_there(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return go_there(
        Deployment.read(event["deployment"]),
        journal=wired.journal,
        balancer=wired.balancer,
        events=wired.events,
        clock=wired.clock,
    )


def drill_back(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return come_back(
        Deployment.read(event["deployment"]),
        journal=wired.journal,
        balancer=wired.balancer,
        events=wired.events,
        clock=wired.clock,
    )


ACTIONS = {
    "aim": aim,
    "shift": share,
    "swap": move,
    "drill there": drill_there,
    "drill back": drill_back,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
