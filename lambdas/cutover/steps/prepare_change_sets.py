"""Ask CloudFormation what it would change in each of the environment's stacks, without letting it move
traffic.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.domain.destruction import destruction, refused
from cutover.domain.errors import ChangeSetFailedError, DestructiveChangeError, StackFailedError
from cutover.domain.records import Deployment
from cutover.domain.refusals import with_way_out
from cutover.domain.stacks import ChangeSet, Move
from cutover.ports import ChangeSets, Layer, LoadBalancer
from cutover.steps.layers import Sight, change_set_name, look
from cutover.steps.live_weights import as_parameters, live_weights


def prepare_change_sets(
    deployment: Deployment, *, layers: Sequence[Layer], balancer: LoadBalancer
) -> dict[str, Any]:
    """{status: ready | preparing, change_sets: [{template, stack, basis, name, empty, changes}]}, all layers
    in their order; each change tells under `destructive` what it would destroy, or null.

    Every attempt looks first and creates only what is not there, so it serves as the first call and as the
    look afterwards. `basis` is `change_set`; or `template` for a stack whose inputs the stacks before it do
    not give yet: its change set can only be made when they do, and its changes are told by the templates.

    A stack may not exist, or be in review (left by a plan of a first deployment), or be busy with an
    operation that an abandoned deployment began: that one is waited for. Raises only when nothing is under
    way any more, so that no change set is still being made when this deployment's are discarded.
    """
    sights = list(look(deployment, layers))
    waits = [wait for sight in sights if (wait := _prepare(deployment, sight, balancer))]
    if waits:
        return {"status": "preparing", "change_sets": [], "waiting_for": "; ".join(waits)}
    for sight in sights:
        refuse_failed(sight)
    change_sets = [_told(sight, change_set_name(deployment)) for sight in sights]
    if deployment.mode != "plan":
        refuse_destruction(deployment, change_sets)
    return {"status": "ready", "change_sets": change_sets}


def _prepare(deployment: Deployment, sight: Sight, balancer: LoadBalancer) -> str | None:
    """What is waited for, after it was set going."""
    match sight.decision.move:
        case Move.WAIT:
            return str(sight)
        case Move.RECREATE:
            sight.layer.change_sets.delete(change_set_name(deployment))
            return str(sight)
        case Move.CREATE | Move.UNKNOWN:
            return create_change_set(deployment, sight, balancer)
        case _:
            return None


def create_change_set(deployment: Deployment, sight: Sight, balancer: LoadBalancer) -> str | None:
    """What is waited for; None when no change set can be made yet."""
    name, layer, stack = change_set_name(deployment), sight.layer, sight.stack
    weights: Mapping[str, str] = {}
    if layer.template.weights:
        live = as_parameters(live_weights(stack.outputs if stack is not None else {}, balancer))
        weights = {name: live[name] for name in layer.template.weights}
    if stack is not None and not sight.new:
        recorded = {name: stack.parameters[name] for name in weights if name in stack.parameters}
        now = {name: weights[name] for name in recorded}
        if now != recorded and deployment.mode == "plan":
            # A plan leaves CloudFormation's record alone, and shows what comes after it.
            weights = {**weights, **recorded}
        elif now != recorded and (wait := _record_weights(f"{name}-weights", layer, now)):
            return wait
    if sight.inputs is None:
        return None
    if stack is not None:
        _clear(layer.change_sets, keep=f"{name}-weights")
    layer.change_sets.create(name, new_stack=sight.new, parameters={**sight.inputs, **weights})
    return f"CloudFormation computes the changes of the stack {layer.template.stack}"


def _clear(change_sets: ChangeSets, keep: str) -> None:
    """What a deployment that was killed has left can't be executed by anyone but by mistake."""
    for name in change_sets.unexecuted():
        if name.startswith("cutover-") and name != keep:
            change_sets.delete(name)


def _record_weights(name: str, layer: Layer, weights: Mapping[str, str]) -> str | None:
    """Tell CloudFormation where traffic is by an update that changes nothing else; None when that is done.

    Otherwise an update that fails half-way would take the listeners back to the weights of the deployment
    before, and with them the traffic. What is recorded is what the listeners have: nothing moves.
    """
    notes = f"CloudFormation notes the live weights in the stack {layer.template.stack}"
    found = layer.change_sets.find(name)
    if found is None:
        layer.change_sets.create_from_current(name, weights)
        return notes
    current = all(found.parameters.get(weight) == value for weight, value in weights.items())
    match found.execution_status:
        case "AVAILABLE" if current:
            layer.change_sets.execute(name)
        case "AVAILABLE" | "EXECUTE_COMPLETE":
            layer.change_sets.delete(name)  # traffic has moved again since
        case "EXECUTE_FAILED" | "OBSOLETE":
            return None  # it can't be noted; the change set itself carries the weights in any case
        case _ if found.status == "FAILED":
            return None
    return notes


def refuse_failed(sight: Sight) -> None:
    """Raises ChangeSetFailedError or StackFailedError, with CloudFormation's own words, for a layer that
    nothing can be done about."""
    if sight.decision.move is Move.REFUSED:
        raise ChangeSetFailedError(
            f"CloudFormation made no change set for the stack {sight.layer.template.stack}: "
            f"{sight.decision.reason}"
        )
    if sight.decision.move is Move.STUCK:
        why = sight.layer.stacks.first_failure() if sight.change_set is not None else None
        raise StackFailedError(f"{sight}: {with_way_out(why)}" if why else str(sight))


def _told(sight: Sight, name: str) -> dict[str, Any]:
    template, found = sight.layer.template, sight.change_set
    return {
        "template": template.name,
        "stack": template.stack,
        "basis": "template" if found is None else "change_set",
        "name": name if found is not None else None,
        "empty": found is not None and found.empty,
        "changes": [] if found is None else marked(found),
    }


def marked(change_set: ChangeSet) -> list[dict[str, Any]]:
    """Its changes, each with what it would destroy."""
    return [
        {**change, "destructive": lost.reason if (lost := destruction(change)) else None}
        for change in ([] if change_set.empty else change_set.changes)
    ]


def refuse_destruction(deployment: Deployment, change_sets: Sequence[Mapping[str, Any]]) -> None:
    """Raises DestructiveChangeError, before any stack is touched, when a deployment would destroy what nobody
    named. A plan only shows it. `change_sets` as `prepare_change_sets` answers them."""
    lost = [
        (each["stack"], one)
        for each in change_sets
        for one in refused(each["changes"], deployment.allow_destructive)
    ]
    if not lost:
        return
    flags = " ".join(f"--allow-destructive {one.logical_id}" for _, one in lost)
    ids = ", ".join(f'"{one.logical_id}"' for _, one in lost)
    raise DestructiveChangeError(
        f"DESTRUCTIVE: {'; '.join(f'{one} (in the stack {stack})' for stack, one in lost)}. Nothing was "
        "changed. Take the change back; or, if this is what you want and the data is safe, deploy with "
        f'{flags} (in the console: "allow_destructive": [{ids}])'
    )
