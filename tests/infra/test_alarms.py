"""The alarms of requirement D1, for each colour."""

import json

import pytest

ARN = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:listener/app/cutover-production/1234567890123456/1234567890123456"
SIMPLE = {
    "latency": ("AWS/ApplicationELB", "TargetResponseTime", "ExtendedStatistic", "p95", 2, 3),
    "cpu": ("AWS/EC2", "CPUUtilization", "Statistic", "Average", 90, 5),
    "memory": ("CWAgent", "mem_used_percent", "Statistic", "Average", 95, 3),
}


def alarm(synthesised, colour, kind):
    name = synthesised.names.alarm(colour, kind)
    return synthesised.environment.named("AWS::CloudWatch::Alarm", "AlarmName", name)


def dimensions(entries):
    return {entry["Name"]: entry["Value"] for entry in entries}


def of_targets(synthesised, colour, found):
    template = synthesised.environment
    assert set(found) == {"TargetGroup", "LoadBalancer"}
    group, attribute = found["TargetGroup"]["Fn::GetAtt"]
    assert attribute == "TargetGroupFullName"
    assert template.resources[group]["Properties"]["Name"] == synthesised.names.target_group(colour)
    assert found["LoadBalancer"]["Fn::GetAtt"][1] == "LoadBalancerFullName"


def test_each_colour_has_the_five_of_d1_and_three_fast_ones(each):
    names = {p["AlarmName"] for p in each.environment.of("AWS::CloudWatch::Alarm").values()}
    fast = ("fast-errors", "fast-latency", "fast-silence")
    kinds = {
        "backend": ("errors", "latency", "cpu", "memory", "health", *fast),
        "frontend": ("errors", "health"),
    }
    assert names == {
        f"cutover-{each.name}-{service}-{colour}-{kind}"
        for service, every in kinds.items()
        for colour in ("blue", "green")
        for kind in every
    }


@pytest.mark.parametrize("colour", ["blue", "green"])
def test_the_frontends_are_what_the_balancer_tells_of_it_and_none_of_it_is_no_breach(staging, colour):
    """An environment may have no frontend."""
    for kind, metric in (("errors", None), ("health", "UnHealthyHostCount")):
        name = staging.names.alarm(colour, kind, "frontend")
        found = staging.environment.named("AWS::CloudWatch::Alarm", "AlarmName", name)
        assert (found.get("MetricName"), found["TreatMissingData"]) == (metric, "notBreaching")
        metrics = found.get("Metrics") or [{"MetricStat": {"Metric": found}}]
        for query in metrics:
            if "MetricStat" in query:
                where = dimensions(query["MetricStat"]["Metric"]["Dimensions"])
                group = staging.environment.resources[where["TargetGroup"]["Fn::GetAtt"][0]]
                assert group["Properties"]["Name"] == staging.names.target_group(colour, "frontend")


@pytest.mark.parametrize("colour", ["blue", "green"])
@pytest.mark.parametrize(
    ("kind", "expression", "threshold", "metrics"),
    [
        ("fast-errors", "IF(requests >= 10, 100*errors/requests, 0)", 5, ("Requests", "Errors")),
        ("fast-latency", "IF(requests >= 10, 100*slow/requests, 0)", 5, ("Requests", "Slow")),
        ("fast-silence", "100*silent/containers", 50, ("Silent", "Containers")),
    ],
)
def test_a_fast_alarm_is_on_three_periods_of_ten_seconds_of_the_colours_own_metrics(
    staging, colour, kind, expression, threshold, metrics
):
    found = alarm(staging, colour, kind)
    (result,) = (query for query in found["Metrics"] if query["ReturnData"])
    assert result["Expression"] == expression
    for query, metric in zip((q for q in found["Metrics"] if not q["ReturnData"]), metrics, strict=True):
        stat = query["MetricStat"]
        assert (query["Id"], stat["Metric"]["MetricName"]) == (metric.lower(), metric)
        assert (stat["Metric"]["Namespace"], stat["Stat"], stat["Period"]) == ("Cutover", "Sum", 10)
        where = dimensions(stat["Metric"]["Dimensions"])
        assert where == {"Environment": "staging", "Service": "backend", "Colour": colour}
    assert (found["Threshold"], found["EvaluationPeriods"], found["DatapointsToAlarm"]) == (threshold, 3, 3)
    assert found["ComparisonOperator"] == "GreaterThanThreshold"


@pytest.mark.parametrize("kind", ["fast-errors", "fast-latency", "fast-silence"])
def test_a_fast_alarm_without_data_is_neither_ok_nor_alarm(each, kind):
    """Zeros are published too: what is missing is somebody who looks."""
    for colour in ("blue", "green"):
        assert alarm(each, colour, kind)["TreatMissingData"] == "missing"


