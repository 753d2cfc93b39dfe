"""Ask CloudFormation what it would change, without letting it move traffic.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.colours import Colour, Weights
from cutover.domain.destruction import destruction, refused
from cutover.domain.environment import Environment, snake_case
from cutover.domain.errors import ChangeSetFailedError, DestructiveChangeError, StackFailedError
from cutover.domain.records import Deployment
from cutover.ports import ChangeSet, ChangeSets, LoadBalancer, Stack, Stacks

# What a first environment starts with: requests to blue, tests to green.
FIRST_LIVE, FIRST_TEST = Weights.all_on(Colour.BLUE), Weights.all_on(Colour.GREEN)
WEIGHTS = ("BlueWeight", "GreenWeight", "TestBlueWeight", "TestGreenWeight")
# CloudFormation words an empty change set in one of these two ways.
NOTHING = ("didn't contain changes", "No updates are to be performed")
# A stack in one of these can't be changed; a person has to look first.
STUCK = {
    "ROLLBACK_COMPLETE": "its first creation failed; see its events, then delete the stack and deploy again",
    "ROLLBACK_FAILED": "its first creation failed and was not cleaned up; delete the stack and deploy again",
    "CREATE_FAILED": "its first creation failed; delete the stack and deploy again",
    "DELETE_FAILED": "it could not be deleted; delete it again, keeping what can't go",
    "UPDATE_FAILED": "an update stopped half-way; roll it back with `aws cloudformation rollback-stack`",
    "UPDATE_ROLLBACK_FAILED": "go on with `aws cloudformation continue-update-rollback`",
}


def change_set_name(deployment: Deployment) -> str:
    return f"cutover-{deployment.id}"


def is_empty(change_set: ChangeSet) -> bool:
    return change_set.status == "FAILED" and any(words in change_set.reason for words in NOTHING)


def outputs_of(stack: Stack) -> dict[str, str]:
    """The stack's outputs under the names that payloads use."""
    return {snake_case(name): value for name, value in stack.outputs.items()}


def prepare_change_set(
    deployment: Deployment, *, stacks: Stacks, change_sets: ChangeSets, balancer: LoadBalancer
) -> dict[str, Any]:
    """{status: ready | preparing, change_set}; each of its changes tells under `destructive` what it would
    destroy, or null. Every attempt looks first and creates only what is not there,
    so it serves as the first call and as the look afterwards.

    The stack may not exist, or be in review (left by a plan of a first deployment), or be busy with an
    operation that an abandoned deployment began: that one is waited for.
    """
    name = change_set_name(deployment)
    stack = stacks.stack()
    if stack is not None and stack.status in STUCK:
        reason = f" ({stack.reason})" if stack.reason else ""
        raise StackFailedError(f"the environment's stack is {stack.status}{reason}: {STUCK[stack.status]}")
    found = change_sets.find(name) if stack is not None else None
    if found is not None:
        answer = _answer(found)
        refuse_destruction(deployment, found, change_sets)
        return answer
    new = stack is None or stack.status == "REVIEW_IN_PROGRESS"
    if stack is not None and not new and stack.status.endswith("_IN_PROGRESS"):
        return {"status": "preparing", "change_set": None, "waiting_for": f"the stack is {stack.status}"}
    weights = _weights(None if new else stack, balancer)
    if stack is not None and not new and (recorded := recorded_weights(stack)) not in (None, weights):
        assert recorded is not None
        if deployment.mode == "plan":
            weights = recorded  # a plan leaves CloudFormation's record alone, and shows what comes after it
        elif waiting := _record_weights(name, weights, change_sets):
            return {"status": "preparing", "change_set": None, "waiting_for": waiting}
    change_sets.create(name, new_stack=new, parameters=weights)
    return {"status": "preparing", "change_set": None, "waiting_for": "CloudFormation computes the changes"}


def recorded_weights(stack: Stack | None) -> Mapping[str, str] | None:
    """The weights that CloudFormation set last; a roll back of an update would set them again."""
    if stack is None or not all(name in stack.parameters for name in WEIGHTS):
        return None
    return {name: stack.parameters[name] for name in WEIGHTS}


