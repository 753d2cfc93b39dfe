"""Metrics, alarms and messages of the emulator, with a CloudWatch minute of one second."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sandbox.settings import SandboxSettings
from sandbox.sinks import Mail, read_mail

WITHOUT = ("load_balancers", "autoscaling", "databases", "builds", "registry", "run_command")
RULE_PATTERN = {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"]}


@pytest.fixture(scope="module")
def compressed(emulator_with: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with emulator_with(tmp_path_factory.mktemp("alarms"), without=WITHOUT, minute_seconds=1.0) as running:
        yield running


class Publisher:
    """Publishes to a metric of a test's own."""

    def __init__(self, emulator: Any) -> None:
        self.client = emulator.client("cloudwatch")
        self.namespace = emulator.unique("Test")

    def put(self, name: str, value: float, **dimensions: str) -> None:
        self.client.put_metric_data(
            Namespace=self.namespace,
            MetricData=[{"MetricName": name, "Value": value, "Dimensions": self.dimensions(**dimensions)}],
        )

    @staticmethod
    def dimensions(**dimensions: str) -> list[dict[str, str]]:
        return [{"Name": name, "Value": value} for name, value in dimensions.items()]

    def stat(self, name: str, stat: str = "Sum", **dimensions: str) -> dict[str, Any]:
        return {
            "Metric": {
                "Namespace": self.namespace,
                "MetricName": name,
                "Dimensions": self.dimensions(**dimensions),
            },
            "Period": 60,
            "Stat": stat,
        }

    def keep_putting(self, until: Callable[[], Any], put: Callable[[], None], seconds: float = 20) -> Any:
        """Publish every tenth of a second until `until` has an answer."""
        deadline = time.monotonic() + seconds
        while not (found := until()):
            assert time.monotonic() < deadline, f"not seen within {seconds} s"
            put()
            time.sleep(0.1)
        return found


@pytest.fixture
def publisher(compressed: Any) -> Publisher:
    return Publisher(compressed)


class EventQueue:
    """An SQS queue that an EventBridge rule fills with the state changes of one alarm."""

    def __init__(self, emulator: Any, alarm: str) -> None:
        self.sqs = emulator.client("sqs")
        events = emulator.client("events")
        name = emulator.unique("events")
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        policy = emulator.policy(
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }
        )
        self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})
        pattern = {**RULE_PATTERN, "detail": {"alarmName": [alarm]}}
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        self.events: list[dict[str, Any]] = []

    def poll(self) -> list[dict[str, Any]]:
        """All events so far, in the order they came."""
        for message in self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get(
            "Messages", []
        ):
            self.events.append(json.loads(message["Body"]))
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self.events

    def event(self, state: str) -> dict[str, Any] | None:
        return next((each for each in self.poll() if each["detail"]["state"]["value"] == state), None)


def state_of(client: Any, name: str) -> str:
    state: str = client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]
    return state


