"""What is watched (requirement D1): five alarms for each colour, and the dashboard.

The alarms have no actions: their state changes reach the rollback through EventBridge. An alarm's description
is JSON and holds all that the rollback needs to know, so that it looks nothing up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from config.model import Configuration
from stacks.constructs.policy import acknowledge
from stacks.environment.fast_alarms import fast_rules
from stacks.environment.stack import EnvironmentStack, Given
from stacks.naming import (
    ALARM_KINDS,
    COLOURS,
    FAST_ALARM_KINDS,
    FRONTEND_ALARM_KINDS,
    AlarmKind,
    Colour,
    Names,
    ServiceName,
)

PERIOD_SECONDS = 60
Dimensions = dict[str, str]
Properties = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One alarm: what it means in words, and the properties that say it to CloudWatch."""

    meaning: str
    properties: Properties


def monitoring(stack: EnvironmentStack, names: Names, configuration: Configuration) -> None:
    """Make the alarms (five and three for each colour) and the dashboard."""
    here = Construct(stack, "Monitoring")
    given = stack.given
    for colour in COLOURS:
        targets = {
            "TargetGroup": given(f"{colour.capitalize()}TargetGroupFullName"),
            "LoadBalancer": given("LoadBalancerFullName"),
        }
        group = {"AutoScalingGroupName": names.group(colour)}
        rules = _rules(configuration, targets, group)
        for kind in ALARM_KINDS:
            alarm = cloudwatch.CfnAlarm(
                here,
                f"{colour.capitalize()}{kind.capitalize()}",
                alarm_name=names.alarm(colour, kind),
                alarm_description=_description(here, names, rules[kind].meaning, colour, given),
                actions_enabled=True,
                **rules[kind].properties,
            )
            acknowledge(alarm, "AwsSolutions-CW1", "An EventBridge rule on its state changes acts on it")
        _frontend_alarms(here, names, configuration, colour, given)
        for fast, (meaning, properties) in fast_rules(configuration.alarms, names, colour).items():
            alarm = cloudwatch.CfnAlarm(
                here,
                colour.capitalize() + "".join(word.capitalize() for word in fast.split("-")),
                alarm_name=names.alarm(colour, fast),
                alarm_description=_description(here, names, meaning, colour, given),
                actions_enabled=True,
                **properties,
            )
            acknowledge(alarm, "AwsSolutions-CW1", "An EventBridge rule on its state changes acts on it")
    cloudwatch.CfnDashboard(
        here,
        "Dashboard",
        dashboard_name=names.prefix,
        dashboard_body=cdk.Stack.of(here).to_json_string({"widgets": _widgets(names, configuration, given)}),
    )


def _frontend_alarms(
    scope: Construct, names: Names, configuration: Configuration, colour: Colour, given: Given
) -> None:
    """What the balancer tells of the frontend. No target is no breach: there may be no frontend."""
    targets = {
        "TargetGroup": given(f"Frontend{colour.capitalize()}TargetGroupFullName"),
        "LoadBalancer": given("LoadBalancerFullName"),
    }
    rules = _rules(configuration, targets, {})
    for kind in FRONTEND_ALARM_KINDS:
        alarm = cloudwatch.CfnAlarm(
            scope,
            f"Frontend{colour.capitalize()}{kind.capitalize()}",
            alarm_name=names.alarm(colour, kind, "frontend"),
            alarm_description=_description(
                scope, names, rules[kind].meaning, colour, given, service="frontend"
            ),
            actions_enabled=True,
            **{**rules[kind].properties, "treat_missing_data": "notBreaching"},
        )
        acknowledge(alarm, "AwsSolutions-CW1", "An EventBridge rule on its state changes acts on it")


def _rules(configuration: Configuration, targets: Dimensions, group: Dimensions) -> dict[AlarmKind, Rule]:
    """The five conditions of D1. A minute without a datapoint is no breach, except for the health check.

    The balancer counts unhealthy hosts for as long as a target is registered, requests or not. When it stops,
    no target is left, and a live colour without targets is the failure that this alarm is for. An idle
    colour's alarm may well be red: the rollback ignores the colour that is not live.
    """
    limits = configuration.alarms
    return {
        "errors": Rule(
            f"More than {limits.error_rate_percent:g} % of answers were 5xx for {limits.error_minutes} min",
            {
                "comparison_operator": "GreaterThanThreshold",
                "threshold": limits.error_rate_percent,
                "evaluation_periods": limits.error_minutes,
                "datapoints_to_alarm": limits.error_minutes,
                "treat_missing_data": "notBreaching",
                "metrics": _error_rate(targets),
            },
        ),
        "latency": Rule(
            f"p95 latency was above {limits.p95_seconds:g} s for {limits.p95_minutes} min",
            {
                "namespace": "AWS/ApplicationELB",
                "metric_name": "TargetResponseTime",
                "extended_statistic": "p95",
                **_simple(targets, limits.p95_seconds, limits.p95_minutes),
            },
        ),
        "cpu": Rule(
            f"CPU was above {limits.cpu_percent:g} % for {limits.cpu_minutes} min",
            {
                "namespace": "AWS/EC2",
                "metric_name": "CPUUtilization",
                "statistic": "Average",
                **_simple(group, limits.cpu_percent, limits.cpu_minutes),
            },
        ),
        "memory": Rule(
            f"Memory was above {limits.memory_percent:g} % for {limits.memory_minutes} min",
            {
                "namespace": "CWAgent",
                "metric_name": "mem_used_percent",
                "statistic": "Average",
                **_simple(group, limits.memory_percent, limits.memory_minutes),
            },
        ),
        "health": Rule(
            f"A target failed its health check for {limits.health_failures} min in a row",
            {
                "namespace": "AWS/ApplicationELB",
                "metric_name": "UnHealthyHostCount",
                "statistic": "Maximum",
                **_simple(targets, 1, limits.health_failures),
                "comparison_operator": "GreaterThanOrEqualToThreshold",
                "treat_missing_data": "breaching",
            },
        ),
    }


