"""The application's database account takes turns between two users: nobody who is connected is cut off.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotation-strategy.html#rotating-secrets-two-users
"""

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from config.model import Configuration
from stacks.constructs.function import FunctionSpec
from stacks.constructs.policy import Statement
from stacks.environment.data import Data
from stacks.environment.functions import inside
from stacks.environment.stack import EnvironmentStack
from stacks.naming import ROTATION, Names

ROTATION_DAYS = 30


def rotation(stack: EnvironmentStack, names: Names, configuration: Configuration, data: Data) -> None:
    """Make cutover-ENV-rotation and the schedule by which Secrets Manager calls it."""
    admin, application = data.secrets["DatabaseAdmin"], data.secrets["DatabaseApplication"]
    spec = FunctionSpec(
        name=ROTATION,
        purpose="Gives the application's database account to its other user, with a new password",
        timeout_seconds=60,
        memory_mb=512,
        statements=[
            Statement(["secretsmanager:GetSecretValue"], [admin]),
            Statement(
                [
                    "secretsmanager:DescribeSecret",
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:UpdateSecretVersionStage",
                ],
                [application],
            ),
            Statement(["secretsmanager:GetRandomPassword"]),
            # Which releases may still log in with the password that would be replaced.
            Statement(["dynamodb:GetItem"], [names.arn("dynamodb", f"table/{names.journal}")]),
        ],
        environment={
            "ADMIN_SECRET": names.secret("database-admin"),
            "APPLICATION_SECRET": names.secret("database-application"),
            "DATABASE_ENDPOINT": data.database_endpoint,
            "DATABASE_PORT": data.database_port,
            "DATABASE_NAME": configuration.database.name,
        },
    )
    (made,) = inside(stack, names, [spec], "Rotation")
    here = Construct(stack, "RotationSchedule")
    permission = lambda_.CfnPermission(
        here,
        "Permission",
        action="lambda:InvokeFunction",
        function_name=made.function.ref,
        principal="secretsmanager.amazonaws.com",
        source_account=names.account,
        source_arn=application,
    )
    schedule = secretsmanager.CfnRotationSchedule(
        here,
        "Schedule",
        secret_id=application,
        rotation_lambda_arn=made.arn,
        rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(
            automatically_after_days=ROTATION_DAYS
        ),
        # A deployment rotates nothing by the way.
        rotate_immediately_on_update=False,
    )
    schedule.add_resource_dependency(permission)
