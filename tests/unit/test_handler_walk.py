"""The whole machine, walked through with the real handlers over the ports in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cutover.domain.alarms import FAST_KINDS, KINDS, read_alarm_event
from cutover.domain.colours import Colour, Weights
from cutover.domain.declared import Rule
from cutover.domain.errors import NotReachableError, NotWaitingError, ServiceRefusedError
from cutover.domain.preflight import BucketState
from cutover.domain.prices import NO_PRICES
from cutover.domain.records import LIVE, LOCK, Live, deployment_key
from cutover.domain.services import Service
from cutover.handlers import (
    approval,
    database,
    drift,
    evidence,
    journal,
    load,
    observe,
    plan,
    probe,
    provision,
    release,
    rollback,
    swap,
)
from cutover.ports import Alarm, Flag, Invocation
from cutover.steps.http_security import HEADERS
from cutover.steps.load_session import Session
from cutover.steps.plan import Declared
from cutover.steps.roll_back import roll_back_on_alarm
from tests.contract.fake_http import LIMITS, SECRET, FakeHttp
from tests.contract.fake_pages import FakePages
from tests.contract.fakes import (
    BLUE,
    GREEN,
    NOON,
    FakeAddresses,
    FakeAlarms,
    FakeConfiguration,
    FakeDatabase,
    FakeDocuments,
    FakeDoors,
    FakeEncryption,
    FakeInventory,
    FakeLive,
    FakeLoad,
    FakeMetrics,
    FakeMigrationPlans,
    FakeMigrator,
    FakeNetwork,
    FakeOffers,
    FakePlans,
    FakeRegistry,
    FakeSources,
    FakeTargetMetrics,
    FakeTasks,
    FakeWorld,
)
from tests.contract.formation import FakeFormation
from tests.contract.machine import Walk
from tests.contract.provisioning import FULL
from tests.contract.scenes import DIGEST, LOAD, THRESHOLDS, V1, alarm_event, live
from tests.unit.test_dependency_scan import audit
from tests.unit.test_step_checks import DECLARED
from tests.unit.test_web_scan import schemathesis

SOURCE = f"sources/{'a' * 64}.zip"
INPUT = {"environment": "sandbox", "version": "v2", "source": SOURCE}
FILES = {
    "indexes.json": b'{"users": [{"name": "email_unique", "keys": [["email", 1]], "unique": true}]}',
    "queries.json": b'[{"name": "by e-mail", "collection": "users", "filter": {"email": {"from_sample": "email"}}}]',
    "seed.json": b"""{"users": [
        {"_id": "u1", "email": "x", "password_hash": {"from_secret": "SMOKE_PASSWORD", "as": "scrypt"}}
    ]}""",
}
SECRETS = {
    "application": {"username": "app_user", "password": "secret"},
    "smoke": {"email": "smoke@example.com", "password": "right"},
}
CONFIGURATION = {
    "environment": "sandbox",
    "availability_zones": ["ap-northeast-2a", "ap-northeast-2c"],
    "backend": {
        "domain": "api.example.com",
        "instance_type": "t3.micro",
        "instances_per_colour": 2,
        "listener_port": 443,
    },
    "database": {"name": "evaluation", "instance_class": "db.t3.medium"},
    "poll_seconds": 1,
    "watch": {"bake_seconds": 30, "hours": 24, "proof_answers": 3, "healthy_share": 0.5},
    "load": LOAD,
    "thresholds": {**THRESHOLDS, "scan_documents": 0},
    "window": {"enforced": False},
    "monitoring": {"gate": "must"},
    "security": {
        "rate_limits": {path: f"{limit}/minute" for path, (limit, _) in LIMITS.items()},
        "web_scan": {"enabled": True, "reuse_hours": 0},
    },
    "release": {"settings": {}},
    "drill": {"nightly": True, "requests_per_second": 50, "users": 10, "seconds": 16},
}


class House:
    """Blue is live with v1; everything is well unless a test breaks it. Waiting lets AWS get on with its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = FakeWorld()
        live(self.world.journal, V1)
        self.world.balancer.populate(Colour.BLUE, healthy=6)
        self.formation, self.registry = FakeFormation(self.world.balancer), FakeRegistry(d2=DIGEST)
        self.formation.stacks["service"].wanted["Resources"]["Balancer"]["Properties"]["Version"] = 2
        self.instances = FULL
        self.http, self.load, self.database = (
            FakeHttp("v2", clock=self.world.clock),
            FakeLoad(),
            FakeDatabase(),
        )
        self.pages, self.pages_registry = FakePages("v2"), FakeRegistry()
        self.figures = FakeTargetMetrics()
        self.migrator = FakeMigrator()
        self.sources_read: list[str] = []
        self.schedules: list[Mapping[str, Any]] = []
        self.started: list[Mapping[str, Any]] = []
        self.http.serving[443] = lambda: self.live.version
        self.http.headers = {name.lower(): value for name, value in HEADERS.items()}
        self.alarms = FakeAlarms(*self._alarms(Colour.BLUE), *self._alarms(Colour.GREEN))
        self.network = FakeNetwork(*DECLARED)
        self.encryption = FakeEncryption()
        self.executions = self.world.executions
        self.resources, self.doors = FakeLive(), FakeDoors()
        self.tasks, self.offers = FakeTasks(), FakeOffers()
        self.plans, self.documents = FakePlans(), FakeDocuments()
        self.metrics = FakeMetrics()
        self.script = "Success"
        self.builds: list[Mapping[str, Any]] = []
        self.scans: list[Mapping[str, Any]] = []
        self.scan_report = schemathesis()
        self.failed_scan: Exception | None = None
        self.documents.keep(f"scans/dependencies/{'a' * 64}.json", json.dumps(audit()).encode())
        self.configuration = FakeConfiguration(**CONFIGURATION)
        self._wire(monkeypatch)
        self.walk = self.another("d2")

    @staticmethod
    def _alarms(colour: Colour) -> list[Alarm]:
        return [
            Alarm(event["detail"]["alarmName"], "OK", NOON, event["detail"]["configuration"]["description"])
            for event in (alarm_event(colour, kind=kind) for kind in (*FAST_KINDS, *KINDS))
        ]

    def another(self, name: str) -> Walk:
        functions = {
            f"${{{title}Function}}": lambda event, module=module: module.handler(event, None)
            for title, module in {
                "Journal": journal,
                "Provision": provision,
                "Plan": plan,
                "Release": release,
                "Observe": observe,
                "Drift": drift,
                "Swap": swap,
                "Rollback": rollback,
                "Database": database,
                "Probe": probe,
                "Load": load,
                "Approval": approval,
            }.items()
        }
        self.executions.under_way.add(f"arn:{name}")
        return Walk(
            functions,
            self.world.clock,
            name=name,
            arn=f"arn:{name}",
            on_wait=self.advance,
            build=self.build,
            tasks=self.tasks,
            schedule=self.schedule,
            start=self.start,
        )

    def start(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.started.append(arguments)
        return {"ExecutionArn": f"arn:{arguments['Name']}"}

    def schedule(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.schedules.append(arguments)
        self.world.contractions.there.add(arguments["Name"])
        return {"ScheduleArn": "arn:aws:scheduler:…"}

    def advance(self) -> None:
        self.formation.advance()
        if self.world.commands.sent:
            for number, (document, instances, _) in enumerate(self.world.commands.sent, start=1):
                self.world.commands.of[f"command-{number}"] = [
                    Invocation(name, self.script, "out of memory") for name in instances
                ]
                self._arrives(document)

    def _arrives(self, document: str) -> None:
        pages = document == self.world.documents[Service.FRONTEND]
        service = Service.FRONTEND if pages else Service.BACKEND
        if self.script == "Success":
            self.world.balancer.populate(Colour.GREEN, healthy=2 if pages else 6, service=service)

    def _files(self, source: str) -> Mapping[str, bytes]:
        self.sources_read.append(source)
        return FILES

    def _sources(self) -> FakeSources:
        return FakeSources(SOURCE, files=FILES)

    def build(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if arguments["ProjectName"] == "${ScanProject}":
            return self.scan(arguments)
        self.builds.append(arguments)
        return {"BuildStatus": "SUCCEEDED"}

    def scan(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """It leaves its report."""
        self.scans.append(arguments)
        if self.failed_scan:
            raise self.failed_scan
        (given,) = arguments["EnvironmentVariablesOverride"]
        self.documents.keep(f"scans/web/{given['Value']}.json", json.dumps(self.scan_report).encode())
        return {"BuildStatus": "SUCCEEDED", "Id": arguments["IdempotencyToken"]}

    def _wire(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shared = {
            "journal": self.world.journal,
            "balancer": self.world.balancer,
            "events": self.world.events,
            "executions": self.world.executions,
            "commands": self.world.commands,
            "contractions": self.world.contractions,
            "clock": self.world.clock,
            "configuration": self.configuration,
            "layers": self.formation.layers,
            "instances": self.instances,
            "addresses": FakeAddresses(),
            "inventory": FakeInventory(),
            "resources": self.resources,
            "offers": self.offers,
            "doors": self.doors,
            "detection": SimpleNamespace(detect=lambda: {"status": "IN_SYNC", "resources": []}),
            "registries": {Service.BACKEND: self.registry, Service.FRONTEND: self.pages_registry},
            "sources": self._sources(),
            "migrator": lambda _files: self.migrator,
            "tasks": self.tasks,
            "plans": self.plans,
            "boards": self.documents,
            "bundles": self.documents,
            "reports": self.documents,
            "migrations": FakeMigrationPlans({"steps": [], "refused": []}),
            "templates": self.formation,
            "declared": Declared("code.zip", "layer:1", NO_PRICES),
            "alarms": self.alarms,
            "network": self.network,
            "encryption": self.encryption,
            "metrics": self.figures,
            "http": self.http,
            "pages": self.pages,
            "database": self.database,
            "secrets": SimpleNamespace(read=SECRETS.__getitem__, text=lambda _: SECRET),
            "documents": self.world.documents,
            "measurements": self.world.measurements,
            "visitor": self.world.visitor,
            "variables": SimpleNamespace(
                cutover_environment="sandbox",
                buckets="files,logs",
                dashboard="dashboard",
                application_secret="application",
                smoke_secret="smoke",
                jwt_secret="jwt",
                test_listener_port=8443,
                listener_port=443,
                load_balancer_dns="127.0.0.1",
                domain="api.example.com",
                allowed=None,
            ),
        }
        wired = SimpleNamespace(**shared)
        wired.world = wired  # the release function's
        for module in (
            evidence,
            journal,
            provision,
            plan,
            release,
            observe,
            drift,
            swap,
            rollback,
            database,
            probe,
            approval,
        ):
            monkeypatch.setattr(module, "wiring", lambda: wired)
        monkeypatch.setattr(load, "variables", lambda: wired.variables)
        monkeypatch.setattr(probe, "PrometheusMetrics", lambda _address: self.metrics)
        user = Session(SECRETS["smoke"], self.http, self.world.clock)
        monkeypatch.setattr(load, "session", lambda: user)
        monkeypatch.setattr(load, "OpenModelLoad", lambda *_: self.load)
        monkeypatch.setattr(database, "files_of", self._files)

    @property
    def record(self) -> dict[str, Any]:
        return self.world.journal.items[deployment_key("d2")]

    @property
    def live(self) -> Live:
        return Live.read(self.world.journal.items[LIVE])


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


def test_a_deployment_goes_through_all_seven_phases_and_ends_live(house: House) -> None:
    status, output = house.walk.run(INPUT)

    assert (status, output) == (
        "SUCCEEDED",
        {
            "deployment": "d2",
            "version": "v2",
            "colour": "green",
            "image": DIGEST,
            "frontend_image": "",
        },
    )
    assert [phase["name"] for phase in house.record["phases"]] == [
        "Provision",
        "Migrate",
        "Release",
        "Monitor",
        "Secure",
        "Perform",
        "Verify",
    ]
    assert {phase["verdict"] for phase in house.record["phases"]} == {"Pass"}
    assert (house.live.version, house.live.previous_version) == ("v2", "v1")
    assert house.world.balancer.of["listener"] == GREEN
    assert house.world.balancer.of["test-listener"] == BLUE
    assert house.world.journal.items[LOCK]["holder"] is None
    assert house.record["proof"]["answers"] == 3
    assert house.world.events.kinds == [
        "DeploymentStarted",
        *["PhaseCompleted"] * 7,
        "GoDecided",
        "TrafficShifted",
        "DeploymentSucceeded",
    ]


def test_the_build_gets_the_source_and_the_deployments_id_for_a_token(house: House) -> None:
    house.walk.run(INPUT)

    (arguments,) = house.builds
    assert (arguments["IdempotencyToken"], arguments["SourceLocationOverride"]) == (
        "d2",
        f"artifacts/{SOURCE}",
    )
    assert {"Name": "IMAGE_TAG", "Value": "d2"} in arguments["EnvironmentVariablesOverride"]


def test_an_image_is_promoted_without_a_build_and_with_the_migrations_of_its_source(house: House) -> None:
    house.walk.run(INPUT)
    house.builds.clear()
    house.http.versions = ["v3"]
    status, _ = house.another("d3").run({"environment": "sandbox", "version": "v3", "image": DIGEST})

    assert (status, house.builds) == ("SUCCEEDED", [])
    assert house.sources_read == [SOURCE] * 4
    assert house.migrator.done == [("expand", "d2"), ("expand", "d3")]


def test_an_image_of_unknown_source_is_refused_for_its_migrations_are_unknown(house: House) -> None:
    status, output = house.walk.run({"environment": "sandbox", "version": "v2", "image": DIGEST})

    assert (status, output["Error"]) == ("FAILED", "SourceNotFoundError")
    assert "nobody wrote down which source" in output["Cause"]


def test_a_long_migration_goes_on_call_by_call_and_tells_how_far_it_is(house: House) -> None:
    house.migrator.slices, seen = 3, []
    advance = house.advance

    def look() -> None:
        if house.walk.visited[-1] == "Wait for the migration":
            seen.append(house.walk.given["found"])
        advance()

    house.walk._on_wait = look
    status, _ = house.walk.run(INPUT)

    assert status == "SUCCEEDED"
    assert seen == [f"0002_backfill {n}0 % ({n}00,000 of 1,000,000)" for n in (1, 2, 3)]


def test_a_migration_that_takes_longer_than_its_phase_is_not_undone(house: House) -> None:
    house.migrator.slices = 10_000
    house.configuration.settings["poll_seconds"] = 60
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "PhaseBudgetExceededError")
    assert "Undo the expansion" not in house.walk.visited


def test_a_migration_that_breaks_is_undone(house: House) -> None:
    house.migrator.broken = {"expand": ServiceRefusedError("0002_backfill: no such field")}
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert "found ServiceRefusedError: 0002_backfill: no such field" in output["Cause"]
    assert house.migrator.done == [("undo", "d2")]


def test_a_database_that_is_away_for_a_moment_is_asked_again(house: House) -> None:
    expand, failures = house.migrator.expand, [NotReachableError("away")] * 2

    def flaky(deployment: str) -> Mapping[str, Any]:
        if failures:
            raise failures.pop()
        return expand(deployment)

    house.migrator.expand = flaky  # type: ignore[method-assign]
    status, _ = house.walk.run(INPUT)

    assert (status, house.walk.tried) == ("SUCCEEDED", ["NotReachableError"] * 2)


def test_a_plan_shows_everything_and_leaves_nothing(house: House) -> None:
    status, output = house.walk.run({**INPUT, "mode": "plan"})

    assert (status, output["idle_colour"], output["change_sets"][2]["empty"]) == ("SUCCEEDED", "green", False)
    assert (house.formation.unexecuted, house.world.balancer.moves, house.builds) == ([], [], [])
    assert house.record["status"] == "PLANNED"
    assert house.world.journal.items[LOCK]["holder"] is None


def test_a_mistake_in_the_input_is_the_executions_cause(house: House) -> None:
    status, output = house.walk.run({**INPUT, "versoin": "v2"})

    assert (status, output["Error"]) == ("FAILED", "InvalidInputError")
    assert output["Cause"].startswith("versoin: not a field of the input")


def test_a_configuration_that_aws_would_refuse_is_told_by_field_and_touches_nothing(house: House) -> None:
    house.configuration.settings = {
        **CONFIGURATION,
        "backend": {"domain": "api.example.com", "instance_type": "t3.gigantic"},
    }
    house.offers.buckets = {"files": BucketState.TAKEN}
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "UnfitConfigurationError")
    assert "backend.instance_type = 't3.gigantic'" in output["Cause"]
    assert "environment = 'files': another account has the bucket" in output["Cause"]
    assert (house.formation.effects, house.world.balancer.moves) == ([], [])
    assert house.world.journal.items[LOCK]["holder"] is None


def test_a_second_deployment_is_refused_and_changes_nothing(house: House) -> None:
    house.world.journal.items[LOCK] = {"holder": "d1", "fence": 1, "since": "noon", "execution_arn": "arn:d1"}
    house.executions.under_way.add("arn:d1")
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "LockHeldError")
    assert "deployment d1 has held sandbox since noon" in output["Cause"]
    assert house.world.journal.items[LOCK]["holder"] == "d1"


def broken_script(house: House) -> None:
    house.script = "Failed"


def slow_service(house: House) -> None:
    house.load.milliseconds["new"] = 812.0


def open_port(house: House) -> None:
    house.network.rules = (*house.network.rules, replace(DECLARED[0], first_port=22, last_port=22))


def missing_alarm(house: House) -> None:
    house.alarms.alarms = house.alarms.alarms[:-1]


def broken_cache(house: House) -> None:
    house.http.faults.add("redis")
    house.http.only_on = 8443


def scanning_query(house: House) -> None:
    house.database.stages = ("COLLSCAN",)


def missing_image(house: House) -> None:
    house.registry.tags = {}


def missing_header(house: House) -> None:
    house.http.headers.pop("x-frame-options")


@pytest.mark.parametrize(
    ("breaks", "error", "words"),
    [
        (broken_script, "ReleaseFailedError", "out of memory"),
        (slow_service, "GateFailedError", "“p95 latency” (C6a, E1) failed: found 812 ms"),
        (open_port, "GateFailedError", "No SSH from anywhere"),
        (missing_alarm, "GateFailedError", "backend-green-health"),
        (broken_cache, "GateFailedError", "sick: redis"),
        (scanning_query, "GateFailedError", "whole collection (COLLSCAN)"),
        (missing_image, "ImageNotFoundError", "no image with the tag d2"),
        (missing_header, "GateFailedError", "X-Frame-Options"),
    ],
)
def test_what_is_wrong_before_the_swap_fails_the_deployment_and_moves_no_traffic(
    house: House, breaks: Any, error: str, words: str
) -> None:
    breaks(house)
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", error)
    assert words in output["Cause"]
    assert house.world.balancer.of["listener"] == BLUE
    assert house.live.version == "v1"
    assert house.record["status"] == "FAILED"
    assert house.world.journal.items[LOCK]["holder"] is None


def test_a_door_that_was_opened_by_hand_is_closed_and_told_and_the_deployment_goes_on(house: House) -> None:
    ssh = Rule("tcp", 22, 22, "0.0.0.0/0")
    house.doors.groups["securitygroup"] |= {ssh}
    house.resources.found["SecurityGroup"] = {"ingress": str(ssh)}  # phase 1 sees it too, and leaves it to 5
    status, _ = house.walk.run(INPUT)

    assert (status, house.doors.closed) == ("SUCCEEDED", [("securitygroup", ssh)])
    (gate,) = [
        gate
        for phase in house.record["phases"]
        for gate in phase["gates"]
        if gate["name"] == "Security groups are as the template declares them"
    ]
    assert (gate["verdict"], gate["found"]) == ("Fail", "SecurityGroup: tcp 22 from 0.0.0.0/0 opened, closed")


@pytest.mark.parametrize(
    ("fault", "gate"),
    [
        ("idor", "Another user's file is not handed out"),
        ("unsigned", "An unsigned token (alg: none) is refused"),
        ("bare route", "Header Content-Security-Policy"),
        ("no retry-after", "/api/models is limited"),
    ],
)
def test_a_hole_in_the_release_closes_phase_5_before_any_traffic_moves(
    house: House, fault: str, gate: str
) -> None:
    house.http.faults.add(fault)
    house.http.only_on = 8443
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert gate in output["Cause"]
    assert house.record["phases"][-1]["name"] == "Secure"
    assert house.world.balancer.of["listener"] == BLUE


def test_a_cache_that_is_not_encrypted_closes_phase_5(house: House) -> None:
    house.encryption.flags["cache"] = [Flag("at rest", False, "AtRestEncryptionEnabled is false", "true")]
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert "The cache: at rest" in output["Cause"]


def test_a_swap_that_can_not_be_proved_is_taken_back(house: House) -> None:
    """The test listener answers with v2, and the live one goes on answering with v1."""
    request = house.http.request

    def stale(method: str, port: int, path: str, **more: Any) -> Any:
        answer = request(method, port, path, **more)
        return (
            answer if port == 8443 else replace(answer, headers={**answer.headers, "x-release-version": "v1"})
        )

    house.http.request = stale  # type: ignore[method-assign]
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "DataPlaneNotProvedError")
    assert "rolled_back" in output["Cause"]
    assert house.world.balancer.of["listener"] == BLUE
    assert (house.live.version, house.live.rolled_back) == ("v1", True)
    assert house.record["status"] == "ROLLED_BACK"
    assert house.world.journal.items[LOCK]["holder"] is None


def test_a_fast_alarm_without_data_is_told_and_closes_no_gate(house: House) -> None:
    house.alarms.alarms = [
        replace(alarm, state="INSUFFICIENT_DATA") if "-fast-" in alarm.name else alarm
        for alarm in house.alarms.alarms
    ]
    status, _ = house.walk.run(INPUT)

    told = {gate["name"]: gate["verdict"] for phase in house.record["phases"] for gate in phase["gates"]}
    assert status == "SUCCEEDED"
    assert told["Alarm cutover-sandbox-backend-green-fast-errors"] == "Inconclusive"


def test_a_guard_that_stands_already_is_waited_for_before_the_swap(house: House) -> None:
    calm = house.alarms.alarms
    house.alarms.alarms = [replace(a, state="ALARM") if a.name.endswith("-health") else a for a in calm]
    calm_at = house.world.clock.now() + timedelta(seconds=90)

    def advance() -> None:
        House.advance(house)
        if house.world.clock.now() > calm_at:
            house.alarms.alarms = calm

    house.advance = advance  # type: ignore[method-assign]
    status, _ = house.another("d2").run(INPUT)

    assert status == "SUCCEEDED"
    assert datetime.fromisoformat(house.live.swapped_at) > calm_at


def test_an_alarm_during_the_bake_takes_it_back_and_the_deployment_says_so(house: House) -> None:
    """The event reaches the rollback function while the machine waits; stopping the execution comes too late."""
    advance = house.advance

    def alarming() -> None:
        advance()
        if house.walk.visited[-1] == "Bake":
            event = alarm_event(at=house.world.clock.now().isoformat())
            roll_back_on_alarm(read_alarm_event(event), "sandbox", house.world)

    house.walk._on_wait = alarming
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert house.world.balancer.of["listener"] == BLUE
    assert [move for move in house.world.balancer.moves if move[0] == "listener"] == [
        ("listener", GREEN),
        ("listener", BLUE),
    ]
    assert house.record["status"] == "ROLLED_BACK"
    assert "backend-green-errors" in house.record["cause"]
    assert [stopped for stopped, _ in house.executions.stopped] == ["arn:d2"]


def test_a_first_deployment_creates_its_environment(house: House) -> None:
    del house.world.journal.items[LIVE]
    house.formation.raze()
    house.world.balancer.populate(Colour.BLUE, healthy=0, sick=6)
    status, output = house.walk.run(INPUT)

    assert (status, output["colour"]) == ("SUCCEEDED", "green")
    assert house.live.previous_deployment is None


def test_a_stack_that_fails_tells_its_own_reason_and_leaves_nothing_to_execute(house: House) -> None:
    """A later stack's change set is ready then; nobody may execute it by mistake."""
    stacks = house.formation.stacks
    stacks["monitoring"].wanted["Resources"]["Alarm"]["Properties"]["Threshold"] = 2
    before = dict(stacks["monitoring"].live)
    stacks["service"].breaks = "Balancer (AWS::X): the subnet is too small"
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "StackFailedError")
    assert (
        "the stack cutover-sandbox-service is UPDATE_ROLLBACK_COMPLETE: Balancer (AWS::X): the subnet is too "
        "small" in output["Cause"]
    )
    assert (house.formation.unexecuted, stacks["monitoring"].live) == ([], before)


