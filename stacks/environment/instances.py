"""The services' instances (requirement B3): one launch template for each service, a group for each colour."""

from constructs import Construct

from config.model import Configuration
from stacks.constructs.policy import Statement
from stacks.environment.balancer import Balancer
from stacks.environment.machines import Machine, auto_scaling_group, launch_template
from stacks.environment.stack import EnvironmentStack
from stacks.naming import COLOURS, Names, ServiceName

DISK_GB = 30
#: The secrets that the release renders into the backend's containers' environment.
RELEASE_SECRETS = ("DatabaseApplication", "Redis", "Jwt")
#: How the logical ids of a service's instances begin, and the name of their role.
_IDS: dict[ServiceName, tuple[str, str]] = {
    "backend": ("Instances", "instance"),
    "frontend": ("Frontend", "frontend-instance"),
}


def instances(stack: EnvironmentStack, names: Names, configuration: Configuration, front: Balancer) -> None:
    """Make the groups. They stay as large as they are: a release needs every one of its instances."""
    _service(stack, names, configuration, front, service="backend", rights=_backend_rights(stack, names))
    _service(stack, names, configuration, front, service="frontend", rights=[])


def _service(
    stack: EnvironmentStack,
    names: Names,
    configuration: Configuration,
    front: Balancer,
    *,
    service: ServiceName,
    rights: list[Statement],
) -> None:
    id, its_role = _IDS[service]
    here = Construct(stack, id)
    shape = configuration.service(service)
    target_groups = front.target_groups[service]
    machine = Machine(
        name=service,
        role=its_role,
        purpose="Runs a release on an instance",
        instance_type=shape.instance_type,
        ami=shape.ami,
        disk_gb=DISK_GB,
        security_group=stack.given(f"{service.capitalize()}SecurityGroup"),
        statements=[
            *_release_rights(names, service, [group.ref for group in target_groups.values()]),
            *rights,
        ],
    )
    template = launch_template(here, names, machine)
    for colour in COLOURS:
        auto_scaling_group(
            here,
            colour.capitalize(),
            names.group(colour, service),
            template,
            count=shape.instances_per_colour,
            subnets=stack.given_subnets("Private"),
            # The groups are attached to no target group: an instance becomes a target when its release is up
            # (see release.sh), and would else count as sick until then.
            tags={"cutover-environment": names.environment, "cutover-colour": colour},
        )


def _release_rights(names: Names, service: ServiceName, target_groups: list[str]) -> list[Statement]:
    """Pull the service's image, put its containers behind the balancer."""
    return [
        Statement(["ecr:GetAuthorizationToken"]),
        Statement(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [names.arn("ecr", f"repository/{names.repository_of(service)}")],
        ),
        Statement(["elasticloadbalancing:RegisterTargets"], target_groups),
    ]


def _backend_rights(stack: EnvironmentStack, names: Names) -> list[Statement]:
    """Read its secrets, keep the users' files."""
    return [
        Statement(
            ["secretsmanager:GetSecretValue"], [stack.given(f"{name}SecretArn") for name in RELEASE_SECRETS]
        ),
        Statement(
            ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [f"arn:aws:s3:::{names.files_bucket}/*"]
        ),
        Statement(["s3:ListBucket"], [f"arn:aws:s3:::{names.files_bucket}"]),
    ]
