"""The load function, inside the VPC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.load import OpenModelLoad
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.load import load


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
    return load(known.test_listener_port, configuration["load"], configuration["thresholds"], load=generator)


ACTIONS = {"load": run}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS, default="load")
