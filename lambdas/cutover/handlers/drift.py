"""The drift function: whether the environment is still what its template says; security groups put right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.doors import SecurityGroupDoors
from cutover.adapters.stacks import CloudFormationDrift, layers_of
from cutover.domain.templates import read_templates
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.ports import Layer
from cutover.steps.drift import look_for_drift


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    templates: str


@dataclass(frozen=True)
class Wiring:
    layers: tuple[Layer, ...]
    doors: SecurityGroupDoors
    detection: CloudFormationDrift


@cache
def wiring() -> Wiring:
    templates = read_templates(read_variables(Variables).templates)
    formation = client("cloudformation")
    return Wiring(
        layers_of(formation, templates),
        SecurityGroupDoors(client("ec2")),
        CloudFormationDrift(formation, [each.stack for each in templates]),
    )


def look(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_for_drift(layers=wired.layers, doors=wired.doors, restore=False, detection=wired.detection)


def restore(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_for_drift(layers=wired.layers, doors=wired.doors, restore=True)


def night(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_for_drift(
        layers=wired.layers, doors=wired.doors, restore=True, detection=wired.detection, strict=True
    )


ACTIONS = {"look": look, "restore": restore, "night": night}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
