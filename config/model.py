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
from zoneinfo import ZoneInfo

from pydantic import (
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
from config.infrastructure import Backend, Cache, Database, Frontend, Monitoring, Network, Service
from config.load import Load
from config.notifications import Notifications, StatusPage
from config.security import Security
from config.thresholds import Gates, Thresholds
from config.types import Clock, Ratio, Table, TimeZone

DIRECTORY = Path(__file__).parent


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names the file, the field, its value and the way out."""


Percent = Annotated[float, Field(gt=0, le=100)]
Minutes = Annotated[int, Field(ge=1, le=1440)]
Day = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAYS: tuple[str, ...] = get_args(Day)
# Long enough to tell environments apart, short enough for a target group's 32 characters.
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{1,14}$")]


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


class Shift(Table):
    """How the traffic moves to the new colour (requirement A5): at once, by one small share first (canary),
    or by equal shares (linear).

    Between two shares the new release is judged: by its alarms, its targets, and by answers of both releases
    to a load of our own through the live listener, so that there is something to judge at night too.
    """

    strategy: Literal["all_at_once", "canary", "linear"] = "all_at_once"
    # The canary's share, or what each linear step adds.
    percentage: Annotated[int, Field(ge=1, le=50)] = 10
    # How long each share is watched before the next.
    bake_seconds: Annotated[int, Field(ge=5, le=3600)] = 300
    requests_per_second: Annotated[int, Field(ge=1, le=1000)] = 50
    users: Annotated[int, Field(ge=1, le=200)] = 10
    # With fewer answers of the new release in a comparison nothing can be said of it.
    fewest_answers: PositiveInt = 100

    @property
    def shares(self) -> list[int]:
        """Per cent of the traffic on the new colour, step by step; the last is all of it."""
        match self.strategy:
            case "all_at_once":
                return [100]
            case "canary":
                return [self.percentage, 100]
            case "linear":
                return [*range(self.percentage, 100, self.percentage), 100]

    @property
    def comparison_seconds(self) -> int:
        """One comparison is at most a minute long; a longer bake has several."""
        return min(self.bake_seconds, 60)

    @model_validator(mode="after")
    def _enough_answers(self) -> Self:
        expected = self.requests_per_second * self.comparison_seconds * self.percentage // 100
        if self.strategy != "all_at_once" and expected < 2 * self.fewest_answers:
            problem = (
                f"gives the new release some {expected} answers in the {self.comparison_seconds} s of a "
                f"comparison, and at least {2 * self.fewest_answers} are needed to be sure of fewest_answers "
                f"({self.fewest_answers}); raise requests_per_second, percentage or bake_seconds"
            )
            raise UnfitError("requests_per_second", self.requests_per_second, problem)
        return self


class Watch(Table):
    """What happens after the swap: how long it is watched, and what proves the data plane."""

    bake_seconds: PositiveInt = 900
    hours: PositiveFloat = 24
    proof_answers: PositiveInt = 20
    healthy_share: Ratio = 0.5


class Release(Table):
    """The release on the instances; `settings` are the containers' variables that are no secret (C3b)."""

    timeout_seconds: Annotated[int, Field(ge=30, le=172800)] = 900
    settings: dict[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")], str] = Field(
        default_factory=dict
    )

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
    zone: TimeZone = "Asia/Seoul"
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
    """What the schedule does at the window's start: deploys what is pending, where `enabled` and told what;
    else it looks at the environment, unless `verify` is off."""

    enabled: bool = False
    verify: bool = True
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = "nightly"
    source: str | None = None
    image: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _knows_what(self) -> Self:
        if self.enabled and (self.source is None) == (self.image is None):
            raise UnfitError("enabled", True, "needs exactly one of source and image; add one")
        return self


class Drill(Table):
    """The drill of the way back (A5, H3): in which nights, and the users of our own while it goes on."""

    nightly: bool = True
    requests_per_second: Annotated[int, Field(ge=1, le=1000)] = 50
    users: Annotated[int, Field(ge=1, le=200)] = 10
    # A quarter of it before the traffic goes, a quarter before it comes back.
    seconds: Annotated[int, Field(ge=12, le=300)] = 60


class Configuration(Table):
    """One environment, whole."""

    environment: EnvironmentName
    account: Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    availability_zones: Annotated[tuple[str, ...], Strict(False), Field(min_length=2, max_length=2)]
    network: Network
    backend: Backend
    frontend: Frontend
    monitoring: Monitoring = Monitoring()
    database: Database
    cache: Cache = Cache()
    load: Load = Load()
    thresholds: Thresholds = Thresholds()
    gates: Gates = Gates()
    alarms: Alarms = Alarms()
    security: Security = Security()
    shift: Shift = Shift()
    watch: Watch = Watch()
    release: Release = Release()
    window: Window = Window()
    approval: Approval = Approval()
    nightly: Nightly = Nightly()
    drill: Drill = Drill()
    notifications: Notifications = Notifications()
    status_page: StatusPage = StatusPage()
    # How often the state machine looks again at a change set, a stack, a release, a watch.
    poll_seconds: Annotated[int, Field(ge=1, le=300)] = 5

    @model_validator(mode="after")
    def _the_load_can_reach_the_thresholds(self) -> Self:
        for threshold, key in (("requests_per_second", "requests_per_second"), ("concurrent_users", "users")):
            wanted, offered = getattr(self.thresholds, threshold), getattr(self.load, key)
            if wanted > offered:
                problem = (
                    f"is more than load.{key} ({offered}), so that no load test could show it; "
                    f"lower it, or raise load.{key}"
                )
                raise UnfitError(f"thresholds.{threshold}", wanted, problem)
        return self

    @model_validator(mode="after")
    def _what_is_let_in_is_not_taken_back_at_once(self) -> Self:
        alarms = {
            "error_rate": ("error_rate_percent", self.alarms.error_rate_percent / 100),
            "p95_ms": ("p95_seconds", self.alarms.p95_seconds * 1000),
            "cpu": ("cpu_percent", self.alarms.cpu_percent / 100),
            "memory": ("memory_percent", self.alarms.memory_percent / 100),
        }
        for threshold, (alarm, limit) in alarms.items():
            value = getattr(self.thresholds, threshold)
            if value > limit:
                problem = (
                    f"lets in what alarms.{alarm} ({getattr(self.alarms, alarm):g}) takes back; "
                    f"lower it to {limit:g} at most, or raise alarms.{alarm}"
                )
                raise UnfitError(f"thresholds.{threshold}", value, problem)
        return self

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
    def _certificate_is_of_the_region(self) -> Self:
        arn = self.backend.certificate_arn
        if arn is not None and not arn.startswith(f"arn:aws:acm:{self.region}:"):
            problem = (
                f"is of another region, and a load balancer takes only those of its own, {self.region}; "
                "request one there"
            )
            raise UnfitError("backend.certificate_arn", arn, problem)
        return self

    @model_validator(mode="after")
    def _services_have_names_of_their_own(self) -> Self:
        if self.frontend.domain == self.backend.domain:
            problem = "is the backend's too, and the balancer tells the two by name; choose another one"
            raise UnfitError("frontend.domain", self.frontend.domain, problem)
        return self

    @model_validator(mode="after")
    def _subnets_hold_the_instances(self) -> Self:
        # AWS keeps five addresses of each subnet for itself.
        room = sum(IPv4Network(subnet).num_addresses - 5 for subnet in self.network.private_subnets)
        backend, frontend = self.backend.instances_per_colour, self.frontend.instances_per_colour
        monitoring = 1
        needed = 2 * (backend + frontend) + monitoring
        if room < needed:
            problem = (
                f"needs {needed} addresses with both colours, the frontend's {frontend} and the monitoring "
                f"host, and the private subnets hold {room}; lower it"
            )
            raise UnfitError("backend.instances_per_colour", backend, problem)
        return self

    def service(self, name: Literal["backend", "frontend"]) -> Service:
        """One of the two services, for what holds for both."""
        return self.backend if name == "backend" else self.frontend

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
            "instance_type",
            "certificate_arn",
            "hosted_zone_id",
        )
        return {
            "environment": self.environment,
            "availability_zones": list(self.availability_zones),
            "poll_seconds": self.poll_seconds,
            **{
                key: whole[key]
                for key in (
                    "watch",
                    "thresholds",
                    "window",
                    "alarms",
                    "release",
                    "approval",
                    "security",
                    "drill",
                )
            },
            "gates": self.gates.model_dump(mode="json", exclude_none=True),
            "load": self.load.for_lambdas(),
            "backend": {key: whole["backend"][key] for key in backend},
            "frontend": {"domain": self.frontend.domain, "instance_type": self.frontend.instance_type},
            "monitoring": {key: whole["monitoring"][key] for key in ("instance_type", "gate")},
            "database": {"name": self.database.name, "instance_class": self.database.instance_class},
            "shift": {
                **whole["shift"],
                "shares": self.shift.shares,
                "comparison_seconds": self.shift.comparison_seconds,
            },
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