def test_what_one_of_the_stacks_would_destroy_is_refused_and_leaves_nothing(house: House) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {}}
    house.formation.stacks["monitoring"].live["Resources"]["Precious"] = bucket
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "DestructiveChangeError")
    assert (house.formation.executed, house.formation.unexecuted) == ([], [])


def test_the_next_deployment_goes_to_the_other_colour(house: House) -> None:
    assert house.walk.run(INPUT)[0] == "SUCCEEDED"
    house.registry.tags["d3"] = DIGEST
    house.http.versions = ["v3"]
    walk = house.another("d3")
    status, output = walk.run({**INPUT, "version": "v3"})

    assert (status, output["colour"]) == ("SUCCEEDED", "blue")
    assert house.world.balancer.of["listener"] == Weights(100, 0)
    assert house.live.previous_version == "v2"


def test_a_balancer_that_is_away_for_a_moment_is_asked_again(house: House) -> None:
    read, failures = house.world.balancer.health, ["once", "twice"]

    def flaky(target_group: str) -> Any:
        from cutover.domain.errors import ThrottledError

        if failures:
            raise ThrottledError(failures.pop())
        return read(target_group)

    house.world.balancer.health = flaky
    status, _ = house.walk.run(INPUT)

    assert (status, house.walk.tried) == ("SUCCEEDED", ["ThrottledError"] * 2)


