"""The weights of a forward action, which ministack drops.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ForwardActionConfig.html
"""

from __future__ import annotations

from typing import Any

from ministack.services import alb
from ministack.services.cloudformation import provisioners

from sandbox.emulator.context import replace, seam


def install() -> None:
    """Parse, keep and answer the weights, from the API and from CloudFormation."""
    parse = seam(alb, "_parse_actions")
    render = seam(alb, "_action_xml")
    from_template = seam(provisioners, "_elbv2_listener_actions")

    def parse_actions(params: dict[str, Any], prefix: str = "DefaultActions") -> list[dict[str, Any]]:
        actions: list[dict[str, Any]] = parse(params, prefix)
        for number, action in enumerate(actions, 1):
            base = f"{prefix}.member.{number}.ForwardConfig"
            groups: list[dict[str, Any]] = []
            while arn := alb._p(params, f"{base}.TargetGroups.member.{len(groups) + 1}.TargetGroupArn"):
                weight = alb._p(params, f"{base}.TargetGroups.member.{len(groups) + 1}.Weight", "1")
                groups.append({"TargetGroupArn": arn, "Weight": int(weight)})
            if groups:
                sticky = alb._p(params, f"{base}.TargetGroupStickinessConfig.Enabled", "false")
                action["ForwardConfig"] = _forward_config(groups, sticky == "true")
            _complete(action)
        return actions

    def template_actions(
        properties: dict[str, Any], balancer_arn: str | None, prop: str = "DefaultActions"
    ) -> list[dict[str, Any]]:
        actions: list[dict[str, Any]] = from_template(properties, balancer_arn, prop)
        declared = [each for each in properties.get(prop) or [] if isinstance(each, dict)]
        for action, source in zip(actions, declared, strict=True):
            forward = source.get("ForwardConfig") or {}
            groups = [
                {"TargetGroupArn": each["TargetGroupArn"], "Weight": int(each.get("Weight", 1))}
                for each in forward.get("TargetGroups") or []
            ]
            if groups:
                action.pop("TargetGroupArn", None)
                sticky = str((forward.get("TargetGroupStickinessConfig") or {}).get("Enabled", False)).lower()
                action["ForwardConfig"] = _forward_config(groups, sticky == "true")
            _complete(action)
        return actions

    def action_xml(action: dict[str, Any]) -> str:
        rendered = str(render(action))
        forward = action.get("ForwardConfig")
        if not forward:
            return rendered
        groups = "".join(
            f"<member><TargetGroupArn>{each['TargetGroupArn']}</TargetGroupArn>"
            f"<Weight>{each['Weight']}</Weight></member>"
            for each in forward["TargetGroups"]
        )
        sticky = str(forward["TargetGroupStickinessConfig"]["Enabled"]).lower()
        return rendered.removesuffix("</member>") + (
            f"<ForwardConfig><TargetGroups>{groups}</TargetGroups>"
            f"<TargetGroupStickinessConfig><Enabled>{sticky}</Enabled></TargetGroupStickinessConfig>"
            "</ForwardConfig></member>"
        )

    replace(alb, "_parse_actions", parse_actions)
    replace(alb, "_action_xml", action_xml)
    replace(provisioners, "_elbv2_listener_actions", template_actions)


def _forward_config(groups: list[dict[str, Any]], sticky: bool) -> dict[str, Any]:
    return {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": sticky}}


def _complete(action: dict[str, Any]) -> None:
    """AWS answers a forward to one group in both forms, and one to several with the config alone."""
    if str(action.get("Type", "")).lower() != "forward":
        return
    if not action.get("ForwardConfig") and action.get("TargetGroupArn"):
        only = {"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}
        action["ForwardConfig"] = _forward_config([only], False)
    groups = (action.get("ForwardConfig") or {}).get("TargetGroups") or []
    if len(groups) == 1:
        action["TargetGroupArn"] = groups[0]["TargetGroupArn"]
    else:
        action.pop("TargetGroupArn", None)
