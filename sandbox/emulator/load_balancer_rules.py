"""The rules of a listener, by the API and by CloudFormation: checked before anything changes.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html#API_CreateRule_Errors
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ministack.services import alb
from ministack.services.cloudformation import provisioners

from sandbox.balancer import translation
from sandbox.emulator.context import seam
from sandbox.emulator.load_balancer_checks import Refusal, check_targets

Replace = Callable[..., None]
Record = dict[str, Any]


def install(replace_action: Replace, replace_resource: Replace) -> None:
    """`replace_action` and `replace_resource` put a handler in the place of ministack's."""
    for action, name in (("CreateRule", "_create_rule"), ("ModifyRule", "_modify_rule")):
        replace_action(action, name, _checked(seam(alb, name)))
    replace_action("DescribeRules", "_describe_rules", _describing(seam(alb, "_describe_rules")))
    create = seam(provisioners, "_elbv2_listener_rule_create")
    update = seam(provisioners, "_elbv2_listener_rule_update")

    def create_from_template(logical_id: str, properties: Record, stack_name: str) -> Any:
        _check_template(properties, None)
        return create(logical_id, properties, stack_name)

    def update_from_template(
        physical_id: str, old: Record, new: Record, stack_name: str, logical_id: str | None = None
    ) -> Any:
        _check_template(new, physical_id)
        return update(physical_id, old, new, stack_name, logical_id)

    replace_resource("ListenerRule", "create", "_elbv2_listener_rule_create", create_from_template)
    replace_resource("ListenerRule", "update", "_elbv2_listener_rule_update", update_from_template)


def _checked(original: Callable[[Record], Any]) -> Callable[[Record], Any]:
    def checked(params: Record) -> Any:
        arn = alb._p(params, "RuleArn")
        listener = (alb._rules.get(arn) or {}).get("ListenerArn") or alb._p(params, "ListenerArn")
        actions = alb._parse_actions(params, "Actions")
        _check(arn, listener, alb._p(params, "Priority"), alb._parse_conditions(params), actions)
        return original(params)

    return checked


def _check_template(properties: Record, arn: str | None) -> None:
    _check(
        arn,
        properties.get("ListenerArn", ""),
        str(properties.get("Priority", "")),
        properties.get("Conditions") or [],
        provisioners._elbv2_listener_actions(properties, None, prop="Actions"),
    )


def _check(
    arn: str | None, listener: str, priority: str, conditions: Sequence[Record], actions: Sequence[Record]
) -> None:
    """Raises Refusal for a rule that AWS would refuse, or that the balancer could not follow."""
    unknown = translation.unsupported(conditions)
    if unknown is not None:
        raise Refusal("ValidationError", f"Condition field '{unknown}' is not offered by the sandbox")
    for other, rule in alb._rules.items():
        taken = other != arn and rule.get("ListenerArn") == listener and str(rule.get("Priority")) == priority
        if taken and not rule.get("IsDefault"):
            raise Refusal("PriorityInUse", f"Priority '{priority}' is currently in use")
    check_targets(actions, (alb._listeners.get(listener) or {}).get("LoadBalancerArn", ""))


def _describing(original: Callable[[Record], Any]) -> Callable[[Record], Any]:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeRules.html#API_DescribeRules_Errors"""

    def described(params: Record) -> Any:
        for arn in alb._parse_member_list(params, "RuleArns"):
            if arn not in alb._rules:
                raise Refusal("RuleNotFound", f"One or more rules not found: '{arn}'")
        return original(params)

    return described
