"""Targets of a target group: registered by (id, port), drained, with the health that the balancer sees.

States and reason codes: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
Deregistration delay: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import alb, ec2

from sandbox.balancer import translation
from sandbox.balancer.health import TargetHealth, judge
from sandbox.balancer.proxy import HostHealth
from sandbox.emulator.context import replace, seam
from sandbox.emulator.load_balancer_checks import Refusal

_Key = tuple[str, str, int]  # (target group ARN, target id, port)
_Hosts = Mapping[tuple[str, str, int], HostHealth]


class Targets:
    """The registrations, over ministack's records."""

    def __init__(self) -> None:
        # (group, id, port) -> when its draining ends, on the monotonic clock.
        self._draining: dict[_Key, float] = {}
        self._lock = threading.Lock()
        self.health: Callable[[], _Hosts] = dict

    def install(self) -> None:
        """Put the three target actions in ministack's place."""
        for action, name, handler in (
            ("RegisterTargets", "_register_targets", self._register),
            ("DeregisterTargets", "_deregister_targets", self._deregister),
            ("DescribeTargetHealth", "_describe_target_health", self._describe),
        ):
            replace(alb, name, handler)
            seam(alb, "_ACTION_MAP")[action] = handler

    def records(self) -> translation.Records:
        """The API's records as they are now. The account's scope has to be set."""
        return translation.Records(
            balancers=dict(alb._lbs.items()),
            listeners=dict(alb._listeners.items()),
            rules=dict(alb._rules.items()),
            groups=dict(alb._tgs.items()),
            targets={arn: list(targets) for arn, targets in alb._targets.items()},
            balancer_attributes=dict(alb._lb_attrs.items()),
            group_attributes=dict(alb._tg_attrs.items()),
        )

    def address_of(self, target: str) -> str | None:
        """The address of a target: its own if it is one, else the running instance's private address."""
        try:
            return str(ipaddress.ip_address(target))
        except ValueError:
            instance = ec2._instances.get(target)
        if instance is None or (instance.get("State") or {}).get("Name") != "running":
            return None
        return instance.get("PrivateIpAddress") or None

    def group_health(self, arn: str) -> dict[tuple[str, int], TargetHealth]:
        """(id, port) -> health, of a group's targets, those that drain included."""
        hosts = self.health()
        found = {
            (each["Id"], _port(arn, each)): self._health(arn, each, hosts)
            for each in alb._targets.get(arn, [])
        }
        for key in self._still_draining():
            if key[0] == arn and key[1:] not in found:
                found[key[1:]] = TargetHealth(
                    "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
                )
        return found

    def _register(self, params: dict[str, Any]) -> Any:
        arn = alb._p(params, "TargetGroupArn")
        group = alb._tgs.get(arn)
        if group is None:
            return alb._error("TargetGroupNotFound", f"Target groups '{arn}' not found")
        wanted = alb._parse_targets_param(params)
        try:
            for each in wanted:
                _check_target(group, each["Id"])
        except Refusal as refusal:
            return alb._error(refusal.code, refusal.message)
        registered = alb._targets.setdefault(arn, [])
        known = {(each["Id"], _port(arn, each)) for each in registered}
        for each in wanted:
            key = (each["Id"], _port(arn, each))
            if key not in known:
                registered.append({"Id": key[0], "Port": key[1]})
                known.add(key)
            with self._lock:
                self._draining.pop((arn, *key), None)
        return alb._empty("RegisterTargets")

    def _deregister(self, params: dict[str, Any]) -> Any:
        arn = alb._p(params, "TargetGroupArn")
        if arn not in alb._tgs:
            return alb._error("TargetGroupNotFound", f"Target groups '{arn}' not found")
        attributes = translation.as_mapping(alb._tg_attrs.get(arn, []))
        delay = float(attributes.get("deregistration_delay.timeout_seconds", 300))
        # Real seconds, however short a minute is here: what drains are requests, and they take their time.
        ends = time.monotonic() + delay
        kept = []
        wanted = alb._parse_targets_param(params)
        for each in alb._targets.get(arn, []):
            port = _port(arn, each)
            if any(_matches(want, each["Id"], port) for want in wanted):
                if arn in translation.used_groups(self.records()):
                    with self._lock:
                        self._draining[(arn, each["Id"], port)] = ends
            else:
                kept.append(each)
        alb._targets[arn] = kept
        return alb._empty("DeregisterTargets")

    def _describe(self, params: dict[str, Any]) -> Any:
        arn = alb._p(params, "TargetGroupArn")
        group = alb._tgs.get(arn)
        if group is None:
            return alb._error("TargetGroupNotFound", f"Target groups '{arn}' not found")
        found = self.group_health(arn)
        asked = alb._parse_targets_param(params)
        if asked:
            chosen = {
                key: health for key, health in found.items() if any(_matches(want, *key) for want in asked)
            }
            for want in asked:
                if not any(_matches(want, *key) for key in chosen):
                    chosen[(want["Id"], _port(arn, want))] = TargetHealth(
                        "unused", "Target.NotRegistered", "Target is not registered to the target group"
                    )
            found = chosen
        check_port = str(group.get("HealthCheckPort", "traffic-port"))
        members = "".join(
            _xml(key[0], key[1], check_port if check_port.isdigit() else str(key[1]), health)
            for key, health in found.items()
        )
        return alb._xml(
            200,
            "DescribeTargetHealth",
            f"<TargetHealthDescriptions>{members}</TargetHealthDescriptions>",
        )

    def _health(self, arn: str, target: dict[str, Any], hosts: _Hosts) -> TargetHealth:
        group = alb._tgs[arn]
        if not group.get("LoadBalancerArns"):
            return TargetHealth(
                "unused",
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            )
        address = self.address_of(target["Id"])
        if address is None:
            state = ((ec2._instances.get(target["Id"]) or {}).get("State") or {}).get("Name", "terminated")
            return TargetHealth("unused", "Target.InvalidState", f"Target is in the {state} state")
        host = hosts.get((translation.group_name(arn), address, _port(arn, target)))
        return judge(host, unhealthy_threshold=int(group.get("UnhealthyThresholdCount", 2)))

    def _still_draining(self) -> list[_Key]:
        now = time.monotonic()
        with self._lock:
            self._draining = {key: ends for key, ends in self._draining.items() if ends > now}
            return list(self._draining)


def _check_target(group: dict[str, Any], target: str) -> None:
    if group.get("TargetType", "instance") != "instance":
        return
    instance = ec2._instances.get(target)
    if instance is None:
        raise Refusal("InvalidTarget", f"Instance ID '{target}' is not valid")
    if (instance.get("State") or {}).get("Name") != "running":
        raise Refusal(
            "InvalidTarget",
            f"The following targets are not in a running state and cannot be registered: '{target}'",
        )


def _port(arn: str, target: dict[str, Any]) -> int:
    return int(target.get("Port") or (alb._tgs.get(arn) or {}).get("Port", 80))


def _matches(wanted: dict[str, Any], target: str, port: int) -> bool:
    """Without a port, every registration of the target is meant."""
    return bool(wanted["Id"] == target and int(wanted.get("Port") or port) == port)


def _xml(target: str, port: int, check_port: str, health: TargetHealth) -> str:
    reason = f"<Reason>{health.reason}</Reason>" if health.reason else ""
    description = f"<Description>{health.description}</Description>" if health.description else ""
    return (
        f"<member><Target><Id>{target}</Id><Port>{port}</Port></Target>"
        f"<HealthCheckPort>{check_port}</HealthCheckPort>"
        f"<TargetHealth><State>{health.state}</State>{reason}{description}</TargetHealth></member>"
    )
