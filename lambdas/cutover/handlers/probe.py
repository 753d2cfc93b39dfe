"""The probe function, inside the VPC: the service as a client sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import SecretsStore
from cutover.adapters.http import BalancerHttp
from cutover.adapters.prometheus import PrometheusMetrics
from cutover.domain.colours import Colour
from cutover.domain.errors import MisconfiguredError
from cutover.domain.records import Deployment
from cutover.domain.services import Service
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.compatibility import prove_compatible
from cutover.steps.prove import prove, prove_each, see_gone
from cutover.steps.security import check_service
from cutover.steps.see_release import see_release
from cutover.steps.smoke import Smoke
from cutover.steps.smoke_frontend import smoke_frontend


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    smoke_secret: str
    jwt_secret: str
    load_balancer_dns: str
    domain: str
    frontend_domain: str
    test_listener_port: int
    listener_port: int


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    http: BalancerHttp
    pages: BalancerHttp
    secrets: SecretsStore
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    return Wiring(
        variables,
        BalancerHttp(variables.load_balancer_dns, variables.domain),
        BalancerHttp(variables.load_balancer_dns, variables.frontend_domain),
        SecretsStore(client("secretsmanager")),
        SystemClock(),
    )


def security(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return check_service(
        wired.variables.test_listener_port,
        event["configuration"]["security"]["rate_limits"],
        smoke_user(wired),
        wired.secrets.text(wired.variables.jwt_secret),
        http=wired.http,
        clock=wired.clock,
    )


def smoke(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    port = wired.variables.test_listener_port
    user = smoke_user(wired)
    smoke = Smoke(port, deployment.id, deployment.version, user, http=wired.http, clock=wired.clock)
    found = smoke.run()["gates"]
    if event.get("frontend_image"):
        found += smoke_frontend(port, deployment.version, wired.variables.domain, wired.pages)
    return {"gates": found}


def compatibility(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return prove_compatible(
        Deployment.read(event["deployment"]),
        event["live"],
        smoke_user(wired),
        wired.variables.listener_port,
        http=wired.http,
        clock=wired.clock,
    )


def smoke_user(wired: Wiring) -> Mapping[str, str]:
    name = wired.variables.smoke_secret
    user = wired.secrets.read(name)
    if not user.get("email") or not user.get("password"):
        raise MisconfiguredError(f"the secret {name} lacks email or password")
    return user


def proof(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, deployment = wiring(), Deployment.read(event["deployment"])
    answers = int(event["configuration"]["watch"]["proof_answers"])
    port = wired.variables.listener_port
    pages = {Service.FRONTEND: wired.pages} if event.get("frontend_image") else {}
    services = {Service.BACKEND: wired.http, **pages}
    return prove_each(services, deployment.version, answers, port, clock=wired.clock)


def answers(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    number = int(event["configuration"]["watch"]["proof_answers"])
    return prove(
        str(event["version"]), number, wired.variables.listener_port, http=wired.http, clock=wired.clock
    )


def gone(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return see_gone(str(event["version"]), wired.variables.listener_port, http=wired.http, clock=wired.clock)


def metrics(event: Mapping[str, Any]) -> dict[str, Any]:
    rollout = event["monitoring"]
    address = str(rollout["address"])
    return see_release(
        Colour(event["colour"]),
        int(rollout["containers"]),
        event["configuration"]["monitoring"]["gate"] == "must",
        metrics=PrometheusMetrics(address) if address else None,
        absent=str(rollout["absent"]),
    )


ACTIONS = {
    "security": security,
    "smoke": smoke,
    "compatibility": compatibility,
    "prove": proof,
    "answers": answers,
    "gone": gone,
    "metrics": metrics,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
