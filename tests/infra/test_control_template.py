"""The control plane's template: the contract with the functions, the state machine and the console."""

import json
import os
import re
import subprocess

import aws_cdk as cdk
import pytest
import yaml

from config.model import Nightly, Window
from cutover.domain.input import Mode, read_input
from cutover.domain.nightly import decide_night
from stacks.constructs.state_machine import placeholders, state_machine
from stacks.control import events
from stacks.control.build import BUILDSPEC
from stacks.control.stack import DEFINITION
from stacks.control.templates import EnvironmentTemplate, publish
from stacks.naming import CONTROL_FUNCTIONS, ENVIRONMENT_FUNCTIONS, PEOPLE_FUNCTIONS, TEMPLATES, Names

EVERYWHERE = {
    "CUTOVER_ENVIRONMENT",
    "JOURNAL_TABLE",
    "EVENT_BUS",
    "LOG_LEVEL",
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
}
REPOSITORIES = {"REPOSITORY", "REPOSITORY_URI", "FRONTEND_REPOSITORY", "FRONTEND_REPOSITORY_URI"}
VARIABLES = {
    "journal": {"CONFIGURATION_PARAMETER", "ARTIFACTS_BUCKET"},
    "provision": {"TEMPLATES", "SERVICE_ROLE_ARN", "CODE_BUCKET", "CODE_KEY", "LAYER_ARN", "BUCKETS"},
    "plan": {
        "TEMPLATES",
        "REPOSITORY",
        "FRONTEND_REPOSITORY",
        "ARTIFACTS_BUCKET",
        "DATABASE_FUNCTION",
        "CODE_KEY",
        "LAYER_ARN",
    },
    "release": {"RELEASE_DOCUMENT", "FRONTEND_RELEASE_DOCUMENT", "ARTIFACTS_BUCKET", *REPOSITORIES},
    "observe": {"DASHBOARD", "BUCKETS", "ARTIFACTS_BUCKET"},
    "swap": set(),
    "drift": {"TEMPLATES"},
    "rollback": {
        "RELEASE_DOCUMENT",
        "CONTRACTION_GROUP",
        "STATE_MACHINE_ARN",
        "PROBE_FUNCTION",
        "FRONTEND_RELEASE_DOCUMENT",
        *REPOSITORIES,
    },
    "approval": set(),
    "evidence": {"ARTIFACTS_BUCKET"},
    "report": {
        "ARTIFACTS_BUCKET",
        "CONFIGURATION_PARAMETER",
        "SCHEDULE_GROUP",
        "SCHEDULE_ROLE_ARN",
        "FUNCTION_ARN",
        "ERROR_LOG_DOCUMENT",
    },
    "notify": {"NOTIFICATIONS_PARAMETER", "SECRETS_PREFIX", "TOPIC_ARN", "ARTIFACTS_BUCKET"},
    "status": {"CONFIGURATION_PARAMETER"},
    "announce": {"CONFIGURATION_PARAMETER"},
}
IN_ENVIRONMENT = {
    "database": {
        "ADMIN_SECRET",
        "APPLICATION_SECRET",
        "SMOKE_SECRET",
        "ARTIFACTS_BUCKET",
        "DATABASE_ENDPOINT",
        "DATABASE_PORT",
        "DATABASE_NAME",
    },
    "rotation": {
        "ADMIN_SECRET",
        "APPLICATION_SECRET",
        "DATABASE_ENDPOINT",
        "DATABASE_PORT",
        "DATABASE_NAME",
    },
    "probe": {
        "SMOKE_SECRET",
        "JWT_SECRET",
        "LOAD_BALANCER_DNS",
        "DOMAIN",
        "FRONTEND_DOMAIN",
        "TEST_LISTENER_PORT",
        "LISTENER_PORT",
    },
    "load": {"SMOKE_SECRET", "LOAD_BALANCER_DNS", "DOMAIN", "TEST_LISTENER_PORT", "LISTENER_PORT"},
}


CONTRACTION = {
    "ContractionMachine": "AWS::StepFunctions::StateMachine",
    "ContractionGroup": "AWS::Scheduler::ScheduleGroup",
    "ContractionRole": "AWS::IAM::Role",
}


def function(template, names, name):
    return template.named("AWS::Lambda::Function", "FunctionName", names.named(name))


