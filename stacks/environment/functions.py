"""The functions inside the network: only from there are the database and the test listener reached."""

from constructs import Construct

from config.model import Configuration
from stacks.constructs.function import Code, FunctionSpec, VpcPlace, make_function
from stacks.constructs.policy import Statement
from stacks.environment.balancer import Balancer
from stacks.environment.data import Data
from stacks.environment.network import Network
from stacks.environment.security import SecurityGroups
from stacks.naming import Names


def environment_functions(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    code: Code,
    *,
    network: Network,
    groups: SecurityGroups,
    data: Data,
    front: Balancer,
) -> None:
    """Make cutover-ENV-{database,probe,load}, which the control plane calls by name."""
    place = VpcPlace(network.private_subnets, [groups.functions])
    secrets = data.secrets
    aim = {
        "LOAD_BALANCER_DNS": front.balancer.attr_dns_name,
        "DOMAIN": configuration.backend.domain,
        "LISTENER_PORT": str(configuration.backend.listener_port),
        "TEST_LISTENER_PORT": str(configuration.backend.test_listener_port),
    }
    specs = (
        FunctionSpec(
            name="database",
            purpose="Migrates the database and checks its queries",
            timeout_seconds=900,
            memory_mb=512,
            statements=[
                Statement(
                    ["secretsmanager:GetSecretValue"],
                    [secrets["database-admin"], secrets["database-application"], secrets["smoke"]],
                ),
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
        ),
        FunctionSpec(
            name="probe",
            purpose="Asks the running service, through the load balancer, whether it is what it should be",
            timeout_seconds=600,
            memory_mb=512,
            statements=[Statement(["secretsmanager:GetSecretValue"], [secrets["smoke"]])],
            environment={"SMOKE_SECRET": names.secret("smoke"), **aim},
        ),
        FunctionSpec(
            name="load",
            purpose="Loads the idle colour at the configured rate",
            timeout_seconds=900,
            # Two CPUs: one to send at the rate, one for TLS and the answers.
            memory_mb=3538,
            environment=aim,
        ),
    )
    here = Construct(scope, "Functions")
    for spec in specs:
        make_function(here, names, spec, code, place=place)
