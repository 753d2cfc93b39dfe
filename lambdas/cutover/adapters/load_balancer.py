"""Listeners, their rules, and target groups of an Application Load Balancer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.adapters.aws import aws_errors
from cutover.domain.colours import Weights
from cutover.domain.environment import Targets
from cutover.domain.errors import MisconfiguredError
from cutover.domain.health import Target

#: What tells a rule's ARN from a listener's.
RULE = ":listener-rule/"


class ElasticLoadBalancer:
    def __init__(self, client: Any) -> None:
        self._client = client

    def weights(self, listener: str, targets: Targets) -> Weights:
        """Raises MisconfiguredError for a listener or a rule that does not forward to the two target
        groups."""
        forward = next((each for each in self._actions(listener) if each["Type"] == "forward"), None)
        if forward is None:
            raise MisconfiguredError(f"listener {listener} does not forward")
        groups = (forward.get("ForwardConfig") or {}).get("TargetGroups")
        if not groups:
            groups = [{"TargetGroupArn": forward["TargetGroupArn"], "Weight": 1}]
        # A target group without a weight counts as 1: that is what the API does with it.
        weights = {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
        strangers = set(weights) - {targets.blue, targets.green}
        if strangers:
            raise MisconfiguredError(
                f"listener {listener} forwards to {', '.join(sorted(strangers))} as well"
            )
        return Weights(weights.get(targets.blue, 0), weights.get(targets.green, 0))

    def _actions(self, arn: str) -> Sequence[Mapping[str, Any]]:
        with aws_errors():
            if RULE in arn:
                rules = self._client.describe_rules(RuleArns=[arn])["Rules"]
                found = [rule["Actions"] for rule in rules]
            else:
                listeners = self._client.describe_listeners(ListenerArns=[arn])["Listeners"]
                found = [listener["DefaultActions"] for listener in listeners]
        if not found:
            raise MisconfiguredError(f"there is no listener {arn}")
        actions: Sequence[Mapping[str, Any]] = found[0]
        return actions

    def set_weights(self, listener: str, targets: Targets, weights: Weights) -> None:
        groups = [
            {"TargetGroupArn": targets.blue, "Weight": weights.blue},
            {"TargetGroupArn": targets.green, "Weight": weights.green},
        ]
        # Stickiness would keep clients on a target group whose weight is 0:
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
        forward = {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": False}}
        self._modify(listener, {"Type": "forward", "ForwardConfig": forward})

    def block(self, listener: str) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html#fixed-response-actions"""
        answer = {
            "StatusCode": "503",
            "ContentType": "application/json",
            "MessageBody": '{"detail": "Under maintenance; please try again in a few minutes."}',
        }
        self._modify(listener, {"Type": "fixed-response", "FixedResponseConfig": answer})

    def _modify(self, arn: str, action: Mapping[str, Any]) -> None:
        with aws_errors():
            if RULE in arn:
                self._client.modify_rule(RuleArn=arn, Actions=[action])
            else:
                self._client.modify_listener(ListenerArn=arn, DefaultActions=[action])

    def health(self, target_group: str) -> Sequence[Target]:
        with aws_errors():
            found = self._client.describe_target_health(TargetGroupArn=target_group)
        return [
            Target(
                instance=described["Target"]["Id"],
                port=int(described["Target"].get("Port", 0)),
                state=described["TargetHealth"]["State"],
                reason=described["TargetHealth"].get("Reason", ""),
            )
            for described in found["TargetHealthDescriptions"]
        ]
