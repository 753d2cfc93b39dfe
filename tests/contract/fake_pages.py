"""The frontend's server, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from cutover.domain.errors import NotReachableError
from cutover.ports import Answer, Handshake


class FakePages:
    """The frontend's server in a few lines. `faults` name what it does wrong; `serving` is as FakeHttp's."""

    def __init__(self, version: str = "v1", faults: Sequence[str] = ()) -> None:
        self.version, self.faults = version, set(faults)
        self.serving: dict[int, Callable[[], str]] = {}
        self.asked: list[tuple[str, int, str]] = []

    def request(self, method: str, port: int, path: str, **_: Any) -> Answer:
        self.asked.append((method, port, path))
        if "dead" in self.faults:
            raise NotReachableError("connection refused")
        version = self.serving[port]() if port in self.serving else self.version
        page = b"<html></html>" if "bare" in self.faults else b'<html><script src="/app.js"></script></html>'
        api = "https://elsewhere" if "astray" in self.faults else "https://api.example.com"
        status, kind, body = {
            "/": (200, "text/html; charset=utf-8", page),
            "/app.js": (404 if "torn" in self.faults else 200, "text/javascript", b"1"),
            "/config.json": (200, "application/json", _json({"api": api, "version": version})),
        }[path]
        return Answer(status, {"x-release-version": version, "content-type": kind}, body, 1.0)

    def handshake(self, port: int, lowest: str, highest: str) -> Handshake:
        raise AssertionError("nobody asks the frontend for TLS: it is the same listener")


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()
