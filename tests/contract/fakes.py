"""The ports in memory. Those that have a contract suite pass it, as the real adapters do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from cutover.database_ports import Explained
from cutover.domain.colours import Colour, Weights
from cutover.domain.declared import Declared, Rule, rules, wanted
from cutover.domain.environment import Targets
from cutover.domain.errors import (
    ConflictError,
    LockLostError,
    MisconfiguredError,
    NotReachableError,
    NotWaitingError,
)
from cutover.domain.gates import Persona, Subject
from cutover.domain.happenings import DISCRIMINATING
from cutover.domain.health import Target
from cutover.domain.judge import Arm, Block
from cutover.domain.load_plan import Scenario, Stage
from cutover.domain.load_result import LoadResult
from cutover.domain.lock import Lock
from cutover.domain.preflight import BucketState, Certificate, HostedZone
from cutover.domain.queries import NamedQuery
from cutover.domain.records import LOCK, Item, Key
from cutover.domain.seen import Sample
from cutover.domain.services import Service
from cutover.domain.target_resources import Datapoint
from cutover.ports import (
    Alarm,
    Change,
    Flag,
    Group,
    ImageScan,
    IngressRule,
    Invocation,
    VersionAnswers,
)

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
TARGETS = Targets("listener", "test-listener", "blue-group", "green-group")
BLUE, GREEN = Weights(100, 0), Weights(0, 100)
OUTPUTS = {
    "ListenerArn": "listener",
    "TestListenerArn": "test-listener",
    "BlueTargetGroupArn": "blue-group",
    "GreenTargetGroupArn": "green-group",
    "LoadBalancerDns": "127.0.0.1",
    "Domain": "api.example.com",
    "ListenerPort": "443",
    "TestListenerPort": "8443",
    "BlueGroup": "backend-blue",
    "GreenGroup": "backend-green",
    "ReleaseDocument": "release-document",
    "Dashboard": "dashboard",
    "DatabaseEndpoint": "database",
    "DatabasePort": "27017",
    "RedisEndpoint": "redis",
    "RedisPort": "6379",
    "FilesBucket": "files",
    "ContainersPerInstance": "3",
    "FirstPort": "8000",
    "FrontendRuleArn": "listener/frontend-rule",
    "FrontendTestRuleArn": "test-listener/frontend-test-rule",
    "FrontendBlueTargetGroupArn": "listener:frontend-blue-group",
    "FrontendGreenTargetGroupArn": "listener:frontend-green-group",
    "FrontendDomain": "www.example.com",
    "FrontendBlueGroup": "frontend-blue",
    "FrontendGreenGroup": "frontend-green",
    "FrontendReleaseDocument": "frontend-release-document",
    "FrontendContainersPerInstance": "2",
    "FrontendFirstPort": "3000",
    "MonitoringGroup": "monitoring",
    "MonitoringDocument": "monitoring-document",
    "MonitoringDigest": "d1",
}

#: The frontend's.
PAGES = Targets(
    OUTPUTS["FrontendRuleArn"],
    OUTPUTS["FrontendTestRuleArn"],
    OUTPUTS["FrontendBlueTargetGroupArn"],
    OUTPUTS["FrontendGreenTargetGroupArn"],
)


class FakeClock:
    """Stands still until somebody sleeps."""

    def __init__(self, now: datetime = NOON) -> None:
        self._began = self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._began).total_seconds()

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def turn_to(self, moment: datetime) -> None:
        """For what goes on side by side."""
        self._now = moment


class FakeJournal:
    """`broken` makes every call fail as an unreachable table does."""

    def __init__(self) -> None:
        self.items: dict[Key, dict[str, Any]] = {}
        self.broken = False

    def read(self, key: Key) -> Item | None:
        self._reach()
        found = self.items.get(key)
        return dict(found) if found is not None else None

    def write(self, changes: Sequence[Change], *, lock: Lock | None = None) -> None:
        self._reach()
        if lock is not None:
            held = self.items.get(LOCK, {})
            if held.get("holder") != lock.holder or held.get("fence") != lock.fence:
                raise LockLostError(f"deployment {lock.holder} no longer holds the lock")
        for change in changes:
            there = self.items.get(change.key)
            expected = all((there or {}).get(name) == value for name, value in change.expect.items())
            if (change.absent and there is not None) or not expected:
                raise ConflictError(f"{change.key} is not as expected")
        for change in changes:
            if change.how == "put":
                self.items[change.key] = dict(change.values)
            elif change.how == "update":
                self.items[change.key] = {**self.items.get(change.key, {}), **change.values}

    def newest(self, partition: str, most: int) -> Sequence[Item]:
        self._reach()
        keys = sorted((key for key in self.items if key.pk == partition), reverse=True)
        return [dict(self.items[key]) for key in keys[:most]]

    def _reach(self) -> None:
        if self.broken:
            raise NotReachableError("the table does not answer")


class FakeLoadBalancer:
    """Two listeners with two target groups, and the rules of the frontend with two; `moves` are the changes in
    the order they were made."""

    def __init__(self, live: Weights = BLUE, test: Weights = GREEN) -> None:
        self.of = {TARGETS.listener_arn: live, TARGETS.test_listener_arn: test}
        self.of |= {PAGES.listener_arn: BLUE, PAGES.test_listener_arn: GREEN}
        self.targets: dict[str, list[Target]] = {
            targets.of(colour): [] for targets in (TARGETS, PAGES) for colour in Colour
        }
        self.moves: list[tuple[str, Weights]] = []
        self.unreadable: set[str] = set()
        self.blocked: set[str] = set()

    def populate(
        self, colour: Colour, healthy: int, sick: int = 0, *, service: Service = Service.BACKEND
    ) -> None:
        states = ["healthy"] * healthy + ["unhealthy"] * sick
        name = colour if service is Service.BACKEND else f"pages-{colour}"
        of = TARGETS if service is Service.BACKEND else PAGES
        self.targets[of.of(colour)] = [
            Target(f"i-{name}{n // 3}", 8000 + n % 3, state) for n, state in enumerate(states)
        ]

    def weights(self, listener: str, targets: Targets) -> Weights:
        self._reach(listener)
        if listener in self.blocked:
            raise MisconfiguredError(f"listener {listener} does not forward")
        return self.of[listener]

    def block(self, listener: str) -> None:
        self._reach(listener)
        self.blocked.add(listener)

    def set_weights(self, listener: str, targets: Targets, weights: Weights) -> None:
        self._reach(listener)
        self.of[listener] = weights
        self.blocked.discard(listener)
        self.moves.append((listener, weights))

    def health(self, target_group: str) -> Sequence[Target]:
        self._reach(target_group)
        return list(self.targets[target_group])

    def _reach(self, name: str) -> None:
        if name in self.unreadable:
            raise NotReachableError(f"{name} does not answer")
        if name not in self.of and name not in self.targets:
            raise MisconfiguredError(f"{name} is not there")


# The least of each kind of resource that the look at the live environment asks about.
LEAST: Mapping[str, Mapping[str, Any]] = {
    "AWS::EC2::VPC": {"CidrBlock": "10.1.0.0/16"},
    "AWS::EC2::Subnet": {"CidrBlock": "10.1.1.0/24", "AvailabilityZone": "a"},
    "AWS::EC2::NatGateway": {"SubnetId": "subnet"},
    "AWS::EC2::Route": {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "natgateway"},
    "AWS::EC2::FlowLog": {"ResourceId": "vpc", "TrafficType": "REJECT"},
    "AWS::EC2::SecurityGroup": {
        "SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}]
    },
    "AWS::EC2::LaunchTemplate": {"LaunchTemplateData": {"InstanceType": "t3.large"}},
    "AWS::AutoScaling::AutoScalingGroup": {"DesiredCapacity": "2"},
    "AWS::DocDB::DBCluster": {"StorageEncrypted": True},
    "AWS::DocDB::DBInstance": {"DBClusterIdentifier": "dbcluster", "DBInstanceClass": "db.t3.medium"},
    "AWS::ElastiCache::ReplicationGroup": {
        "NumCacheClusters": 2,
        "TransitEncryptionEnabled": True,
        "AtRestEncryptionEnabled": True,
    },
    "AWS::SecretsManager::Secret": {"Name": "cutover-sandbox/redis"},
    "AWS::S3::Bucket": {},
    "AWS::ElasticLoadBalancingV2::LoadBalancer": {"Scheme": "internal", "Subnets": ["a", "b"]},
    "AWS::ElasticLoadBalancingV2::Listener": {"Port": 443, "Protocol": "HTTPS"},
    "AWS::ElasticLoadBalancingV2::ListenerRule": {
        "Priority": 100,
        "Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": ["www.example.com"]}}],
    },
    "AWS::ElasticLoadBalancingV2::TargetGroup": {"Port": 8000},
    "AWS::CertificateManager::Certificate": {
        "DomainName": "api.example.com",
        "SubjectAlternativeNames": ["example.com"],
    },
    "AWS::CloudWatch::Alarm": {"Threshold": 5, "EvaluationPeriods": 5},
}


def declare() -> list[Declared]:
    """One resource of each kind; its physical id is its type's last word in small letters."""
    return [
        Declared(kind.rsplit("::", 1)[1], kind, kind.rsplit("::", 1)[1].lower(), properties)
        for kind, properties in LEAST.items()
    ]