@pytest.mark.parametrize("name", [*VARIABLES, *IN_ENVIRONMENT])
def test_a_function_gets_the_variables_of_its_contract(each, name):
    template = each.control if name in VARIABLES else each.environment
    found = function(template, each.names, name)
    variables = found["Environment"]["Variables"]
    assert set(variables) == EVERYWHERE | {**VARIABLES, **IN_ENVIRONMENT}[name]
    assert found["Handler"] == f"cutover.handlers.{name}.handler"
    assert found["Runtime"] == "python3.12"


def test_every_function_writes_to_a_log_group_that_ends(each):
    for template in (each.control, each.environment):
        groups = {
            g["LogGroupName"]: g["RetentionInDays"] for g in template.of("AWS::Logs::LogGroup").values()
        }
        for found in template.of("AWS::Lambda::Function").values():
            assert groups[found["LoggingConfig"]["LogGroup"]] == 30


def test_the_rollbacks_cold_start_is_kept_short(each):
    found = function(each.control, each.names, "rollback")
    assert 1024 <= found["MemorySize"] <= 1769
    assert "Layers" not in found
    assert found["TracingConfig"] == {"Mode": "PassThrough"}


def test_the_other_functions_are_traced_and_have_the_libraries(each):
    for name in CONTROL_FUNCTIONS:
        if name != "rollback":
            found = function(each.control, each.names, name)
            assert found["TracingConfig"] == {"Mode": "Active"}
            assert len(found["Layers"]) == 1


def test_a_task_of_the_state_machine_ends_no_later_than_its_function(each):
    """Where the function's own limit is longer, the state machine's holds; where shorter, an error says so."""
    limits = {}
    for template in (each.control, each.environment):
        for found in template.of("AWS::Lambda::Function").values():
            limits[found["FunctionName"].rpartition("-")[2]] = found["Timeout"]
    assert limits["provision"] <= 120
    assert limits["rollback"] <= 120
    assert limits["database"] <= 900
    assert limits["load"] <= 900


def test_every_placeholder_of_the_definition_is_filled(each):
    machine = each.control.named(
        "AWS::StepFunctions::StateMachine", "StateMachineName", each.names.named("deploy")
    )
    assert placeholders(DEFINITION.read_text()) == set(machine["DefinitionSubstitutions"])
    assert machine["DefinitionString"] == DEFINITION.read_text()
    for name, value in machine["DefinitionSubstitutions"].items():
        if name in ("DatabaseFunction", "ProbeFunction", "LoadFunction"):
            suffix = name.removesuffix("Function").lower()
            assert value == each.names.function_arn(suffix)
        elif name.startswith("Contraction"):
            target = each.control.type_of(value.get("Ref") or value["Fn::GetAtt"][0])
            assert target == CONTRACTION[name]
        elif name.startswith("FrontendRepository"):
            assert value.endswith(each.names.named("frontend"))
        elif name == "DrillMachine":
            drill = each.control.resources[value["Ref"]]["Properties"]
            assert drill["StateMachineName"] == each.names.named("drill")
        elif name == "BuildProject":
            assert value == each.control.one("AWS::CodeBuild::Project")["Name"]
        elif name == "ScanProject":
            assert value == each.environment.one("AWS::CodeBuild::Project")["Name"]
        else:
            target = each.control.resources[value["Fn::GetAtt"][0]]["Properties"]
            assert target["FunctionName"] == each.names.named(name.removesuffix("Function").lower())


def test_a_placeholder_that_nothing_fills_is_refused_at_synthesis(tmp_path, staging):
    definition = tmp_path / "definition.json"
    definition.write_text('{"Resource": "${Nobody}"}')
    with pytest.raises(ValueError, match=r"not filled: \['Nobody'\]"):
        state_machine(
            None, staging.names, "x", definition=definition, substitutions={}, statements=[], purpose=""
        )


def test_the_state_machine_logs_everything_and_is_traced(staging):
    machine = staging.control.named(
        "AWS::StepFunctions::StateMachine", "StateMachineName", "cutover-staging-deploy"
    )
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is True
    assert machine["TracingConfiguration"] == {"Enabled": True}


