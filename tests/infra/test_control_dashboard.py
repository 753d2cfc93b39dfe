"""The control plane's dashboard shows only what somebody publishes."""

import json

from cutover.domain.embedded import LOCK_HELD, NAMESPACE
from cutover.domain.rollback_clock import INTERVALS
from stacks.control.dashboard import widgets

DORA = {"DeploymentsPerDay", "LeadTimeSeconds", "ChangeFailureRate", "TimeToRestoreSeconds"}
#: What AWS publishes of each: https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html,
#: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html and
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
PUBLISHED = {
    "AWS/States": {
        "ExecutionsStarted",
        "ExecutionsSucceeded",
        "ExecutionsFailed",
        "ExecutionsAborted",
        "ExecutionsTimedOut",
        "ExecutionTime",
    },
    "AWS/Lambda": {"Errors", "Throttles", "Duration"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
    NAMESPACE: {"Rollbacks", *INTERVALS, LOCK_HELD, *DORA},
}


def shown(each):
    (dashboard,) = (
        p
        for p in each.control.of("AWS::CloudWatch::Dashboard").values()
        if p["DashboardName"] == each.names.control_stack
    )
    body = dashboard["DashboardBody"]
    assert isinstance(body, str), "nothing in it is left to CloudFormation"
    return [metric for widget in json.loads(body)["widgets"] for metric in widget["properties"]["metrics"]]


def test_everything_shown_is_published(each):
    metrics = shown(each)
    assert {namespace: {m[1] for m in metrics if m[0] == namespace} for namespace in PUBLISHED} == PUBLISHED
    assert {m[0] for m in metrics} == set(PUBLISHED)


def test_everything_shown_is_of_something_in_the_templates(each):
    """A function, a queue or a state machine of another name would be an empty graph."""
    both = (each.control, each.environment)
    functions = {p["FunctionName"] for t in both for p in t.of("AWS::Lambda::Function").values()}
    queues = {p["QueueName"] for p in each.control.of("AWS::SQS::Queue").values()}
    machines = {p["StateMachineName"] for p in each.control.of("AWS::StepFunctions::StateMachine").values()}
    wanted = {
        "FunctionName": functions - {each.names.named("rotation")},
        "QueueName": queues,
        "StateMachineArn": {each.names.state_machine_arn},
        "Environment": {each.names.environment},
    }
    found = {}
    for _, _, dimension, value, _ in shown(each):
        found.setdefault(dimension, set()).add(value)
    assert found == wanted
    assert each.names.state_machine in machines


def test_no_two_graphs_lie_over_each_other(staging):
    places = [(w["x"], w["y"]) for w in widgets(staging.names, ("slack",))]
    assert len(set(places)) == len(places)