class FakeLive:
    """Finds what is wanted, but for what `found` says by the logical id; an error there is raised."""

    def __init__(self, every: Sequence[Declared] | None = None) -> None:
        self.every = every or declare()
        self.found: dict[str, Mapping[str, str] | Exception | None] = {}

    def look(self, declared: Declared) -> Mapping[str, str] | None:
        found = self.found.get(declared.logical_id, wanted(declared, self.every))
        if isinstance(found, Exception):
            raise found
        return found


class FakeDoors:
    """Security groups by id; what was taken away and what was put back."""

    def __init__(self, groups: Mapping[str, frozenset[Rule]] | None = None) -> None:
        self.groups = dict(groups if groups is not None else rules(declare()))
        self.closed: list[tuple[str, Rule]] = []
        self.restored: list[tuple[str, Rule]] = []

    def rules(self, groups: Sequence[str]) -> Mapping[str, frozenset[Rule]]:
        return {group: self.groups[group] for group in groups if group in self.groups}

    def close(self, group: str, rule: Rule) -> None:
        self.groups[group] -= {rule}
        self.closed.append((group, rule))

    def put_back(self, group: str, rule: Rule) -> None:
        self.groups[group] |= {rule}
        self.restored.append((group, rule))


class FakeOffers:
    """Two zones with a few types; no bucket is taken, and there is one certificate and one hosted zone."""

    def __init__(self) -> None:
        zones = {"ap-northeast-2a", "ap-northeast-2c"}
        self.by_type = {name: set(zones) for name in ("t3.micro", "t3.large", "m6i.large")}
        self.by_class = {"db.t3.medium": set(zones)}
        self.buckets: dict[str, BucketState] = {}
        self.certificates = {"arn:c": Certificate("ISSUED", ["api.example.com"])}
        self.zones = {"Z1": HostedZone("example.com", private=False)}

    def zones_of_type(self, instance_type: str) -> set[str]:
        return self.by_type.get(instance_type, set())

    def types(self) -> Sequence[str]:
        return sorted(self.by_type)

    def zones_of_class(self, instance_class: str) -> set[str]:
        return self.by_class.get(instance_class, set())

    def bucket(self, name: str) -> BucketState:
        return self.buckets.get(name, BucketState.FREE)

    def certificate(self, arn: str) -> Certificate | None:
        return self.certificates.get(arn)

    def hosted_zone(self, identifier: str) -> HostedZone | None:
        return self.zones.get(identifier)


