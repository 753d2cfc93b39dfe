"""Releases that are bad on purpose, as real processes under real adapters: each closes the gate that is there for it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from config.load import Load
from cutover.adapters.clock import SystemClock
from cutover.adapters.load import OpenModelLoad
from cutover.adapters.prometheus import PORT, PrometheusMetrics
from cutover.domain.aim import Aim, Allowed
from cutover.domain.colours import Colour
from cutover.domain.gates import closed
from cutover.domain.measures import Limits
from cutover.domain.seen import QUERIES
from cutover.steps.load import judge_load, work
from cutover.steps.load_session import Session
from cutover.steps.see_release import see_release
from sandbox.pki import Authority
from tests.contract.scenes import THRESHOLDS
from tests.loopback import own_network
from tests.sandbox.test_example_backend_service import (
    SMOKE_PASSWORD,
    Service,
    environment,
    mongo_url,
    process,
    redis_url,
    running,
    wait_for,
)
from tests.sandbox.tls_kit import behind_tls
from tests.smoke.service import BaseUrl

__all__ = ["environment", "mongo_url", "redis_url"]  # fixtures of the services around the backend
DOMAIN = "api.cutover.test"
USER = {"email": "smoke@example.com", "password": SMOKE_PASSWORD}
LOAD = Load(requests_per_second=100, users=10, seconds=3, ramp_steps=1, ramp_seconds=1).for_lambdas()
LIMITS = Limits({**THRESHOLDS, "requests_per_second": 90, "concurrent_users": 10}, {})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def shut(service: Service, authority: Authority) -> list[str]:
    """The gates of phase 6's load that close a deployment."""
    with behind_tls(service.url, authority.issue("front", [DOMAIN])) as port:
        own = Aim("127.0.0.1", DOMAIN)
        part = work(
            0,
            {**LOAD, "workers": 1},
            aim=own,
            port=port,
            deployment="d2",
            begin_at=time.time(),
            load=OpenModelLoad(own, Allowed(own, frozenset({port}))),
            session=Session(USER, BaseUrl(service.url), SystemClock()),
        )
    return [gate["name"] for gate in closed(judge_load([part], {**LOAD, "workers": 1}, LIMITS)["gates"])]


@pytest.mark.parametrize(
    ("fault", "gates"),
    [
        ({}, []),
        ({"FAULT": "errors", "FAULT_RATE": "0.05"}, ["Errors", "Availability", "Throughput under load"]),
        ({"FAULT": "slow", "FAULT_RATE": "0.2", "FAULT_SECONDS": "0.7"}, ["p95 latency"]),
    ],
    ids=["sound", "errors", "slow"],
)
def test_a_load_on_a_release_closes_the_gates_of_its_fault(
    fault: Mapping[str, str],
    gates: list[str],
    environment: dict[str, str],
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_path))
    with running(environment, tmp_path, API_RATE_LIMIT="0", **fault) as service:
        assert shut(service, authority) == gates


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The file of the targets that it scrapes every second, and its address."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no Prometheus here: Debian's package `prometheus`")
    # Its port is fixed in the adapter; the address is this test process's own.
    address = f"{own_network()}.77.1"
    targets, configuration = tmp_path / "targets.json", tmp_path / "prometheus.yml"
    targets.write_text("[]")
    job = {"job_name": "backend", "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}
    scrapes = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    configuration.write_text(json.dumps(scrapes))
    argv = [program, f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    with process([*argv, f"--web.listen-address={address}:{PORT}"], tmp_path / "prometheus.log"):
        yield targets, address


@pytest.mark.parametrize(
    ("settings", "gates"),
    [
        ({}, []),
        (
            {"MONITORING_ENABLED": "false"},
            ["Prometheus scrapes green", *(f"Grafana's “{title}”" for title in QUERIES)],
        ),
    ],
    ids=["sound", "without metrics"],
)
def test_prometheus_misses_the_metrics_that_a_release_does_not_tell(
    settings: Mapping[str, str],
    gates: list[str],
    environment: dict[str, str],
    prometheus: tuple[Path, str],
    tmp_path: Path,
) -> None:
    targets, address = prometheus
    with running(environment, tmp_path, **settings) as service:
        target = {"targets": [urlsplit(service.url).netloc], "labels": {"colour": "green"}}
        targets.write_text(json.dumps([target]))
        deadline = (
            time.monotonic() + 5
        )  # of two scrapes a rate is made, and there is none to wait for without

        def seen() -> dict[str, Any] | None:
            with service.client() as client:
                client.get("/api/health")
            found = see_release(Colour.GREEN, 1, True, metrics=PrometheusMetrics(address))
            return found if found["seen"] or time.monotonic() > deadline else None

        found = wait_for("what Prometheus sees", seen, seconds=30)
    assert [gate["name"] for gate in closed(found["gates"])] == gates
