"""From Envoy's counters to the metrics that an Application Load Balancer publishes.

Names, dimensions and when a metric is reported at all:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

NAMESPACE = "AWS/ApplicationELB"

_COUNT = "envoy_alb_request_count"
_TIME = "envoy_alb_target_response_time"
_LINE = re.compile(r"^(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class RequestKey:
    """What requests are counted by. `group` is "" where none was chosen; `flags` is "-" for all well."""

    listener: str
    group: str
    code: int
    flags: str


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The balancer's counters at one moment, all of them growing only.

    `times` is (listener, group) -> upper bound in seconds -> answers up to that bound.
    """

    requests: Mapping[RequestKey, int]
    times: Mapping[tuple[str, str], Mapping[float, int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Dimensions:
    """How CloudWatch calls a load balancer (`app/NAME/ID`) and a target group (`targetgroup/NAME/ID`)."""

    load_balancer: str
    target_group: str | None = None

    def as_list(self) -> list[dict[str, str]]:
        """The shape PutMetricData takes."""
        dimensions = [{"Name": "LoadBalancer", "Value": self.load_balancer}]
        if self.target_group:
            dimensions.append({"Name": "TargetGroup", "Value": self.target_group})
        return dimensions


def parse(text: str) -> Snapshot:
    """Reads Envoy's statistics in Prometheus's text format."""
    requests: dict[RequestKey, int] = {}
    times: dict[tuple[str, str], dict[float, int]] = defaultdict(dict)
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        labels = dict(_LABEL.findall(match["labels"]))
        if match["name"] == _COUNT:
            code = int(labels["code"]) if labels["code"].isdigit() else 0
            group = labels["group"] if labels["group"] != "-" else ""
            requests[RequestKey(labels["listener"], group, code, labels["flags"])] = int(match["value"])
        elif match["name"] == f"{_TIME}_bucket" and labels["le"] != "+Inf":
            bound = float(labels["le"]) / 1e6
            times[(labels["listener"], labels["group"])][bound] = int(match["value"])
        elif match["name"] == f"{_TIME}_count":
            # The last bucket is open; it is told by the whole count.
            times[(labels["listener"], labels["group"])][float("inf")] = int(match["value"])
    return Snapshot(requests, times)


def since(before: Snapshot, now: Snapshot) -> Snapshot:
    """What happened between two snapshots; a counter that went back started anew, and counts as it stands."""
    requests = {key: _growth(before.requests.get(key, 0), value) for key, value in now.requests.items()}
    times = {}
    for key, bounds in now.times.items():
        earlier = before.times.get(key, {})
        if earlier.get(float("inf"), 0) > bounds.get(float("inf"), 0):
            earlier = {}
        times[key] = {bound: count - earlier.get(bound, 0) for bound, count in bounds.items()}
    return Snapshot({key: value for key, value in requests.items() if value}, times)


def _growth(before: int, now: int) -> int:
    return now - before if now >= before else now


def request_metrics(
    happened: Snapshot, balancers: Mapping[str, str], groups: Mapping[str, str]
) -> list[dict[str, Any]]:
    """PutMetricData entries, without a timestamp, of what requests did; none where none flowed.

    `balancers` is listener name -> load balancer dimension; `groups` is group name -> target group dimension.
    Listeners and groups that are not named any more are left out.
    """
    counts: dict[tuple[Dimensions, str], int] = defaultdict(int)
    for key, number in happened.requests.items():
        if key.listener not in balancers:
            continue
        balancer = Dimensions(balancers[key.listener])
        scopes = [balancer]
        if key.group in groups:
            scopes.append(Dimensions(balancer.load_balancer, groups[key.group]))
        chosen = bool(key.group) and not set(key.flags.split(",")) & {"UH", "NC", "DPE"}
        answered_by_target = chosen and key.flags == "-" and key.code >= 200
        for scope in scopes:
            if chosen:
                counts[scope, "RequestCount"] += number
            if answered_by_target:
                counts[scope, f"HTTPCode_Target_{key.code // 100}XX_Count"] += number
            if "UF" in key.flags.split(","):
                counts[scope, "TargetConnectionErrorCount"] += number
        if not answered_by_target and not _client_gone(key):
            for name in _balancer_metrics(key.code):
                counts[balancer, name] += number
    return [
        _entry(name, scope, {"Value": float(number), "Unit": "Count"})
        for (scope, name), number in counts.items()
    ] + _response_times(happened, balancers, groups)


def _client_gone(key: RequestKey) -> bool:
    """A client that closed its connection is not the balancer's error (ALB's 460 is counted elsewhere)."""
    return key.code == 0 or "DC" in key.flags.split(",")


def _balancer_metrics(code: int) -> Iterable[str]:
    if 300 <= code < 600:
        yield f"HTTPCode_ELB_{code // 100}XX_Count"
    if code in (500, 502, 503, 504):
        yield f"HTTPCode_ELB_{code}_Count"


def _response_times(
    happened: Snapshot, balancers: Mapping[str, str], groups: Mapping[str, str]
) -> list[dict[str, Any]]:
    merged: dict[Dimensions, dict[float, int]] = defaultdict(lambda: defaultdict(int))
    for (listener, group), bounds in happened.times.items():
        if listener not in balancers:
            continue
        for value, count in _values(bounds).items():
            merged[Dimensions(balancers[listener])][value] += count
            if group in groups:
                merged[Dimensions(balancers[listener], groups[group])][value] += count
    return [
        _entry(
            "TargetResponseTime",
            scope,
            {
                "Values": list(values),
                "Counts": [float(count) for count in values.values()],
                "Unit": "Seconds",
            },
        )
        for scope, values in merged.items()
    ]


def _values(bounds: Mapping[float, int]) -> dict[float, int]:
    """A cumulative histogram as values with counts: a bucket's middle stands for what fell into it."""
    values: dict[float, int] = {}
    lower, before = 0.0, 0
    for bound, cumulative in sorted(bounds.items()):
        inside = cumulative - before
        if inside > 0:
            middle = lower if bound == float("inf") else (lower + bound) / 2
            values[round(middle, 7)] = inside
        lower, before = bound, cumulative
    return values


def host_metrics(scope: Dimensions, *, healthy: int, unhealthy: int) -> list[dict[str, Any]]:
    """PutMetricData entries, without a timestamp, of a group's hosts, for a group that has targets."""
    return [
        _entry("HealthyHostCount", scope, {"Value": float(healthy), "Unit": "Count"}),
        _entry("UnHealthyHostCount", scope, {"Value": float(unhealthy), "Unit": "Count"}),
    ]


def _entry(name: str, scope: Dimensions, rest: dict[str, Any]) -> dict[str, Any]:
    return {"MetricName": name, "Dimensions": scope.as_list(), **rest}
