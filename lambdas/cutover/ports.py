"""What the steps need of the world: narrow interfaces, and the plain values that cross them.

Every implementation maps its own errors to those of `cutover.domain.errors`: a step never sees a client's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:  # the rollback function waits for none of them
    from cutover.domain.colours import Colour, Weights
    from cutover.domain.declared import Declared, Rule
    from cutover.domain.environment import Targets
    from cutover.domain.health import Target
    from cutover.domain.judge import Block
    from cutover.domain.load_plan import Scenario, Stage
    from cutover.domain.load_result import LoadResult
    from cutover.domain.lock import Lock
    from cutover.domain.preflight import BucketState, Certificate, HostedZone
    from cutover.domain.records import Item, Key
    from cutover.domain.seen import Sample
    from cutover.domain.stacks import ChangeSet, Stack, StackResource
    from cutover.domain.target_resources import Datapoint
    from cutover.domain.templates import EnvironmentTemplate


class Clock(Protocol):
    """The only way to the time. `monotonic` counts seconds from nowhere in particular."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Change:
    """One item's part of a write: `put` replaces it, `update` sets the given fields, `check` only looks.

    `expect`: fields that must have these values at that moment. `absent`: the item must not be there.
    """

    how: Literal["put", "update", "check"]
    key: Key
    values: Item = field(default_factory=dict)
    expect: Item = field(default_factory=dict)
    absent: bool = False


class Journal(Protocol):
    """The memory of an environment."""

    def read(self, key: Key) -> Item | None:
        """The item as it is now (a consistent read)."""

    def write(self, changes: Sequence[Change], *, lock: Lock | None = None) -> None:
        """All or nothing. Raises LockLostError if `lock` is not the lock's holder and fence any more, and
        ConflictError if an expectation does not hold."""

    def newest(self, partition: str, most: int) -> Sequence[Item]:
        """The last items of a partition by their sort key, the last one first."""


class Configuration(Protocol):
    """The environment's settings, as they were installed with the control plane."""

    def read(self) -> Mapping[str, Any]: ...


class Events(Protocol):
    """The product's own event bus."""

    def publish(self, kind: str, detail: Mapping[str, Any]) -> None: ...


class Executions(Protocol):
    """Executions of the state machine, by ARN."""

    def runs(self, arn: str) -> bool: ...
    def running(self) -> Sequence[str]: ...
    def stop(self, arn: str, cause: str) -> None: ...


class Measurements(Protocol):
    """Our own 10 s metrics of a colour."""

    def bad(self, colour: Colour, since: datetime, until: datetime) -> Sequence[tuple[datetime, float]]:
        """How much was bad in each 10 s that data were published for, oldest first."""


class Visitor(Protocol):
    """Asks the live listener, as a client does."""

    def last_answer(self, version: str) -> datetime | None:
        """When it last answered with the version; None if it was not seen to. Raises NotReachableError."""


class Contractions(Protocol):
    """The one-time schedules that contract a release's schema when its watch has ended."""

    def cancel(self, deployment: str) -> None:
        """Does nothing where there is none (any more)."""


class TaskTokens(Protocol):
    """Tasks of the state machine that wait for an answer. Both raise NotWaitingError when nobody waits for
    it any more."""

    def succeed(self, token: str, output: Mapping[str, Any]) -> None: ...
    def fail(self, token: str, error: str, cause: str) -> None: ...


class LoadBalancer(Protocol):
    """Listeners and target groups. Where a listener is asked for, it may also be a rule of one."""

    def weights(self, listener: str, targets: Targets) -> Weights: ...

    def set_weights(self, listener: str, targets: Targets, weights: Weights) -> None:
        """One change of the listener; stickiness of target groups goes off, for it would override weights."""

    def block(self, listener: str) -> None:
        """Every request is answered 503 by the balancer itself, until weights are set again."""

    def health(self, target_group: str) -> Sequence[Target]: ...


class Stacks(Protocol):
    def stack(self) -> Stack | None:
        """None when there is no such stack."""

    def resources(self) -> Sequence[StackResource]: ...

    def declared(self) -> Sequence[Declared]:
        """The deployed template's resources, resolved."""

    def waits_for(self) -> str | None:
        """What the operation under way needs of a person: the DNS records of a certificate, and the way
        out."""

    def cancel_update(self) -> bool:
        """Whether an update was under way that CloudFormation now takes back."""

    def first_failure(self) -> str | None:
        """The words of the first resource that failed in the stack's latest operation."""


class ChangeSets(Protocol):
    def create(self, name: str, *, new_stack: bool, parameters: Mapping[str, str]) -> None:
        """Does nothing when a change set of this name exists."""

    def create_from_current(self, name: str, parameters: Mapping[str, str]) -> None:
        """The same, for the template that the stack has now; parameters that aren't given keep their
        values."""

    def find(self, name: str) -> ChangeSet | None: ...
    def unexecuted(self) -> Sequence[str]:
        """The names of those that can still be deleted; none of a stack that does not exist."""

    def execute(self, name: str) -> None: ...
    def delete(self, name: str) -> None: ...


