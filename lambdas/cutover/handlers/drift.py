"""The drift function: whether the environment is still what its template says; security groups put right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.doors import SecurityGroupDoors
from cutover.adapters.stacks import CloudFormationDrift, CloudFormationStacks
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.drift import look_for_drift


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    stack_name: str


@dataclass(frozen=True)
class Wiring:
    stacks: CloudFormationStacks
    doors: SecurityGroupDoors
    detection: CloudFormationDrift


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    formation = client("cloudformation")
    return Wiring(
        CloudFormationStacks(formation, variables.stack_name),
        SecurityGroupDoors(client("ec2")),
        CloudFormationDrift(formation, variables.stack_name),
    )


def look(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_for_drift(stacks=wired.stacks, doors=wired.doors, restore=False, detection=wired.detection)


def restore(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_for_drift(stacks=wired.stacks, doors=wired.doors, restore=True)


def night(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return look_for_drift(
        stacks=wired.stacks, doors=wired.doors, restore=True, detection=wired.detection, strict=True
    )


ACTIONS = {"look": look, "restore": restore, "night": night}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
