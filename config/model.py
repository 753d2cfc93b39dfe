"""What one environment is configured with: the types, their rules, and `load`, which reads config/NAME.toml.

Every rule that AWS would only report minutes into a deployment (a subnet outside its network, a health check
whose timeout exceeds its interval) is checked here, so that a mistake costs a second and touches nothing.
"""

import difflib
import re
import tomllib
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    Strict,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from config.explanation import UnfitError, explain

DIRECTORY = Path(__file__).parent


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names the file, the field, its value and the way out."""


def _network(value: str) -> str:
    try:
        IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"is not an IPv4 network ({error}); write one like 10.1.0.0/16") from None
    return value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("is not a time zone; write one of the IANA database, like Asia/Seoul")
    return value


Cidr = Annotated[str, AfterValidator(_network)]
Cidrs = Annotated[tuple[Cidr, ...], Strict(False)]
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Percent = Annotated[float, Field(gt=0, le=100)]
Ratio = Annotated[float, Field(gt=0, le=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
Minutes = Annotated[int, Field(ge=1, le=1440)]
Day = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAYS: tuple[str, ...] = get_args(Day)
# Policies that offer TLS 1.3 (requirement B7); the first also serves clients that stopped at TLS 1.2.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
TlsPolicy = Literal["ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-TLS13-1-3-2021-06"]
# Long enough to tell environments apart, short enough for a target group's 32 characters.
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{1,14}$")]
DomainName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$")]


class Table(BaseModel):
    """A table of the file: unknown keys are refused, values are never coerced, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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


class Backend(Table):
    """The service: its address, its instances per colour, and where its source stands."""

    domain: DomainName
    hosted_zone_id: str | None = None
    certificate_arn: Annotated[str, StringConstraints(pattern=r"^arn:aws:acm:")] | None = None
    tls_policy: TlsPolicy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    listener_port: Port = 443
    test_listener_port: Port = 8443
    instance_type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")] = "t3.large"
    instances_per_colour: Annotated[int, Field(ge=1, le=50)] = 3
    containers_per_instance: Annotated[int, Field(ge=1, le=10)] = 3
    first_port: Port = 8000
    # Canonical's public parameter of the newest Ubuntu 22.04 image, or an image's own id (ami-…).
    ami: Annotated[str, StringConstraints(pattern=r"^(/aws/service/|ami-[0-9a-f]+$)")] = (
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
    )
    source: str = "examples/backend"
    deregistration_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 30
    health_check: HealthCheck = HealthCheck()

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.listener_port == self.test_listener_port:
            problem = "is the port of the live listener too; choose another one"
            raise UnfitError("test_listener_port", self.test_listener_port, problem)
        return self

    @property
    def ports(self) -> range:
        """The containers' ports on each instance."""
        return range(self.first_port, self.first_port + self.containers_per_instance)


