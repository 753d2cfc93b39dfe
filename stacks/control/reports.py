"""Reports by themselves (requirements F1, F3, F4): a function, what asks it, and the schedules that it makes.

A deployment that has succeeded is heard of on the bus; the function then makes two one-time schedules for
itself, after the release's first hour and first day. Every Monday morning asks for the week's. The state
machine knows nothing of all this.
"""

import json

from aws_cdk import aws_events as events
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from config.model import Configuration
from stacks.constructs.function import Code, Function, FunctionSpec, make_function
from stacks.constructs.policy import Statement, role
from stacks.control.commands import send_command
from stacks.control.events import dead_letters, dead_letters_queue, may_invoke, retries
from stacks.naming import Names

HEARD = ("DeploymentSucceeded",)
#: Monday at nine, in the window's zone: the week that has ended is on the table.
WEEKLY = "cron(0 9 ? * MON *)"
#: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
RULE = "reports"


def reports(
    scope: Construct, names: Names, configuration: Configuration, code: Code, bus: events.CfnEventBus
) -> Function:
    """Make all of it."""
    here = Construct(scope, "Reports")
    function = make_function(here, names, _spec(names), code)
    _hears(here, names, bus, function)
    its_role = role(
        here,
        names,
        "reports",
        service="scheduler.amazonaws.com",
        purpose="Asks for a report when its time has passed",
        statements=[Statement(["lambda:InvokeFunction"], [function.arn])],
    )
    scheduler.CfnScheduleGroup(here, "Group", name=names.reports)
    scheduler.CfnSchedule(
        here,
        "Weekly",
        name=names.named("weekly-report"),
        description="Reports on the week",
        state="ENABLED",
        schedule_expression=WEEKLY,
        schedule_expression_timezone=configuration.window.zone,
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=function.arn,
            role_arn=its_role.attr_arn,
            input=json.dumps({"action": "make", "kind": "weekly", "until": SCHEDULED_TIME}),
        ),
    )
    return function


def _spec(names: Names) -> FunctionSpec:
    bucket = f"arn:aws:s3:::{names.artifacts_bucket}"
    return FunctionSpec(
        name="report",
        purpose="Reports on a release's first hour, its first day and every week",
        timeout_seconds=120,
        # A day's points and their pictures; it runs a few times a week.
        memory_mb=1024,
        statements=[
            Statement(
                ["dynamodb:GetItem", "dynamodb:Query"], [names.arn("dynamodb", f"table/{names.journal}")]
            ),
            Statement(["cloudwatch:GetMetricData"]),
            Statement(["ssm:GetParameter"], [names.arn("ssm", f"parameter{names.parameter}")]),
            Statement(["s3:GetObject", "s3:PutObject"], [f"{bucket}/reports/*"]),
            # Without it, an object that is not there answers 403 instead of 404.
            Statement(["s3:ListBucket"], [bucket]),
            Statement(["events:PutEvents"], [names.arn("events", f"event-bus/{names.bus}")]),
            # What the errors were, the instances say.
            Statement(["autoscaling:DescribeAutoScalingGroups", "ssm:GetCommandInvocation"]),
            *send_command(names, [names.error_log_document_arn]),
            Statement(["scheduler:CreateSchedule"], [names.reports_arn]),
            Statement(
                ["iam:PassRole"],
                [names.role_arn("reports")],
                {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
            ),
            dead_letters(names, RULE),
        ],
        environment={
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
            "CONFIGURATION_PARAMETER": names.parameter,
            "SCHEDULE_GROUP": names.reports,
            "SCHEDULE_ROLE_ARN": names.role_arn("reports"),
            "FUNCTION_ARN": names.function_arn("report"),
            "ERROR_LOG_DOCUMENT": names.error_log_document,
        },
    )


def _hears(here: Construct, names: Names, bus: events.CfnEventBus, function: Function) -> None:
    """Nothing waits for it; what fails for good lies in a queue."""
    queue = dead_letters_queue(here, names, RULE, names.bus)
    events.CfnRule(
        here,
        "Rule",
        name=names.named(RULE),
        description="A release that has come to stay is reported on",
        state="ENABLED",
        event_bus_name=bus.ref,
        event_pattern={"source": ["cutover"], "detail-type": list(HEARD)},
        targets=[
            events.CfnRule.TargetProperty(
                id="report",
                arn=function.arn,
                dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=queue.attr_arn),
            )
        ],
    )
    may_invoke(here, names, function, RULE, names.bus)
    retries(here, function, queue)
