"""A CodeBuild project: Docker on Ubuntu, its log in a group of its own, no artifacts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import aws_codebuild as codebuild
from constructs import Construct

from stacks.constructs.function import log_group
from stacks.constructs.policy import Statement, acknowledge, role
from stacks.naming import Names

#: Ubuntu, Docker, Python and the AWS CLI.
#: https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-available.html
BUILD_IMAGE = "aws/codebuild/standard:7.0"


@dataclass(frozen=True)
class BuildSpec:
    """`name` is its role's too, and `purpose` what it does; `privileged` and `artifacts` say why Docker needs
    privileged mode here, and where what it makes is kept instead. Without a `network` it runs outside."""

    name: str
    purpose: str
    source: codebuild.CfnProject.SourceProperty
    variables: Mapping[str, str]
    statements: Sequence[Statement]
    timeout_minutes: int
    queued_minutes: int
    privileged: str
    artifacts: str
    network: codebuild.CfnProject.VpcConfigProperty | None = None


def make_build(scope: Construct, names: Names, spec: BuildSpec) -> codebuild.CfnProject:
    """Make cutover-ENV-NAME with its role and its log group."""
    name = names.named(spec.name)
    group = log_group(scope, f"/aws/codebuild/{name}")
    streams = names.arn("logs", f"log-group:{group.log_group_name}:*")
    its_role = role(
        scope,
        names,
        spec.name,
        service="codebuild.amazonaws.com",
        purpose=spec.purpose,
        statements=[Statement(["logs:CreateLogStream", "logs:PutLogEvents"], [streams]), *spec.statements],
    )
    project = codebuild.CfnProject(
        scope,
        "Project",
        name=name,
        description=spec.purpose,
        service_role=its_role.attr_arn,
        source=spec.source,
        artifacts=codebuild.CfnProject.ArtifactsProperty(type="NO_ARTIFACTS"),
        environment=codebuild.CfnProject.EnvironmentProperty(
            type="LINUX_CONTAINER",
            compute_type="BUILD_GENERAL1_MEDIUM",
            image=BUILD_IMAGE,
            privileged_mode=True,
            environment_variables=[
                codebuild.CfnProject.EnvironmentVariableProperty(name=variable, value=value)
                for variable, value in spec.variables.items()
            ],
        ),
        vpc_config=spec.network,
        logs_config=codebuild.CfnProject.LogsConfigProperty(
            cloud_watch_logs=codebuild.CfnProject.CloudWatchLogsConfigProperty(
                status="ENABLED", group_name=group.log_group_name
            )
        ),
        timeout_in_minutes=spec.timeout_minutes,
        queued_timeout_in_minutes=spec.queued_minutes,
    )
    project.add_resource_dependency(group)
    acknowledge(project, "AwsSolutions-CB3", spec.privileged)
    acknowledge(project, "AwsSolutions-CB4", spec.artifacts)
    return project