def test_a_breaching_metric_puts_its_alarm_into_alarm_and_the_event_reaches_the_rules_target(
    compressed: Any, publisher: Publisher
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
    name = compressed.unique("errors")
    queue = EventQueue(compressed, name)
    publisher.client.put_metric_alarm(
        AlarmName=name,
        AlarmDescription="too many errors",
        Namespace=publisher.namespace,
        MetricName="Errors",
        Dimensions=publisher.dimensions(Colour="blue"),
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    event = publisher.keep_putting(
        lambda: queue.event("ALARM"), lambda: publisher.put("Errors", 1, Colour="blue")
    )
    assert event["source"] == "aws.cloudwatch"
    assert event["resources"] == [f"arn:aws:cloudwatch:ap-northeast-2:123456789012:alarm:{name}"]
    detail = event["detail"]
    assert detail["alarmName"] == name
    assert detail["state"]["value"] == "ALARM"
    assert "were greater than the threshold (0.0)" in detail["state"]["reason"]
    assert detail["previousState"]["value"] in {"OK", "INSUFFICIENT_DATA"}
    assert detail["previousState"]["reason"]
    reason_data = json.loads(detail["state"]["reasonData"])
    assert reason_data["threshold"] == 0.0
    assert reason_data["statistic"] == "Sum"
    assert reason_data["period"] == 60
    assert sum(value > 0 for value in reason_data["recentDatapoints"]) >= 2
    assert detail["configuration"]["description"] == "too many errors"
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"]["metric"] == {
        "namespace": publisher.namespace,
        "name": "Errors",
        "dimensions": {"Colour": "blue"},
    }
    assert (metric["metricStat"]["period"], metric["metricStat"]["stat"]) == (60, "Sum")
    assert metric["returnData"] is True

    # The data has ended: filled in as not breaching, the alarm goes back to OK.
    calm = compressed.wait_for(
        lambda: next(
            (
                e
                for e in queue.poll()
                if e["time"] >= event["time"] and e["detail"]["previousState"]["value"] == "ALARM"
            ),
            None,
        ),
        what="the OK event",
    )
    assert calm["detail"]["state"]["value"] == "OK"
    assert calm["detail"]["previousState"]["reason"] == detail["state"]["reason"]


def test_an_alarm_hears_the_metric_of_exactly_its_dimensions(compressed: Any, publisher: Publisher) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Dimension"""
    for colour in ("blue", "green"):
        publisher.client.put_metric_alarm(
            AlarmName=f"{publisher.namespace}-{colour}",
            Namespace=publisher.namespace,
            MetricName="Errors",
            Dimensions=publisher.dimensions(Colour=colour),
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
        )

    def put() -> None:
        publisher.put("Errors", 5, Colour="blue")
        publisher.put("Errors", 0, Colour="green")

    blue, green = f"{publisher.namespace}-blue", f"{publisher.namespace}-green"
    publisher.keep_putting(
        lambda: state_of(publisher.client, blue) == "ALARM" and state_of(publisher.client, green) == "OK", put
    )
    for_metric = publisher.client.describe_alarms_for_metric(
        Namespace=publisher.namespace, MetricName="Errors", Dimensions=publisher.dimensions(Colour="blue")
    )
    assert [each["AlarmName"] for each in for_metric["MetricAlarms"]] == [blue]
    history = publisher.client.describe_alarm_history(AlarmName=green)["AlarmHistoryItems"]
    assert not any("to ALARM" in each["HistorySummary"] for each in history)


def test_an_alarm_on_metric_math_keeps_its_metrics_and_goes_by_their_ratio(
    compressed: Any, publisher: Publisher
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html (Metrics)"""
    name = compressed.unique("ratio")
    metrics = [
        {"Id": "errors", "MetricStat": publisher.stat("Errors"), "ReturnData": False},
        {"Id": "requests", "MetricStat": publisher.stat("Requests"), "ReturnData": False},
        {
            "Id": "share",
            "Expression": "100 * FILL(errors, 0) / requests",
            "Label": "share",
            "ReturnData": True,
        },
    ]
    publisher.client.put_metric_alarm(
        AlarmName=name,
        Metrics=metrics,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    stored = publisher.client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    assert [each["Id"] for each in stored["Metrics"]] == ["errors", "requests", "share"]
    assert stored["Metrics"][2]["Expression"] == "100 * FILL(errors, 0) / requests"
    assert stored["Metrics"][0]["MetricStat"]["Metric"]["MetricName"] == "Errors"
    assert not stored.get("MetricName")

    queue = EventQueue(compressed, name)
    publisher.keep_putting(
        lambda: state_of(publisher.client, name) == "OK", lambda: publisher.put("Requests", 100)
    )

    def fail() -> None:
        publisher.put("Requests", 100)
        publisher.put("Errors", 20)

    event = publisher.keep_putting(lambda: queue.event("ALARM"), fail)
    queries = event["detail"]["configuration"]["metrics"]
    assert [each["id"] for each in queries] == ["errors", "requests", "share"]
    assert queries[2]["expression"] == "100 * FILL(errors, 0) / requests"
    assert [each["returnData"] for each in queries] == [False, False, True]


def test_metric_data_answers_math_percentiles_and_the_exact_dimensions(publisher: Publisher) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""
    moment = datetime.now(UTC).replace(microsecond=500_000) - timedelta(seconds=3)
    publisher.client.put_metric_data(
        Namespace=publisher.namespace,
        MetricData=[
            {
                "MetricName": "Latency",
                "Timestamp": moment,
                "Values": [float(value) for value in range(1, 101)],
                "Dimensions": publisher.dimensions(Colour="green"),
            },
            {"MetricName": "Latency", "Timestamp": moment, "Value": 9999},
            {"MetricName": "Errors", "Timestamp": moment, "Values": [1.0], "Counts": [5.0]},
            {
                "MetricName": "Requests",
                "Timestamp": moment,
                "StatisticValues": {"SampleCount": 10, "Sum": 50, "Minimum": 1, "Maximum": 20},
            },
        ],
    )
    answer = publisher.client.get_metric_data(
        StartTime=moment - timedelta(seconds=2),
        EndTime=moment + timedelta(seconds=2),
        MetricDataQueries=[
            {"Id": "p95", "MetricStat": publisher.stat("Latency", "p95", Colour="green")},
            {"Id": "errors", "MetricStat": publisher.stat("Errors"), "ReturnData": False},
            {"Id": "requests", "MetricStat": publisher.stat("Requests"), "ReturnData": False},
            {"Id": "share", "Expression": "errors / requests"},
            {"Id": "filled", "Expression": "FILL(errors, 0)"},
            {"Id": "none", "MetricStat": publisher.stat("Latency", "p95", Colour="blue")},
        ],
    )
    found = {each["Id"]: each for each in answer["MetricDataResults"]}
    assert set(found) == {"p95", "share", "filled", "none"}
    assert found["p95"]["Values"] == pytest.approx([95.05])
    assert found["share"]["Values"] == [0.1]
    assert found["share"]["Timestamps"][0].timestamp() == moment.timestamp() // 1
    assert found["filled"]["Values"].count(0.0) == len(found["filled"]["Values"]) - 1 > 0
    assert found["filled"]["Timestamps"] == sorted(found["filled"]["Timestamps"], reverse=True)
    assert found["none"]["Values"] == []

    points = publisher.client.get_metric_statistics(
        Namespace=publisher.namespace,
        MetricName="Latency",
        Dimensions=publisher.dimensions(Colour="green"),
        StartTime=moment - timedelta(seconds=2),
        EndTime=moment + timedelta(seconds=2),
        Period=60,
        Statistics=["Maximum", "SampleCount"],
        ExtendedStatistics=["p50"],
    )["Datapoints"]
    assert [(each["Maximum"], each["SampleCount"], each["ExtendedStatistics"]["p50"]) for each in points] == [
        (100.0, 100.0, 50.5)
    ]


def test_a_query_that_cannot_be_answered_is_an_error_and_never_silence(publisher: Publisher) -> None:
    now = datetime.now(UTC)

    def ask(expression: str) -> None:
        publisher.client.get_metric_data(
            StartTime=now - timedelta(seconds=5),
            EndTime=now,
            MetricDataQueries=[
                {"Id": "m1", "MetricStat": publisher.stat("Errors"), "ReturnData": False},
                {"Id": "e1", "Expression": expression},
            ],
        )

    for expression, told in (("SEARCH(m1, 1)", "SEARCH"), ("m1 + nothing", "nothing"), ("m1 +", "m1 +")):
        with pytest.raises(ClientError, match="ValidationError") as refused:
            ask(expression)
        assert told in refused.value.response["Error"]["Message"]
    with pytest.raises(ClientError, match="single time series"):
        ask("SUM(m1)")


@pytest.mark.parametrize(
    ("datum", "told"),
    [
        ({}, "exactly one of Value, Values and StatisticValues"),
        ({"Value": float("nan")}, "NaN"),
        ({"Values": [1.0, 2.0], "Counts": [1.0]}, "same size"),
    ],
)
def test_data_that_cannot_be_kept_is_refused(publisher: Publisher, datum: dict[str, Any], told: str) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html"""
    with pytest.raises(ClientError, match="InvalidParameterValue") as refused:
        publisher.client.put_metric_data(
            Namespace=publisher.namespace, MetricData=[{"MetricName": "Errors", **datum}]
        )
    assert told in refused.value.response["Error"]["Message"]


def test_set_alarm_state_sends_the_event_and_lasts_until_the_next_evaluation(
    compressed: Any, publisher: Publisher
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html"""
    name = compressed.unique("by-hand")
    queue = EventQueue(compressed, name)
    topic = compressed.client("sns").create_topic(Name=name)["TopicArn"]
    compressed.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
    publisher.client.put_metric_alarm(
        AlarmName=name,
        Namespace=publisher.namespace,
        MetricName="Nothing",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[topic],
    )
    compressed.wait_for(lambda: queue.event("OK"), what="the first evaluation")
    publisher.client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    event = compressed.wait_for(lambda: queue.event("ALARM"), what="the ALARM event")
    assert event["detail"]["state"]["reason"] == "a drill"
    assert event["detail"]["previousState"]["value"] == "OK"
    assert "reasonData" not in event["detail"]["state"]
    compressed.wait_for(
        lambda: [each["detail"]["state"]["value"] for each in queue.poll()].count("OK") == 2, what="OK again"
    )

    def alarm_mail() -> list[Mail]:
        return [each for each in read_mail(compressed.settings.root) if each.topic == topic]

    (mail,) = compressed.wait_for(alarm_mail, what="the action's e-mail")
    assert mail.to == ["ops@example.com"]
    assert mail.subject == f'ALARM: "{name}" in ap-northeast-2'
    message = json.loads(mail.text)
    assert (message["OldStateValue"], message["NewStateValue"]) == ("OK", "ALARM")
    assert message["Trigger"]["MetricName"] == "Nothing"


def test_an_alarm_invokes_a_function_that_lets_it(compressed: Any, publisher: Publisher) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html"""
    table = compressed.unique("heard")
    compressed.client("sqs").create_queue(QueueName=table)
    role = compressed.role("lambda.amazonaws.com", compressed.allow("sqs:*", "logs:*"))
    code = (
        "import boto3, json, os\n"
        "def handler(event, context):\n"
        "    sqs = boto3.client('sqs')\n"
        f"    url = sqs.get_queue_url(QueueName='{table}')['QueueUrl']\n"
        "    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))\n"
    )
    allowed, refused = compressed.function(code, role), compressed.function(code, role)
    name = compressed.unique("action")
    arn = f"arn:aws:cloudwatch:ap-northeast-2:123456789012:alarm:{name}"
    compressed.client("lambda").add_permission(
        FunctionName=allowed,
        StatementId="alarm",
        Action="lambda:InvokeFunction",
        Principal="lambda.alarms.cloudwatch.amazonaws.com",
        SourceArn=arn,
    )
    publisher.client.put_metric_alarm(
        AlarmName=name,
        Namespace=publisher.namespace,
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        AlarmActions=[refused, allowed],
    )
    sqs = compressed.client("sqs")
    url = sqs.get_queue_url(QueueName=table)["QueueUrl"]
    messages = publisher.keep_putting(
        lambda: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"),
        lambda: publisher.put("Errors", 1),
    )
    (event,) = [json.loads(each["Body"]) for each in messages]
    assert event["alarmArn"] == arn
    assert event["alarmData"]["state"]["value"] == "ALARM"


def test_an_alarm_that_cannot_be_evaluated_is_refused(publisher: Publisher) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""

    def put(**members: Any) -> None:
        base = {
            "AlarmName": "refused",
            "EvaluationPeriods": 2,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        publisher.client.put_metric_alarm(**{**base, **members})

    single = {"Namespace": "N", "MetricName": "M", "Statistic": "Sum", "Period": 60}
    for members, told in (
        ({**single, "DatapointsToAlarm": 3}, "DatapointsToAlarm 3"),
        ({**single, "Period": 90}, "Period 90"),
        ({**single, "TreatMissingData": "bad"}, "TreatMissingData 'bad'"),
        ({**single, "AlarmDescription": "x" * 1025}, "AlarmDescription has 1025 characters"),
        ({"Metrics": [{"Id": "e1", "Expression": "m9 / 2"}]}, "m9"),
        ({}, "MetricName is missing"),
    ):
        with pytest.raises(ClientError, match="ValidationError") as refused:
            put(**members)
        assert told in refused.value.response["Error"]["Message"]


def test_a_template_makes_an_alarm_on_metric_math(compressed: Any, publisher: Publisher) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cloudwatch-alarm.html"""
    formation, name = compressed.client("cloudformation"), compressed.unique("stack")
    properties = {
        "AlarmName": name,
        "EvaluationPeriods": "1",
        "Threshold": "5",
        "ComparisonOperator": "GreaterThanThreshold",
        "Metrics": [
            {"Id": "m1", "MetricStat": publisher.stat("Errors"), "ReturnData": "false"},
            {"Id": "e1", "Expression": "m1 * 2", "ReturnData": "true"},
        ],
    }
    template = {"Resources": {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}}}
    formation.create_stack(StackName=name, TemplateBody=json.dumps(template))

    def status() -> str:
        found: str = formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return found

    compressed.wait_for(lambda: status().endswith("_COMPLETE"), what="the stack")
    assert status() == "CREATE_COMPLETE"
    alarm = publisher.client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    assert [each["Id"] for each in alarm["Metrics"]] == ["m1", "e1"]
    assert [each["ReturnData"] for each in alarm["Metrics"]] == [False, True]
    publisher.keep_putting(
        lambda: state_of(publisher.client, name) == "ALARM", lambda: publisher.put("Errors", 3)
    )


def test_a_composite_alarm_follows_its_children_and_sends_its_event(
    compressed: Any, publisher: Publisher
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
    child, parent = compressed.unique("child"), compressed.unique("parent")
    queue = EventQueue(compressed, parent)
    publisher.client.put_metric_alarm(
        AlarmName=child,
        Namespace=publisher.namespace,
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    publisher.client.put_composite_alarm(AlarmName=parent, AlarmRule=f"ALARM({child})")
    event = publisher.keep_putting(lambda: queue.event("ALARM"), lambda: publisher.put("Errors", 1))
    assert event["detail"]["configuration"] == {"alarmRule": f"ALARM({child})"}
    assert child in event["detail"]["state"]["reason"]
    assert child in event["detail"]["state"]["reasonData"]


def test_the_query_protocol_tells_the_same_as_the_others(compressed: Any, publisher: Publisher) -> None:
    """https://smithy.io/2.0/aws/protocols/aws-query-protocol.html (Step Functions speaks it)"""
    name, namespace = compressed.unique("query"), publisher.namespace
    metric = "Metrics.member.1.MetricStat.Metric"
    query_api(
        compressed,
        "PutMetricAlarm",
        {
            "AlarmName": name,
            "EvaluationPeriods": "2",
            "DatapointsToAlarm": "1",
            "Threshold": "0.5",
            "ComparisonOperator": "GreaterThanThreshold",
            "Metrics.member.1.Id": "m1",
            f"{metric}.Namespace": namespace,
            f"{metric}.MetricName": "Errors",
            f"{metric}.Dimensions.member.1.Name": "Colour",
            f"{metric}.Dimensions.member.1.Value": "blue",
            "Metrics.member.1.MetricStat.Period": "60",
            "Metrics.member.1.MetricStat.Stat": "Sum",
            "Metrics.member.1.ReturnData": "false",
            "Metrics.member.2.Id": "e1",
            "Metrics.member.2.Expression": "m1 * 2",
        },
    )
    stored = publisher.client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    assert (stored["EvaluationPeriods"], stored["DatapointsToAlarm"], stored["Threshold"]) == (2, 1, 0.5)
    described = query_api(compressed, "DescribeAlarms", {"AlarmNames.member.1": name})
    assert described.findtext(".//Metrics/member[2]/Expression") == "m1 * 2"
    assert described.findtext(".//Metrics/member[1]/ReturnData") == "false"
    assert described.findtext(".//Metrics/member[1]//Dimensions/member/Value") == "blue"
    moment = datetime.fromisoformat(described.findtext(".//StateUpdatedTimestamp") or "")
    assert abs((moment - stored["StateUpdatedTimestamp"]).total_seconds()) < 60

    query_api(
        compressed,
        "PutMetricData",
        {
            "Namespace": namespace,
            "MetricData.member.1.MetricName": "Errors",
            "MetricData.member.1.Values.member.1": "2",
            "MetricData.member.1.Counts.member.1": "3",
            "MetricData.member.1.Dimensions.member.1.Name": "Colour",
            "MetricData.member.1.Dimensions.member.1.Value": "blue",
        },
    )
    now = datetime.now(UTC)
    span = {
        "StartTime": (now - timedelta(seconds=30)).isoformat(),
        "EndTime": (now + timedelta(seconds=5)).isoformat(),
    }
    metric = "MetricDataQueries.member.1.MetricStat.Metric"
    data = query_api(
        compressed,
        "GetMetricData",
        {
            **span,
            "MetricDataQueries.member.1.Id": "m1",
            f"{metric}.Namespace": namespace,
            f"{metric}.MetricName": "Errors",
            f"{metric}.Dimensions.member.1.Name": "Colour",
            f"{metric}.Dimensions.member.1.Value": "blue",
            "MetricDataQueries.member.1.MetricStat.Period": "60",
            "MetricDataQueries.member.1.MetricStat.Stat": "Sum",
        },
    )
    assert [each.text for each in data.findall(".//Values/member")] == ["6.0"]


def query_api(emulator: Any, action: str, fields: dict[str, str]) -> ElementTree.Element:
    """Call CloudWatch in the Query protocol; its answer with the namespaces taken off."""
    form = urllib.parse.urlencode({"Action": action, "Version": "2010-08-01", **fields})
    request = AWSRequest(
        "POST",
        emulator.settings.endpoint_url,
        data=form,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    SigV4Auth(
        Credentials(emulator.settings.account, "test"), "monitoring", emulator.settings.region
    ).add_auth(request)
    plain = urllib.request.Request(request.url, data=form.encode(), headers=dict(request.headers.items()))
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(plain, timeout=10) as answer:
        tree = ElementTree.fromstring(answer.read())
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2]
    return tree


def test_mail_of_both_versions_of_ses_lands_in_the_sink(compressed: Any) -> None:
    """https://docs.aws.amazon.com/ses/latest/dg/send-email-api.html"""
    settings: SandboxSettings = compressed.settings
    compressed.client("ses").verify_email_identity(EmailAddress="ops@example.com")
    compressed.client("ses").send_email(
        Source="ops@example.com",
        Destination={"ToAddresses": ["one@example.com"]},
        Message={"Subject": {"Data": "first"}, "Body": {"Text": {"Data": "hello"}}},
    )
    compressed.client("sesv2").send_email(
        FromEmailAddress="ops@example.com",
        Destination={"ToAddresses": ["two@example.com"], "CcAddresses": ["three@example.com"]},
        Content={"Simple": {"Subject": {"Data": "second"}, "Body": {"Html": {"Data": "<b>hello</b>"}}}},
    )
    headers = ("From: ops@example.com", "To: four@example.com", "Subject: third", "Content-Type: text/plain")
    raw = "\r\n".join([*headers, "", "raw hello"])
    compressed.client("ses").send_raw_email(RawMessage={"Data": raw.encode()})
    mail = {each.subject: each for each in read_mail(settings.root) if each.service == "ses"}
    assert (mail["first"].to, mail["first"].text) == (["one@example.com"], "hello")
    assert (mail["second"].cc, mail["second"].html) == (["three@example.com"], "<b>hello</b>")
    assert mail["third"].to == ["four@example.com"]
    assert "raw hello" in mail["third"].text
    assert all(each.sender == "ops@example.com" for each in mail.values())


def test_text_messages_by_topic_and_by_number_land_in_the_sink(compressed: Any) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-mobile-phone-number-as-subscriber.html"""
    sns = compressed.client("sns")
    topic = sns.create_topic(Name=compressed.unique("urgent"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+821000000001")
    sns.publish(TopicArn=topic, Message="rolled back")
    sns.publish(PhoneNumber="+821000000002", Message="rolled back too")
    texts = [each for each in read_mail(compressed.settings.root) if each.kind == "sms"]
    assert [(each.to, each.text) for each in texts] == [
        (["+821000000001"], "rolled back"),
        (["+821000000002"], "rolled back too"),
    ]