def _record_weights(name: str, weights: Mapping[str, str], change_sets: ChangeSets) -> str | None:
    """Tell CloudFormation where traffic is by an update that changes nothing else; None when that is done.

    Otherwise an update that fails half-way would take the listeners back to the weights of the deployment
    before, and with them the traffic. What is recorded is what the listeners have: nothing moves.
    """
    name = f"{name}-weights"
    found = change_sets.find(name)
    if found is None:
        change_sets.create_from_current(name, weights)
        return "CloudFormation notes the live weights"
    if found.execution_status == "AVAILABLE":
        change_sets.execute(name)
        return "CloudFormation notes the live weights"
    if found.status.startswith("CREATE_") and found.execution_status in ("UNAVAILABLE", ""):
        return f"the change set of the weights is {found.status}"
    if found.execution_status in ("EXECUTE_IN_PROGRESS", "EXECUTE_PENDING"):
        return "CloudFormation notes the live weights"
    return None  # noted, or nothing to note; the change set itself carries the weights in any case


def refuse_moved_weights(
    change_set: ChangeSet, stack: Stack | None, balancer: LoadBalancer, change_sets: ChangeSets
) -> None:
    """Raises ChangeSetFailedError when traffic moved after the change set was made: it would move it back."""
    carried = {name: change_set.parameters[name] for name in WEIGHTS if name in change_set.parameters}
    if stack is None or not stack.outputs or len(carried) < len(WEIGHTS):
        return
    now = _weights(stack, balancer)
    if carried == now:
        return
    change_sets.delete(change_set.name)
    raise ChangeSetFailedError(
        f"traffic moved while the change set was prepared: it carries {_told(carried)}, and the listeners "
        f"have {_told(now)}. Nothing was changed; start the deployment again"
    )


def _told(weights: Mapping[str, str]) -> str:
    live, test = (weights[n] for n in WEIGHTS[:2]), (weights[n] for n in WEIGHTS[2:])
    return "blue {}, green {} (test: blue {}, green {})".format(*live, *test)


def refuse_destruction(deployment: Deployment, change_set: ChangeSet, change_sets: ChangeSets) -> None:
    """Raises DestructiveChangeError, and leaves no change set behind, when a deployment would destroy what
    nobody named. A plan only shows it."""
    if deployment.mode == "plan" or change_set.status != "CREATE_COMPLETE":
        return
    lost = refused(change_set.changes, deployment.allow_destructive)
    if not lost:
        return
    change_sets.delete(change_set.name)
    flags = " ".join(f"--allow-destructive {each.logical_id}" for each in lost)
    ids = ", ".join(f'"{each.logical_id}"' for each in lost)
    raise DestructiveChangeError(
        f"DESTRUCTIVE: {'; '.join(str(each) for each in lost)}. Nothing was changed. Take the change back; "
        f"or, if this is what you want and the data is safe, deploy with {flags} "
        f'(in the console: "allow_destructive": [{ids}])'
    )


def _marked(change: Mapping[str, Any]) -> dict[str, Any]:
    lost = destruction(change)
    return {**change, "destructive": lost.reason if lost else None}


def _answer(change_set: ChangeSet) -> dict[str, Any]:
    empty = is_empty(change_set)
    if change_set.status == "FAILED" and not empty:
        raise ChangeSetFailedError(f"change set {change_set.name}: {change_set.reason}")
    if change_set.status != "CREATE_COMPLETE" and not empty:
        return {
            "status": "preparing",
            "change_set": None,
            "waiting_for": f"the change set is {change_set.status}",
        }
    changes = [] if empty else [_marked(change) for change in change_set.changes]
    return {"status": "ready", "change_set": {"name": change_set.name, "empty": empty, "changes": changes}}


def _weights(stack: Stack | None, balancer: LoadBalancer) -> Mapping[str, str]:
    """Live weights belong to the deployment, never to the template: an existing listener's own go back in."""
    live, test = FIRST_LIVE, FIRST_TEST
    if stack is not None:
        environment = Environment.read(outputs_of(stack))
        live = balancer.weights(environment.listener_arn, environment.targets)
        test = balancer.weights(environment.test_listener_arn, environment.targets)
    return {
        "BlueWeight": str(live.blue),
        "GreenWeight": str(live.green),
        "TestBlueWeight": str(test.blue),
        "TestGreenWeight": str(test.green),
    }