class Offers(Protocol):
    """What AWS offers in the region, and what is taken already. Nothing is changed by asking."""

    def zones_of_type(self, instance_type: str) -> Collection[str]:
        """The availability zones that have this EC2 instance type; none for one that does not exist."""

    def types(self) -> Sequence[str]:
        """Every EC2 instance type of the region."""

    def zones_of_class(self, instance_class: str) -> Collection[str]:
        """The availability zones that have this class of DocumentDB instances."""

    def bucket(self, name: str) -> BucketState: ...
    def certificate(self, arn: str) -> Certificate | None: ...
    def hosted_zone(self, identifier: str) -> HostedZone | None: ...


@dataclass(frozen=True)
class Layer:
    """One of the environment's templates, with its stack and that stack's change sets."""

    template: EnvironmentTemplate
    stacks: Stacks
    change_sets: ChangeSets


class LiveResources(Protocol):
    def look(self, declared: Declared) -> Mapping[str, str] | None:
        """The facts of `cutover.domain.declared` as the live API tells them; None when there is nothing."""


class Doors(Protocol):
    """The rules of security groups, in both directions, by the group's id."""

    def rules(self, groups: Sequence[str]) -> Mapping[str, frozenset[Rule]]:
        """A group that is gone is not among them."""

    def close(self, group: str, rule: Rule) -> None:
        """Takes a rule away."""

    def put_back(self, group: str, rule: Rule) -> None:
        """Adds a rule. Both do nothing where it is done already."""


class DriftDetection(Protocol):
    def detect(self) -> Mapping[str, Any]:
        """CloudFormation's own look: {status: IN_SYNC | DRIFTED | UNKNOWN, reason, resources}."""


class Inventory(Protocol):
    """How the environment's data stores stand, in their services' own words; None when there is no such
    thing."""

    def database(self, cluster: str) -> str | None: ...
    def cache(self, group: str) -> str | None: ...


@dataclass(frozen=True)
class Group:
    """An Auto Scaling group: instances in service, and how many are wanted."""

    instances: Sequence[str]
    desired: int


class Instances(Protocol):
    def group(self, name: str) -> Group | None: ...


@dataclass(frozen=True)
class Finding:
    """A vulnerability of a package in an image. `severity` is the registry's word in capitals; `fixed` is the
    version without it, or None when the registry tells none."""

    id: str
    severity: str
    package: str
    version: str
    fixed: str | None = None


@dataclass(frozen=True)
class ImageScan:
    """A scan as the registry has it; `counts` of findings by severity, as the registry counts them."""

    status: str
    reason: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    findings: Sequence[Finding] = ()


class Addresses(Protocol):
    def private(self, instance: str) -> str | None:
        """An instance's address in the network; None when there is no such instance (any more)."""


class Metrics(Protocol):
    """What Prometheus has scraped."""

    def query(self, expression: str) -> Sequence[Sample]:
        """The series that an expression gives now. Raises NotReachableError."""


class Registry(Protocol):
    """The image repository."""

    name: str
    uri: str

    def digest(self, *, tag: str | None = None, digest: str | None = None) -> str | None:
        """The digest of the image with that tag or digest; None when there is none."""

    def scan(self, digest: str) -> ImageScan | None:
        """The image's latest scan with all of its findings; None when it was never scanned."""


class Plans(Protocol):
    """Where plans are kept, by their digest."""

    def location(self, digest: str) -> str: ...
    def console(self, digest: str) -> str:
        """Its address in the AWS console."""

    def read(self, digest: str) -> Mapping[str, Any] | None: ...
    def keep(self, digest: str, document: Mapping[str, Any]) -> None: ...


class Documents(Protocol):
    """Where documents for people are kept."""

    def location(self, key: str) -> str: ...
    def console(self, key: str) -> str:
        """Its address in the AWS console."""

    def keep(self, key: str, body: bytes, media_type: str = "application/json") -> None: ...


class Reports(Protocol):
    """What builds leave behind, and what was concluded from it."""

    def location(self, key: str) -> str: ...
    def read(self, key: str) -> bytes | None: ...
    def keep(self, key: str, body: bytes, media_type: str = "application/json") -> None: ...


class EvidenceStore(Protocol):
    """Where evidence is kept: what is there once is never written over."""

    def add(self, key: str, body: bytes) -> bool:
        """False, and nothing is changed, where there is an object of this key already."""

    def read(self, key: str) -> bytes | None: ...


class Templates(Protocol):
    """The environment's templates, by their names and in their order."""

    def wanted(self) -> Mapping[str, tuple[Mapping[str, Any], str]]:
        """What change sets are made of, each with its SHA-256."""

    def live(self) -> Mapping[str, Mapping[str, Any] | None]:
        """What the stacks have; None for one that is not there, or without resources."""


class Sources(Protocol):
    """The artifacts bucket."""

    def holds(self, key: str) -> bool: ...

    def folder(self, key: str, name: str) -> Mapping[str, bytes]:
        """The files directly in a folder of the source, by their names in it; empty where there is none.

        Raises SourceNotFoundError, and SourceChangedError when the source is not what its name says."""

    def location(self, key: str) -> str:
        """As CodeBuild takes it: BUCKET/KEY."""