@pytest.mark.parametrize("colour", ["blue", "green"])
def test_errors_are_five_per_cent_of_the_colours_own_requests_for_five_minutes(staging, colour):
    found = alarm(staging, colour, "errors")
    queries = {query["Id"]: query for query in found["Metrics"]}
    (result,) = (query for query in queries.values() if query["ReturnData"])
    assert result["Expression"] == "100*FILL(errors,0)/requests"
    for id, metric in (("errors", "HTTPCode_Target_5XX_Count"), ("requests", "RequestCount")):
        stat = queries[id]["MetricStat"]
        assert (stat["Metric"]["Namespace"], stat["Metric"]["MetricName"]) == ("AWS/ApplicationELB", metric)
        assert (stat["Stat"], stat["Period"]) == ("Sum", 60)
        of_targets(staging, colour, dimensions(stat["Metric"]["Dimensions"]))
    assert (found["Threshold"], found["EvaluationPeriods"], found["DatapointsToAlarm"]) == (5, 5, 5)
    assert found["ComparisonOperator"] == "GreaterThanThreshold"
    assert found["TreatMissingData"] == "notBreaching"


@pytest.mark.parametrize("colour", ["blue", "green"])
@pytest.mark.parametrize("kind", SIMPLE)
def test_latency_cpu_and_memory_are_those_of_d1(staging, colour, kind):
    namespace, metric, key, statistic, threshold, minutes = SIMPLE[kind]
    found = alarm(staging, colour, kind)
    assert (found["Namespace"], found["MetricName"], found[key]) == (namespace, metric, statistic)
    assert (found["Threshold"], found["EvaluationPeriods"], found["DatapointsToAlarm"]) == (
        threshold,
        minutes,
        minutes,
    )
    assert found["Period"] == 60
    assert found["ComparisonOperator"] == "GreaterThanThreshold"
    assert found["TreatMissingData"] == "notBreaching"
    if kind == "latency":
        of_targets(staging, colour, dimensions(found["Dimensions"]))
    else:
        assert dimensions(found["Dimensions"]) == {"AutoScalingGroupName": staging.names.group(colour)}


@pytest.mark.parametrize("colour", ["blue", "green"])
def test_health_is_one_failing_target_three_minutes_in_a_row_and_silence_is_failure(staging, colour):
    found = alarm(staging, colour, "health")
    assert (found["MetricName"], found["Statistic"]) == ("UnHealthyHostCount", "Maximum")
    assert found["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert (found["Threshold"], found["EvaluationPeriods"], found["DatapointsToAlarm"]) == (1, 3, 3)
    assert found["TreatMissingData"] == "breaching"
    of_targets(staging, colour, dimensions(found["Dimensions"]))


def test_a_description_tells_the_rollback_everything_and_fits(each):
    template = each.environment
    for properties in template.of("AWS::CloudWatch::Alarm").values():
        text, references = filled(properties["AlarmDescription"])
        description = json.loads(text)
        assert set(description) == {
            "meaning",
            "environment",
            "service",
            "colour",
            "listener",
            "test_listener",
            "blue",
            "green",
            "frontend",
        }
        assert description["environment"] == each.name
        assert f"-{description['service']}-{description['colour']}-" in properties["AlarmName"]
        assert set(description["frontend"]) == {"rule", "test_rule", "blue", "green"}
        assert len(description["meaning"]) < 120
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
        assert len(text) <= 1024
        expected = ("ListenerArn", "TestListenerArn", "BlueTargetGroupArn", "GreenTargetGroupArn")
        assert references == [template.outputs[output]["Value"]["Ref"] for output in expected]


def test_no_alarm_acts_by_itself(each):
    for properties in each.environment.of("AWS::CloudWatch::Alarm").values():
        assert "AlarmActions" not in properties


def test_the_dashboard_shows_every_alarm_and_both_colours(staging):
    text, _ = filled(staging.environment.one("AWS::CloudWatch::Dashboard")["DashboardBody"])
    body = json.loads(text)
    (alarms,) = (w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm")
    assert len(alarms) == 20
    titles = [w["properties"]["title"] for w in body["widgets"]]
    for wanted in ("p95 latency, s", "Requests per minute", "5xx answers per minute"):
        assert wanted in titles
    for widget in body["widgets"]:
        if widget["type"] == "metric":
            assert [line[-1]["label"] for line in widget["properties"]["metrics"]] == ["blue", "green"]


def filled(joined):
    """A joined text with each reference as an ARN of full length, and the references in order."""
    parts = joined["Fn::Join"][1]
    references = [part["Ref"] for part in parts if isinstance(part, dict) and "Ref" in part]
    return "".join(part if isinstance(part, str) else of_full_length(part) for part in parts), references


def of_full_length(reference):
    if "Fn::Select" in reference:
        number, split = reference["Fn::Select"]
        assert (number, split["Fn::Split"][0]) == (5, "/"), "the last part of a rule's ARN"
        return ARN.rpartition("/")[2]
    if reference.get("Fn::GetAtt", ["", ""])[1] == "TargetGroupFullName":
        return "targetgroup/cutover-production12345-ui-green/1234567890123456"
    return ARN