class FakeInstances:
    def __init__(self, **groups: Group) -> None:
        self.groups = {name.replace("_", "-"): group for name, group in groups.items()}

    def group(self, name: str) -> Group | None:
        return self.groups.get(name)


class FakeAddresses:
    """Every instance has an address, unless it is `gone`."""

    def __init__(self) -> None:
        self.gone: set[str] = set()

    def private(self, instance: str) -> str | None:
        return None if instance in self.gone else f"10.1.10.{instance.removeprefix('i-')}"


class FakeMetrics:
    """What Prometheus answers, by what the query begins with; it sees everything of both colours at first."""

    def __init__(self, containers: float = 6) -> None:
        self.answers: dict[str, float | None] = {
            "histogram_quantile": 0.02,
            "sum by (colour) (rate": 3.0,
            "sum by (colour) (up": containers,
        }
        self.reachable = True
        self.asked: list[str] = []

    def query(self, expression: str) -> Sequence[Sample]:
        self.asked.append(expression)
        if not self.reachable:
            raise NotReachableError("Prometheus does not answer: connection refused")
        value = next(value for start, value in self.answers.items() if expression.startswith(start))
        return [] if value is None else [Sample({"colour": colour.value}, value) for colour in Colour]


class FakeRegistry:
    name, uri = "backend", "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/backend"

    def __init__(self, **tags: str) -> None:
        self.tags = tags
        self.scans: list[ImageScan | None] = [ImageScan("COMPLETE")]
        self.scanned: list[str] = []

    def scan(self, digest: str) -> ImageScan | None:
        """The scans in turn; the last one stays."""
        self.scanned.append(digest)
        return self.scans.pop(0) if len(self.scans) > 1 else self.scans[0]

    def digest(self, *, tag: str | None = None, digest: str | None = None) -> str | None:
        if tag is not None:
            return self.tags.get(tag)
        return digest if digest in self.tags.values() else None


