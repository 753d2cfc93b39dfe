"""What a load consists of: weighted scenarios, each of them limited or not, and stages of a rate (C6a)."""

from __future__ import annotations

import json
import random
from bisect import bisect
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

MINUTE = 60.0
_BOUNDARY = "cutover-load"
_AGENT = "cutover-load"


@dataclass(frozen=True)
class Request:
    """One request of a scenario as it goes on the wire, `{host}` left open. `expect` is the right status."""

    scenario: str
    wire: bytes
    expect: int = 200


@dataclass(frozen=True)
class Scenario:
    """Requests that follow each other. `most_per_minute` counts beginnings in any sixty seconds."""

    name: str
    weight: float
    requests: tuple[Request, ...]
    most_per_minute: float | None = None


@dataclass(frozen=True)
class Stage:
    """`rate` requests a second for `seconds`."""

    rate: float
    seconds: float


def stages(rate: float, seconds: float, *, ramp_steps: int = 0, ramp_seconds: float = 0.0) -> list[Stage]:
    """Equal steps up, and then the whole rate: the last stage is the one that is judged."""
    if ramp_steps < 1 or ramp_seconds <= 0:
        return [Stage(rate, seconds)]
    each = ramp_seconds / ramp_steps
    return [
        *(Stage(rate * step / (ramp_steps + 1), each) for step in range(1, ramp_steps + 1)),
        Stage(rate, seconds),
    ]


def of_paths(paths: Iterable[str], host: str, headers: Mapping[str, str] | None = None) -> list[Scenario]:
    """One scenario for each path, all of one weight, for a load that is no more than that."""
    more = headers or {}
    return [Scenario(path, 1.0, (_request(path, "GET", path, host=host, headers=more),)) for path in paths]


def read_scenarios(
    tables: Sequence[Mapping[str, Any]], host: str, filled: Mapping[str, str], token: str | None
) -> list[Scenario]:
    """From the configuration's [[load.scenarios]]. `filled` are the values of the placeholders in bodies;
    scenarios that need a token are left out without one."""
    return [
        Scenario(
            str(table["name"]),
            float(table["weight"]),
            tuple(_step(str(table["name"]), step, host, filled, token) for step in table["steps"]),
            table.get("most_per_minute"),
        )
        for table in tables
        if token or not needs_token(table)
    ]


def needs_token(scenario: Mapping[str, Any]) -> bool:
    return any(step.get("token") for step in scenario["steps"])


def share_of(tables: Sequence[Mapping[str, Any]], worker: int) -> list[Mapping[str, Any]]:
    """The scenarios of one worker: what has a limit is the first one's alone, so that one count holds it. It
    also is the only one that logs in."""
    return [
        table for table in tables if not worker or not (table.get("most_per_minute") or needs_token(table))
    ]


def halved(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """For two loads side by side, which share the limits."""
    return [
        Scenario(each.name, each.weight, each.requests, each.most_per_minute and each.most_per_minute / 2)
        for each in scenarios
    ]


def _step(
    scenario: str, step: Mapping[str, Any], host: str, filled: Mapping[str, str], token: str | None
) -> Request:
    headers = {"Authorization": f"Bearer {token}"} if step.get("token") else {}
    body, size = step.get("body"), int(step.get("upload_bytes") or 0)
    content = b""
    if body is not None:
        content = json.dumps({key: _filled(value, filled) for key, value in body.items()}).encode()
        headers["Content-Type"] = "application/json"
    elif size:
        content = _form(size)
        headers["Content-Type"] = f"multipart/form-data; boundary={_BOUNDARY}"
    return _request(
        scenario,
        str(step.get("method") or "GET"),
        str(step["path"]),
        host=host,
        headers=headers,
        content=content,
        expect=int(step.get("expect") or 200),
    )


def _request(
    scenario: str,
    method: str,
    path: str,
    *,
    host: str,
    headers: Mapping[str, str],
    content: bytes = b"",
    expect: int = 200,
) -> Request:
    every = {"Host": host, "User-Agent": _AGENT, "Accept": "*/*", **headers}
    if method != "GET":
        every["Content-Length"] = str(len(content))
    lines = "".join(f"{name}: {value}\r\n" for name, value in every.items())
    return Request(scenario, f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content, expect)


def _filled(value: object, filled: Mapping[str, str]) -> object:
    if isinstance(value, str):
        for name, text in filled.items():
            value = value.replace(f"{{{name}}}", text)
    return value


def _form(size: int) -> bytes:
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="load.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + bytes(size) + f"\r\n--{_BOUNDARY}--\r\n".encode()


@dataclass
class Mix:
    """Draws scenarios by their weights; one that is at its limit, or was told to wait, is passed over.

    The seed makes two mixes of the same scenarios draw alike, so that two releases get the same load.
    """

    scenarios: Sequence[Scenario]
    seed: int = 0
    _begun: dict[str, deque[float]] = field(default_factory=dict)
    _paused: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)  # noqa: S311  a choice, not a secret
        self._free = [each for each in self.scenarios if not each.most_per_minute]
        self._bounds = list(accumulate(each.weight for each in self.scenarios))
        self._free_bounds = list(accumulate(each.weight for each in self._free))

    def next(self, now: float) -> Scenario:
        """The scenario that begins at `now` (seconds of any steady clock). Where no scenario without a limit
        is left, a limited one goes above it: a load keeps its rate."""
        if len(self.scenarios) == 1:
            return self.scenarios[0]
        chosen = self._chosen(self.scenarios, self._bounds)
        if not self._free or self._may(chosen, now):
            return chosen
        return self._chosen(self._free, self._free_bounds)

    def pause(self, name: str, until: float) -> None:
        """The service asked to be left alone with it (429 and Retry-After)."""
        self._paused[name] = max(until, self._paused.get(name, until))

    def _chosen(self, scenarios: Sequence[Scenario], bounds: Sequence[float]) -> Scenario:
        return scenarios[bisect(bounds, self._draw.random() * bounds[-1], 0, len(bounds) - 1)]

    def _may(self, scenario: Scenario, now: float) -> bool:
        if scenario.most_per_minute is None:
            return True
        if now < self._paused.get(scenario.name, now):
            return False
        begun = self._begun.setdefault(scenario.name, deque())
        while begun and begun[0] <= now - MINUTE:
            begun.popleft()
        if len(begun) + 1 > scenario.most_per_minute:
            return False
        begun.append(now)
        return True
