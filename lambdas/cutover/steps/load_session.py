"""The user that a load comes as: the smoke tests' own, logged in once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cutover.ports import Clock, Http

TOO_MANY, LONGEST_WAIT = 429, 60.0
# A login costs one of five a minute, and a token is good for an hour.
KEPT_SECONDS = 600.0


@dataclass
class Session:
    """`token` outlives one call where the function's environment does."""

    user: Mapping[str, str]
    http: Http
    clock: Clock
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    def token(self, port: int) -> str | None:
        """None when the service logs nobody in: what needs a token is then left out, and its gate says so.

        A login that the rate limit refuses is tried once more, when the service says so.
        """
        email = self.user["email"]
        kept = self._tokens.get(email)
        if kept and self.clock.monotonic() < kept[1] and self._works(port, kept[0]):
            return kept[0]
        for wait in (True, False):
            answer = self.http.request(
                "POST", port, "/api/auth/login", json={"email": email, "password": self.user["password"]}
            )
            if answer.status != TOO_MANY or not wait:
                break
            after = answer.headers.get("retry-after", "")
            self.clock.sleep(min(float(after) if after.isdecimal() else LONGEST_WAIT, LONGEST_WAIT))
        body = answer.json()
        token = body.get("access_token") if isinstance(body, Mapping) and answer.status == 200 else None
        if token:
            self._tokens[email] = (str(token), self.clock.monotonic() + KEPT_SECONDS)
        return str(token) if token else None

    def _works(self, port: int, token: str) -> bool:
        """The secret may have changed, or the user be gone."""
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.request("GET", port, "/api/files", headers=headers).status != 401
