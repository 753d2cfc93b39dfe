"""The policy of the people who run `cutover`: start and follow deployments, roll back, look. Nothing else.

Attach it to the role that people assume (IAM Identity Center: a customer managed policy of this name).
"""

from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.constructs.policy import acknowledge
from stacks.naming import Names

_LOOK = (
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTargetHealth",
)


def operator_policy(scope: Construct, names: Names) -> iam.CfnManagedPolicy:
    """The managed policy cutover-ENV-operator: operators start the machine, and only it changes anything."""
    sources = f"arn:aws:s3:::{names.artifacts_bucket}"
    statements = [
        _allow(["states:StartExecution"], [names.state_machine_arn]),
        _allow(["states:DescribeExecution", "states:GetExecutionHistory"], [names.executions_arn]),
        _allow(["dynamodb:GetItem", "dynamodb:Query"], [names.arn("dynamodb", f"table/{names.journal}")]),
        _allow(["s3:GetObject", "s3:PutObject"], [f"{sources}/sources/*"]),
        _allow(["s3:ListBucket"], [sources]),
        _allow(["lambda:InvokeFunction"], [names.function_arn("rollback")]),
        _allow(["cloudwatch:DescribeAlarms"], [names.arn("cloudwatch", "alarm:*")]),
        _allow(list(_LOOK), ["*"]),
    ]
    policy = iam.CfnManagedPolicy(
        scope,
        "Operator",
        managed_policy_name=names.named("operator"),
        description=f"Run the cutover command for {names.environment}: deploy, follow, roll back",
        policy_document={"Version": "2012-10-17", "Statement": statements},
    )
    acknowledge(
        policy,
        "AwsSolutions-IAM5",
        "The balancer's Describe calls take no resource; executions and sources are named by people.",
    )
    return policy


def _allow(actions: list[str], resources: list[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
