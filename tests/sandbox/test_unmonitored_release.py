"""A release that tells no metrics, as a real process that a real Prometheus scrapes: its gates close."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cutover.adapters.prometheus import PORT, PrometheusMetrics
from cutover.domain.colours import Colour
from cutover.domain.gates import closed
from cutover.domain.seen import QUERIES
from cutover.steps.see_release import see_release
from tests.loopback import own_network
from tests.sandbox.test_example_backend_service import (
    environment,
    mongo_url,
    process,
    redis_url,
    running,
    wait_for,
)

__all__ = ["environment", "mongo_url", "redis_url"]  # fixtures of the services around the backend


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
        # A rate is made of two scrapes, however long they take; without metrics there is none to wait for.
        deadline = time.monotonic() + (5 if gates else 25)

        def seen() -> dict[str, Any] | None:
            with service.client() as client:
                client.get("/api/health")
            found = see_release(Colour.GREEN, 1, True, metrics=PrometheusMetrics(address))
            return found if found["seen"] or time.monotonic() > deadline else None

        found = wait_for("what Prometheus sees", seen, seconds=30)
    assert [gate["name"] for gate in closed(found["gates"])] == gates
