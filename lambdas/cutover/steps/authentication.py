"""Who is let in, and to whose things (requirement C5b): a service is asked with every kind of token that it
has to refuse, and as one user for what another one owns.

After OWASP's ASVS 4.0.3: V3.5.3 (stateless tokens are protected against tampering and null ciphers), V4.2.1
(no insecure direct object references), and the OWASP API Security Top 10 2023, API1 and API2. Each refusal
counts only beside something that is let in: where nothing is, nothing was shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.web_tokens import altered, claims_of, signed, unsigned
from cutover.ports import Answer, Clock, Http
from cutover.steps.accounts import bearer, rows, table

SUBJECT = Subject("C5b", Persona.SECURITY)
GUARDED, FILES, UPLOAD = "/api/evaluations", "/api/files", "/api/files/upload"
REFUSED = frozenset({401, 403})
HIDDEN = frozenset({403, 404})
HOUR = 3600
#: How "alg: none" has been written to get past those who look for it.
NONE = ("none", "None", "NONE", "nOnE")
FOREIGN_SECRET = "not the secret that the service signs with"  # noqa: S105
CONTENT = b"Only its owner may read this."


class Guard:
    """One run; `token` is the owner's, `stranger` another user's, `secret` signs the service's tokens."""

    def __init__(
        self, port: int, token: str | None, stranger: str | None, secret: str, *, http: Http, clock: Clock
    ) -> None:
        self._port, self._http = port, http
        self._token, self._stranger, self._secret = token, stranger, secret
        self._now = int(clock.now().timestamp())
        #: How often each path was asked as the stranger.
        self.as_stranger: Counter[str] = Counter()

    def run(self) -> list[Gate]:
        """Raises NotReachableError when nothing answers at all."""
        return [
            self._refused("Without a token nobody is let in", [None], self._let_in(self._token)),
            self._forged(),
            self._unsigned(),
            self._expired(),
            self._file(),
            self._list(),
        ]

    def _ask(self, path: str, token: str | None) -> Answer:
        if token is not None and token == self._stranger:
            self.as_stranger[path.partition("?")[0]] += 1
        return self._http.request("GET", self._port, path, headers=bearer(token))

    def _let_in(self, token: str | None) -> str | None:
        """Why nothing can be said: a token that has to be accepted is not."""
        if token is None:
            return "there is no token: the login gave none"
        status = self._ask(GUARDED, token).status
        return None if status == 200 else f"a token that is valid is refused too ({status})"

    def _refused(self, name: str, tokens: Sequence[str | None], trouble: str | None) -> Gate:
        wanted = f"{' or '.join(str(status) for status in sorted(REFUSED))}, each"
        if trouble:
            return SUBJECT.inconclusive(name, found=trouble, wanted=wanted)
        statuses = [self._ask(GUARDED, token).status for token in tokens]
        found = f"GET {GUARDED} answered {', '.join(str(status) for status in statuses)}"
        return SUBJECT.judge(
            name, REFUSED.issuperset(statuses), found=found, wanted=wanted, samples=len(statuses)
        )

    def _claims(self) -> Mapping[str, Any]:
        return claims_of(self._token or "") or {}

    def _forged(self) -> Gate:
        claims, tokens = self._claims(), []
        if self._token and claims:
            later = {**claims, "exp": self._now + 24 * HOUR}
            tokens = [signed(claims, FOREIGN_SECRET), altered(self._token, later)]
        return self._refused("A forged signature is refused", tokens, self._readable())

    def _unsigned(self) -> Gate:
        claims = self._claims()
        tokens = [unsigned(claims, name) for name in NONE]
        return self._refused("An unsigned token (alg: none) is refused", tokens, self._readable())

    def _expired(self) -> Gate:
        """Signed with the service's own secret, so that its age is all that is wrong with it."""
        claims = self._claims()
        fresh = {**claims, "iat": self._now - 60, "exp": self._now + HOUR}
        old = {**claims, "iat": self._now - 2 * HOUR, "exp": self._now - HOUR}
        trouble = self._readable()
        if trouble is None and (status := self._ask(GUARDED, signed(fresh, self._secret)).status) != 200:
            trouble = (
                f"a fresh token of the same making is refused too ({status}): is the secret another one?"
            )
        return self._refused("An expired token is refused", [signed(old, self._secret)], trouble)

    def _readable(self) -> str | None:
        if trouble := self._let_in(self._token):
            return trouble
        return None if self._claims() else "the service's token is no JSON web token"

    def _file(self) -> Gate:
        name, wanted = "Another user's file is not handed out", "200 for the owner, 403 or 404 for the other"
        if self._token is None or self._stranger is None:
            return SUBJECT.inconclusive(name, found=self._no_two(), wanted=wanted)
        number = self._one_file(self._token)
        owner = self._ask(f"{FILES}/{number}", self._token).status
        other = self._ask(f"{FILES}/{number}", self._stranger).status
        found = f"{owner} for the owner, {other} for the other"
        if number is None or owner != 200:
            return SUBJECT.inconclusive(name, found=f"no file to try it with: {found}", wanted=wanted)
        return SUBJECT.judge(name, other in HIDDEN, found=found, wanted=wanted)

    def _one_file(self, token: str) -> str | None:
        """One that is there; the first time, a new one."""
        there = rows(self._ask(f"{FILES}?limit=1", token).json(), "files")
        if not there:
            made = self._http.request(
                "POST", self._port, UPLOAD, headers=bearer(token), upload=("private.txt", CONTENT)
            )
            there = [table(made.json())]
        number = there[0].get("id")
        return str(number) if number else None

    def _list(self) -> Gate:
        name, wanted = "Lists hold one's own things only", "nothing that the other user sees too"
        if self._token is None or self._stranger is None:
            return SUBJECT.inconclusive(name, found=self._no_two(), wanted=wanted)
        shared, seen = 0, 0
        for path, what in ((f"{GUARDED}?limit=100", "evaluations"), (f"{FILES}?limit=100", "files")):
            answers = [self._ask(path, token) for token in (self._token, self._stranger)]
            if any(answer.status != 200 for answer in answers):
                told = " and ".join(str(answer.status) for answer in answers)
                return SUBJECT.inconclusive(name, found=f"GET {path} answered {told}", wanted=wanted)
            mine, others = ({str(row.get("id")) for row in rows(each.json(), what)} for each in answers)
            seen, shared = seen + len(mine), shared + len(mine & others)
        found = (
            f"{shared} of the owner's {seen} things are listed for the other"
            if seen
            else "the owner has none"
        )
        return SUBJECT.judge(name, shared == 0, found=found, wanted=wanted, samples=seen)

    def _no_two(self) -> str:
        who = "the smoke tests' user" if self._token is None else "a second user (registration may be closed)"
        return f"not tried: no token for {who}"
