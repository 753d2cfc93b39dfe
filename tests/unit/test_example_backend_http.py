"""The example backend called as an ASGI application, without sockets: headers, refusals, tokens, faults."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from backend.application import build
from backend.rate_limits import Rate, Taken, Window, allows
from backend.security import SECURITY_HEADERS
from backend.settings import Settings
from backend.tokens import TOKEN_SECONDS, Tokens, User

ENVIRONMENT = {
    # Port 1 of the discard address: whatever connects, fails the test by its status.
    "MONGO_URL": "mongodb://192.0.2.1:1/",
    "REDIS_URL": "redis://192.0.2.1:1/0",
    "JWT_SECRET": "k" * 32,
    "FILES_BUCKET": "staging-files",
    "RELEASE_VERSION": "2025.06.27-1",
    "INSTANCE_ID": "backend-2",
    "CORS_ORIGINS": "https://staging.ai-model-mgmt.com",
}
# What the deployment plan's backend/security.py demands, letter by letter.
PLANNED_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-xss-protection": "1; mode=block",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "content-security-policy": "default-src 'self'",
    "referrer-policy": "strict-origin-when-cross-origin",
}


@dataclass
class MemoryCounter:
    """Counts as the script in Redis does."""

    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    broken: bool = False

    async def take(self, key: str, rate: Rate, window: Window) -> Taken:
        if self.broken:
            raise RedisConnectionError("gone")
        previous = self.counts.get((key, window.index - 1), 0)
        current = self.counts.get((key, window.index), 0)
        allowed = allows(rate, window, previous, current)
        if allowed:
            self.counts[key, window.index] = current + 1
        return Taken(allowed, previous, current)


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} is sent twice: {values}"
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Backend:
    """One process's application; each call is one request."""

    def __init__(self, counter: MemoryCounter | None = None, **environment: str) -> None:
        self.counter = counter or MemoryCounter()
        self._settings = Settings.from_environment({**ENVIRONMENT, **environment})
        self._app: Any = None

    def __call__(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Answer:
        return asyncio.run(self.call(path, method, headers or {}, body))

    async def call(self, path: str, method: str, headers: Mapping[str, str], body: Any) -> Answer:
        if self._app is None:
            self._app = build(self._settings, self.counter)
        content = b"" if body is None else json.dumps(body).encode()
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        raw = {"content-type": "application/json"} | {key.lower(): value for key, value in headers.items()}
        await self._app(
            {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": method,
                "scheme": "http",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": [(key.encode(), value.encode()) for key, value in raw.items()],
                "client": ("198.51.100.1", 40000),
                "server": ("127.0.0.1", 8000),
            },
            receive,
            send,
        )
        start = sent[0]
        return Answer(
            start["status"],
            [(key.decode(), value.decode()) for key, value in start["headers"]],
            b"".join(message.get("body", b"") for message in sent[1:]),
        )


def live(port: int = 443) -> dict[str, str]:
    return {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Port": str(port)}


def fault(kind: str, rate: str = "1", seconds: str = "3") -> Backend:
    return Backend(FAULT=kind, FAULT_PORT="443", FAULT_RATE=rate, FAULT_SECONDS=seconds)


def test_the_security_headers_are_those_of_the_plan() -> None:
    assert {name.lower(): value for name, value in SECURITY_HEADERS.items()} == PLANNED_HEADERS


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/health", "GET", 503),  # not ready: nothing was reached yet
        ("/openapi.json", "GET", 200),
        ("/nowhere", "GET", 404),
        ("/api/models", "DELETE", 405),
        ("/api/evaluations", "GET", 401),
        ("/api/auth/login", "POST", 422),
    ],
)
def test_every_answer_carries_the_security_headers_and_its_release(
    path: str, method: str, status: int
) -> None:
    answer = Backend()(path, method)

    assert answer.status == status
    assert {name: answer.header(name) for name in PLANNED_HEADERS} == PLANNED_HEADERS
    assert answer.header("x-release-version") == "2025.06.27-1"
    assert answer.header("x-instance-id") == "backend-2"


def test_an_unforeseen_error_is_a_plain_500_with_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: MemoryCounter, *_: object) -> Taken:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(MemoryCounter, "take", broken)
    answer = Backend()("/api/models")

    assert answer.status == 500
    assert b"secret" not in answer.body
    assert answer.header("x-frame-options") == "DENY"


def test_the_sixth_login_in_a_minute_is_refused_and_told_when_to_come_back() -> None:
    backend = Backend()
    statuses = [backend("/api/auth/login", "POST", live()).status for _ in range(5)]
    refused = backend("/api/auth/login", "POST", live())

    assert statuses == [422] * 5
    assert refused.status == 429
    assert 1 <= int(refused.header("retry-after") or 0) <= 120
    assert refused.header("content-security-policy") == "default-src 'self'"


def test_clients_do_not_share_a_limit() -> None:
    backend = Backend()
    for _ in range(6):
        backend("/api/auth/login", "POST", live())

    other = backend("/api/auth/login", "POST", {"X-Forwarded-For": "203.0.113.7, 203.0.113.8"})
    assert other.status == 422


def test_requests_pass_uncounted_when_redis_is_away() -> None:
    backend = Backend(MemoryCounter(broken=True))

    assert [backend("/api/auth/login", "POST").status for _ in range(7)] == [422] * 7
    assert b"rate_limit_unavailable_total 7.0" in backend("/metrics").body


def test_a_preflight_is_answered_for_a_known_origin_only_and_is_not_counted() -> None:
    backend = Backend()
    ask = {"Access-Control-Request-Method": "POST"}
    known = backend("/api/models", "OPTIONS", ask | {"Origin": "https://staging.ai-model-mgmt.com"})
    unknown = backend("/api/models", "OPTIONS", ask | {"Origin": "https://evil.example.com"})

    assert known.header("access-control-allow-origin") == "https://staging.ai-model-mgmt.com"
    assert unknown.header("access-control-allow-origin") is None
    assert backend.counter.counts == {}


