"""What stands in an environment (section B of the requirements): network, services, data, monitoring host."""

from ipaddress import IPv4Network
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from config.explanation import UnfitError
from config.types import Cidr, Cidrs, DomainName, InstanceType, Port, Table, TlsPolicy

# Canonical's public parameter of the newest Ubuntu 22.04 image; EC2 resolves it when it starts an instance.
# https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/
UBUNTU = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
# Such a parameter, or an image's own id.
Image = Annotated[str, StringConstraints(pattern=r"^(/aws/service/|ami-[0-9a-f]+$)")]


class Network(Table):
    """The VPC (requirement B1): one public and one private subnet for each availability zone."""

    cidr: Cidr
    public_subnets: Annotated[Cidrs, Field(min_length=2, max_length=2)]
    private_subnets: Annotated[Cidrs, Field(min_length=2, max_length=2)]
    nat_gateways: bool = True

    @model_validator(mode="after")
    def _subnets_fit(self) -> Self:
        whole = IPv4Network(self.cidr)
        if not 16 <= whole.prefixlen <= 28:
            raise UnfitError(
                "cidr", self.cidr, "is no /16 to /28, and a VPC can be nothing else; choose one of that size"
            )
        seen: list[IPv4Network] = []
        for field, subnets in (
            ("public_subnets", self.public_subnets),
            ("private_subnets", self.private_subnets),
        ):
            for text in subnets:
                subnet = IPv4Network(text)
                if not subnet.subnet_of(whole):
                    raise UnfitError(field, text, f"lies outside cidr {self.cidr}; choose a subnet inside it")
                for other in seen:
                    if subnet.overlaps(other):
                        raise UnfitError(field, text, f"overlaps {other}; give each subnet its own range")
                seen.append(subnet)
        return self


class HealthCheck(Table):
    """How the load balancer asks a target whether it is well (requirement B7: every 30 s)."""

    path: Annotated[str, StringConstraints(pattern=r"^/")] = "/health"
    interval_seconds: Annotated[int, Field(ge=5, le=300)] = 30
    timeout_seconds: Annotated[int, Field(ge=2, le=120)] = 10
    healthy_threshold: Annotated[int, Field(ge=2, le=10)] = 2
    unhealthy_threshold: Annotated[int, Field(ge=2, le=10)] = 3

    @model_validator(mode="after")
    def _timeout_fits(self) -> Self:
        if self.timeout_seconds >= self.interval_seconds:
            problem = f"must be shorter than interval_seconds ({self.interval_seconds}); lower it"
            raise UnfitError("timeout_seconds", self.timeout_seconds, problem)
        return self


class Service(Table):
    """What stands behind the load balancer: its address, its instances per colour, and its source."""

    domain: DomainName
    instance_type: InstanceType
    instances_per_colour: Annotated[int, Field(ge=1, le=50)]
    containers_per_instance: Annotated[int, Field(ge=1, le=10)]
    first_port: Port
    ami: Image = UBUNTU
    source: str
    deregistration_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    health_check: HealthCheck = HealthCheck()

    @property
    def ports(self) -> range:
        """The containers' ports on each instance."""
        return range(self.first_port, self.first_port + self.containers_per_instance)


class Backend(Service):
    """The backend (requirement B3), and the front door that it shares with the frontend (B7)."""

    hosted_zone_id: str | None = None
    certificate_arn: Annotated[str, StringConstraints(pattern=r"^arn:aws:acm:")] | None = None
    tls_policy: TlsPolicy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    listener_port: Port = 443
    test_listener_port: Port = 8443
    instance_type: InstanceType = "t3.large"
    instances_per_colour: Annotated[int, Field(ge=1, le=50)] = 3
    containers_per_instance: Annotated[int, Field(ge=1, le=10)] = 3
    first_port: Port = 8000
    source: str = "examples/backend"

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.listener_port == self.test_listener_port:
            problem = "is the port of the live listener too; choose another one"
            raise UnfitError("test_listener_port", self.test_listener_port, problem)
        return self


class Frontend(Service):
    """The web pages (requirement B3): React, served by Node."""

    instance_type: InstanceType = "t3.small"
    instances_per_colour: Annotated[int, Field(ge=1, le=50)] = 2
    containers_per_instance: Annotated[int, Field(ge=1, le=10)] = 1
    first_port: Port = 80
    source: str = "examples/frontend"


class Monitoring(Table):
    """The monitoring tier (requirements B8, C4): its host, which Elasticsearch decides the size of, and what
    Prometheus does there."""

    instance_type: InstanceType = "t3.large"
    disk_gb: Annotated[int, Field(ge=20, le=16384)] = 100
    ami: Image = UBUNTU
    # The rules look a minute back and need four samples of it.
    scrape_seconds: Annotated[int, Field(ge=1, le=15)] = 15
    # Metrics and logs are kept for as long.
    retention_days: Annotated[int, Field(ge=1, le=365)] = 15
    # Whether a release may go on when Prometheus does not see it.
    gate: Literal["must", "should"] = "must"


class Database(Table):
    """The DocumentDB cluster (requirement B4)."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
    instance_class: Annotated[str, StringConstraints(pattern=r"^db\.[a-z0-9-]+\.[a-z0-9]+$")] = "db.t3.medium"
    instances: Annotated[int, Field(ge=1, le=16)] = 3
    # Also decides what a deleted stack leaves behind: with it, data stays.
    deletion_protection: bool = True


class Cache(Table):
    """The Redis replication group (requirement B5)."""

    node_type: Annotated[str, StringConstraints(pattern=r"^cache\.[a-z0-9-]+\.[a-z0-9]+$")] = "cache.t3.micro"
    nodes: Annotated[int, Field(ge=2, le=6)] = 2