def test_the_state_machine_calls_its_functions_and_the_build_and_nothing_else(staging):
    role = staging.control.named("AWS::IAM::Role", "RoleName", "cutover-staging-deploy-machine")
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    (invoke,) = (s for s in statements if s["Action"] == ["lambda:InvokeFunction"])
    # All but the evidence function, which hears the bus.
    assert len(invoke["Resource"]) == len(CONTROL_FUNCTIONS) - 1 + len(ENVIRONMENT_FUNCTIONS)
    assert not any("evidence" in json.dumps(resource).lower() for resource in invoke["Resource"])
    (build,) = (s for s in statements if "codebuild:StartBuild" in s["Action"])
    assert build["Action"] == ["codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"]
    projects = [each.rpartition("/")[2] for each in build["Resource"]]
    assert projects == ["cutover-staging-build", "cutover-staging-scan"]
    (rule,) = (s for s in statements if "events:PutRule" in s["Action"])
    assert rule["Resource"][0].endswith("rule/StepFunctionsGetEventForCodeBuildStartBuildRule")


def test_an_alarm_of_this_environment_reaches_the_rollback(each):
    template = each.control
    rule = template.named("AWS::Events::Rule", "Name", each.names.named("alarm"))
    assert "EventBusName" not in rule, "CloudWatch tells the default bus"
    assert rule["EventPattern"] == {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {
            "alarmName": [
                {"prefix": f"cutover-{each.name}-{service}-"} for service in ("backend", "frontend")
            ],
            "state": {"value": ["ALARM"]},
        },
    }
    (target,) = rule["Targets"]
    assert template.resources[target["Arn"]["Fn::GetAtt"][0]]["Properties"][
        "FunctionName"
    ] == each.names.named("rollback")
    assert template.type_of(target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]) == "AWS::SQS::Queue"
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert each.names.arn("events", f"rule/{rule['Name']}") in permitted(template, target)


def test_an_execution_that_ends_other_than_well_reaches_the_rollback(each):
    template = each.control
    rule = template.named("AWS::Events::Rule", "Name", each.names.named("ended"))
    assert "EventBusName" not in rule, "Step Functions tells the default bus"
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": [each.names.state_machine_arn, each.names.drill_machine_arn],
            "status": ["FAILED", "TIMED_OUT", "ABORTED"],
        },
    }
    (target,) = rule["Targets"]
    assert target["Arn"]["Fn::GetAtt"][0] in template.resources
    assert template.type_of(target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]) == "AWS::SQS::Queue"
    assert each.names.arn("events", f"rule/{rule['Name']}") in permitted(template, target)


def permitted(template, target):
    """The rules that may invoke the function of a target."""
    permissions = template.of("AWS::Lambda::Permission").values()
    assert {permission["Principal"] for permission in permissions} == {"events.amazonaws.com"}
    function = target["Arn"]["Fn::GetAtt"][0]
    return {p["SourceArn"] for p in permissions if p["FunctionName"] == {"Ref": function}}


def test_the_evidence_hears_our_own_bus_and_what_fails_is_kept(each):
    template = each.control
    rule = template.named("AWS::Events::Rule", "Name", each.names.named("evidence"))
    assert template.type_of(rule["EventBusName"]["Ref"]) == "AWS::Events::EventBus"
    assert rule["EventPattern"]["source"] == ["cutover"]
    assert {"DeploymentFailed", "RolledBack", "PhaseCompleted"} <= set(rule["EventPattern"]["detail-type"])
    (target,) = rule["Targets"]
    arn = each.names.arn("events", f"rule/{each.names.bus}/{rule['Name']}")
    assert permitted(template, target) == {arn}
    assert template.type_of(target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]) == "AWS::SQS::Queue"


def test_every_alarm_of_the_environment_is_one_that_the_rule_catches(each):
    rule = each.control.named("AWS::Events::Rule", "Name", each.names.named("alarm"))
    prefixes = tuple(wanted["prefix"] for wanted in rule["EventPattern"]["detail"]["alarmName"])
    for alarm in each.environment.of("AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmName"].startswith(prefixes)


def test_the_nightly_run_is_at_two_in_seoul_and_looks_at_the_environment(staging):
    schedule = staging.control.named("AWS::Scheduler::Schedule", "Name", staging.names.named("nightly"))
    assert schedule["ScheduleExpression"] == "cron(0 2 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Seoul"
    assert schedule["State"] == "ENABLED"
    given = json.loads(schedule["Target"]["Input"])
    assert given == {"environment": "staging", "version": "nightly", "mode": "nightly"}
    assert decide_night(read_input(given, "staging"), None, None).mode is Mode.VERIFY


