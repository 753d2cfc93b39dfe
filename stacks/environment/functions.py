"""The functions inside the network: only from there are the database and the test listener reached."""

from constructs import Construct

from config.model import Configuration
from stacks.constructs.function import Code, FunctionSpec, VpcPlace, make_function
from stacks.constructs.policy import Statement
from stacks.environment.balancer import Balancer
from stacks.environment.data import Data
from stacks.environment.stack import Given
from stacks.naming import Names


def database_function(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    code: Code,
    *,
    subnets: list[str],
    data: Data,
    given: Given,
) -> None:
    """Make cutover-ENV-database, which the control plane calls by name."""
    secrets = [data.secrets[name] for name in ("DatabaseAdmin", "DatabaseApplication", "Smoke")]
    spec = FunctionSpec(
        name="database",
        purpose="Migrates the database and checks its queries",
        timeout_seconds=900,
        memory_mb=512,
        statements=[Statement(["secretsmanager:GetSecretValue"], secrets)],
        environment={
            "ADMIN_SECRET": names.secret("database-admin"),
            "APPLICATION_SECRET": names.secret("database-application"),
            "SMOKE_SECRET": names.secret("smoke"),
            "DATABASE_ENDPOINT": data.database_endpoint,
            "DATABASE_PORT": data.database_port,
            "DATABASE_NAME": configuration.database.name,
        },
    )
    _inside(scope, names, code, [spec], subnets=subnets, given=given)


def service_functions(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    code: Code,
    *,
    subnets: list[str],
    front: Balancer,
    given: Given,
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
            statements=[Statement(["secretsmanager:GetSecretValue"], [given("SmokeSecretArn")])],
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
    ]
    _inside(scope, names, code, specs, subnets=subnets, given=given)


def _inside(
    scope: Construct,
    names: Names,
    code: Code,
    specs: list[FunctionSpec],
    *,
    subnets: list[str],
    given: Given,
) -> None:
    place = VpcPlace(subnets, [given("FunctionsSecurityGroup")])
    here = Construct(scope, "Functions")
    for spec in specs:
        make_function(here, names, spec, code, place=place)
