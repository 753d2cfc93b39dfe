"""The smoke tests as a person runs them, and phase 5's probes, against example backends that run: a sound one,
and releases that are bad on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.clock import SystemClock
from cutover.steps.security import check_service
from tests.sandbox.test_example_backend_service import (
    REPOSITORY,
    SMOKE_PASSWORD,
    Service,
    environment,
    mongo_url,
    redis_url,
    running,
)
from tests.smoke.service import BaseUrl

__all__ = ["environment", "mongo_url", "redis_url"]  # fixtures of the services around the backend
USER = {"email": "smoke@example.com", "password": SMOKE_PASSWORD}
#: Short windows, so that a test need not wait for a minute to see one end.
LIMITS = {
    "/api/auth/login": "5/10second",
    "/api/models": "100/5second",
    "/api/evaluations": "50/5second",
    "/api/files/upload": "10/5second",
}
TLS = {"TLS below 1.2 is refused", "TLS 1.3 is offered", "Weak cipher suites are refused"}
FAULTS = {
    "idor": "Another user's file is not handed out",
    "unsigned": "An unsigned token (alg: none) is refused",
    "expired": "An expired token is refused",
    "open": "Without a token nobody is let in",
    "header": "Header Referrer-Policy",
    "hsts": "Header Strict-Transport-Security",
}


def written(limits: dict[str, str]) -> str:
    return ",".join(f"{path}={rate}" for path, rate in limits.items())


@pytest.fixture(scope="module")
def sound(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(environment, tmp_path_factory.mktemp("sound"), RATE_LIMITS=written(LIMITS)) as service:
        yield service


def by_hand(url: str, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "tests/smoke",
            "-q",
            "-p",
            "no:cacheprovider",
            "--base-url",
            url,
            *more,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "SMOKE_EMAIL": USER["email"], "SMOKE_PASSWORD": USER["password"], **variables},
    )


def gates(service: Service, secret: str, limits: dict[str, str]) -> dict[str, dict[str, Any]]:
    http = BaseUrl(service.url)
    found = check_service(http.port, limits, USER, secret, http=http, clock=SystemClock())["gates"]
    return {gate["name"]: gate for gate in found if gate["name"] not in TLS}


def test_the_five_items_pass_on_a_sound_service(sound: Service) -> None:
    done = by_hand(sound.url)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_another_version_than_the_wanted_fails_the_item_that_asks_for_it(sound: Service) -> None:
    done = by_hand(sound.url, "--release-version", "v99")
    assert done.returncode == 1
    assert "wanted 200 from version v99" in done.stdout
    assert "4 passed" in done.stdout


def test_wrong_credentials_fail_by_name(sound: Service) -> None:
    done = by_hand(sound.url, SMOKE_PASSWORD="not it")
    assert done.returncode == 1
    assert "“Login” (C7a) failed: found 401, no token" in done.stdout


def test_without_credentials_or_a_url_it_is_said_what_to_give(sound: Service) -> None:
    assert "set SMOKE_PASSWORD" in by_hand(sound.url, SMOKE_PASSWORD="").stdout
    assert "write https://HOST[:PORT]" in by_hand("ftp://example.com").stdout


def test_a_sound_release_opens_every_gate_of_phase_5(sound: Service, environment: dict[str, str]) -> None:
    found = gates(sound, environment["JWT_SECRET"], LIMITS)
    assert {name: gate["found"] for name, gate in found.items() if gate["verdict"] != "Pass"} == {}
    assert len(found) == 16


@pytest.mark.parametrize("fault", FAULTS)
def test_a_release_that_is_bad_on_purpose_closes_the_gate_for_its_fault(
    fault: str,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    with running(environment, tmp_path, FAULT=fault, RATE_LIMITS=written(LIMITS)) as service:
        found = gates(service, environment["JWT_SECRET"], limits={})
    assert [name for name, gate in found.items() if gate["verdict"] == "Fail"] == [FAULTS[fault]]


def test_a_release_with_one_request_too_many_closes_the_gate_of_that_limit(
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """Few enough that a slow machine still exceeds the limit within its window."""
    limits = written({**LIMITS, "/api/models": "21/5second"})
    with running(environment, tmp_path, RATE_LIMITS=limits) as service:
        found = gates(service, environment["JWT_SECRET"], {"/api/models": "20/5second"})
    closed = {name: gate["found"] for name, gate in found.items() if gate["verdict"] == "Fail"}
    assert set(closed) == {"/api/models is limited"}
    assert closed["/api/models is limited"].startswith("request 22 was the first to be refused")
