"""The control plane: what `cdk deploy` installs, once for each environment."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from config.model import Configuration
from stacks.constructs.code import ROOT, code_asset, layer
from stacks.constructs.function import Code, Function
from stacks.constructs.policy import Statement
from stacks.constructs.state_machine import state_machine
from stacks.control.announcing import announcing
from stacks.control.build import artifacts_bucket, build_project, repositories
from stacks.control.contraction import contraction
from stacks.control.dashboard import control_dashboard
from stacks.control.events import alarm_rule, bus, ended_rule, evidence_rule, launch_rule, nightly
from stacks.control.functions import Provisioning, control_functions
from stacks.control.journal import configuration_parameter, journal
from stacks.control.notifications import notifications
from stacks.control.operator import operator_policy
from stacks.control.provisioning import service_role
from stacks.control.reports import reports
from stacks.control.status import status_page
from stacks.control.templates import EnvironmentTemplate, publish
from stacks.naming import ENVIRONMENT_FUNCTIONS, Names

DEFINITION = ROOT / "statemachines" / "deploy.asl.json"
BOOT_DEFINITION = ROOT / "statemachines" / "boot.asl.json"
ROLLBACK_DEFINITION = ROOT / "statemachines" / "rollback.asl.json"
DRILL_DEFINITION = ROOT / "statemachines" / "drill.asl.json"
#: What Step Functions needs beside the project itself to wait for a build (`.sync`).
#: https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html
SYNC_RULE = "StepFunctionsGetEventForCodeBuildStartBuildRule"


class ControlStack(cdk.Stack):
    """Journal, functions, state machine, events, schedule, build, and the role that provisions."""

    def __init__(
        self,
        scope: Construct,
        names: Names,
        configuration: Configuration,
        templates: Sequence[EnvironmentTemplate],
    ) -> None:
        super().__init__(
            scope,
            names.control_stack,
            stack_name=names.control_stack,
            description=f"Cutover's control plane for {names.environment}",
            env=cdk.Environment(account=names.account, region=names.region),
            analytics_reporting=False,
            tags={"cutover-environment": names.environment},
        )
        keep = configuration.database.deletion_protection
        journal(self, names, keep=keep)
        configuration_parameter(self, names, configuration)
        artifacts_bucket(self, names, keep=keep)
        repositories(self, names, keep=keep)
        build_project(self, names)
        told = bus(self, names)

        published = publish(self, names, templates)
        asset = code_asset(self)
        libraries = layer(self, names.named("libraries"))
        code = Code(asset.s3_bucket_name, asset.s3_object_key, libraries.layer_version_arn)
        provisioner = service_role(self, names, configuration, asset.s3_bucket_name)
        functions = control_functions(
            self,
            names,
            code,
            Provisioning(published, provisioner.attr_arn),
        )
        # What hears the bus is nobody's step.
        steps = {name: function for name, function in functions.items() if name != "evidence"}
        drill = _drill(self, names, steps)
        after_the_watch = contraction(self, names, functions)
        machine = state_machine(
            self,
            names,
            "deploy",
            definition=DEFINITION,
            substitutions={
                **_substitutions(names, steps),
                **after_the_watch.substitutions,
                "DrillMachine": drill.ref,
            },
            statements=[
                *_machine_statements(names, steps),
                *after_the_watch.statements(names),
                Statement(["states:StartExecution"], [drill.ref]),
            ],
            purpose="Runs the deployments",
        )
        # E3601 takes a JSONata TimeoutSeconds for an error, and AWS takes it:
        # https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
        # A test lints without this line and holds that nothing else is found.
        machine.add_metadata("cfn-lint", {"config": {"ignore_checks": ["E3601"]}})
        alarm_rule(self, names, functions["rollback"])
        ended_rule(self, names, functions["rollback"])
        evidence_rule(self, names, told, functions["evidence"])
        boot = state_machine(
            self,
            names,
            "boot",
            definition=BOOT_DEFINITION,
            substitutions={"ReleaseFunction": functions["release"].arn},
            statements=[Statement(["lambda:InvokeFunction"], [functions["release"].arn])],
            purpose="Brings the current release to new instances",
        )
        launch_rule(self, names, boot.ref)
        state_machine(
            self,
            names,
            "rollback",
            definition=ROLLBACK_DEFINITION,
            substitutions={"RollbackFunction": functions["rollback"].arn},
            statements=[Statement(["lambda:InvokeFunction"], [functions["rollback"].arn])],
            purpose="Brings a former release back",
        )
        nightly(self, names, configuration.window, configuration.nightly, machine.ref)
        reports(self, names, configuration, code, told)
        notifications(self, names, configuration, code)
        announcing(self, names, code)
        status_page(self, names, code, public=configuration.status_page.public)
        operator_policy(self, names)
        control_dashboard(self, names, configuration.notifications.channels)

        cdk.CfnOutput(self, "StateMachineArn", value=machine.ref)
        cdk.CfnOutput(self, "ArtifactsBucket", value=names.artifacts_bucket)
        cdk.CfnOutput(self, "RollbackFunction", value=names.named("rollback"))
        cdk.CfnOutput(self, "JournalTable", value=names.journal)
        cdk.CfnOutput(self, "EventBusName", value=names.bus)


def _drill(scope: Construct, names: Names, functions: dict[str, Function]) -> sfn.CfnStateMachine:
    """The state machine cutover-ENV-drill: to the previous release and back, under load."""
    arns = {
        **{name: functions[name].arn for name in ("journal", "observe", "rollback", "swap")},
        **{name: names.function_arn(name) for name in ("load", "probe")},
    }
    return state_machine(
        scope,
        names,
        "drill",
        definition=DRILL_DEFINITION,
        substitutions={f"{name.capitalize()}Function": arn for name, arn in arns.items()},
        statements=[Statement(["lambda:InvokeFunction"], list(arns.values()))],
        purpose="Practises the way back to the previous release",
    )


def _substitutions(names: Names, functions: dict[str, Function]) -> dict[str, str]:
    return {
        **{f"{name.capitalize()}Function": function.arn for name, function in functions.items()},
        **{f"{name.capitalize()}Function": names.function_arn(name) for name in ENVIRONMENT_FUNCTIONS},
        "BuildProject": names.named("build"),
        "ScanProject": names.scan_project,
        "FrontendRepository": names.repository_of("frontend"),
        "FrontendRepositoryUri": names.repository_uri_of("frontend"),
    }


def _machine_statements(names: Names, functions: dict[str, Function]) -> list[Statement]:
    return [
        Statement(
            ["lambda:InvokeFunction"],
            [
                *(function.arn for function in functions.values()),
                *(names.function_arn(name) for name in ENVIRONMENT_FUNCTIONS),
            ],
        ),
        Statement(
            ["codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"],
            [names.arn("codebuild", f"project/{names.named('build')}"), names.scan_project_arn],
        ),
        Statement(
            ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            [names.arn("events", f"rule/{SYNC_RULE}")],
        ),
    ]
