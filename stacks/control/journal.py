"""The journal: lock, deployments, releases per colour. And the configuration that the functions read."""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config.model import Configuration
from stacks.constructs.parameter import compact
from stacks.naming import Names


def journal(scope: Construct, names: Names, *, keep: bool) -> dynamodb.CfnTable:
    """The table cutover-ENV-journal, on demand: a hundred items a deployment, then nothing for days."""
    table = dynamodb.CfnTable(
        scope,
        "Journal",
        table_name=names.journal,
        billing_mode="PAY_PER_REQUEST",
        attribute_definitions=[
            dynamodb.CfnTable.AttributeDefinitionProperty(attribute_name=key, attribute_type="S")
            for key in ("pk", "sk")
        ],
        key_schema=[
            dynamodb.CfnTable.KeySchemaProperty(attribute_name="pk", key_type="HASH"),
            dynamodb.CfnTable.KeySchemaProperty(attribute_name="sk", key_type="RANGE"),
        ],
        point_in_time_recovery_specification=dynamodb.CfnTable.PointInTimeRecoverySpecificationProperty(
            point_in_time_recovery_enabled=True
        ),
        sse_specification=dynamodb.CfnTable.SSESpecificationProperty(sse_enabled=True),
        deletion_protection_enabled=keep,
    )
    table.apply_removal_policy(cdk.RemovalPolicy.RETAIN if keep else cdk.RemovalPolicy.DESTROY)
    return table


def configuration_parameter(scope: Construct, names: Names, configuration: Configuration) -> ssm.CfnParameter:
    """The parameter /cutover/ENV/configuration: JSON, no secrets."""
    return ssm.CfnParameter(
        scope,
        "Configuration",
        name=names.parameter,
        type="String",
        description="What Cutover's functions read of the configuration file",
        value=compact(configuration.for_lambdas()),
    )
