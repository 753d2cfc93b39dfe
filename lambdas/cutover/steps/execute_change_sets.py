"""Let CloudFormation bring one stack after the other to where it was planned, and see all settle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.domain.changes import unplanned
from cutover.domain.errors import ChangeSetFailedError, MisconfiguredError, PlanChangedError
from cutover.domain.records import Deployment
from cutover.domain.stacks import ChangeSet, Move
from cutover.ports import Instances, Layer, LoadBalancer
from cutover.steps.layers import Sight, change_set_name, environment_of, look, merged_outputs
from cutover.steps.live_weights import as_parameters, live_weights, told
from cutover.steps.prepare_change_sets import (
    create_change_set,
    marked,
    refuse_destruction,
    refuse_failed,
)

Planned = Sequence[Mapping[str, Any]]


def execute_change_sets(
    deployment: Deployment,
    planned: Planned,
    *,
    layers: Sequence[Layer],
    instances: Instances,
    balancer: LoadBalancer,
) -> dict[str, Any]:
    """{status: settling | settled}; the first call and the looks afterwards are the same. `planned` are the
    plan's change_sets.

    A change set that could not be made before is made when the stacks before it have given its inputs, and
    made again when they gave others. Raises PlanChangedError when it is then not what was planned,
    StackFailedError with the first failed resource's own reason; the stacks after that one stay as they were.
    Settled also means that the Auto Scaling groups have the instances that they want: CloudFormation does not
    wait for those.
    """
    refuse_destruction(deployment, planned)
    changes = {str(each["template"]): each["changes"] for each in planned}
    for sight in look(deployment, layers):
        wait = _bring(deployment, sight, changes.get(sight.layer.template.name, []), layers, balancer)
        if wait is not None:
            return {"status": "settling", "waiting_for": wait}
    for name in environment_of(layers).groups.values():
        group = instances.group(name)
        if group is not None and len(group.instances) < group.desired:
            found = f"{name} has {len(group.instances)} of {group.desired} instances"
            return {"status": "settling", "waiting_for": found}
    discard_change_sets(deployment, layers=layers)  # those that had nothing to change
    return {"status": "settled"}


def _bring(
    deployment: Deployment,
    sight: Sight,
    planned: Sequence[Mapping[str, Any]],
    layers: Sequence[Layer],
    balancer: LoadBalancer,
) -> str | None:
    """What is waited for, after it was set going; None when this layer is where it should be."""
    refuse_failed(sight)
    change_sets, name = sight.layer.change_sets, change_set_name(deployment)
    match sight.decision.move:
        case Move.DONE | Move.NOTHING:
            return None
        case Move.CREATE:
            return create_change_set(deployment, sight, balancer)
        case Move.UNKNOWN:
            missing = sorted(set(sight.layer.template.inputs) - set(merged_outputs(layers)))
            raise MisconfiguredError(
                f"the template {sight.layer.template.name} takes {', '.join(missing)}, and no stack before "
                f"{sight.layer.template.stack} has an output of that name"
            )
        case Move.RECREATE:
            change_sets.delete(name)
        case Move.READY if sight.change_set is not None:
            _refuse_unplanned(deployment, sight, sight.change_set, planned)
            _refuse_moved_weights(sight, sight.change_set, balancer)
            change_sets.execute(name)
            return f"CloudFormation begins with the stack {sight.layer.template.stack}"
        case _:
            waits = sight.layer.stacks.waits_for() if sight.stack is not None and sight.stack.busy else None
            return f"{sight}: {waits}" if waits else str(sight)
    return str(sight)


def _refuse_unplanned(
    deployment: Deployment, sight: Sight, found: ChangeSet, planned: Sequence[Mapping[str, Any]]
) -> None:
    stack, changes = sight.layer.template.stack, marked(found)
    others = unplanned(planned, changes)
    if others:
        raise PlanChangedError(
            f"the stack {stack} would be changed otherwise than was planned: {', '.join(others)}. The stacks "
            "before it gave other outputs than they had when the plan was made. Nothing was done to it; "
            "plan again, and deploy"
        )
    refuse_destruction(deployment, [{"stack": stack, "changes": changes}])


def _refuse_moved_weights(sight: Sight, found: ChangeSet, balancer: LoadBalancer) -> None:
    """Raises ChangeSetFailedError when traffic moved after the change set was made: it would move it back."""
    names = sight.layer.template.weights
    carried = {name: found.parameters[name] for name in names if name in found.parameters}
    if sight.stack is None or sight.new or not carried:
        return
    live = as_parameters(live_weights(sight.stack.outputs, balancer))
    if any(live[name] != value for name, value in carried.items()):
        raise ChangeSetFailedError(
            f"traffic moved while the change set was prepared: it carries {told(carried)}, and the load "
            f"balancer has {told(live)}. Nothing was changed; start the deployment again"
        )


def discard_change_sets(deployment: Deployment, *, layers: Sequence[Layer]) -> dict[str, Any]:
    """Leave no change set behind that somebody could execute. What was executed is history, and stays. (A
    first environment's stack stays as well, in review and without resources: to delete a stack is a right
    that the deployment does without.)"""
    name = change_set_name(deployment)
    for layer in layers:
        if layer.stacks.stack() is not None:
            for left in layer.change_sets.unexecuted():
                if left in (name, f"{name}-weights"):
                    layer.change_sets.delete(left)
    return {"status": "discarded"}