class FakeSources:
    """`files` of every source's folder."""

    def __init__(self, *keys: str, files: Mapping[str, bytes] | None = None) -> None:
        self.keys = keys
        self.files = files or {}

    def folder(self, key: str, name: str) -> Mapping[str, bytes]:
        return self.files

    def holds(self, key: str) -> bool:
        return key in self.keys

    def location(self, key: str) -> str:
        return f"artifacts/{key}"


class FakeMigrationPlans:
    """`told` is what the database function answers; None where there is none."""

    def __init__(self, told: Mapping[str, Any] | None = None) -> None:
        self.told = told

    def look(self, source: str) -> Mapping[str, Any] | None:
        return self.told


class FakePlans:
    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, Any]] = {}

    def location(self, digest: str) -> str:
        return f"s3://artifacts/plans/{digest}.json"

    def console(self, digest: str) -> str:
        return f"https://console/plans/{digest}.json"

    def read(self, digest: str) -> Mapping[str, Any] | None:
        return self.kept.get(digest)

    def keep(self, digest: str, document: Mapping[str, Any]) -> None:
        import json

        self.kept[digest] = json.loads(json.dumps(document))


class FakeDocuments:
    """Documents and evidence: what is added once stays."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def location(self, key: str) -> str:
        return f"s3://artifacts/{key}"

    def console(self, key: str) -> str:
        return f"https://console/{key}"

    def keep(self, key: str, body: bytes, media_type: str = "application/json") -> None:
        self.objects[key] = body

    def add(self, key: str, body: bytes) -> bool:
        if key in self.objects:
            return False
        self.objects[key] = body
        return True

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)


class FakeCommands:
    """`unmanaged`: instances that have not reported yet. `of` are the results by command, else `results`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[str, ...], Mapping[str, str]]] = []
        self.results: list[Invocation] = []
        self.of: dict[str, list[Invocation]] = {}
        self.unmanaged = False
        # The monitoring tier's rollouts, which go well unless `rolled_out` says otherwise.
        self.rollouts: list[tuple[tuple[str, ...], Mapping[str, str]]] = []
        self.rolled_out: dict[str, Invocation] = {}

    def send(
        self, document: str, instances: Sequence[str], parameters: Mapping[str, str], comment: str
    ) -> str:
        if self.unmanaged:
            raise NotReachableError("an instance has not reported to Systems Manager yet")
        if document == OUTPUTS["MonitoringDocument"]:
            self.rollouts.append((tuple(instances), parameters))
            return f"rollout-{len(self.rollouts)}"
        self.sent.append((document, tuple(instances), parameters))
        return f"command-{len(self.sent)}"

    def invocations(self, command: str) -> Sequence[Invocation]:
        if command.startswith("rollout-"):
            instances, _ = self.rollouts[int(command.removeprefix("rollout-")) - 1]
            return [self.rolled_out.get(name, Invocation(name, "Success")) for name in instances]
        return self.of.get(command, self.results)


