"""A day of requests, known one by one, as CloudWatch and the journal would tell of it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from config.model import load
from cutover.domain.records import HISTORY, LIVE, Key, deployment_key
from cutover.domain.report import Kind
from cutover.ports import Change, Journal
from cutover.steps.report import Wish, make_report
from tests.contract.fake_history import FakeHistory
from tests.contract.fakes import FakeClock, FakeConfiguration, FakeJournal

MIDNIGHT = datetime(2026, 3, 3, 15, tzinfo=UTC)  # 2026-03-04 00:00 in Seoul
DAY, WINDOW = timedelta(days=1), timedelta(seconds=10)
ACCOUNT = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333"
TARGETS = {
    "listener_arn": f"{ACCOUNT}:listener/app/cutover-staging/50dc/f2f7",
    "test_listener_arn": f"{ACCOUNT}:listener/app/cutover-staging/50dc/aaaa",
    "blue": f"{ACCOUNT}:targetgroup/cutover-staging-blue/73e2",
    "green": f"{ACCOUNT}:targetgroup/cutover-staging-green/9b1c",
}


@dataclass(frozen=True)
class Request:
    at: datetime
    colour: str
    milliseconds: float
    failed: bool


@dataclass
class Scene:
    """`requests` is the truth; `see` tells CloudWatch of it."""

    history: FakeHistory = field(default_factory=FakeHistory)
    journal: Journal = field(default_factory=FakeJournal)
    requests: list[Request] = field(default_factory=list)
    now: datetime = MIDNIGHT + DAY + timedelta(hours=1)

    def deployed(
        self, name: str, at: datetime, colour: str, before: str | None, mode: str = "deploy", **more: Any
    ) -> None:
        started = at - timedelta(minutes=20)
        swap = {"modified_at": at.isoformat(), "colour": colour, "previous_colour": before}
        record = {"id": name, "version": name, "started": started.isoformat(), "swap": swap, **more}
        self.journal.write(
            [
                Change("put", deployment_key(name), record),
                Change("put", Key(HISTORY, f"{started.isoformat()}#{name}"), {"id": name, "mode": mode}),
            ]
        )

    def live(self, name: str, at: datetime, colour: str, *, rolled_back: bool = False) -> None:
        item = {
            "deployment": name,
            "version": name,
            "image": "sha256:1",
            "colour": colour,
            "swapped_at": at.isoformat(),
            "watch_until": (at + DAY).isoformat(),
            "rolled_back": rolled_back,
            **TARGETS,
        }
        self.journal.write([Change("put", LIVE, item)])

    def traffic(
        self, since: datetime, until: datetime, colour: str, *, milliseconds: float, errors: float, seed: int
    ) -> None:
        """Some requests in each ten seconds."""
        chance = random.Random(seed)
        at = since
        while at < until:
            for _ in range(chance.randrange(6)):
                took = milliseconds * math.exp(chance.gauss(0, 0.3))
                moment = at + timedelta(seconds=chance.uniform(0, 9.9))
                self.requests.append(Request(moment, colour, took, chance.random() < errors))
            at += WINDOW

    def see(self, since: datetime, until: datetime, colours: tuple[str, ...] = ("blue", "green")) -> None:
        """What the containers and the balancer publish of these ten seconds after ten seconds."""
        windows: dict[tuple[str, int], list[Request]] = {}
        for request in self.requests:
            windows.setdefault((request.colour, (request.at - since) // WINDOW), []).append(request)
        for colour in colours:
            own = {"Environment": "staging", "Service": "backend", "Colour": colour}
            balancer = {
                "LoadBalancer": "app/cutover-staging/50dc",
                "TargetGroup": TARGETS[colour].rpartition(":")[2],
            }
            for index in range((until - since) // WINDOW):
                at, inside = since + index * WINDOW, windows.get((colour, index), [])
                self.history.put("Cutover", "Requests", own, at, len(inside))
                self.history.put("Cutover", "Errors", own, at, sum(each.failed for each in inside))
                for each in inside:
                    self.history.put(
                        "AWS/ApplicationELB",
                        "TargetResponseTime",
                        balancer,
                        each.at,
                        each.milliseconds / 1000,
                    )

    def said(self, at: datetime, text: str, rating: str) -> None:
        said = {"at": at.isoformat(), "text": text, "rating": rating, "version": "v2"}
        self.journal.write([Change("put", Key("FEEDBACK", at.isoformat()), said)])

    def report(self, kind: Kind = Kind.DAILY, **wish: Any) -> dict[str, Any]:
        until, error_log = wish.pop("until", MIDNIGHT + DAY), wish.pop("error_log", None)
        return make_report(
            Wish(kind, until=until, **wish),
            "staging",
            journal=self.journal,
            metrics=self.history,
            configuration=FakeConfiguration(**load("staging").for_lambdas()),
            clock=FakeClock(self.now),
            error_log=error_log,
        )


def busy_day() -> Scene:
    """v1 on blue until noon, then v2 on green, which is slower; three hours in the afternoon nobody saw."""
    scene = Scene()
    noon, evening = MIDNIGHT + timedelta(hours=12), MIDNIGHT + timedelta(hours=18)
    scene.deployed("v1", MIDNIGHT - 3 * DAY, "blue", None)
    scene.deployed("v2", noon, "green", "blue")
    scene.live("v2", noon, "green")
    scene.traffic(MIDNIGHT, noon, "blue", milliseconds=60, errors=0, seed=1)
    # Green is under our own load before it is live, which is no user's.
    scene.traffic(noon - timedelta(hours=1), noon, "green", milliseconds=900, errors=0.5, seed=2)
    scene.traffic(noon, MIDNIGHT + DAY, "green", milliseconds=180, errors=0.002, seed=3)
    scene.see(MIDNIGHT, evening)
    scene.see(evening + timedelta(hours=3), MIDNIGHT + DAY)
    return scene
