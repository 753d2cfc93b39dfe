"""Reports by themselves, as installed: what asks for them, and what they may do."""

import json

from stacks.control.reports import SCHEDULED_TIME
from tests.infra.test_iam import role_named, statements


def resource(template, reference):
    return template.resources[reference["Fn::GetAtt"][0]]["Properties"]


def test_a_deployment_that_succeeded_is_heard_of_and_nothing_is_lost(each):
    rule = each.control.named("AWS::Events::Rule", "Name", each.names.named("reports"))
    assert rule["EventPattern"] == {"source": ["cutover"], "detail-type": ["DeploymentSucceeded"]}
    assert each.control.resources[rule["EventBusName"]["Ref"]]["Properties"]["Name"] == each.names.bus
    (target,) = rule["Targets"]
    assert resource(each.control, target["Arn"])["FunctionName"] == each.names.named("report")
    queue = resource(each.control, target["DeadLetterConfig"]["Arn"])
    assert queue["QueueName"] == each.names.named("reports-dead-letters")


def test_the_week_is_reported_on_every_monday_in_the_windows_zone(each):
    schedule = each.control.named("AWS::Scheduler::Schedule", "Name", each.names.named("weekly-report"))
    assert schedule["ScheduleExpression"] == "cron(0 9 ? * MON *)"
    assert schedule["ScheduleExpressionTimezone"] == each.configuration.window.zone
    asked = json.loads(schedule["Target"]["Input"])
    assert asked == {"action": "make", "kind": "weekly", "until": SCHEDULED_TIME}


def test_a_schedule_may_ask_this_function_and_no_other(each):
    role = each.control.named("AWS::IAM::Role", "RoleName", each.names.named("reports"))
    (statement,) = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["lambda:InvokeFunction"]
    (allowed,) = statement["Resource"]
    assert resource(each.control, allowed)["FunctionName"] == each.names.named("report")


def test_the_function_makes_schedules_in_its_own_group_with_that_role(each):
    group = each.control.named("AWS::Scheduler::ScheduleGroup", "Name", each.names.reports)
    assert each.names.reports_arn.endswith(f":schedule/{group['Name']}/*")
    own = {tuple(s["Action"]): s for s in statements(role_named(each, "report"))}
    assert own["scheduler:CreateSchedule",]["Resource"] == [each.names.reports_arn]
    passed = own["iam:PassRole",]
    assert passed["Resource"] == [each.names.role_arn("reports")]
    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}


def test_it_writes_reports_and_reads_the_rest(each):
    actions = {action for s in statements(role_named(each, "report")) for action in s["Action"]}
    assert not actions & {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
    (kept,) = [s for s in statements(role_named(each, "report")) if "s3:PutObject" in s["Action"]]
    assert kept["Resource"] == [f"arn:aws:s3:::{each.names.artifacts_bucket}/reports/*"]


def test_the_state_machine_knows_nothing_of_it(each):
    machine = each.control.named(
        "AWS::StepFunctions::StateMachine", "StateMachineName", each.names.named("deploy")
    )
    assert each.names.named("report") not in json.dumps(machine["DefinitionSubstitutions"])