def _simple(dimensions: Dimensions, threshold: float, periods: int) -> Properties:
    return {
        "dimensions": [
            cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
            for name, value in dimensions.items()
        ],
        "period": PERIOD_SECONDS,
        "comparison_operator": "GreaterThanThreshold",
        "threshold": threshold,
        "evaluation_periods": periods,
        "datapoints_to_alarm": periods,
        "treat_missing_data": "notBreaching",
    }


def _error_rate(targets: Dimensions) -> list[cloudwatch.CfnAlarm.MetricDataQueryProperty]:
    query = cloudwatch.CfnAlarm.MetricDataQueryProperty

    def count(id: str, metric: str) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
        return query(
            id=id,
            return_data=False,
            metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
                metric=cloudwatch.CfnAlarm.MetricProperty(
                    namespace="AWS/ApplicationELB",
                    metric_name=metric,
                    dimensions=[
                        cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
                        for name, value in targets.items()
                    ],
                ),
                period=PERIOD_SECONDS,
                stat="Sum",
            ),
        )

    # ELB reports the 5xx count of a minute only when there was one: a minute without is none, not unknown.
    return [
        query(id="rate", expression="100*FILL(errors,0)/requests", label="5xx answers, %", return_data=True),
        count("errors", "HTTPCode_Target_5XX_Count"),
        count("requests", "RequestCount"),
    ]


def _description(
    scope: Construct,
    names: Names,
    meaning: str,
    colour: Colour,
    given: Given,
    *,
    service: ServiceName = "backend",
) -> str:
    """JSON of at most 1024 characters (CloudWatch's limit) once the ARNs are in. The frontend's are told by
    their last parts, for which there is room; cutover.domain.alarms puts them together."""

    def last(rule: str) -> str:
        # arn:…:listener-rule/app/NAME/BALANCER/LISTENER/RULE
        return cdk.Fn.select(5, cdk.Fn.split("/", given(rule)))

    return cdk.Stack.of(scope).to_json_string(
        {
            "meaning": meaning,
            "environment": names.environment,
            "service": service,
            "colour": colour,
            "listener": given("ListenerArn"),
            "test_listener": given("TestListenerArn"),
            "blue": given("BlueTargetGroupArn"),
            "green": given("GreenTargetGroupArn"),
            "frontend": {
                "rule": last("FrontendRuleArn"),
                "test_rule": last("FrontendTestRuleArn"),
                "blue": given("FrontendBlueTargetGroupFullName"),
                "green": given("FrontendGreenTargetGroupFullName"),
            },
        }
    )


def _widgets(names: Names, configuration: Configuration, given: Given) -> list[dict[str, Any]]:
    balancer = given("LoadBalancerFullName")
    limits = configuration.alarms

    def per_colour(namespace: str, metric: str, stat: str, *, by_group: bool = False) -> list[list[Any]]:
        lines: list[list[Any]] = []
        for colour in COLOURS:
            look = {"stat": stat, "label": colour, "color": {"blue": "#1f77b4", "green": "#2ca02c"}[colour]}
            if by_group:
                lines.append([namespace, metric, "AutoScalingGroupName", names.group(colour), look])
            else:
                target = given(f"{colour.capitalize()}TargetGroupFullName")
                lines.append([namespace, metric, "TargetGroup", target, "LoadBalancer", balancer, look])
        return lines

    elb = "AWS/ApplicationELB"
    rows: list[tuple[str, list[list[Any]], float | None]] = [
        ("p95 latency, s", per_colour(elb, "TargetResponseTime", "p95"), limits.p95_seconds),
        ("Requests per minute", per_colour(elb, "RequestCount", "Sum"), None),
        ("5xx answers per minute", per_colour(elb, "HTTPCode_Target_5XX_Count", "Sum"), None),
        ("Healthy targets", per_colour(elb, "HealthyHostCount", "Minimum"), None),
        ("CPU, %", per_colour("AWS/EC2", "CPUUtilization", "Average", by_group=True), limits.cpu_percent),
        (
            "Memory, %",
            per_colour("CWAgent", "mem_used_percent", "Average", by_group=True),
            limits.memory_percent,
        ),
    ]
    graphs = [
        {
            "type": "metric",
            "width": 12,
            "height": 6,
            "x": 12 * (index % 2),
            "y": 3 + 6 * (index // 2),
            "properties": {
                "title": title,
                "region": names.region,
                "view": "timeSeries",
                "period": PERIOD_SECONDS,
                "metrics": metrics,
                **({"annotations": {"horizontal": [{"label": "alarm", "value": limit}]}} if limit else {}),
            },
        }
        for index, (title, metrics, limit) in enumerate(rows)
    ]
    arn: Callable[[str], str] = lambda name: names.arn("cloudwatch", f"alarm:{name}")  # noqa: E731
    alarms = {
        "type": "alarm",
        "width": 24,
        "height": 3,
        "x": 0,
        "y": 0,
        "properties": {
            "title": "Alarms that roll a live release back",
            "alarms": [
                arn(name)
                for colour in COLOURS
                for name in (
                    *(names.alarm(colour, kind) for kind in (*ALARM_KINDS, *FAST_ALARM_KINDS)),
                    *(names.alarm(colour, kind, "frontend") for kind in FRONTEND_ALARM_KINDS),
                )
            ],
        },
    }
    return [alarms, *graphs]
