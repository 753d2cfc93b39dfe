"""A stack and its change set as CloudFormation has them, and what a deployment does about them next.

Nothing is remembered between two looks: CloudFormation is asked, and the answer decided by, every time. So a
step that died half-way is simply done again.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: CloudFormation words an empty change set in one of these two ways.
NOTHING = ("didn't contain changes", "No updates are to be performed")
#: A stack in one of these can't be changed; a person has to look first.
STUCK: Mapping[str, str] = {
    "ROLLBACK_COMPLETE": "its first creation failed; see its events, then delete the stack and deploy again",
    "ROLLBACK_FAILED": "its first creation failed and was not cleaned up; delete the stack and deploy again",
    "CREATE_FAILED": "its first creation failed; delete the stack and deploy again",
    "DELETE_FAILED": "it could not be deleted; delete it again, keeping what can't go",
    "UPDATE_FAILED": "an update stopped half-way; roll it back with `aws cloudformation rollback-stack`",
    "UPDATE_ROLLBACK_FAILED": "go on with `aws cloudformation continue-update-rollback`",
}
#: How the execution of a change set ends well.
SETTLED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation has it; `outputs` and `parameters` by their names."""

    status: str
    reason: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def only_in_review(self) -> bool:
        """Left by a change set of a first deployment: a stack without resources."""
        return self.status == "REVIEW_IN_PROGRESS"

    @property
    def busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and not self.only_in_review


@dataclass(frozen=True)
class StackResource:
    logical_id: str
    type: str
    status: str
    reason: str = ""


@dataclass(frozen=True)
class ChangeSet:
    """`changes` are plain: action, logical_id, type, replacement, scope, properties (names of those that
    change)."""

    name: str
    status: str
    execution_status: str
    reason: str
    changes: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return self.status == "FAILED" and any(words in self.reason for words in NOTHING)


class Move(StrEnum):
    """What to do about a stack and its change set."""

    WAIT = "wait"
    CREATE = "create the change set"
    RECREATE = "the change set was made for other inputs: delete it, and create it again"
    UNKNOWN = "its inputs do not exist yet"
    READY = "the change set can be executed"
    NOTHING = "there is nothing to change"
    DONE = "the change set was executed, and the stack has settled"
    REFUSED = "CloudFormation could not make the change set"
    STUCK = "the stack is not where it should be"


@dataclass(frozen=True)
class Decision:
    """`reason` is for people; `name` of what it is about is the caller's."""

    move: Move
    reason: str


def decide(stack: Stack | None, change_set: ChangeSet | None, inputs: Mapping[str, str] | None) -> Decision:
    """`change_set` is this deployment's own. `inputs`: the parameters that earlier stacks' outputs fill, as
    they are now; None while an output is missing.

    An execution is asked for before the stack, whose status is for a moment still that of the operation
    before.
    """
    if change_set is not None and change_set.execution_status.startswith("EXECUTE_"):
        return _executed(stack, change_set)
    if stack is not None and stack.status in STUCK:
        because = f" ({stack.reason})" if stack.reason else ""
        return Decision(Move.STUCK, f"is {stack.status}{because}: {STUCK[stack.status]}")
    if stack is not None and stack.busy:
        return Decision(Move.WAIT, f"is {stack.status}")
    if change_set is None:
        missing = inputs is None
        return Decision(Move.UNKNOWN if missing else Move.CREATE, "has no change set of this deployment")
    return _computed(change_set, inputs)


def _executed(stack: Stack | None, change_set: ChangeSet) -> Decision:
    if change_set.execution_status in ("EXECUTE_PENDING", "EXECUTE_IN_PROGRESS"):
        return Decision(Move.WAIT, f"has its change set in {change_set.execution_status}")
    if stack is None:
        return Decision(Move.STUCK, "is gone")
    if stack.busy:
        return Decision(Move.WAIT, f"is {stack.status}")
    return Decision(Move.DONE if stack.status in SETTLED else Move.STUCK, f"is {stack.status}")


def _computed(change_set: ChangeSet, inputs: Mapping[str, str] | None) -> Decision:
    if change_set.status == "FAILED" and not change_set.empty:
        return Decision(Move.REFUSED, change_set.reason)
    if change_set.status not in ("CREATE_COMPLETE", "FAILED"):
        return Decision(Move.WAIT, f"has its change set in {change_set.status}")
    if inputs is None or any(change_set.parameters.get(name) != value for name, value in inputs.items()):
        return Decision(Move.RECREATE, "has a change set for other outputs of the stacks before it")
    if change_set.execution_status == "OBSOLETE":
        return Decision(Move.RECREATE, "was changed after its change set was made")
    if change_set.empty:
        return Decision(Move.NOTHING, "has nothing to change")
    return Decision(Move.READY, "has its change set ready")