def test_a_phase_that_does_not_end_is_over_its_budget(house: House) -> None:
    house.script = "InProgress"
    house.configuration.settings["poll_seconds"] = 60
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "PhaseBudgetExceededError")
    assert "Phase 3 (Release) did not end within its time budget" in output["Cause"]
    assert house.record["status"] == "FAILED"


DNS = "ACM waits for 1 DNS record before it issues the certificate: _a.example.com. CNAME _b.acm.aws."


def test_an_update_that_waits_for_a_certificate_is_cancelled_at_the_end_and_the_record_named(
    house: House,
) -> None:
    house.configuration.settings["poll_seconds"] = 60
    service = house.formation.stacks["service"]
    service.waiting = DNS
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "PhaseBudgetExceededError")
    assert "Phase 1 (Provision) did not end within its time budget" in output["Cause"]
    assert f"the stack cutover-sandbox-service was still UPDATE_IN_PROGRESS: {DNS}" in output["Cause"]
    assert "CloudFormation takes it back to what it was" in output["Cause"]
    assert service.there is not None
    assert service.there.status == "UPDATE_ROLLBACK_IN_PROGRESS"
    assert house.world.balancer.of["listener"] == BLUE
    assert house.world.journal.items[LOCK]["holder"] is None


def test_of_a_creation_that_waits_people_are_told_what_to_do(house: House) -> None:
    house.configuration.settings["poll_seconds"] = 60
    house.formation.raze()
    house.formation.stacks["service"].waiting = DNS
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "PhaseBudgetExceededError")
    assert f"was still CREATE_IN_PROGRESS: {DNS}" in output["Cause"]
    assert "delete-stack --stack-name cutover-sandbox-service" in output["Cause"]