@dataclass(frozen=True)
class Invocation:
    """A command on one instance; `status` is Systems Manager's word, `output` the script's last words."""

    instance: str
    status: str
    output: str = ""


class RunCommand(Protocol):
    def send(
        self, document: str, instances: Sequence[str], parameters: Mapping[str, str], comment: str
    ) -> str:
        """The command's id. Raises NotReachableError while an instance has not reported to Systems
        Manager."""

    def invocations(self, command: str) -> Sequence[Invocation]: ...


@dataclass(frozen=True)
class Alarm:
    """`state` is OK, ALARM or INSUFFICIENT_DATA."""

    name: str
    state: str
    changed_at: datetime
    description: str


class Alarms(Protocol):
    def find(self, names: Sequence[str]) -> Sequence[Alarm]: ...

    def dashboard(self, name: str) -> str | None:
        """The dashboard's body."""


@dataclass(frozen=True)
class IngressRule:
    """Who may come in where. `protocol` is tcp, udp, icmp or -1 for all; `sources` are CIDRs and groups."""

    group: str
    protocol: str
    first_port: int
    last_port: int
    sources: Sequence[str]


class Network(Protocol):
    def ingress(self, listener: str) -> Sequence[IngressRule]:
        """Every ingress rule of every security group in the VPC of the listener's load balancer."""


@dataclass(frozen=True)
class Flag:
    """One fact about encryption: whether it is `on`, in the API's words; `samples` things were looked at."""

    name: str
    on: bool
    found: str
    wanted: str
    samples: int = 1


class Encryption(Protocol):
    """How what is kept and sent is encrypted; nothing for what does not exist."""

    def database(self, cluster: str) -> Sequence[Flag]: ...
    def cache(self, group: str) -> Sequence[Flag]: ...
    def bucket(self, name: str) -> Sequence[Flag]: ...
    def disks(self) -> Sequence[Flag]:
        """Of the environment's instances."""


class Secrets(Protocol):
    def read(self, name: str) -> Mapping[str, str]:
        """A JSON secret."""

    def text(self, name: str) -> str:
        """A secret that is one text."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    milliseconds: float

    def json(self) -> Any:
        """The body, or None when it is no JSON."""
        import json  # noqa: PLC0415  only answers that are asked for it pay for it

        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Handshake:
    """How a TLS handshake went. `accepted` is None when it could not even be tried; `suite` is what was
    agreed on, by OpenSSL's name."""

    accepted: bool | None
    detail: str
    suite: str = ""


class Http(Protocol):
    """The service as a client outside sees it: through the balancer, under its domain's name and
    certificate."""

    def request(
        self,
        method: str,
        port: int,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        upload: tuple[str, bytes] | None = None,
    ) -> Answer:
        """On a connection of its own. `upload` is (file name, content). Raises NotReachableError."""

    def kept(self) -> AbstractContextManager[Http]:
        """The same with connections that stay open, for many requests in a row."""

    def handshake(self, port: int, lowest: str, highest: str, suites: str | None = None) -> Handshake:
        """Offer TLS from `lowest` to `highest` ("1.0", "1.1", "1.2", "1.3") and nothing else. The certificate
        is looked at too, unless old versions or `suites` (in OpenSSL's language) are offered: there the
        question is only whether they would be agreed on."""


@dataclass(frozen=True)
class VersionAnswers:
    """What one version answered; `failed` of them with a status of 400 or above."""

    answers: int
    failed: int
    p95_ms: float


class Load(Protocol):
    """Requests at a rate. Each method raises InvalidInputError when it is aimed at anything but the
    environment's own listeners (`cutover.domain.aim`)."""

    def run(
        self,
        *,
        port: int,
        scenarios: Sequence[Scenario],
        stages: Sequence[Stage],
        users: int,
        begin_at: float = 0.0,
    ) -> Sequence[LoadResult]:
        """One result for each stage; begins at `begin_at` (epoch seconds) or at once.

        Raises NotReachableError when nothing answers at all."""

    def pair(
        self,
        *,
        new_port: int,
        old_port: int,
        scenarios: Sequence[Scenario],
        rate: float,
        users: int,
        seconds: float,
        block_seconds: float,
    ) -> Sequence[Block]:
        """The same load on two listeners at once, in blocks by when a request was due."""

    def by_version(
        self, *, port: int, path: str, rate: float, users: int, seconds: float
    ) -> Mapping[str, VersionAnswers]:
        """By the version that each answer names; under "" those that named none, and the requests that got
        no answer (all of them failed)."""


class TargetMetrics(Protocol):
    """What CloudWatch knows of an Auto Scaling group's instances."""

    def during(self, group: str, since: datetime, until: datetime) -> Mapping[str, Sequence[Datapoint]]:
        """By `cutover.domain.target_resources.RESOURCES`; what CloudWatch has no data for is empty."""