def test_metrics_name_routes_by_template_and_unknown_paths_by_one_word() -> None:
    backend = Backend()
    backend("/api/files/7")
    backend("/api/files/8")
    backend("/wp-admin.php")
    for _ in range(6):
        backend("/api/auth/login", "POST")
    text = backend("/metrics").body.decode()

    assert 'http_requests_total{method="GET",path="/api/files/{file_id}",status="401"} 2.0' in text
    assert 'http_requests_total{method="any",path="unmatched",status="404"} 1.0' in text
    assert 'http_requests_total{method="POST",path="/api/auth/login",status="429"} 1.0' in text
    assert "http_request_duration_seconds_bucket" in text
    assert "db_pool_size 20.0" in text


def test_metrics_are_gone_when_monitoring_is_off() -> None:
    assert Backend(MONITORING_ENABLED="false")("/metrics").status == 404


def test_a_token_is_accepted_until_it_expires_and_only_with_the_right_secret() -> None:
    user = User("u1", "user")
    tokens = Tokens("k" * 32)

    assert tokens.user(tokens.issue(user)) == user
    assert Tokens("x" * 32).user(tokens.issue(user)) is None
    assert tokens.user(Tokens("k" * 32, clock=lambda: 1_000_000).issue(user)) is None
    assert tokens.user("nonsense") is None
    assert TOKEN_SECONDS == 3600


def test_an_unsigned_token_is_refused() -> None:
    claims = {"sub": "u1", "iat": 1, "exp": 9_999_999_999, "iss": "ai-model-backend"}
    unsigned = jwt.encode(claims, "", algorithm="none")
    assert Backend()("/api/evaluations", headers={"Authorization": f"Bearer {unsigned}"}).status == 401


def test_live_traffic_fails_while_the_test_listener_looks_fine() -> None:
    backend = fault("errors")

    assert backend("/openapi.json", headers=live(8443)).status == 200
    assert backend("/openapi.json").status == 200
    bad = backend("/openapi.json", headers=live(443))
    assert bad.status == 500
    assert bad.header("x-release-version") == "2025.06.27-1"
    assert 'path="unmatched",status="500"} 1.0' in backend("/metrics").body.decode()


def test_the_rate_of_a_fault_is_a_share_of_live_requests() -> None:
    assert {fault("errors", rate="0")("/openapi.json", headers=live()).status} == {200}
    backend = fault("errors", rate="0.5")
    statuses = [backend("/nowhere", headers=live()).status for _ in range(200)]

    assert 40 < statuses.count(500) < 160
    assert set(statuses) == {404, 500}


def test_a_slow_release_adds_its_seconds_to_live_requests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("backend.faults.asyncio.sleep", sleep)
    backend = fault("slow", seconds="2.5")
    backend("/openapi.json", headers=live(8443))
    assert slept == []
    assert backend("/openapi.json", headers=live()).status == 200
    assert slept == [2.5]


def test_an_unhealthy_release_turns_sick_at_its_first_live_request() -> None:
    backend = fault("unhealthy")
    backend("/openapi.json", headers=live(8443))
    assert backend("/health").json["status"] == "starting"
    backend("/openapi.json", headers=live())

    sick = backend("/health")
    assert (sick.status, sick.json["status"]) == (503, "unhealthy")


def test_a_leaking_release_stops_at_its_cap() -> None:
    from backend.faults import FaultKind, FaultPlan, Faults

    faults = Faults(FaultPlan(FaultKind.MEMORY, megabytes=3))

    async def requests() -> None:
        for _ in range(5):
            await faults.before()

    asyncio.run(requests())
    assert [len(block) for block in faults.leaked] == [1024 * 1024] * 3


def test_a_release_may_be_sound_for_its_first_requests() -> None:
    from backend.faults import FaultKind, FaultPlan, Faults

    faults = Faults(FaultPlan(FaultKind.ERRORS, after=2))

    async def requests() -> list[int | None]:
        return [await faults.before() for _ in range(4)]

    assert asyncio.run(requests()) == [None, None, 500, 500]


def test_a_release_that_says_something_else_in_a_header_says_it_everywhere() -> None:
    backend = Backend(FAULT="hsts")
    for path in ("/openapi.json", "/nowhere"):
        answer = backend(path)
        assert answer.header("strict-transport-security") == "max-age=0"
        assert answer.header("referrer-policy") == PLANNED_HEADERS["referrer-policy"]


def test_a_release_with_an_open_door_lets_in_whoever_brings_no_token() -> None:
    tokens = Tokens("k" * 32, accepts="open")
    assert tokens.without_token() == User("nobody", "user")
    assert tokens.user("forged") is None
    assert Tokens("k" * 32).without_token() is None


def test_a_spoilt_file_is_as_long_and_another() -> None:
    from backend.faults import spoilt

    assert list(spoilt([b"abc", b"", b"d"])) == [b"`bc", b"", b"e"]


def test_a_busy_release_uses_the_core_and_stops_by_itself() -> None:
    import threading
    import time

    backend = fault("cpu", seconds="0.3")
    before = time.process_time()
    backend("/openapi.json", headers=live())
    deadline = time.monotonic() + 20
    while any(thread.name == "fault-cpu" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the burner did not stop"
        time.sleep(0.02)
    assert time.process_time() - before > 0.05


def test_without_a_fault_port_all_but_probes_is_live() -> None:
    backend = Backend(FAULT="errors")

    assert backend("/openapi.json").status == 500
    assert backend("/metrics").status == 200
