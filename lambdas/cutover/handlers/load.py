"""The load function, inside the VPC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import SecretsStore
from cutover.adapters.http import BalancerHttp
from cutover.adapters.load import OpenModelLoad
from cutover.domain.aim import Aim, Allowed
from cutover.domain.environment import Environment
from cutover.domain.measures import Limits
from cutover.domain.records import Deployment
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.ports import Load
from cutover.steps.compare_releases import compare_releases
from cutover.steps.drill import load_drill
from cutover.steps.live_load import ask_live
from cutover.steps.load import judge_load, work
from cutover.steps.load_session import Session
from cutover.steps.shift import compare_versions


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    load_balancer_dns: str
    domain: str
    listener_port: int
    test_listener_port: int
    smoke_secret: str

    @property
    def allowed(self) -> Allowed:
        return Allowed(
            Aim(self.load_balancer_dns, self.domain), frozenset({self.listener_port, self.test_listener_port})
        )


@cache
def variables() -> Variables:
    return read_variables(Variables)


@cache
def session() -> Session:
    known = variables()
    user = SecretsStore(client("secretsmanager")).read(known.smoke_secret)
    return Session(user, BalancerHttp(known.load_balancer_dns, known.domain), SystemClock())


def _aimed(event: Mapping[str, Any]) -> tuple[Environment, Aim, Load]:
    """The environment of the payload, and a load that refuses it when it is not this function's own."""
    environment = Environment.read(event["environment"])
    aim = Aim(environment.load_balancer_dns, environment.domain)
    return environment, aim, OpenModelLoad(aim, variables().allowed)


def run(event: Mapping[str, Any]) -> dict[str, Any]:
    environment, aim, load = _aimed(event)
    return work(
        int(event["worker"]),
        event["configuration"]["load"],
        aim=aim,
        port=environment.test_listener_port,
        deployment=Deployment.read(event["deployment"]).id,
        begin_at=float(event["begin_at"]) / 1000,
        load=load,
        session=session(),
    )


def verdict(event: Mapping[str, Any]) -> dict[str, Any]:
    configuration, workers = event["configuration"], event["workers"]
    every = [workers] if isinstance(workers, Mapping) else workers
    return judge_load(every, configuration["load"], Limits.read(configuration))


def pair(event: Mapping[str, Any]) -> dict[str, Any]:
    environment, aim, load = _aimed(event)
    return compare_releases(
        event.get("live_version"),
        event["configuration"]["load"],
        aim=aim,
        ports=(environment.test_listener_port, environment.listener_port),
        deployment=Deployment.read(event["deployment"]).id,
        load=load,
        session=session(),
    )


def live(event: Mapping[str, Any]) -> dict[str, Any]:
    environment, aim, load = _aimed(event)
    configuration = event["configuration"]
    return ask_live(
        configuration["load"],
        float(configuration["poll_seconds"]),
        event.get("so_far"),
        aim=aim,
        port=environment.listener_port,
        load=load,
    )


def compare(event: Mapping[str, Any]) -> dict[str, Any]:
    environment, _, load = _aimed(event)
    configuration = event["configuration"]
    return compare_versions(
        Deployment.read(event["deployment"]),
        str(event["live_version"]),
        environment.listener_port,
        configuration["shift"],
        configuration["thresholds"],
        path=str(configuration["load"]["path"]),
        load=load,
    )


def drill(event: Mapping[str, Any]) -> dict[str, Any]:
    known, configuration = variables(), event["configuration"]
    return load_drill(
        known.listener_port,
        configuration["drill"],
        path=str(configuration["load"]["path"]),
        load=OpenModelLoad(Aim(known.load_balancer_dns, known.domain), known.allowed),
        clock=SystemClock(),
    )


ACTIONS = {
    "load": run,
    "verdict": verdict,
    "pair": pair,
    "live": live,
    "compare": compare,
    "drill": drill,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS, default="load")