class FakeEvents:
    """Takes only what carries all that tells it from others of its kind."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Mapping[str, Any]]] = []

    def publish(self, kind: str, detail: Mapping[str, Any]) -> None:
        missing = set(DISCRIMINATING[kind]) - set(detail)
        assert not missing, f"{kind} is told from others by {missing}"
        self.published.append((kind, detail))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.published]


class FakeExecutions:
    def __init__(self, *running: str) -> None:
        self.under_way = set(running)
        self.stopped: list[tuple[str, str]] = []

    def runs(self, arn: str) -> bool:
        return arn in self.under_way

    def running(self) -> Sequence[str]:
        return sorted(self.under_way)

    def stop(self, arn: str, cause: str) -> None:
        self.under_way.discard(arn)
        self.stopped.append((arn, cause))


class FakeContractions:
    """`there`: deployments whose schema is to be contracted."""

    def __init__(self, *there: str) -> None:
        self.there = set(there)

    def cancel(self, deployment: str) -> None:
        self.there.discard(deployment)


class FakeTasks:
    """`waiting` are tokens without an answer."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.answers: dict[str, Mapping[str, Any] | tuple[str, str]] = {}

    def succeed(self, token: str, output: Mapping[str, Any]) -> None:
        self._take(token)
        self.answers[token] = output

    def fail(self, token: str, error: str, cause: str) -> None:
        self._take(token)
        self.answers[token] = (error, cause)

    def _take(self, token: str) -> None:
        if token not in self.waiting:
            raise NotWaitingError("the state machine does not wait for this answer any more")
        self.waiting.remove(token)


class FakeConfiguration:
    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def read(self) -> Mapping[str, Any]:
        return self.settings


class FakeAlarms:
    def __init__(self, *alarms: Alarm, dashboard: str | None = '{"widgets": [{}]}') -> None:
        self.alarms = list(alarms)
        self.body = dashboard

    def find(self, names: Sequence[str]) -> Sequence[Alarm]:
        return [alarm for alarm in self.alarms if alarm.name in names]

    def dashboard(self, name: str) -> str | None:
        return self.body


class FakeInventory:
    def __init__(self, database: str | None = "available", cache: str | None = "available") -> None:
        self._states = database, cache

    def database(self, cluster: str) -> str | None:
        return self._states[0]

    def cache(self, group: str) -> str | None:
        return self._states[1]


class FakeNetwork:
    def __init__(self, *rules: IngressRule) -> None:
        self.rules = rules

    def ingress(self, listener: str) -> Sequence[IngressRule]:
        return self.rules


