"""One real Chromium and one page server, as the sandbox has it, for all tests; each has a stage of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cutover.handlers import status
from sandbox.status_page import server
from tests.browser.chromium import ChromiumMissingError, chromium
from tests.browser.stage import Stage


@contextmanager
def page_server() -> Iterator[str]:
    """Where the status function answers, over whatever its wiring is at the moment."""
    running = server(("127.0.0.1", 0), lambda event: status.handler(event, None))
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        host, port = running.server_address[:2]
        yield f"http://{host!s}:{port}/"
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.fixture(scope="session")
def chrome() -> Iterator[Any]:
    try:
        with chromium() as running:
            yield running
    except ChromiumMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with page_server() as where:
        yield where


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr(status, "wiring", made.wiring)
    return made


@pytest.fixture
def browser(chrome: Any, stage: Stage) -> Iterator[Any]:
    """The browser with an empty console; what it shows at the end asks no more."""
    chrome.get_log("browser")
    yield chrome
    chrome.get("about:blank")
