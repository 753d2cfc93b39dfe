"""The policy of the people who run `cutover`: start and follow deployments, roll back, look. Nothing else.

Attach it to the role that people assume (IAM Identity Center: a customer managed policy of this name).
"""

from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.constructs.policy import Statement, managed_policy
from stacks.control.commands import send_command
from stacks.naming import Names

_LOOK = (
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetHealth",
)


def operator_policy(scope: Construct, names: Names) -> iam.CfnManagedPolicy:
    """The managed policy cutover-ENV-operator: operators start the machine, and only it changes anything."""
    sources = f"arn:aws:s3:::{names.artifacts_bucket}"
    statements = [
        Statement(
            ["states:StartExecution"],
            [names.state_machine_arn, names.rollback_machine_arn, names.drill_machine_arn],
        ),
        Statement(
            ["states:DescribeExecution", "states:GetExecutionHistory"],
            [names.executions_arn, names.rollback_executions_arn, names.drill_executions_arn],
        ),
        Statement(["dynamodb:GetItem", "dynamodb:Query"], [names.arn("dynamodb", f"table/{names.journal}")]),
        Statement(["s3:GetObject", "s3:PutObject"], [f"{sources}/sources/*"]),
        Statement(
            ["s3:GetObject"],
            [f"{sources}/{folder}/*" for folder in ("plans", "boards", "evidence", "reports")],
        ),
        Statement(["s3:ListBucket"], [sources]),
        Statement(
            ["lambda:InvokeFunction"],
            [names.function_arn(f) for f in ("rollback", "drift", "approval", "evidence", "announce")],
        ),
        Statement(["cloudwatch:DescribeAlarms"], [names.arn("cloudwatch", "alarm:*")]),
        # Reports are made with the caller's own rights; of their errors the instances tell by one document.
        Statement(["cloudwatch:GetMetricData"]),
        Statement(["autoscaling:DescribeAutoScalingGroups", "ssm:GetCommandInvocation"]),
        *send_command(names, [names.error_log_document_arn]),
        Statement(_LOOK),
    ]
    return managed_policy(
        scope,
        "Operator",
        names,
        "operator",
        purpose=f"Run the cutover command for {names.environment}: deploy, follow, roll back",
        statements=statements,
    )