@dataclass
class FakeDatabase:
    """Both Database and Queries."""

    users: dict[str, str] = field(default_factory=dict)
    documents: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    stages: tuple[str, ...] = ("FETCH", "IXSCAN")
    taken: float = 1.0
    used: tuple[int, int] | None = (10, 100)
    sizes: dict[str, int] = field(default_factory=dict)
    asked: list[NamedQuery] = field(default_factory=list)

    def ensure_user(self, name: str, password: str) -> str:
        known = name in self.users
        self.users[name] = password
        return "updated" if known else "created"

    def insert_missing(self, collection: str, document: Mapping[str, Any]) -> bool:
        rows = self.documents.setdefault(collection, {})
        if document["_id"] in rows:
            return False
        rows[document["_id"]] = dict(document)
        return True

    def sample(self, collection: str) -> Mapping[str, Any] | None:
        return next(iter(self.documents.get(collection, {}).values()), None)

    def size(self, collection: str) -> int:
        return self.sizes.get(collection, len(self.documents.get(collection, {})))

    def explain(self, query: NamedQuery) -> Explained:
        self.asked.append(query)
        return Explained(self.stages, "an_index" if "IXSCAN" in self.stages else None)

    def milliseconds(self, query: NamedQuery, times: int) -> Sequence[float]:
        return [self.taken] * times

    def connections(self) -> tuple[int, int] | None:
        return self.used


