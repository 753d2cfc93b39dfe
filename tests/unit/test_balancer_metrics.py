"""From the proxy's counters to AWS/ApplicationELB.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.balancer.metrics import (
    Dimensions,
    RequestKey,
    Snapshot,
    host_metrics,
    parse,
    request_metrics,
    since,
)

BALANCERS = {"live": "app/shop/1"}
GROUPS = {"blue": "targetgroup/blue/2"}
STATISTICS = """\
# TYPE envoy_alb_request_count counter
envoy_alb_request_count{listener="live",group="",code="503",flags="-"} 2
envoy_alb_request_count{listener="live",group="blue",code="200",flags="-"} 7
# TYPE envoy_alb_target_response_time histogram
envoy_alb_target_response_time_bucket{listener="live",group="blue",le="1000"} 3
envoy_alb_target_response_time_bucket{listener="live",group="blue",le="3000"} 6
envoy_alb_target_response_time_bucket{listener="live",group="blue",le="+Inf"} 7
envoy_alb_target_response_time_sum{listener="live",group="blue"} 61000
envoy_alb_target_response_time_count{listener="live",group="blue"} 7
"""


def counts(key: RequestKey, number: int = 1) -> dict[tuple[str, bool], float]:
    """(metric, whether of the target group) -> value."""
    data = request_metrics(Snapshot({key: number}, {}), BALANCERS, GROUPS)
    return {
        (each["MetricName"], any(d["Name"] == "TargetGroup" for d in each["Dimensions"])): each["Value"]
        for each in data
    }


def test_the_proxys_statistics_are_read() -> None:
    snapshot = parse(STATISTICS)
    assert snapshot.requests == {
        RequestKey("live", "", 503, "-"): 2,
        RequestKey("live", "blue", 200, "-"): 7,
    }
    assert snapshot.times[("live", "blue")] == {0.001: 3, 0.003: 6, float("inf"): 7}


def test_an_answer_of_a_target_counts_for_the_balancer_and_for_the_group() -> None:
    assert counts(RequestKey("live", "blue", 200, "-"), 5) == {
        ("RequestCount", False): 5,
        ("RequestCount", True): 5,
        ("HTTPCode_Target_2XX_Count", False): 5,
        ("HTTPCode_Target_2XX_Count", True): 5,
    }


def test_a_5xx_of_a_target_is_not_the_balancers() -> None:
    found = counts(RequestKey("live", "blue", 503, "-"))
    assert ("HTTPCode_Target_5XX_Count", True) in found
    assert not [name for name, _ in found if name.startswith("HTTPCode_ELB")]


def test_a_connection_that_a_target_refuses_is_a_502_of_the_balancer() -> None:
    assert counts(RequestKey("live", "blue", 502, "UF")) == {
        ("RequestCount", False): 1,
        ("RequestCount", True): 1,
        ("TargetConnectionErrorCount", False): 1,
        ("TargetConnectionErrorCount", True): 1,
        ("HTTPCode_ELB_5XX_Count", False): 1,
        ("HTTPCode_ELB_502_Count", False): 1,
    }


@pytest.mark.parametrize("key", [RequestKey("live", "", 503, "-"), RequestKey("live", "blue", 503, "UH")])
def test_a_request_for_which_no_target_could_be_chosen_is_no_request_count(key: RequestKey) -> None:
    """RequestCount: "only incremented for requests where the load balancer node was able to choose a target"."""
    assert counts(key) == {("HTTPCode_ELB_5XX_Count", False): 1, ("HTTPCode_ELB_503_Count", False): 1}


def test_a_client_that_hangs_up_is_nobodys_error() -> None:
    found = counts(RequestKey("live", "blue", 0, "DC"))
    assert not [name for name, _ in found if name.startswith("HTTPCode")]


def test_where_no_request_flows_nothing_is_reported() -> None:
    snapshot = parse(STATISTICS)
    assert request_metrics(since(snapshot, snapshot), BALANCERS, GROUPS) == []


def test_only_what_happened_since_is_counted() -> None:
    later = parse(STATISTICS.replace('flags="-"} 7', 'flags="-"} 17'))
    assert since(parse(STATISTICS), later).requests == {RequestKey("live", "blue", 200, "-"): 10}


def test_a_proxy_that_started_anew_counts_from_zero() -> None:
    anew = parse(STATISTICS.replace('flags="-"} 7', 'flags="-"} 4'))
    assert since(parse(STATISTICS), anew).requests == {RequestKey("live", "blue", 200, "-"): 4}


def test_response_times_are_seconds_with_counts() -> None:
    data = request_metrics(Snapshot({}, parse(STATISTICS).times), BALANCERS, GROUPS)
    of_group: dict[str, Any] = next(each for each in data if len(each["Dimensions"]) == 2)
    assert of_group["MetricName"] == "TargetResponseTime"
    assert of_group["Unit"] == "Seconds"
    assert dict(zip(of_group["Values"], of_group["Counts"], strict=True)) == {0.0005: 3, 0.002: 3, 0.003: 1}


def test_a_listener_that_is_gone_reports_nothing() -> None:
    assert request_metrics(parse(STATISTICS), {}, GROUPS) == []


def test_hosts_are_reported_by_group_and_balancer() -> None:
    data = host_metrics(Dimensions("app/shop/1", "targetgroup/blue/2"), healthy=2, unhealthy=1)
    assert [(each["MetricName"], each["Value"]) for each in data] == [
        ("HealthyHostCount", 2.0),
        ("UnHealthyHostCount", 1.0),
    ]
    assert data[0]["Dimensions"] == [
        {"Name": "LoadBalancer", "Value": "app/shop/1"},
        {"Name": "TargetGroup", "Value": "targetgroup/blue/2"},
    ]
