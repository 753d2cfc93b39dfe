"""The example backend in a few lines, behind the HTTP port."""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cutover.domain.errors import NotReachableError
from cutover.domain.web_tokens import claims_of, signed, unsigned
from cutover.ports import Answer, Clock, Handshake

SECRET = "k" * 64
LIMITS = {
    "/api/auth/login": (5, 60),
    "/api/models": (100, 60),
    "/api/evaluations": (50, 60),
    "/api/files/upload": (10, 60),
}
DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/health": {"get": {}},
        "/api/health/detailed": {"get": {}},
        "/api/auth/register": {"post": {}},
        "/api/auth/login": {"post": {}},
        "/api/models": {"get": {}, "post": {}},
        "/api/models/{model_id}": {"get": {}},
        "/api/evaluations": {"get": {}, "post": {}},
        "/api/files/upload": {"post": {}},
        "/api/files": {"get": {}},
        "/api/files/{file_id}": {"get": {}},
    },
}


class FakeHttp:
    """`faults` name what it does wrong, on the port `only_on` if that is given. `versions` are answered in
    turn, but for ports that `serving` knows better. Its time stands still without a clock."""

    def __init__(self, version: str = "v1", faults: Sequence[str] = (), clock: Clock | None = None) -> None:
        self.versions = [version]
        self.faults = self._faults = set(faults)
        self.clock = clock
        self.only_on: int | None = None
        self.serving: dict[int, Callable[[], str]] = {}
        self.asked: list[tuple[str, int, str]] = []
        self.headers: dict[str, str] = {}
        self.tls = {("1.0", "1.1"): Handshake(False, "refused"), ("1.3", "1.3"): Handshake(True, "TLSv1.3")}
        self.suites = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA384"]
        self.document: object = DOCUMENT
        self.limits = dict(LIMITS)
        self.users = {"smoke@example.com": "right"}
        self._counted: dict[tuple[str, str], list[float]] = {}
        self._evaluations: list[dict[str, Any]] = []
        self._files: dict[str, tuple[str, bytes]] = {}

    @contextmanager
    def kept(self) -> Iterator[FakeHttp]:
        yield self

    def request(
        self,
        method: str,
        port: int,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        upload: tuple[str, bytes] | None = None,
    ) -> Answer:
        self.asked.append((method, port, path))
        self._faults = self.faults if self.only_on in (None, port) else set()
        if "dead" in self._faults:
            raise NotReachableError("connection refused")
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        version = self.serving[port]() if port in self.serving else version
        path = path.split("?", maxsplit=1)[0]
        user = self._user((headers or {}).get("Authorization", ""))
        wait = self._limited(path, user or "address")
        status, body = (429, {}) if wait else self._answer(method, path, user, json, upload)
        content = body if isinstance(body, bytes) else json_text.dumps(body).encode()
        told = {"x-release-version": version, **self.headers}
        if path == "/api/models":
            told["x-cache"] = "miss" if "redis" in self._faults else "hit"
        if wait and "no retry-after" not in self._faults:
            told["retry-after"] = str(wait)
        if "bare route" in self._faults and path.startswith("/api/models/"):
            told.pop("content-security-policy", None)
        return Answer(status, told, content, 1.0)

    def handshake(self, port: int, lowest: str, highest: str, suites: str | None = None) -> Handshake:
        if suites is None:
            return self.tls[(lowest, highest)]
        left = [suite for suite in self.suites if f"!{suite}" not in suites.split(":")]
        return Handshake(True, "TLSv1.2", left[0]) if left else Handshake(False, "refused")

    @property
    def _now(self) -> datetime:
        return self.clock.now() if self.clock else datetime(2025, 6, 27, 12, tzinfo=UTC)

    def _user(self, header: str) -> str | None:
        """Whose token it is; with faults, of whom it says it is."""
        token = header.removeprefix("Bearer ")
        if "open door" in self._faults:
            return "smoke@example.com"
        claims = claims_of(token)
        if claims is None:
            return None
        genuine = (
            token == signed(claims, SECRET)
            or ("forged" in self._faults and not token.endswith("."))
            or (token == unsigned(claims) and "unsigned" in self._faults)
        )
        expired = claims["exp"] < self._now.timestamp() and "expired" not in self._faults
        return str(claims["sub"]) if genuine and not expired else None

    def _limited(self, path: str, client: str) -> int:
        """For how long the client is refused, in seconds: as many as the limit says in any such time."""
        if path not in self.limits:
            return 0
        limit, seconds = self.limits[path]
        now = self._now.timestamp()
        if "never resets" in self._faults:
            seconds = 10**9
        counted = [at for at in self._counted.get((path, client), []) if at > now - seconds]
        self._counted[path, client] = counted
        if len(counted) < limit:
            counted.append(now)
            return 0
        return self.limits[path][1]

    def _answer(
        self, method: str, path: str, user: str | None, json: Any, upload: tuple[str, bytes] | None
    ) -> tuple[int, Any]:
        if path == "/openapi.json":
            return (200, self.document) if self.document else (404, {})
        if path == "/api/health/detailed":
            return 200, {
                "dependencies": {"mongodb": {"ok": True}, "redis": {"ok": "redis" not in self._faults}}
            }
        if path.startswith("/api/auth/"):
            return self._account(path, json)
        if path == "/api/models":
            return 200, {"models": [{"id": "m1"}]}
        if path.startswith("/api/health"):
            return 200, {"status": "ok"}
        if user is None:
            return 401, {}
        return self._guarded(method, path, user, json, upload)

    def _account(self, path: str, json: Any) -> tuple[int, Any]:
        email, password = json.get("email"), json.get("password")
        if path.endswith("/register"):
            if "closed registration" in self._faults:
                return 403, {}
            if not email:
                return 422, {}
            self.users[email] = password
            return 201, {}
        if not email or self.users.get(email) != password:
            return 401, {}
        claims = {"sub": email, "exp": self._now.timestamp() + 3600, "iat": self._now.timestamp()}
        return 200, {"access_token": signed(claims, SECRET)}

    def _guarded(
        self, method: str, path: str, user: str, json: Any, upload: tuple[str, bytes] | None
    ) -> tuple[int, Any]:
        if path == "/api/evaluations" and method == "POST":
            if "forgets" not in self._faults:
                self._evaluations.append({"id": "e1", "user": user, **(json or {})})
            return 201, {"id": "e1"}
        everything = "lists all" in self._faults
        if path == "/api/evaluations":
            return 200, {"evaluations": [e for e in self._evaluations if everything or e["user"] == user]}
        if path == "/api/files":
            mine = [number for number, (owner, _) in self._files.items() if everything or owner == user]
            return 200, {"files": [{"id": number} for number in mine]}
        if path == "/api/files/upload":
            if upload is None:
                return 422, {}
            content = upload[1] if "spoils files" not in self._faults else upload[1][:-1]
            number = f"f{len(self._files) + 1}"
            self._files[number] = (user, content)
            return 201, {"id": number}
        owner, content = self._files.get(path.rsplit("/", 1)[-1], ("", b""))
        handed_out = owner and (owner == user or "idor" in self._faults)
        return (200, content) if handed_out else (404, {})
