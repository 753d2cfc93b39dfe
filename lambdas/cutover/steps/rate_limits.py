"""The rate limits, exceeded (requirement C5b): as many requests as are allowed, one more, and again when its
Retry-After has passed.

Each limit is tried as a client of its own: a user that nobody else is, and for the login, which is counted by
address, after as many logins as were made from here before. Nothing is left behind: the requests read, or are
refused for what they lack.

A service may count in windows, fixed or sliding. Around a window's turn either lets more pass than the limit
says, or fewer, if there were others before; so what is not exact is counted once more, after everything that
was counted has been forgotten, and at another moment of the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.rates import Rate, read_rate
from cutover.domain.routes import Route
from cutover.ports import Answer, Clock, Http
from cutover.steps.accounts import LOGIN, TOO_MANY, bearer, seconds_to_wait

SUBJECT = Subject("C5b", Persona.SECURITY)
NOT_MADE = {"email": "nobody@cutover.test", "password": "wrong on purpose"}
MORE_ROUNDS = 2
LET_IN_TRIES = 2
#: Two windows, after which a sliding one has forgotten everything, and a part of one: another moment of it.
FORGOTTEN_AFTER = 2.4
#: A client's clock and the server's need not agree to the millisecond.
MARGIN_SECONDS = 0.2


@dataclass
class Trial:
    """One limit. `passed` requests were let through before `refusal` came, `ended` seconds by the clock."""

    route: Route
    rate: Rate
    token: str | None
    passed: int = 0
    refusal: Answer | None = None
    ended: float = 0.0
    seconds: float = 0.0
    trouble: str | None = None
    #: Whether a second count of nobody's but these requests came out the same.
    again: bool = False

    @property
    def settled(self) -> bool:
        return self.exact or self.again or self.trouble is not None

    @property
    def name(self) -> str:
        return f"{self.route.template} is limited"

    @property
    def wanted(self) -> str:
        return (
            f"{self.rate}: request {self.rate.limit + 1} answered 429 with Retry-After, and let in after it"
        )

    @property
    def exact(self) -> bool:
        return self.refusal is not None and self.passed == self.rate.limit

    @property
    def retry_after(self) -> int | None:
        """One that is longer than the limit remembers is none."""
        seconds = seconds_to_wait(self.refusal) if self.refusal else None
        return seconds if seconds and seconds <= FORGOTTEN_AFTER * self.rate.seconds else None


class RateLimits:
    """One run: each limit is exceeded, then judged when it should let in again.

    `token` is of a user that nobody else is; what is asked with it before counts, and is told as `made`.
    """

    def __init__(
        self,
        port: int,
        limits: Mapping[str, str],
        every: Sequence[Route],
        token: str | None,
        *,
        http: Http,
        clock: Clock,
    ) -> None:
        self._port, self._http, self._clock = port, http, clock
        made = [_trial(path, text, every, token) for path, text in limits.items()]
        self._trials = [each for each in made if isinstance(each, Trial)]
        self._untried = [each for each in made if not isinstance(each, Trial)]

    def exceed_login(self, made: int) -> None:
        """At once after `made` logins: they count in the same window."""
        for trial in self._trials:
            if trial.route.template == LOGIN:
                self._exceed(trial, made)

    def exceed(self, made: Mapping[str, int]) -> None:
        """All others, after `made` requests by path; then again whatever was not exact."""
        for trial in self._trials:
            if trial.route.template != LOGIN:
                self._exceed(trial, made.get(trial.route.template, 0))
        for _ in range(MORE_ROUNDS):
            left = [trial for trial in self._trials if not trial.settled]
            if left:
                self._clock.sleep(FORGOTTEN_AFTER * max(trial.rate.seconds for trial in left))
            for trial in left:
                self._exceed(trial, 0)

    def judge(self) -> list[Gate]:
        """One gate for each limit; waits for each Retry-After to pass."""
        return self._untried + [self._judged(trial) for trial in sorted(self._trials, key=_let_in_at)]

    def _exceed(self, trial: Trial, before: int) -> None:
        began = self._clock.monotonic()
        last, trial.passed, trial.refusal = trial.passed, before, None
        while trial.refusal is None and trial.passed <= 2 * trial.rate.limit:
            answer = self._ask(trial)
            if answer.status == TOO_MANY:
                trial.refusal = answer
            elif answer.status >= 500:
                trial.trouble = f"request {trial.passed + 1} was answered {answer.status}"
                break
            else:
                trial.passed += 1
        trial.again = before == 0 and trial.passed == last
        trial.ended = self._clock.monotonic()
        trial.seconds = trial.ended - began

    def _ask(self, trial: Trial) -> Answer:
        body = NOT_MADE if trial.route.method == "POST" else None
        return self._http.request(
            trial.route.method, self._port, trial.route.path, headers=bearer(trial.token), json=body
        )

    def _judged(self, trial: Trial) -> Gate:
        if trial.trouble:
            return SUBJECT.inconclusive(trial.name, found=trial.trouble, wanted=trial.wanted)
        if not trial.exact and trial.seconds > trial.rate.seconds / FORGOTTEN_AFTER:
            found = f"{trial.passed} requests took {trial.seconds:.1f} s: too slow to exceed the limit"
            return SUBJECT.inconclusive(trial.name, found=found, wanted=trial.wanted)
        samples = trial.passed + (trial.refusal is not None)
        if trial.refusal is None:
            found = f"{trial.passed} requests in {trial.seconds:.1f} s, and none was refused"
            return SUBJECT.judge(trial.name, False, found=found, wanted=trial.wanted, samples=samples)
        counted = f"request {trial.passed + 1} was the first to be refused"
        if not trial.exact or trial.retry_after is None:
            told = trial.refusal.headers.get("retry-after", "none")
            found = f"{counted}, Retry-After: {told}"
            return SUBJECT.judge(trial.name, False, found=found, wanted=trial.wanted, samples=samples)
        again = self._after_the_wait(trial)
        found = f"{counted}, Retry-After: {trial.retry_after}, answered {again} after it"
        let_in = again != TOO_MANY
        return SUBJECT.judge(trial.name, let_in, found=found, wanted=trial.wanted, samples=samples + 1)

    def _after_the_wait(self, trial: Trial) -> int:
        """The status after Retry-After. Somebody else behind the same address may have taken the one place
        that was free: then once more, after what that answer says."""
        until = _let_in_at(trial)
        for _ in range(LET_IN_TRIES):
            self._clock.sleep(max(0.0, until + MARGIN_SECONDS - self._clock.monotonic()))
            answer = self._ask(trial)
            if answer.status != TOO_MANY:
                break
            until = self._clock.monotonic() + min(
                seconds_to_wait(answer) or 0, FORGOTTEN_AFTER * trial.rate.seconds
            )
        return answer.status


def _let_in_at(trial: Trial) -> float:
    return trial.ended + (trial.retry_after or 0)


def _trial(path: str, text: str, every: Sequence[Route], token: str | None) -> Trial | Gate:
    name = f"{path} is limited"
    rate = read_rate(text)
    if rate is None:
        found = f"the limit is off: security.rate_limits says so for {path}"
        return SUBJECT.inconclusive(name, found=found, wanted="a limit", must=False)
    routes = [route for route in every if route.template == path and route.method in ("GET", "POST")]
    wanted = f"{rate}, then 429"
    if not routes:
        found = "it is no route of the OpenAPI document" if every else "the service's routes are unknown"
        return SUBJECT.inconclusive(name, found=found, wanted=wanted)
    if path == LOGIN:
        return Trial(routes[0], rate, None)
    if token is None:
        found = "not tried: no user of its own to try it as (registration may be closed)"
        return SUBJECT.inconclusive(name, found=found, wanted=wanted)
    return Trial(min(routes, key=lambda route: route.method), rate, token)