class Database(Table):
    """The DocumentDB cluster (requirement B4)."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
    instance_class: Annotated[str, StringConstraints(pattern=r"^db\.")] = "db.t3.medium"
    instances: Annotated[int, Field(ge=1, le=16)] = 3
    # Also decides what a deleted stack leaves behind: with it, data stays.
    deletion_protection: bool = True


class Cache(Table):
    """The Redis replication group (requirement B5)."""

    node_type: Annotated[str, StringConstraints(pattern=r"^cache\.")] = "cache.t3.micro"
    nodes: Annotated[int, Field(ge=2, le=6)] = 2


class Load(Table):
    """The load test of phase 6 (requirement C6a)."""

    requests_per_second: PositiveInt = 1000
    users: PositiveInt = 200
    # A Lambda function lives for 900 s; warming up and reporting need some of it.
    seconds: Annotated[int, Field(ge=1, le=600)] = 60
    path: Annotated[str, StringConstraints(pattern=r"^/")] = "/api/health"


class Thresholds(Table):
    """What a release must reach to take the traffic (requirements C6, E1)."""

    p95_ms: PositiveFloat = 500
    error_rate: Ratio = 0.001
    query_mean_ms: PositiveFloat = 50
    index_hit: Ratio = 0.95
    pool_use: Ratio = 0.8
    # A collection up to this size may be scanned, or sorted in memory: that costs nothing yet.
    scan_documents: Annotated[int, Field(ge=0)] = 1000


class Alarms(Table):
    """When a live release is taken back (requirement D1). Minutes are CloudWatch periods in a row."""

    error_rate_percent: Percent = 5
    error_minutes: Minutes = 5
    p95_seconds: PositiveFloat = 2
    p95_minutes: Minutes = 3
    cpu_percent: Percent = 90
    cpu_minutes: Minutes = 5
    memory_percent: Percent = 95
    memory_minutes: Minutes = 3
    health_failures: Minutes = 3
    # On our own metrics, in periods of 10 s in a row, with the limits above; a period with fewer requests
    # says nothing.
    fast_periods: Annotated[int, Field(ge=1, le=30)] = 3
    fast_requests: PositiveInt = 10


class Watch(Table):
    """What happens after the swap: how long it is watched, and what proves the data plane."""

    bake_seconds: PositiveInt = 900
    hours: PositiveFloat = 24
    proof_answers: PositiveInt = 20
    healthy_share: Ratio = 0.5


class Release(Table):
    """The release on the instances; `settings` are the containers' variables that are no secret (C3b)."""

    timeout_seconds: Annotated[int, Field(ge=30, le=172800)] = 900
    settings: dict[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")], str] = {}

    @field_validator("settings")
    @classmethod
    def _one_line_each(cls, settings: dict[str, str]) -> dict[str, str]:
        for name, value in settings.items():
            if not value.isprintable() or "'" in value:
                raise UnfitError(name, value, "holds a quote or a control character; remove it")
        return settings


class Backup(Table):
    """When the weekly backup runs (requirement A3), in the window's time zone."""

    day: Day = "Sunday"
    start: Clock = "01:00"
    end: Clock = "03:00"


class Window(Table):
    """When deployments may run (requirement A3)."""

    start: Clock = "02:00"
    end: Clock = "04:00"
    zone: Annotated[str, AfterValidator(_zone)] = "Asia/Seoul"
    enforced: bool = True
    backup: Backup = Backup()

    @property
    def timezone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


class Approval(Table):
    """Whether a person has to approve the plan before anything is touched, and how long they have."""

    required: bool = False
    # The state machine lives for twelve hours, and its phases may take eight of them.
    expires_minutes: Annotated[int, Field(ge=1, le=240)] = 60


class Nightly(Table):
    """What the schedule deploys at the window's start; off until it says what."""

    enabled: bool = False
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = "nightly"
    source: str | None = None
    image: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _knows_what(self) -> Self:
        if self.enabled and (self.source is None) == (self.image is None):
            raise UnfitError("enabled", True, "needs exactly one of source and image; add one")
        return self


class Configuration(Table):
    """One environment, whole."""

    environment: EnvironmentName
    account: Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    availability_zones: Annotated[tuple[str, ...], Strict(False), Field(min_length=2, max_length=2)]
    network: Network
    backend: Backend
    database: Database
    cache: Cache = Cache()
    load: Load = Load()
    thresholds: Thresholds = Thresholds()
    alarms: Alarms = Alarms()
    watch: Watch = Watch()
    release: Release = Release()
    window: Window = Window()
    approval: Approval = Approval()
    nightly: Nightly = Nightly()
    # How often the state machine looks again at a change set, a stack, a release, a watch.
    poll_seconds: Annotated[int, Field(ge=1, le=300)] = 5

    @model_validator(mode="after")
    def _zones_are_of_the_region(self) -> Self:
        for zone in self.availability_zones:
            if not re.fullmatch(re.escape(self.region) + "[a-z]", zone):
                problem = f"is no zone of region {self.region}; write {self.region}a, for example"
                raise UnfitError("availability_zones", zone, problem)
        if len(set(self.availability_zones)) != len(self.availability_zones):
            problem = "names one zone twice; give two different ones"
            raise UnfitError("availability_zones", list(self.availability_zones), problem)
        return self

    @model_validator(mode="after")
    def _subnets_hold_the_instances(self) -> Self:
        # AWS keeps five addresses of each subnet for itself.
        room = sum(IPv4Network(subnet).num_addresses - 5 for subnet in self.network.private_subnets)
        needed = 2 * self.backend.instances_per_colour
        if room < needed:
            problem = (
                f"needs {needed} addresses for both colours and the private subnets hold {room}; lower it"
            )
            raise UnfitError("backend.instances_per_colour", self.backend.instances_per_colour, problem)
        return self

    def for_lambdas(self) -> dict[str, Any]:
        """What the functions read from the parameter /cutover/ENV/configuration (JSON)."""
        whole = self.model_dump(mode="json")
        backend = (
            "domain",
            "listener_port",
            "test_listener_port",
            "instances_per_colour",
            "containers_per_instance",
            "first_port",
        )
        return {
            "environment": self.environment,
            "poll_seconds": self.poll_seconds,
            **{
                key: whole[key]
                for key in ("watch", "load", "thresholds", "window", "alarms", "release", "approval")
            },
            "backend": {key: whole["backend"][key] for key in backend},
            "database": {"name": self.database.name},
        }


def environments(directory: Path = DIRECTORY) -> list[str]:
    """The names of the environments that have a file."""
    return sorted(path.stem for path in directory.glob("*.toml"))


def load(environment: str, directory: Path = DIRECTORY) -> Configuration:
    """Read and check DIRECTORY/ENVIRONMENT.toml; raises ConfigurationError with one message."""
    known = environments(directory)
    if environment not in known:
        near = difflib.get_close_matches(environment, known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigurationError(
            f"unknown environment {environment!r}: {hint}choose one of {', '.join(known) or '(none yet)'}, "
            f"or add {directory.name}/{environment}.toml"
        )
    path = directory / f"{environment}.toml"
    shown = f"{directory.name}/{path.name}"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{shown} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{shown} cannot be read: {error.strerror}") from None
    try:
        configuration = Configuration.model_validate(raw)
    except ValidationError as error:
        raise ConfigurationError(f"{shown}: {explain(error, raw, Configuration)}") from None
    if configuration.environment != environment:
        raise ConfigurationError(
            f"{shown}: environment is {configuration.environment!r}: the file's name says {environment!r}; "
            "make them equal"
        )
    return configuration
