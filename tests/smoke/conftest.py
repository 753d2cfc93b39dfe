"""Options of the smoke tests. They ask a service that runs somewhere, so nothing is collected without one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.clock import SystemClock
from cutover.steps.smoke import Smoke
from tests.smoke.service import BaseUrl

VARIABLES = ("SMOKE_EMAIL", "SMOKE_PASSWORD")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("smoke")
    group.addoption("--base-url", help="the service, as in https://api-staging.ai-model-mgmt.com")
    group.addoption("--release-version", help="the version that has to answer (any, if it is left out)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.getoption("--base-url", None) is None else None


@pytest.fixture(scope="session")
def gates(request: pytest.FixtureRequest) -> Mapping[str, Mapping[str, Any]]:
    """What phase 7 would find, by the gate's name."""
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise pytest.UsageError(f"set {' and '.join(missing)}: the account that the smoke tests log in as")
    try:
        service = BaseUrl(request.config.getoption("--base-url"))
    except ValueError as error:
        raise pytest.UsageError(f"--base-url {error}") from None
    user = {"email": os.environ["SMOKE_EMAIL"], "password": os.environ["SMOKE_PASSWORD"]}
    version, run = request.config.getoption("--release-version"), f"by-hand-{uuid.uuid4().hex[:8]}"
    found = Smoke(service.port, run, version, user, http=service, clock=SystemClock()).run()["gates"]
    return {gate["name"]: gate for gate in found}
