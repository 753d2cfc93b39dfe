"""The six security headers, the four rate limits (requirement C5b), and which release answered."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'self'",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}

RATE_LIMITS = {
    "/api/auth/login": "5/minute",
    "/api/models": "100/minute",
    "/api/evaluations": "50/minute",
    "/api/files/upload": "10/minute",
}


class ResponseHeadersMiddleware:
    """Outermost of all, so that errors, refusals and redirects carry the headers too."""

    def __init__(
        self,
        app: "ASGIApp",
        *,
        release_version: str,
        instance_id: str,
        bare: re.Pattern[str] | None = None,
        others: Mapping[str, str] | None = None,
    ) -> None:
        """In a release that is bad on purpose: `bare` are paths that go without Referrer-Policy, `others` the
        headers that say something else."""
        self._app, self._bare = app, bare
        identity = {"X-Release-Version": release_version, "X-Instance-Id": instance_id}
        self._headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in (SECURITY_HEADERS | identity | dict(others or {})).items()
        ]

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                bare = self._bare is not None and self._bare.fullmatch(scope["path"])
                added = [pair for pair in self._headers if not (bare and pair[0] == b"referrer-policy")]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)
