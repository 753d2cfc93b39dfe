"""The functions inside the network: only from there are the database and the test listener reached."""

from constructs import Construct

from config.model import Configuration
from stacks.constructs.function import Function, FunctionSpec, VpcPlace, make_function
from stacks.constructs.policy import Statement
from stacks.environment.balancer import Balancer
from stacks.environment.data import Data
from stacks.environment.stack import EnvironmentStack
from stacks.naming import Names


def database_function(
    stack: EnvironmentStack, names: Names, configuration: Configuration, data: Data
) -> None:
    """Make cutover-ENV-database, which the control plane calls by name."""
    secrets = [data.secrets[name] for name in ("DatabaseAdmin", "DatabaseApplication", "Smoke")]
    spec = FunctionSpec(
        name="database",
        purpose="Migrates the database and checks its queries",
        timeout_seconds=900,
        memory_mb=512,
        statements=[
            Statement(["secretsmanager:GetSecretValue"], secrets),
            # The release's migrations are in its source.
            Statement(["s3:GetObject"], [f"arn:aws:s3:::{names.artifacts_bucket}/sources/*"]),
        ],
        environment={
            "ADMIN_SECRET": names.secret("database-admin"),
            "APPLICATION_SECRET": names.secret("database-application"),
            "SMOKE_SECRET": names.secret("smoke"),
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
            "DATABASE_ENDPOINT": data.database_endpoint,
            "DATABASE_PORT": data.database_port,
            "DATABASE_NAME": configuration.database.name,
        },
    )
    inside(stack, names, [spec])


def service_functions(
    stack: EnvironmentStack, names: Names, configuration: Configuration, front: Balancer
) -> None:
    """Make cutover-ENV-{probe,load}, which the control plane calls by name."""
    aim = {
        "LOAD_BALANCER_DNS": front.balancer.attr_dns_name,
        "DOMAIN": configuration.backend.domain,
        "LISTENER_PORT": str(configuration.backend.listener_port),
        "TEST_LISTENER_PORT": str(configuration.backend.test_listener_port),
    }
    specs = [
        FunctionSpec(
            name="probe",
            purpose="Asks the running service, through the load balancer, whether it is what it should be",
            timeout_seconds=600,
            memory_mb=512,
            # With the secret that signs tokens it makes one that has expired, which has to be refused.
            statements=[
                Statement(
                    ["secretsmanager:GetSecretValue"],
                    [stack.given("SmokeSecretArn"), stack.given("JwtSecretArn")],
                )
            ],
            environment={
                "SMOKE_SECRET": names.secret("smoke"),
                "JWT_SECRET": names.secret("jwt"),
                "FRONTEND_DOMAIN": configuration.frontend.domain,
                **aim,
            },
        ),
        FunctionSpec(
            name="load",
            purpose="Loads the idle colour at the configured rate",
            timeout_seconds=900,
            # Two CPUs: one to send at the rate, one for TLS and the answers.
            memory_mb=3538,
            # It comes as the user of the smoke tests.
            statements=[Statement(["secretsmanager:GetSecretValue"], [stack.given("SmokeSecretArn")])],
            environment={"SMOKE_SECRET": names.secret("smoke"), **aim},
        ),
    ]
    inside(stack, names, specs)


def inside(
    stack: EnvironmentStack, names: Names, specs: list[FunctionSpec], scope: str = "Functions"
) -> list[Function]:
    """Make functions that stand in the private subnets."""
    place = VpcPlace(stack.given_subnets("Private"), [stack.given("FunctionsSecurityGroup")])
    code = stack.code()
    here = Construct(stack, scope)
    return [make_function(here, names, spec, code, place=place) for spec in specs]