def test_a_lambda_that_breaks_for_a_reason_of_its_own_rolls_back_too(house: House) -> None:
    house.world.commands.send = lambda *_: json.loads("not JSON")
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "JSONDecodeError")
    assert house.record["status"] == "FAILED"
    assert house.world.journal.items[LOCK]["holder"] is None


def test_a_deployment_that_is_bound_to_a_plan_does_what_was_planned(house: House) -> None:
    _, planned = house.walk.run({**INPUT, "mode": "plan"})
    house.registry.tags["d3"] = DIGEST
    status, output = house.another("d3").run({**INPUT, "plan": planned["sha256"]})

    assert (status, output["version"]) == ("SUCCEEDED", "v2")


def test_a_deployment_whose_plan_does_not_hold_changes_nothing(house: House) -> None:
    _, planned = house.walk.run({**INPUT, "mode": "plan"})
    walk = house.another("d3")
    status, output = walk.run({**INPUT, "version": "v3", "plan": planned["sha256"]})

    assert (status, output["Error"]) == ("FAILED", "PlanChangedError")
    assert "changed since: version. version: v2 → v3" in output["Cause"]
    assert (house.formation.executed, house.world.balancer.moves, house.builds) == ([], [], [])
    assert house.formation.unexecuted == []
    assert house.world.journal.items[LOCK]["holder"] is None


