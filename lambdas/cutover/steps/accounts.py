"""Two accounts of the running service: the smoke tests' own, and a stranger to it.

The stranger registers itself when it is first needed, and is the same ever after: its password follows from
the smoke user's secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from cutover.ports import Answer, Clock, Http

LOGIN, REGISTER = "/api/auth/login", "/api/auth/register"
TOO_MANY = 429
# A limit per minute lets in again within two.
LONGEST_WAIT_SECONDS = 120


def stranger_to(user: Mapping[str, str]) -> Mapping[str, str]:
    """Another user's email and password."""
    password = hmac.new(user["password"].encode(), b"the stranger", hashlib.sha256).hexdigest()
    return {"email": f"stranger-to-{user['email']}", "password": password}


class Accounts:
    """Logs in, and counts how often it did: logins are limited per client. `answer` is the last one."""

    def __init__(self, port: int, *, http: Http, clock: Clock) -> None:
        self._port, self._http, self._clock = port, http, clock
        self.logins = 0
        self.answer: Answer | None = None

    def token(self, user: Mapping[str, str]) -> str | None:
        """None when the service gives none. After too many logins from here it waits, once."""
        answer = self._post(LOGIN, user)
        if answer.status == TOO_MANY:
            self._clock.sleep(min(seconds_to_wait(answer) or 1, LONGEST_WAIT_SECONDS))
            answer = self._post(LOGIN, user)
        self.logins += 1
        self.answer = answer
        token = table(answer.json()).get("access_token")
        return str(token) if token else None

    def token_of_stranger(self, user: Mapping[str, str]) -> str | None:
        """Registers it first where it is not known yet."""
        stranger = stranger_to(user)
        token = self.token(stranger)
        if token is None and self._post(REGISTER, stranger).status in (200, 201):
            token = self.token(stranger)
        return token

    def _post(self, path: str, user: Mapping[str, str]) -> Answer:
        body = {"email": user["email"], "password": user["password"]}
        return self._http.request("POST", self._port, path, json=body)


def seconds_to_wait(answer: Answer) -> int | None:
    """Its Retry-After in whole seconds, from 1; None when there is none. (A date would be allowed too, by RFC
    9110, section 10.2.3; it counts as none.)"""
    text = answer.headers.get("retry-after", "")
    return int(text) if text.isdecimal() and int(text) >= 1 else None


def table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def rows(value: object, name: str) -> list[Mapping[str, Any]]:
    found = table(value).get(name)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
