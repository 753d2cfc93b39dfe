"""What the balancer is to do, free of any API and of any proxy: listeners, rules, target groups, targets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

# TLS versions as a number that can be compared.
TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0, 1, 2, 3


@dataclasses.dataclass(frozen=True, slots=True)
class HealthCheck:
    """How the targets of a group are probed. Times are in seconds; `port` is None for the traffic port.

    `codes` are the answers that count as success, as inclusive ranges.
    """

    enabled: bool = True
    https: bool = False
    port: int | None = None
    path: str = "/"
    interval: float = 30.0
    timeout: float = 5.0
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    codes: tuple[tuple[int, int], ...] = ((200, 200),)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One server of a group. What is draining or not running is simply not among the targets."""

    address: str
    port: int


@dataclasses.dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group that some listener refers to; `name` names its cluster and its metrics."""

    name: str
    targets: tuple[Target, ...] = ()
    health: HealthCheck = HealthCheck()
    https: bool = False
    slow_start: float = 0.0
    least_outstanding: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Forward:
    """Shares requests among groups by weight (0 to 999); a group of weight 0 gets nothing."""

    weights: tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class FixedResponse:
    """Answers by itself."""

    status: int
    content_type: str = "text/plain"
    body: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere; None keeps that part of the request's URL."""

    permanent: bool
    https: bool | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None
    query: str | None = None


Action = Forward | FixedResponse | Redirect


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule: any of `values` (`*` and `?` stand for themselves as in ALB) has to match.

    `field` is `path-pattern`, `host-header`, `http-request-method` or `http-header` (then `header` names it).
    """

    field: str
    values: tuple[str, ...]
    header: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """An action for the requests that meet all conditions; none is the default rule."""

    action: Action
    conditions: tuple[Condition, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """The certificate of a listener, and the TLS versions its security policy allows."""

    certificate: Path
    key: Path
    minimum: int = TLS_1_2
    maximum: int = TLS_1_3


@dataclasses.dataclass(frozen=True, slots=True)
class Listener:
    """A port of a load balancer. `rules` are in order of priority, the default one last.

    `idle_timeout` is the load balancer's idle_timeout.timeout_seconds.
    """

    name: str
    address: str
    port: int
    rules: tuple[Rule, ...]
    tls: Tls | None = None
    idle_timeout: float = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """A service on a unix socket that is offered over TLS (Redis, which here has no TLS of its own).

    `socket` is the path of the unix socket, relative to the proxy's folder.
    """

    name: str
    address: str
    port: int
    tls: Tls
    socket: str


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """Everything the proxy is to serve."""

    listeners: tuple[Listener, ...] = ()
    groups: tuple[TargetGroup, ...] = ()
    streams: tuple[Stream, ...] = ()