class Person:
    """Answers when the machine has waited for a while; `said` is what the function told them."""

    def __init__(self, house: House, action: str) -> None:
        self.house, self.action = house, action
        self.said: list[str] = []
        self._advance = house.advance
        house.configuration.settings["approval"] = {"required": True, "expires_minutes": 1}
        house.walk._on_wait = self.wait

    def wait(self) -> None:
        self._advance()
        if self.house.walk.visited[-1] == "Wait for approval" and not self.said:
            self.say(self.action)

    def say(self, action: str) -> None:
        event = {"action": action, "deployment": {"id": "d2"}, "by": "arn:kim", "reason": "I have read it"}
        try:
            self.said.append(str(approval.handler(event, None)["status"]))
        except NotWaitingError as error:
            self.said.append(str(error))


def test_where_a_person_has_to_approve_nothing_happens_before_they_have(house: House) -> None:
    person = Person(house, "approve")
    seen: list[Any] = []
    monitor = person.wait
    house.walk._on_wait = lambda: (seen.append(list(house.formation.executed)), monitor())[1]
    status, _ = house.walk.run(INPUT)
    person.say("approve")

    assert (status, person.said[0]) == ("SUCCEEDED", "APPROVED")
    assert seen[1] == [], "the change set was executed before anybody had approved"
    assert house.record["approval"]["by"] == "arn:kim"
    assert house.record["approval"]["reason"] == "I have read it"
    assert {"ApprovalRequested", "ApprovalAnswered"} <= set(house.world.events.kinds)
    assert "does not wait any more: it is SUCCEEDED; it was approved by arn:kim" in person.said[1]


