"""The steps of the state machine cutover-ENV-rollback; part of the rollback function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cutover.domain.errors import InvalidInputError
from cutover.domain.records import Deployment
from cutover.steps.redeploy import Workshop, begin, block, look, restore, send, undo

Step = Callable[[Deployment, Mapping[str, Any], Workshop], dict[str, Any]]
STEPS: dict[str, Step] = {"block": block, "send": send, "look": look}


def redeploy(event: Mapping[str, Any], environment: str, world: Workshop) -> dict[str, Any]:
    """One action of the machine: begin, block, send, look, restore or undo."""
    action = str(event.get("action"))
    if action == "begin":
        return begin(event["execution"], event["input"], environment, world)
    if action not in (*STEPS, "restore", "undo"):
        known = ", ".join(("begin", *STEPS, "restore", "undo"))
        raise InvalidInputError(f"action: {action!r} is not known; a redeployment has {known}")
    deployment, plan = Deployment.read(event["deployment"]), event["plan"]
    if action == "restore":
        return restore(deployment, plan, event["steps"], world)
    if action == "undo":
        return undo(deployment, plan, event.get("failure") or {}, world)
    return STEPS[action](deployment, plan, world)
