"""From the records of the ELBv2 API to what the balancer is to do. Pure, but for two look-ups it is given.

Security policies and the TLS versions they allow:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sandbox.balancer.model import (
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    TLS_1_3,
    Action,
    Condition,
    FixedResponse,
    Forward,
    HealthCheck,
    Listener,
    Redirect,
    Rule,
    State,
    Target,
    TargetGroup,
    Tls,
)
from sandbox.pki import IssuedCertificate

Record = Mapping[str, Any]

# A compressed health check is never faster than this, in seconds: probes must not become the load.
FASTEST_CHECK = 0.25
# Nor does a compressed check give up sooner, in seconds: a busy machine is not a sick target.
SHORTEST_TIMEOUT = 1.0

_RULE_FIELDS = ("path-pattern", "host-header", "http-request-method", "http-header")


@dataclasses.dataclass(frozen=True, slots=True)
class Records:
    """The API's own records by ARN, as ministack keeps them; `targets` is without those that drain."""

    balancers: Mapping[str, Record]
    listeners: Mapping[str, Record]
    rules: Mapping[str, Record]
    groups: Mapping[str, Record]
    targets: Mapping[str, list[dict[str, Any]]]
    balancer_attributes: Mapping[str, list[dict[str, str]]]
    group_attributes: Mapping[str, list[dict[str, str]]]


def full_name(arn: str) -> str:
    """How CloudWatch names it: `app/NAME/ID` (load balancer) or `targetgroup/NAME/ID`."""
    resource = arn.split(":", 5)[5]
    return resource.removeprefix("loadbalancer/")


def group_name(arn: str) -> str:
    """The name of a target group's cluster: letters, digits and hyphens only."""
    return "tg-" + "-".join(arn.rsplit("/", 2)[-2:])


def listener_name(arn: str) -> str:
    """The name of a listener, unique over load balancers."""
    return "listener-" + "-".join(arn.rsplit("/", 3)[-3:])


def tls_versions(policy: str) -> tuple[int, int] | None:
    """(lowest, highest) TLS version that a security policy allows, or None when there is no such policy."""
    number = r"(1-[0-3])"
    if match := re.fullmatch(rf"ELBSecurityPolicy-TLS13-{number}(-[A-Za-z0-9-]+)?-\d{{4}}-\d{{2}}", policy):
        return {"1-0": TLS_1_0, "1-1": TLS_1_1, "1-2": TLS_1_2, "1-3": TLS_1_3}[match[1]], TLS_1_3
    if match := re.fullmatch(
        rf"ELBSecurityPolicy-(?:TLS|FS)-{number}(-[A-Za-z0-9-]+)?-\d{{4}}-\d{{2}}", policy
    ):
        return {"1-0": TLS_1_0, "1-1": TLS_1_1, "1-2": TLS_1_2, "1-3": TLS_1_3}[match[1]], TLS_1_2
    if policy in ("ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-2015-05", "ELBSecurityPolicy-FS-2018-06"):
        return TLS_1_0, TLS_1_2
    return None


def state(
    records: Records,
    *,
    address_of: Callable[[str], str | None],
    certificate_of: Callable[[str], IssuedCertificate | None],
    minute_seconds: float,
) -> State:
    """What the balancer is to do.

    `address_of` gives a target's address, None when it is not running; `certificate_of` gives the files
    of an ACM certificate, None when there is none. A listener whose certificate is not there is left out.
    """
    listeners = []
    for arn, record in records.listeners.items():
        balancer = records.balancers.get(record["LoadBalancerArn"])
        tls = _tls(record, certificate_of)
        if balancer is None or (record.get("Protocol") == "HTTPS" and tls is None):
            continue
        attributes = as_mapping(records.balancer_attributes.get(record["LoadBalancerArn"], []))
        listeners.append(
            Listener(
                name=listener_name(arn),
                address=balancer["DNSName"],
                port=int(record["Port"]),
                rules=_rules(arn, record, records),
                tls=tls,
                idle_timeout=float(attributes.get("idle_timeout.timeout_seconds", 60)),
            )
        )
    scale = minute_seconds / 60
    groups = [
        _group(arn, records.groups[arn], records, address_of, scale)
        for arn in sorted(used_groups(records))
        if arn in records.groups
    ]
    return State(listeners=tuple(listeners), groups=tuple(groups))


def used_groups(records: Records) -> dict[str, str]:
    """Target group ARN -> ARN of the load balancer that a listener or a rule ties it to."""
    used: dict[str, str] = {}
    for listener_arn, listener in records.listeners.items():
        actions = list(listener.get("DefaultActions", []))
        for rule in records.rules.values():
            if rule.get("ListenerArn") == listener_arn:
                actions += rule.get("Actions", [])
        for arn, _weight in (pair for action in actions for pair in weights(action)):
            used[arn] = listener["LoadBalancerArn"]
    return used


def weights(action: Record) -> list[tuple[str, int]]:
    """(target group ARN, weight) of a forward action, in its order; an unweighted one weighs 1."""
    if str(action.get("Type", "")).lower() != "forward":
        return []
    forward = (action.get("ForwardConfig") or {}).get("TargetGroups") or []
    if forward:
        return [(each["TargetGroupArn"], int(each.get("Weight", 1))) for each in forward]
    return [(action["TargetGroupArn"], 1)] if action.get("TargetGroupArn") else []


