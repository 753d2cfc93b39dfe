"""Smoke tests on the test listener: the service does its work, and does it for nobody it should not
(requirement C7a)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject
from cutover.ports import Answer, Http

WORKS, GUARDED = Subject("C7a", Persona.RELIABILITY), Subject("C7a", Persona.SECURITY)
FORGED = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzZXJ2aWNlLXNtb2tlIiwiZXhwIjo0MTAyNDQ0ODAwfQ.Zm9yZ2Vk"
)


class Smoke:
    """One run. Each test is one gate; those that need a token fail by name when there is none."""

    def __init__(self, port: int, deployment: str, version: str, user: Mapping[str, str], http: Http) -> None:
        self._port, self._http, self._user = port, http, user
        self._deployment, self._version = deployment, version
        self._token: str | None = None
        self._model: str | None = None

    def run(self) -> dict[str, Any]:
        """{gates}. Raises NotReachableError when nothing answers at all."""
        gates = [
            self._detailed(),
            self._login(),
            self._models(),
            self._evaluation(),
            self._file(),
            self._refused("No token, no evaluations", None),
            self._refused("A forged token is refused", FORGED),
        ]
        return {"gates": [gate.as_json() for gate in gates]}

    def _ask(self, method: str, path: str, token: str | None = None, **more: Any) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._http.request(method, self._port, path, headers=headers, **more)

    def _detailed(self) -> Gate:
        answer = self._ask("GET", "/api/health/detailed")
        body = _table(answer.json())
        dependencies = _table(body.get("dependencies"))
        sick = sorted(name for name, state in dependencies.items() if not _table(state).get("ok"))
        version = answer.headers.get("x-release-version")
        right = answer.status == 200 and bool(dependencies) and not sick and version == self._version
        found = f"{answer.status}, version {version}, " + (
            f"sick: {', '.join(sick)}"
            if sick
            else f"{', '.join(sorted(dependencies)) or 'no dependencies'} well"
        )
        return WORKS.judge(
            "Detailed health",
            right,
            found=found,
            wanted=f"200 from version {self._version}, every dependency well",
        )

    def _login(self) -> Gate:
        body = {"email": self._user["email"], "password": self._user["password"]}
        answer = self._ask("POST", "/api/auth/login", json=body)
        token = _table(answer.json()).get("access_token")
        self._token = str(token) if token else None
        found = f"{answer.status}, {'a token' if token else 'no token'}"
        return WORKS.judge(
            "Login", answer.status == 200 and bool(token), found=found, wanted="200 and a token"
        )

    def _models(self) -> Gate:
        answer = self._ask("GET", "/api/models")
        models = _rows(answer.json(), "models")
        self._model = str(models[0]["id"]) if models else None
        found = f"{answer.status}, {len(models)} models"
        return WORKS.judge(
            "Models are listed", answer.status == 200 and bool(models), found=found, wanted="200, ≥ 1 model"
        )

    def _evaluation(self) -> Gate:
        """Written and read back."""

        def look(token: str) -> tuple[bool, str]:
            body = {
                "model_id": self._model,
                "status": "completed",
                "score": 1,
                "notes": f"smoke test {self._deployment}",
            }
            made = self._ask("POST", "/api/evaluations", token, json=body)
            number = _table(made.json()).get("id")
            listed = self._ask("GET", "/api/evaluations?limit=20", token)
            seen = any(row.get("id") == number for row in _rows(listed.json(), "evaluations"))
            right = made.status == 201 and bool(number) and listed.status == 200 and seen
            return (
                right,
                f"written {made.status}, listed {listed.status}, {'found' if seen else 'not found'} again",
            )

        return self._with_token("An evaluation is written and read back", "201, then found in the list", look)

    def _file(self) -> Gate:
        """Up and down again, byte by byte; every value of a byte is in it."""

        def look(token: str) -> tuple[bool, str]:
            content = bytes(range(256)) * 16 + self._deployment.encode()
            sent = self._ask("POST", "/api/files/upload", token, upload=("smoke.bin", content))
            number = _table(sent.json()).get("id")
            got = self._ask("GET", f"/api/files/{number}", token)
            same = got.body == content
            right = sent.status == 201 and got.status == 200 and same
            digest = hashlib.sha256(got.body).hexdigest()[:12]
            return (
                right,
                f"up {sent.status}, down {got.status}, {'same' if same else f'other ({digest})'} bytes",
            )

        return self._with_token("A file goes up and comes down the same", "201, 200, the same bytes", look)

    def _with_token(self, name: str, wanted: str, look: Callable[[str], tuple[bool, str]]) -> Gate:
        if self._token is None:
            return WORKS.inconclusive(name, found="not tried: there is no token", wanted=wanted)
        right, found = look(self._token)
        return WORKS.judge(name, right, found=found, wanted=wanted)

    def _refused(self, name: str, token: str | None) -> Gate:
        answer = self._ask("GET", "/api/evaluations", token)
        return GUARDED.judge(name, answer.status == 401, found=str(answer.status), wanted="401")


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: object, name: str) -> list[Mapping[str, Any]]:
    rows = _table(value).get(name)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