def test_a_rejection_ends_the_deployment_with_who_and_why(house: House) -> None:
    Person(house, "reject")
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "ApprovalRejectedError")
    assert "rejected by arn:kim at 2026-03-04T12:" in output["Cause"]
    assert "I have read it" in output["Cause"]
    assert (house.formation.executed, house.world.balancer.moves, house.builds) == ([], [], [])
    assert house.formation.unexecuted == []
    assert (house.record["status"], house.record["approval"]["status"]) == ("FAILED", "REJECTED")
    assert house.world.journal.items[LOCK]["holder"] is None


def test_an_approval_that_nobody_gives_expires(house: House) -> None:
    house.configuration.settings["approval"] = {"required": True, "expires_minutes": 1}
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "ApprovalExpiredError")
    assert "nobody approved within 1 minutes" in output["Cause"]
    assert (house.formation.executed, house.formation.unexecuted) == ([], [])
    assert house.world.journal.items[LOCK]["holder"] is None
    with pytest.raises(NotWaitingError, match="it is FAILED; it asked until 2026-03-04T12:01"):
        approval.handler(
            {"action": "approve", "deployment": {"id": "d2"}, "by": "arn:kim", "reason": "late"}, None
        )


def test_the_web_scan_comes_after_the_probe_and_its_gate_is_in_phase_5(house: House) -> None:
    house.walk.run(INPUT)

    probe = house.walk.visited.index("Try the service's security")
    assert house.walk.visited[probe + 1 : probe + 7] == [
        "Look at the web scan",
        "Is the release scanned?",
        "Scan the service",
        "Look at the web scan",
        "Is the release scanned?",
        "Conclude phase 5",
    ]
    (phase,) = [phase for phase in house.record["phases"] if phase["number"] == 5]
    found = {gate["name"]: gate for gate in phase["gates"]}
    assert found["The web scan finds nothing critical or high"]["link"] == "s3://artifacts/scans/web/d2.json"
    assert "/api/models is limited" in found, "the probe's gates are there too"
    (row,) = [row for row in house.record["board"]["rows"] if row["measure"] == "findings"]
    assert "schemathesis 4.32.5: 0 critical, 0 high" in row["found"]


