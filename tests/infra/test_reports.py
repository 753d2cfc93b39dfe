"""Reports by themselves, as installed: what asks for them, and what they may do."""

import ast
import json
import re
import subprocess

from cutover.adapters.error_log import MOST_SPELLS
from stacks.control.reports import SCHEDULED_TIME
from stacks.environment.error_log import PATTERNS
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


def test_it_may_ask_the_instances_for_their_errors_and_for_nothing_else(each):
    asks = [s for s in statements(role_named(each, "report")) if "ssm:SendCommand" in s["Action"]]
    documents = {resource for s in asks if "Condition" not in s for resource in s["Resource"]}
    assert documents == {each.names.error_log_document_arn}
    (on,) = [s for s in asks if "Condition" in s]
    assert on["Condition"] == {
        "StringEquals": {"ssm:resourceTag/cutover-environment": [each.names.environment]}
    }


def test_the_document_admits_times_and_nothing_that_leaves_its_quotes(each):
    document = each.environment.named("AWS::SSM::Document", "Name", each.names.error_log_document)
    rule = document["Content"]["parameters"]["Spans"]["allowedPattern"]
    span = "2026-03-04T00:00:00.000Z/2026-03-05T09:00:00.000+09:00"
    assert re.search(rule, span)
    assert re.search(rule, ",".join([span] * MOST_SPELLS))
    for bad in ("", "now", f"{span}'", f"{span};id", f"{span}\n{span}", f"{span},"):
        assert not re.search(rule, bad), bad


def test_the_document_brings_the_grouping_that_the_command_has(each):
    document = each.environment.named("AWS::SSM::Document", "Name", each.names.error_log_document)
    (step,) = document["Content"]["mainSteps"]
    lines = step["inputs"]["runCommand"]
    assert f"export CONTAINERS='{each.configuration.backend.containers_per_instance}'" in lines
    printed = [line for line in lines if line.startswith(("export LOG_PATTERNS=", "export CONTAINERS="))]
    told = subprocess.run(
        ["bash", "-c", "\n".join([*printed, 'printf "%s" "$LOG_PATTERNS"'])], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
    assert told == PATTERNS.read_text(encoding="utf-8")


def test_the_grouping_runs_on_the_instances_python():
    """Ubuntu 22.04 has 3.10, whose standard library lacks `datetime.UTC` and reads no `Z`."""
    tree = ast.parse(PATTERNS.read_text(encoding="utf-8"), feature_version=(3, 10))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert names <= {"__future__", "collections.abc", "dataclasses", "datetime", "json", "re", "typing"}
    assert "UTC" not in {alias.name for node in imports for alias in node.names}


def test_the_state_machine_knows_nothing_of_it(each):
    machine = each.control.named(
        "AWS::StepFunctions::StateMachine", "StateMachineName", each.names.named("deploy")
    )
    assert each.names.named("report") not in json.dumps(machine["DefinitionSubstitutions"])
