"""A stack's service role has to be allowed what the stack does.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
The registry's schemas say which actions a type's handlers take; cfn-lint ships them. Judged coarsely, so that
nothing is refused that AWS would allow: a role is refused when its policies allow none of the changing
actions of the handler, on any resource at all. Resources and conditions of its policies are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator, responses
from ministack.services.cloudformation import handlers, helpers, stacks

from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.formation_changes import resource_schema

READING = re.compile(r":(Describe|Get|List|BatchGet|Head|Lookup)")
# What handlers may do besides, to other things than the resource.
BESIDES = re.compile(
    r"^(iam:PassRole|iam:CreateServiceLinkedRole|kms:.*)$|:(Tag|Untag|AddTags|RemoveTags|CreateTags)"
)

# The service role that a stack (by name) was last given; later operations go on using it.
_roles: dict[str, str] = {}


def install(context: Context) -> None:
    _remember_roles()
    region = context.settings.region
    for name, verb, stack_at in (
        ("_provision_resource", "create", 3),
        ("_update_resource", "update", 4),
        ("_delete_resource", "delete", 3),
    ):
        replace(stacks, name, _judged(seam(stacks, name), region, verb, stack_at))


def _judged(call: Callable[..., Any], region: str, verb: str, stack_at: int) -> Callable[..., Any]:
    def judged(type_name: str, *rest: Any, **named: Any) -> Any:
        arguments = (type_name, *rest)
        stack = named.get("stack_name") or (arguments[stack_at] if len(arguments) > stack_at else "")
        role = _roles.get(str(stack))
        # An update that changes nothing calls nothing.
        idle = verb == "update" and arguments[2] == arguments[3]
        if role and not idle and (refusal := refused(role, changing_actions(region, type_name, verb))):
            raise ValueError(refusal)
        return call(type_name, *rest, **named)

    return judged


def changing_actions(region: str, type_name: str, verb: str) -> list[str]:
    """The actions with which a type's handler makes its change; [] when they are not known."""
    schema = resource_schema(region, type_name) or {}
    needed = schema.get("handlers", {}).get(verb, {}).get("permissions", [])
    return [each for each in needed if not READING.search(each) and not BESIDES.search(each)]


def refused(role_arn: str, actions: list[str]) -> str:
    """Why the role can take none of `actions`; '' when it may take one, or there are none."""
    name = role_arn.rsplit("/", 1)[-1]
    policies = iam_evaluator._gather_role_policies(name, responses.get_account_id())
    statements = [statement for policy in policies for statement in policy if statement.effect == "Allow"]
    if not actions or any(
        iam_evaluator._action_matches(action, statement.actions, statement.not_actions)
        for action in actions
        for statement in statements
    ):
        return ""
    account = role_arn.split(":")[4]
    who = f"arn:aws:sts::{account}:assumed-role/{name}/AWSCloudFormation"
    action = actions[0]
    return (
        f"User: {who} is not authorized to perform: {action} because no identity-based policy allows "
        f"the {action} action"
    )


def _remember_roles() -> None:
    table = seam(handlers, "_ACTION_HANDLERS")

    def remembering(call: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        def remembered(parameters: dict[str, Any]) -> Any:
            role, stack = helpers._p(parameters, "RoleARN"), helpers._p(parameters, "StackName")
            if role and stack:
                name = stack.split("/")[1] if stack.startswith("arn:") else stack
                before = _roles.get(name)
                _roles[name] = role
                answer = call(parameters)
                if answer[0] >= 400:
                    _roles.pop(name)
                    if before:
                        _roles[name] = before
                return answer
            return call(parameters)

        return remembered

    for action in ("CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet"):
        table[action] = remembering(table[action])