def test_the_same_release_is_not_scanned_again_where_the_configuration_allows_that(house: House) -> None:
    security = house.configuration.settings["security"]
    house.configuration.settings["security"] = {**security, "web_scan": {"enabled": True, "reuse_hours": 24}}
    house.walk.run(INPUT)
    house.http.versions = ["v3"]
    again = house.another("d3")
    status, _ = again.run({"environment": "sandbox", "version": "v3", "image": DIGEST})

    assert (status, len(house.scans)) == ("SUCCEEDED", 1)
    assert "Scan the service" not in again.visited


def test_a_web_scan_that_is_switched_off_is_shown_as_not_run_and_is_no_pass(house: House) -> None:
    security = house.configuration.settings["security"]
    house.configuration.settings["security"] = {**security, "web_scan": {"enabled": False, "reuse_hours": 24}}
    status, _ = house.walk.run(INPUT)

    assert (status, house.scans) == ("SUCCEEDED", [])
    shown = house.record["board"]["personas"]["security"]["shown"]
    assert any("not run: [security.web_scan] enabled is false" in each for each in shown), shown


def test_phase_6_holds_the_load_the_comparison_and_the_targets_figures(house: House) -> None:
    house.figures.late = 2
    house.walk.run(INPUT)

    (phase,) = [phase for phase in house.record["phases"] if phase["number"] == 6]
    names = {gate["name"] for gate in phase["gates"]}
    assert names >= {
        "p95 latency",
        "Errors against the live release",
        "CPU",
        "Memory",
        "Disk busy",
        "Cache hit",
    }
    assert house.walk.visited.count("Look at the targets' load") == 3  # CloudWatch comes a little later
    assert (
        len([asked for asked in house.load.asked if asked.get("users") == 25]) == 2
    )  # of 50, by two workers


def test_a_release_that_is_slower_than_the_live_one_takes_no_traffic(house: House) -> None:
    house.load.milliseconds["new"] = 60.0
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert "“p95 latency against the live release” (C6a) failed: found 60" in output["Cause"]
    assert house.world.balancer.of["listener"] == BLUE


def test_targets_that_cloudwatch_knows_nothing_of_are_shown_and_do_not_hold_up_for_ever(house: House) -> None:
    house.figures.late = 1000
    status, _ = house.walk.run(INPUT)

    (phase,) = [phase for phase in house.record["phases"] if phase["number"] == 6]
    found = {gate["name"]: gate["verdict"] for gate in phase["gates"]}
    assert status == "SUCCEEDED"
    assert (found["CPU"], found["Memory"], found["Disk busy"]) == ("Inconclusive",) * 3


def test_the_record_tells_what_the_live_release_answered_while_it_was_watched(house: House) -> None:
    house.walk.run(INPUT)

    assert house.record["live_load"]["requests"] > 0
    assert house.record["live_load"]["failed"] == 0
    assert {asked["port"] for asked in house.load.asked if asked.get("users") == 5} == {443}
