"""The function factory: every function is made here, with a role, a log group and a name of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.constructs.code import RUNTIME
from stacks.constructs.policy import Statement, acknowledge, role
from stacks.naming import Names

LOG_DAYS = 30
#: A function in a VPC works through network interfaces of its own.
#: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
_INTERFACES = Statement(
    [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ]
)
_TRACES = Statement(["xray:PutTraceSegments", "xray:PutTelemetryRecords"])


@dataclass(frozen=True)
class Code:
    """Where the code and the libraries come from; `layer` is an ARN, perhaps a template's parameter."""

    bucket: str
    key: str
    layer: str | None = None


@dataclass(frozen=True)
class FunctionSpec:
    """One function: what it does in a sentence, what it may do, and how much it needs."""

    name: str
    purpose: str
    timeout_seconds: int
    memory_mb: int
    statements: Sequence[Statement] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    layer: bool = True
    traced: bool = True


@dataclass(frozen=True)
class VpcPlace:
    """The private subnets and the security groups of a function that stands inside the network."""

    subnets: Sequence[str]
    security_groups: Sequence[str]


@dataclass(frozen=True)
class Function:
    """What was made."""

    function: lambda_.CfnFunction
    role: iam.CfnRole

    @property
    def arn(self) -> str:
        return self.function.attr_arn


def make_function(
    scope: Construct, names: Names, spec: FunctionSpec, code: Code, *, place: VpcPlace | None = None
) -> Function:
    """Make cutover-ENV-NAME with the handler cutover.handlers.NAME.handler.

    Tracing writes segments on the way out of each call, so a function whose speed is the promise (the
    rollback) asks to be left untraced.
    """
    here = Construct(scope, spec.name.capitalize())
    name = names.named(spec.name)
    group_name = f"/aws/lambda/{name}"
    group = log_group(here, group_name)
    own = [Statement(["logs:CreateLogStream", "logs:PutLogEvents"], [_streams(names, group_name)])]
    if spec.traced:
        own.append(_TRACES)
    if place:
        own.append(_INTERFACES)
    its_role = role(
        here,
        names,
        spec.name,
        service="lambda.amazonaws.com",
        statements=[*own, *spec.statements],
        purpose=spec.purpose,
    )
    function = lambda_.CfnFunction(
        here,
        "Function",
        function_name=name,
        description=spec.purpose,
        handler=f"cutover.handlers.{spec.name}.handler",
        runtime=RUNTIME.name,
        architectures=["x86_64"],
        role=its_role.attr_arn,
        code=lambda_.CfnFunction.CodeProperty(s3_bucket=code.bucket, s3_key=code.key),
        layers=[code.layer] if spec.layer and code.layer else None,
        timeout=spec.timeout_seconds,
        memory_size=spec.memory_mb,
        tracing_config=lambda_.CfnFunction.TracingConfigProperty(
            mode="Active" if spec.traced else "PassThrough"
        ),
        logging_config=lambda_.CfnFunction.LoggingConfigProperty(log_group=group_name, log_format="Text"),
        vpc_config=lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=list(place.subnets), security_group_ids=list(place.security_groups)
        )
        if place
        else None,
        environment=lambda_.CfnFunction.EnvironmentProperty(
            variables={
                "CUTOVER_ENVIRONMENT": names.environment,
                "JOURNAL_TABLE": names.journal,
                "EVENT_BUS": names.bus,
                "LOG_LEVEL": "INFO",
                "POWERTOOLS_SERVICE_NAME": name,
                "POWERTOOLS_METRICS_NAMESPACE": "Cutover",
                **spec.environment,
            }
        ),
    )
    function.add_resource_dependency(group)
    acknowledge(
        function,
        "AwsSolutions-L1",
        f"{RUNTIME.name} is the runtime the layer's wheels are pinned for; it moves with them",
    )
    return Function(function, its_role)


def log_group(scope: Construct, name: str, *, id: str = "Logs") -> logs.CfnLogGroup:
    """A log group that the service would else make itself, without an end to what it keeps."""
    group = logs.CfnLogGroup(scope, id, log_group_name=name, retention_in_days=LOG_DAYS)
    group.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
    return group


def _streams(names: Names, group: str) -> str:
    return names.arn("logs", f"log-group:{group}:*")
