"""Smoke tests on the test listener: the service does its work, and does it for nobody it should not
(requirement C7a)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject
from cutover.ports import Answer, Clock, Http
from cutover.steps.accounts import Accounts, bearer, rows, table

WORKS, GUARDED = Subject("C7a", Persona.RELIABILITY), Subject("C7a", Persona.SECURITY)
FORGED = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzZXJ2aWNlLXNtb2tlIiwiZXhwIjo0MTAyNDQ0ODAwfQ.Zm9yZ2Vk"
)
HEALTH, LOGIN, MODELS = "Detailed health", "Login", "Models are listed"
CACHE, EVALUATION = "A list comes from the cache", "An evaluation is written and read back"
FILE = "A file goes up and comes down the same"
NO_TOKEN, NO_FORGERY = "No token, no evaluations", "A forged token is refused"
#: The five items of the source document's section 7.1, and what shows each.
ITEMS: Mapping[str, tuple[str, ...]] = {
    "API endpoints": (HEALTH, MODELS),
    "database": (EVALUATION,),
    "Redis cache": (CACHE,),
    "file upload and download": (FILE,),
    "authentication and authorisation": (LOGIN, NO_TOKEN, NO_FORGERY),
}


class Smoke:
    """One run. Each test is one gate; those that need a token fail by name when there is none.

    `version` is what has to answer; None lets any. Phase 7 runs it on the test listener, and `tests/smoke`
    for people on any address.
    """

    def __init__(
        self,
        port: int,
        deployment: str,
        version: str | None,
        user: Mapping[str, str],
        *,
        http: Http,
        clock: Clock,
    ) -> None:
        self._port, self._http, self._user, self._clock = port, http, user, clock
        self._deployment, self._version = deployment, version
        self._token: str | None = None
        self._model: str | None = None

    def run(self) -> dict[str, Any]:
        """{gates}. Raises NotReachableError when nothing answers at all."""
        gates = [
            self._detailed(),
            self._login(),
            self._models(),
            self._cache(),
            self._evaluation(),
            self._file(),
            self._refused(NO_TOKEN, None),
            self._refused(NO_FORGERY, FORGED),
        ]
        return {"gates": [gate.as_json() for gate in gates]}

    def _ask(self, method: str, path: str, token: str | None = None, **more: Any) -> Answer:
        return self._http.request(method, self._port, path, headers=bearer(token), **more)

    def _detailed(self) -> Gate:
        answer = self._ask("GET", "/api/health/detailed")
        dependencies = table(table(answer.json()).get("dependencies"))
        sick = sorted(name for name, state in dependencies.items() if not table(state).get("ok"))
        version = answer.headers.get("x-release-version")
        same = self._version in (None, version)
        right = answer.status == 200 and bool(dependencies) and not sick and same
        found = f"{answer.status}, version {version}, " + (
            f"sick: {', '.join(sick)}"
            if sick
            else f"{', '.join(sorted(dependencies)) or 'no dependencies'} well"
        )
        wanted = f"200 from version {self._version or 'any'}, every dependency well"
        return WORKS.judge(HEALTH, right, found=found, wanted=wanted)

    def _login(self) -> Gate:
        accounts = Accounts(self._port, http=self._http, clock=self._clock)
        self._token = accounts.token(self._user)
        status = accounts.answer.status if accounts.answer else "no answer"
        found = f"{status}, {'a token' if self._token else 'no token'}"
        return WORKS.judge(LOGIN, self._token is not None, found=found, wanted="200 and a token")

    def _models(self) -> Gate:
        answer = self._ask("GET", "/api/models")
        models = rows(answer.json(), "models")
        self._model = str(models[0]["id"]) if models else None
        found = f"{answer.status}, {len(models)} models"
        right = answer.status == 200 and bool(models)
        return WORKS.judge(MODELS, right, found=found, wanted="200, ≥ 1 model")

    def _cache(self) -> Gate:
        """What was listed just now is kept in Redis, and comes from there."""
        answer = self._ask("GET", "/api/models")
        origin = answer.headers.get("x-cache", "no x-cache")
        right = answer.status == 200 and origin == "hit"
        return WORKS.judge(CACHE, right, found=f"{answer.status}, {origin}", wanted="200, hit")

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
            number = table(made.json()).get("id")
            listed = self._ask("GET", "/api/evaluations?limit=20", token)
            seen = any(row.get("id") == number for row in rows(listed.json(), "evaluations"))
            right = made.status == 201 and bool(number) and listed.status == 200 and seen
            return (
                right,
                f"written {made.status}, listed {listed.status}, {'found' if seen else 'not found'} again",
            )

        return self._with_token(EVALUATION, "201, then found in the list", look)

    def _file(self) -> Gate:
        """Up and down again, byte by byte; every value of a byte is in it."""

        def look(token: str) -> tuple[bool, str]:
            content = bytes(range(256)) * 16 + self._deployment.encode()
            sent = self._ask("POST", "/api/files/upload", token, upload=("smoke.bin", content))
            number = table(sent.json()).get("id")
            got = self._ask("GET", f"/api/files/{number}", token)
            same = got.body == content
            right = sent.status == 201 and got.status == 200 and same
            digest = hashlib.sha256(got.body).hexdigest()[:12]
            return (
                right,
                f"up {sent.status}, down {got.status}, {'same' if same else f'other ({digest})'} bytes",
            )

        return self._with_token(FILE, "201, 200, the same bytes", look)

    def _with_token(self, name: str, wanted: str, look: Callable[[str], tuple[bool, str]]) -> Gate:
        if self._token is None:
            return WORKS.inconclusive(name, found="not tried: there is no token", wanted=wanted)
        right, found = look(self._token)
        return WORKS.judge(name, right, found=found, wanted=wanted)

    def _refused(self, name: str, token: str | None) -> Gate:
        answer = self._ask("GET", "/api/evaluations", token)
        return GUARDED.judge(name, answer.status == 401, found=str(answer.status), wanted="401")