@pytest.mark.parametrize(
    ("nightly", "state", "given"),
    [
        (
            Nightly(enabled=True, image=f"sha256:{'a' * 64}", version="n1"),
            "ENABLED",
            {"version": "n1", "mode": "nightly", "image": f"sha256:{'a' * 64}"},
        ),
        # As it was before there was a look: deploy, whether it is live already or not.
        (
            Nightly(enabled=True, verify=False, image=f"sha256:{'a' * 64}"),
            "ENABLED",
            {"version": "nightly", "image": f"sha256:{'a' * 64}"},
        ),
        (Nightly(verify=False), "DISABLED", {"version": "nightly"}),
    ],
)
def test_the_night_does_what_is_configured(nightly, state, given):
    names = Names("staging", "111122223333", "ap-northeast-2")
    stack = cdk.Stack(cdk.App(), "S")
    schedule = events.nightly(stack, names, Window(), nightly, "arn:machine")
    assert schedule.state == state
    assert json.loads(schedule.target.input) == {"environment": "staging", **given}


def test_the_journal_is_on_demand_and_can_be_put_back_in_time(staging):
    table = staging.control.one("AWS::DynamoDB::Table")
    assert table["TableName"] == "cutover-staging-journal"
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]


def test_images_are_scanned_and_their_tags_written_once(each):
    repositories = each.control.of("AWS::ECR::Repository").values()
    names = [repository["RepositoryName"] for repository in repositories]
    assert names == [each.names.named("backend"), each.names.named("frontend")]
    for repository in repositories:
        assert repository["ImageTagMutability"] == "IMMUTABLE"
        assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}


def test_old_images_expire_and_enough_stay_to_go_back_to(each):
    for repository in each.control.of("AWS::ECR::Repository").values():
        (rule,) = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        assert rule["action"] == {"type": "expire"}
        selection = rule["selection"]
        assert (selection["tagStatus"], selection["countType"]) == ("any", "imageCountMoreThan")
        # A year of weekly releases, about; never the handful that may still be live or stand by.
        assert selection["countNumber"] == 50


def _build_commands(phase):
    return yaml.safe_load(BUILDSPEC.read_text(encoding="utf-8"))["phases"][phase]["commands"]


