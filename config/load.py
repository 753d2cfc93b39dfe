"""The load of phase 6 and of the watch: how much, of what, and how the two releases are compared."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    Strict,
    StringConstraints,
    model_validator,
)

from config.explanation import UnfitError
from config.types import Ratio, Table

# What one worker sends without being late itself, with room to spare (docs/load.md).
MOST_OF_A_WORKER = 1500
# A Lambda function lives for 900 s; opening connections, the last answers and reporting need some of it.
LONGEST_SECONDS = 780
_PLACEHOLDERS = frozenset({"email", "password", "deployment"})


def _path(value: str) -> str:
    """A path of the service itself: never a URL, and nothing that could end the request line."""
    if not value.startswith("/") or value.startswith("//") or "://" in value.partition("?")[0]:
        raise ValueError("is no path of the service; write one that begins with a single /, like /api/models")
    if not re.fullmatch(r"[!-~]+", value) or "#" in value:
        raise ValueError("holds a blank, a # or what is not ASCII; write it percent-encoded")
    return value


Path = Annotated[str, AfterValidator(_path)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9 -]{0,39}$")]
Status = Annotated[int, Field(ge=200, le=599)]


class Step(Table):
    """One request of a scenario. `body` is sent as JSON, `upload_bytes` as a file of a form; `token` sends it
    as the user of the smoke tests. In a body's texts {email}, {password} and {deployment} are filled in."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: Path
    body: dict[str, Any] | None = None
    upload_bytes: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    token: bool = False
    expect: Status = 200

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.upload_bytes and self.body is not None:
            raise UnfitError(
                "upload_bytes", self.upload_bytes, "can't be sent with a body; remove one of the two"
            )
        if self.method == "GET" and (self.upload_bytes or self.body is not None):
            raise UnfitError("method", self.method, "carries no body; write POST, or remove the body")
        for text in (value for value in (self.body or {}).values() if isinstance(value, str)):
            unknown = sorted(set(re.findall(r"\{(\w+)\}", text)) - _PLACEHOLDERS)
            if unknown:
                known = ", ".join(f"{{{name}}}" for name in sorted(_PLACEHOLDERS))
                raise UnfitError("body", text, f"names {{{unknown[0]}}}, which nobody fills in; use {known}")
        return self


class Scenario(Table):
    """What a user does. Of all scenarios it is begun in the share that its weight has; `most_per_minute`
    keeps it below a rate limit of the service, and what it leaves goes to the others."""

    name: Name
    weight: PositiveFloat
    most_per_minute: PositiveInt | None = None
    steps: Annotated[tuple[Step, ...], Strict(False), Field(min_length=1, max_length=10)]


def _scenarios() -> tuple[Scenario, ...]:
    """The backend's everyday work. Its own limits hold for each user and route (requirement C5b), and the
    whole load comes as one user: what is limited stays below its limit, and the rest carries the rate."""
    evaluation = {
        "model_id": "00000000000000000000000000000001",
        "status": "completed",
        "score": 0.5,
        "notes": "load test {deployment}",
    }
    login = {"email": "{email}", "password": "{password}"}
    return (
        Scenario(name="ask for health", weight=64, steps=(Step(path="/api/health"),)),
        Scenario(name="ask every dependency", weight=2, steps=(Step(path="/api/health/detailed"),)),
        Scenario(
            name="list files",
            weight=20,
            most_per_minute=400,
            steps=(Step(path="/api/files", token=True),),
        ),
        Scenario(
            name="list models",
            weight=8,
            most_per_minute=40,
            steps=(Step(path="/api/models", token=True),),
        ),
        Scenario(
            name="evaluate",
            weight=3,
            most_per_minute=10,
            steps=(
                Step(method="POST", path="/api/evaluations", body=evaluation, token=True, expect=201),
                Step(path="/api/evaluations?limit=20", token=True),
            ),
        ),
        Scenario(
            name="upload a file",
            weight=2,
            most_per_minute=3,
            steps=(Step(method="POST", path="/api/files/upload", upload_bytes=4096, token=True, expect=201),),
        ),
        Scenario(
            name="log in",
            weight=1,
            most_per_minute=1,
            steps=(Step(method="POST", path="/api/auth/login", body=login),),
        ),
    )