@dataclass
class FakeMigrator:
    """`slices`: how often an expansion answers that it is running. `broken`: what it raises instead; an error
    of one name is raised by that call alone."""

    slices: int = 0
    broken: dict[str, Exception] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    done: list[tuple[str, str]] = field(default_factory=list)
    under_way: int = 0

    def expand(self, deployment: str) -> Mapping[str, Any]:
        return self._work("expand", deployment, {"gates": [self._gate()]})

    def contract(self, deployment: str) -> Mapping[str, Any]:
        return self._work("contract", deployment, {"applied": list(self.pending), "changed": []})

    def undo(self, deployment: str) -> Mapping[str, Any]:
        return self._work("undo", deployment, {"undone": ["0002_backfill"], "left": self.left})

    def contractions(self) -> Sequence[str]:
        return self.pending

    def plan(self) -> Mapping[str, Any]:
        return {
            "steps": [{"phase": "contract", "name": name, "what": ""} for name in self.pending],
            "refused": [],
        }

    def _work(self, kind: str, deployment: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        if kind in self.broken:
            raise self.broken[kind]
        if self.under_way < self.slices:
            self.under_way += 1
            done = 100_000 * self.under_way
            step = {"documents": done, "of": 1_000_000, "percent": done / 10_000}
            return {
                "status": "running",
                "progress": {"phase": kind, "done": 1, "total": 2, "current": "0002_backfill", **step},
            }
        self.under_way = 0
        self.done.append((kind, deployment))
        progress = {"phase": kind, "done": 2, "total": 2, "current": None}
        return {"status": "done", "progress": progress, **answer}

    @staticmethod
    def _gate() -> dict[str, Any]:
        subject = Subject("C2c", Persona.RELIABILITY)
        return subject.judge("Migrations", True, found="2 of 2 applied", wanted="all").as_json()


class FakeEncryption:
    """`flags` by what is looked at; `broken` can't be read."""

    def __init__(self) -> None:
        at_rest, in_transit = Flag("at rest", True, "on", "on"), Flag("in transit", True, "on", "on")
        self.flags: dict[str, Sequence[Flag]] = {
            "database": [at_rest, in_transit],
            "cache": [at_rest, in_transit, Flag("AUTH", True, "on", "on")],
            "files": [at_rest],
            "logs": [at_rest],
            "disks": [Flag("disks at rest", True, "all 4 volumes", "all", 4)],
        }
        self.broken: set[str] = set()

    def database(self, cluster: str) -> Sequence[Flag]:
        return self._of("database")

    def cache(self, group: str) -> Sequence[Flag]:
        return self._of("cache")

    def bucket(self, name: str) -> Sequence[Flag]:
        return self._of(name)

    def disks(self) -> Sequence[Flag]:
        return self._of("disks")

    def _of(self, what: str) -> Sequence[Flag]:
        if what in self.broken:
            raise NotReachableError("it does not answer")
        return self.flags[what]


class FakeLoad:
    """Answers every request of a load alike, within `allowed`; each field of `whole` may be broken by a test."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.answers = {"v1": VersionAnswers(900, 0, 20.0), "v2": VersionAnswers(200, 0, 22.0)}
        self.on_compare: Callable[[], None] = lambda: None
        self.milliseconds = {"new": 20.0, "old": 20.0}
        self.failing = {"new": 0.0, "old": 0.0}
        self.break_result: Callable[[LoadResult], None] = lambda _: None
        self.dead = False

    def run(self, **asked: Any) -> Sequence[LoadResult]:
        self.asked.append(asked)
        if self.dead:
            raise NotReachableError("no request was answered")
        return [self._stage(stage, asked["scenarios"]) for stage in asked["stages"]]

    def _stage(self, stage: Stage, scenarios: Sequence[Scenario]) -> LoadResult:
        requests = round(stage.rate * stage.seconds)
        made = LoadResult(scheduled=requests, began=NOON.timestamp(), seconds=stage.seconds, busiest=0.1)
        made.statuses[200] = requests
        made.cache.update(hit=99, miss=1)
        for number in range(requests):
            made.exercised[scenarios[number % len(scenarios)].name] += 1
            made.per_second[int(NOON.timestamp()) + int(number / stage.rate)] += 1
            made.latency.add(self.milliseconds["new"] / 1000)
            made.lag.add(0.001)
        self.break_result(made)
        return made

    def pair(self, **asked: Any) -> Sequence[Block]:
        self.asked.append(asked)
        count = int(asked["seconds"] / asked["block_seconds"])
        answers = int(asked["rate"] * asked["block_seconds"])
        return [Block(self._arm("new", answers), self._arm("old", answers)) for _ in range(count)]

    def _arm(self, side: str, answers: int) -> Arm:
        made = Arm(failed=round(answers * self.failing[side]))
        for _ in range(answers):
            made.latency.add(self.milliseconds[side] / 1000)
        return made

    def by_version(self, **asked: Any) -> Mapping[str, VersionAnswers]:
        self.asked.append(asked)
        self.on_compare()
        return self.answers


class FakeTargetMetrics:
    """An instance at ease; without figures for the first `late` looks."""

    def __init__(self) -> None:
        self.values = {"cpu": 35.0, "memory": 40.0, "read": 6e7, "written": 6e7}
        self.late = 0
        self.asked: list[tuple[str, datetime, datetime]] = []

    def during(self, group: str, since: datetime, until: datetime) -> Mapping[str, Sequence[Datapoint]]:
        self.asked.append((group, since, until))
        if len(self.asked) <= self.late:
            return {}
        return {name: [Datapoint(until, value)] for name, value in self.values.items()}


class FakeMeasurements:
    def __init__(self) -> None:
        self.counts: list[tuple[datetime, float]] = []

    def bad(self, colour: Colour, since: datetime, until: datetime) -> Sequence[tuple[datetime, float]]:
        return [(at, bad) for at, bad in self.counts if since <= at <= until]


class FakeVisitor:
    def __init__(self) -> None:
        self.seen: datetime | None = None
        self.broken = False

    def last_answer(self, version: str) -> datetime | None:
        if self.broken:
            raise NotReachableError("the probe does not answer")
        return self.seen


class FakeWorld(SimpleNamespace):
    """What a rollback may need."""

    def __init__(self) -> None:
        super().__init__(
            journal=FakeJournal(),
            balancer=FakeLoadBalancer(),
            executions=FakeExecutions(),
            commands=FakeCommands(),
            contractions=FakeContractions(),
            events=FakeEvents(),
            clock=FakeClock(),
            documents={
                Service.BACKEND: "release-document",
                Service.FRONTEND: OUTPUTS["FrontendReleaseDocument"],
            },
            measurements=FakeMeasurements(),
            visitor=FakeVisitor(),
        )
