"""Let CloudFormation execute the change set, and see when the environment has settled."""

from __future__ import annotations

from typing import Any

from cutover.domain.environment import Environment
from cutover.domain.errors import ChangeSetFailedError, StackFailedError
from cutover.domain.records import Deployment
from cutover.ports import ChangeSets, Instances, LoadBalancer, Stacks
from cutover.steps.prepare_change_set import (
    change_set_name,
    is_empty,
    outputs_of,
    refuse_destruction,
    refuse_moved_weights,
)

SETTLED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
UNDER_WAY = frozenset({"AVAILABLE", "EXECUTE_IN_PROGRESS"})
# After an empty change set the stack is as it was, and that may be the end of an update that was taken back.
USABLE = SETTLED | {"UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}


def execute_change_set(
    deployment: Deployment,
    *,
    stacks: Stacks,
    change_sets: ChangeSets,
    instances: Instances,
    balancer: LoadBalancer,
) -> dict[str, Any]:
    """{status: settling | settled}. Does nothing for an empty change set, or for one that is being
    executed."""
    name = change_set_name(deployment)
    found = change_sets.find(name)
    if found is None:
        raise ChangeSetFailedError(f"change set {name} is gone; start the deployment again")
    if is_empty(found):
        change_sets.delete(name)
        return _settled(stacks, instances, acceptable=USABLE)
    if found.execution_status == "AVAILABLE":
        refuse_destruction(deployment, found, change_sets)
        refuse_moved_weights(found, stacks.stack(), balancer, change_sets)
        change_sets.execute(name)
        return {"status": "settling", "waiting_for": "CloudFormation has begun"}
    return look_at_stack(deployment, stacks=stacks, change_sets=change_sets, instances=instances)


def look_at_stack(
    deployment: Deployment, *, stacks: Stacks, change_sets: ChangeSets, instances: Instances
) -> dict[str, Any]:
    """{status: settling | settled}; raises StackFailedError with the first failed resource's own reason.

    The change set is asked before the stack, whose status is for a moment still that of the operation before.
    Settled also means that both colours' Auto Scaling groups have the instances that they want:
    CloudFormation does not wait for those.
    """
    found = change_sets.find(change_set_name(deployment))
    if found is not None and found.execution_status in UNDER_WAY:
        return {"status": "settling", "waiting_for": f"the change set is {found.execution_status}"}
    return _settled(stacks, instances, acceptable=SETTLED)


def discard_change_set(deployment: Deployment, *, stacks: Stacks, change_sets: ChangeSets) -> dict[str, Any]:
    """A plan leaves no change set behind. (A first environment's stack stays, in review and without
    resources:
    to delete a stack is a right that the deployment does without.)"""
    if stacks.stack() is not None:
        change_sets.delete(change_set_name(deployment))
    return {"status": "discarded"}


def _settled(stacks: Stacks, instances: Instances, *, acceptable: frozenset[str]) -> dict[str, Any]:
    stack = stacks.stack()
    if stack is None:
        raise StackFailedError("the environment's stack is gone")
    if stack.status.endswith("_IN_PROGRESS"):
        return {"status": "settling", "waiting_for": f"the stack is {stack.status}"}
    if stack.status not in acceptable:
        why = stacks.first_failure() or stack.reason or "CloudFormation gave no reason"
        raise StackFailedError(f"the environment's stack is {stack.status}: {why}")
    environment = Environment.read(outputs_of(stack))
    for name in (environment.blue_group, environment.green_group):
        group = instances.group(name)
        if group is not None and len(group.instances) < group.desired:
            found = f"{name} has {len(group.instances)} of {group.desired} instances"
            return {"status": "settling", "waiting_for": found}
    return {"status": "settled"}