class Judge(Table):
    """The same load on both releases at once (requirement C6a). The defaults are what it takes to find a p95
    that is 20 % higher, or 1 % more errors, in 95 of 100 runs (docs/judge.md)."""

    requests_per_second: Annotated[int, Field(ge=1, le=MOST_OF_A_WORKER // 2)] = 100
    users: Annotated[int, Field(ge=1, le=200)] = 20
    seconds: Annotated[int, Field(ge=1, le=600)] = 130
    block_seconds: Annotated[float, Field(ge=0.1, le=60)] = 2
    fewest_blocks: Annotated[int, Field(ge=10)] = 60
    fewest_answers: PositiveInt = 12_000
    # A difference smaller than both is nobody's business, however sure it is.
    least_slower: Annotated[float, Field(ge=0)] = 0.05
    least_slower_ms: Annotated[float, Field(ge=0)] = 2
    least_errors: Ratio = 0.002

    @model_validator(mode="after")
    def _enough_of_everything(self) -> Self:
        blocks = int(self.seconds / self.block_seconds)
        if blocks < self.fewest_blocks:
            problem = (
                f"has {blocks} blocks of {self.block_seconds:g} s, and fewest_blocks asks for "
                f"{self.fewest_blocks}; raise it, or lower block_seconds or fewest_blocks"
            )
            raise UnfitError("seconds", self.seconds, problem)
        answers = self.requests_per_second * self.seconds
        if answers < self.fewest_answers:
            problem = (
                f"gives {answers} answers in {self.seconds} s, and fewest_answers asks for "
                f"{self.fewest_answers}; raise it or seconds, or lower fewest_answers"
            )
            raise UnfitError("requests_per_second", self.requests_per_second, problem)
        return self


class Load(Table):
    """The load test of phase 6 (requirements C6a, C7b, E2), the comparison, and the load of the watch."""

    # More than the throughput that it has to show (thresholds.requests_per_second).
    requests_per_second: PositiveInt = 1200
    # Nobody asks for more by mistake: a figure above this one is refused.
    most_requests_per_second: PositiveInt = 3000
    users: PositiveInt = 200
    # The whole load before it is judged comes up in so many equal steps.
    ramp_steps: Annotated[int, Field(ge=0, le=20)] = 4
    ramp_seconds: Annotated[int, Field(ge=0, le=300)] = 20
    seconds: Annotated[int, Field(ge=1, le=600)] = 60
    workers: Annotated[int, Field(ge=1, le=20)] = 2
    # All workers wait for each other so long, because some start later than others.
    gather_seconds: Annotated[int, Field(ge=0, le=30)] = 5
    # CloudWatch has a minute's figures a while after the minute.
    metrics_seconds: Annotated[int, Field(ge=0, le=600)] = 180
    # Sparingly on the live release while it is watched, so that its alarms have something to see at night.
    live_requests_per_second: Annotated[int, Field(ge=0, le=20)] = 5
    # What the two releases are asked for while traffic moves in shares.
    path: Path = "/api/health"
    scenarios: Annotated[tuple[Scenario, ...], Strict(False), Field(min_length=1, max_length=20)] = Field(
        default_factory=_scenarios
    )
    judge: Judge = Judge()

    @model_validator(mode="after")
    def _within_the_caps(self) -> Self:
        rate = self.requests_per_second
        if rate > self.most_requests_per_second:
            problem = (
                f"is above the cap most_requests_per_second ({self.most_requests_per_second}); lower it, or "
                "raise the cap if the environment is meant to bear that"
            )
            raise UnfitError("requests_per_second", rate, problem)
        if rate > MOST_OF_A_WORKER * self.workers:
            problem = (
                f"is too few for {rate} requests a second; one sends {MOST_OF_A_WORKER} at most: raise it"
            )
            raise UnfitError("workers", self.workers, problem)
        if self.users < self.workers:
            raise UnfitError("users", self.users, f"leaves some of the {self.workers} workers none; raise it")
        whole = self.gather_seconds + self.ramp_seconds + self.seconds
        if whole > LONGEST_SECONDS:
            most = LONGEST_SECONDS
            problem = f"makes {whole} s with gather_seconds and ramp_seconds; {most} s are the most: lower it"
            raise UnfitError("seconds", self.seconds, problem)
        return self

    @model_validator(mode="after")
    def _something_carries_the_rate(self) -> Self:
        names = [scenario.name for scenario in self.scenarios]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise UnfitError("scenarios", twice, "is the name of two scenarios; rename one")
        if all(scenario.most_per_minute for scenario in self.scenarios):
            problem = "needs one without most_per_minute, which carries the rate; take it from one"
            raise UnfitError("scenarios", ", ".join(names), problem)
        return self

    def for_lambdas(self) -> dict[str, Any]:
        """As the functions read it. What a scenario's step leaves at its default is left out: the whole
        configuration has to fit a parameter."""
        scenarios = [each.model_dump(mode="json", exclude_defaults=True) for each in self.scenarios]
        return {**self.model_dump(mode="json"), "scenarios": scenarios}
