"""The load function, inside the VPC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.load import OpenModelLoad
from cutover.domain.environment import Environment
from cutover.domain.measures import Limits
from cutover.domain.records import Deployment
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.load import load
from cutover.steps.shift import compare_versions


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    load_balancer_dns: str
    domain: str
    test_listener_port: int


@cache
def variables() -> Variables:
    return read_variables(Variables)


def run(event: Mapping[str, Any]) -> dict[str, Any]:
    known, configuration = variables(), event["configuration"]
    generator = OpenModelLoad(known.load_balancer_dns, known.domain)
    return load(known.test_listener_port, configuration["load"], Limits.read(configuration), load=generator)


def compare(event: Mapping[str, Any]) -> dict[str, Any]:
    known, configuration = variables(), event["configuration"]
    return compare_versions(
        Deployment.read(event["deployment"]),
        str(event["live_version"]),
        Environment.read(event["environment"]).listener_port,
        configuration["shift"],
        configuration["thresholds"],
        path=str(configuration["load"]["path"]),
        load=OpenModelLoad(known.load_balancer_dns, known.domain),
    )


ACTIONS = {"load": run, "compare": compare}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS, default="load")