def as_mapping(attributes: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Attributes as the API lists them, as a mapping."""
    return {each["Key"]: each["Value"] for each in attributes}


def unsupported(conditions: Iterable[Record]) -> str | None:
    """The first field of a rule's conditions that this balancer does not know, or None."""
    return next((each["Field"] for each in conditions if each.get("Field") not in _RULE_FIELDS), None)


def check_interval(seconds: float, scale: float) -> float:
    """The interval of a health check in compressed time, never faster than FASTEST_CHECK."""
    return max(FASTEST_CHECK, seconds * scale)


def codes(matcher: str) -> tuple[tuple[int, int], ...]:
    """`200,202` or `200-299` as inclusive ranges."""
    ranges = []
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        ranges.append((int(low), int(high or low)))
    return tuple(ranges)


def _tls(record: Record, certificate_of: Callable[[str], IssuedCertificate | None]) -> Tls | None:
    if record.get("Protocol") != "HTTPS":
        return None
    versions = tls_versions(record.get("SslPolicy", ""))
    issued = next(filter(None, map(certificate_of, record.get("Certificates") or [])), None)
    if versions is None or issued is None:
        return None
    return Tls(issued.certificate, issued.key, minimum=versions[0], maximum=versions[1])


def _rules(arn: str, listener: Record, records: Records) -> tuple[Rule, ...]:
    own = [
        rule
        for rule in records.rules.values()
        if rule.get("ListenerArn") == arn and not rule.get("IsDefault")
    ]
    ordered = sorted(own, key=lambda rule: int(rule["Priority"]))
    special = [Rule(_action(rule["Actions"]), _conditions(rule.get("Conditions", []))) for rule in ordered]
    return (*special, Rule(_action(listener["DefaultActions"])))


def _conditions(conditions: Iterable[Record]) -> tuple[Condition, ...]:
    found = []
    for each in conditions:
        header = each.get("HttpHeaderConfig") or {}
        values = each.get("Values") or header.get("Values") or []
        found.append(Condition(each["Field"], tuple(values), header.get("HttpHeaderName", "")))
    return tuple(found)


def _action(actions: Iterable[Record]) -> Action:
    """The action that answers: the last in order (those before it authenticate, which is refused)."""
    last = max(actions, key=lambda action: int(action.get("Order", 1)))
    kind = str(last["Type"]).lower()
    if kind == "fixed-response":
        fixed = last["FixedResponseConfig"]
        return FixedResponse(
            int(fixed.get("StatusCode", 200)),
            fixed.get("ContentType", "text/plain"),
            fixed.get("MessageBody", ""),
        )
    if kind == "redirect":
        return _redirect(last["RedirectConfig"])
    return Forward(tuple((group_name(arn), weight) for arn, weight in weights(last)))


def _redirect(config: Record) -> Redirect:
    def given(key: str) -> str | None:
        value = str(config.get(key, "#{"))
        return None if "#{" in value else value

    protocol, port = given("Protocol"), given("Port")
    return Redirect(
        permanent=config.get("StatusCode", "HTTP_301") == "HTTP_301",
        https=None if protocol is None else protocol == "HTTPS",
        host=given("Host"),
        port=None if port is None else int(port),
        path=given("Path"),
        query=given("Query"),
    )


def _group(
    arn: str, record: Record, records: Records, address_of: Callable[[str], str | None], scale: float
) -> TargetGroup:
    attributes = as_mapping(records.group_attributes.get(arn, []))
    targets = []
    for each in records.targets.get(arn, []):
        address = address_of(each["Id"])
        if address is not None:
            targets.append(Target(address, int(each.get("Port") or record["Port"])))
    slow_start = float(attributes.get("slow_start.duration_seconds", 0))
    return TargetGroup(
        name=group_name(arn),
        targets=tuple(dict.fromkeys(targets)),
        health=_health_check(record, scale),
        https=record.get("Protocol") == "HTTPS",
        slow_start=slow_start * scale,
        least_outstanding=attributes.get("load_balancing.algorithm.type") == "least_outstanding_requests",
    )


def _health_check(record: Record, scale: float) -> HealthCheck:
    port = str(record.get("HealthCheckPort", "traffic-port"))
    timeout = float(record.get("HealthCheckTimeoutSeconds", 5))
    return HealthCheck(
        enabled=bool(record.get("HealthCheckEnabled", True)),
        https=record.get("HealthCheckProtocol") == "HTTPS",
        port=int(port) if port.isdigit() else None,
        path=record.get("HealthCheckPath") or "/",
        interval=check_interval(float(record.get("HealthCheckIntervalSeconds", 30)), scale),
        timeout=min(timeout, max(SHORTEST_TIMEOUT, timeout * scale)),
        healthy_threshold=int(record.get("HealthyThresholdCount", 5)),
        unhealthy_threshold=int(record.get("UnhealthyThresholdCount", 2)),
        codes=codes(str((record.get("Matcher") or {}).get("HttpCode", "200"))),
    )
