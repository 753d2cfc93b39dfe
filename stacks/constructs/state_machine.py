"""The state-machine loader: a definition file, its substitutions, a log group, a role."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.function import log_group
from stacks.constructs.policy import Statement, role
from stacks.naming import Names

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
#: How Step Functions writes its logs.
#: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy
_LOG_DELIVERY = Statement(
    [
        "logs:CreateLogDelivery",
        "logs:GetLogDelivery",
        "logs:UpdateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:DescribeResourcePolicies",
        "logs:DescribeLogGroups",
    ]
)
_TRACES = Statement(
    ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"]
)


def placeholders(definition: str) -> set[str]:
    """The names of the `${…}` in a definition."""
    return set(_PLACEHOLDER.findall(definition))


def state_machine(
    scope: Construct,
    names: Names,
    suffix: str,
    *,
    definition: Path,
    substitutions: Mapping[str, str],
    statements: Sequence[Statement],
    purpose: str,
) -> sfn.CfnStateMachine:
    """Make the standard state machine cutover-ENV-SUFFIX; every placeholder must be filled, and no other."""
    text = definition.read_text(encoding="utf-8")
    wanted = placeholders(text)
    if wanted != set(substitutions):
        raise ValueError(
            f"{definition.name}: not filled: {sorted(wanted - set(substitutions))}, "
            f"not asked for: {sorted(set(substitutions) - wanted)}"
        )
    here = Construct(scope, suffix.capitalize())
    # The prefix keeps the log's resource policy short: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
    group = log_group(here, f"/aws/vendedlogs/states/{names.named(suffix)}")
    its_role = role(
        here,
        names,
        f"{suffix}-machine",
        service="states.amazonaws.com",
        statements=[*statements, _LOG_DELIVERY, _TRACES],
        purpose=purpose,
    )
    machine = sfn.CfnStateMachine(
        here,
        "StateMachine",
        state_machine_name=names.named(suffix),
        state_machine_type="STANDARD",
        role_arn=its_role.attr_arn,
        definition_string=text,
        definition_substitutions=dict(substitutions),
        logging_configuration=sfn.CfnStateMachine.LoggingConfigurationProperty(
            level="ALL",
            include_execution_data=True,
            destinations=[
                sfn.CfnStateMachine.LogDestinationProperty(
                    cloud_watch_logs_log_group=sfn.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                        log_group_arn=group.attr_arn
                    )
                )
            ],
        ),
        tracing_configuration=sfn.CfnStateMachine.TracingConfigurationProperty(enabled=True),
    )
    # E3601 takes a JSONata TimeoutSeconds for an error, and AWS takes it:
    # https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
    # A test lints without this line and holds that nothing else is found.
    machine.add_metadata("cfn-lint", {"config": {"ignore_checks": ["E3601"]}})
    return machine