@pytest.mark.parametrize(("answer", "code"), [("IMMUTABLE", 0), ("MUTABLE", 1), ("None", 1), ("", 1)])
def test_a_build_refuses_a_repository_whose_tags_can_be_moved(tmp_path, answer, code):
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html"""
    stand_in = tmp_path / "aws"
    stand_in.write_text(f"#!/bin/sh\necho '{answer}'\n")
    stand_in.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", _build_commands("pre_build")[0]],
        env={"PATH": path, "REPOSITORY": "backend", "AWS_DEFAULT_REGION": "r"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert ("wanted IMMUTABLE" in done.stderr) is bool(code)


def test_a_launch_of_either_colours_group_starts_the_boot_machine_alone(each):
    """https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html"""
    rule = each.control.named("AWS::Events::Rule", "Name", each.names.named("launch"))
    assert rule["EventPattern"] == {
        "source": ["aws.autoscaling"],
        "detail-type": ["EC2 Instance Launch Successful"],
        "detail": {
            "AutoScalingGroupName": [
                each.names.group(colour, service)
                for service in ("backend", "frontend")
                for colour in ("blue", "green")
            ]
        },
    }
    groups = each.environment.of("AWS::AutoScaling::AutoScalingGroup").values()
    assert {g["AutoScalingGroupName"] for g in groups} >= set(
        rule["EventPattern"]["detail"]["AutoScalingGroupName"]
    )
    (target,) = rule["Targets"]
    machine = each.control.resources[target["Arn"]["Ref"]]["Properties"]
    assert machine["StateMachineName"] == each.names.named("boot")
    role = each.control.resources[target["RoleArn"]["Fn::GetAtt"][0]]["Properties"]
    (statement,) = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["states:StartExecution"], [target["Arn"]])
    (target,) = rule["Targets"]
    assert each.control.type_of(target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]) == "AWS::SQS::Queue"
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0


def test_a_deployment_may_only_schedule_its_own_contraction(each):
    """It makes schedules in one group, which start one state machine; a rollback deletes them."""
    names = each.names
    substitutions = each.control.named(
        "AWS::StepFunctions::StateMachine", "StateMachineName", names.named("deploy")
    )["DefinitionSubstitutions"]
    group = each.control.resources[substitutions["ContractionGroup"]["Ref"]]["Properties"]
    assert names.contractions_arn.endswith(f":schedule/{group['Name']}/*")
    role = each.control.resources[substitutions["ContractionRole"]["Fn::GetAtt"][0]]["Properties"]
    (statement,) = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["states:StartExecution"]
    assert statement["Resource"] == [substitutions["ContractionMachine"]]
    machine = each.control.resources[substitutions["ContractionMachine"]["Ref"]]["Properties"]
    assert machine["StateMachineName"] == names.named("contract")
    deployer = each.control.named("AWS::IAM::Role", "RoleName", names.named("deploy-machine"))
    passed = [
        s
        for s in deployer["Policies"][0]["PolicyDocument"]["Statement"]
        if {"scheduler:CreateSchedule", "iam:PassRole"} & set(s["Action"])
    ]
    assert [(s["Action"], s["Resource"]) for s in passed] == [
        (["scheduler:CreateSchedule"], [names.contractions_arn]),
        (["iam:PassRole"], [substitutions["ContractionRole"]]),
    ]
    assert passed[1]["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}


def test_the_build_pushes_to_the_environments_repository(staging):
    project = staging.control.one("AWS::CodeBuild::Project")
    assert project["Source"]["Type"] == "S3"
    variables = {v["Name"]: v["Value"] for v in project["Environment"]["EnvironmentVariables"]}
    uri = "111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/cutover-staging-backend"
    assert variables["REPOSITORY_URI"] == uri
    spec = project["Source"]["BuildSpec"]
    used = set(re.findall(r"\$([A-Z_]+)", spec))
    # CodeBuild sets the region and how it goes; the state machine sets tag, build environment and source.
    by_codebuild = {"AWS_DEFAULT_REGION", "CODEBUILD_BUILD_SUCCEEDING"}
    assert used == {*variables, *by_codebuild, "IMAGE_TAG", "BUILD_ENV", "SOURCE"}
    assert "--target production" in spec


def test_data_outlives_the_stack_where_the_configuration_protects_it(synthesised):
    for name, policy in (("staging", "Retain"), ("sandbox", "Delete")):
        template = synthesised(name).control
        for resource in template.resources.values():
            if resource["Type"] in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::ECR::Repository"):
                assert resource["DeletionPolicy"] == policy


def told(synthesised, name):
    """The variable TEMPLATES of a function, as the function reads it."""
    joined = function(synthesised.control, synthesised.names, name)["Environment"]["Variables"]["TEMPLATES"]
    parts = joined["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else part["Fn::Sub"] for part in parts)
    return json.loads(text.replace("${AWS::URLSuffix}", "amazonaws.com"))


@pytest.mark.parametrize("name", ["provision", "plan", "drift"])
def test_the_functions_are_told_the_environments_own_templates_in_their_order(staging, name):
    assets = json.loads((staging.path.parent / f"{staging.names.control_stack}.assets.json").read_text())
    found = told(staging, name)
    assert [template["name"] for template in found] == list(TEMPLATES)
    for template in found:
        assert template["stack"] == staging.names.stack(template["name"])
        key = template["url"].rpartition("/")[2].removesuffix(".json")
        carried = (staging.path.parent / assets["files"][key]["source"]["path"]).read_text()
        own = staging.templates[template["name"]]
        assert carried == own.paths[0].read_text()
        assert template["parameters"] == sorted(own.parameters)


def test_what_a_function_is_told_keeps_within_lambdas_limit(each):
    """4 KB for all variables of a function.
    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    arn = 120
    for name in (*CONTROL_FUNCTIONS, *PEOPLE_FUNCTIONS):
        variables = function(each.control, each.names, name)["Environment"]["Variables"]
        if "TEMPLATES" in variables:
            variables = {**variables, "TEMPLATES": json.dumps(told(each, name), separators=(",", ":"))}
        size = sum(len(key) + (len(v) if isinstance(v, str) else arn) for key, v in variables.items())
        assert size < 4096, name


def test_a_parameter_that_no_earlier_stack_fills_is_refused_at_synthesis(tmp_path, staging):
    template = EnvironmentTemplate("data", staging.templates["data"].paths[0])
    scope = cdk.Stack(cdk.App(outdir=str(tmp_path)), "Control")
    with pytest.raises(ValueError, match=r"data: no earlier stack has the output .*DatabaseSecurityGroup"):
        publish(scope, staging.names, [template])


def test_what_the_functions_read_is_the_configuration(each):
    parameter = each.control.named("AWS::SSM::Parameter", "Name", f"/cutover/{each.name}/configuration")
    assert json.loads(parameter["Value"]) == each.configuration.for_lambdas()
