"""Every channel over real sockets, with an other side in every kind of trouble; also SES's and SNS's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from cutover.adapters.aws import patient_client
from cutover.adapters.messengers import Application, Email, PagerDuty, Slack, Sms, Web, signature
from cutover.domain.errors import CutoverError
from cutover.domain.notices import Channel
from cutover.steps.notify import State, notify
from sandbox.sinks import Behaviour, WebhookSink, read_webhooks
from tests.contract.fakes import FakeClock, FakeJournal
from tests.unit.test_notices import SETTINGS, event

KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KINDS = ["DeploymentStarted", "PhaseCompleted", "RolledBack", "DeploymentSucceeded"]


#: Nobody listens on its port.
DOWN = "down"
TROUBLES = {
    "well": Behaviour(),
    "500": Behaviour(status=500, times=3),
    "429": Behaviour(status=429, times=3),
    "garbage": Behaviour(garbage=True, times=3),
    "slow": Behaviour(delay_seconds=0.5, times=3),
    DOWN: Behaviour(),
}


class OtherSide:
    """A sink in trouble for three tries, at an address that stays."""

    def __init__(self, root: Path, trouble: str) -> None:
        self.root, self.down = root, trouble == DOWN
        self.sink = WebhookSink(root)
        self.url, self.port = self.sink.url, int(self.sink.url.rpartition(":")[2])
        if self.down:
            self.sink.close()
        else:
            self.sink.start()
            self.sink.behave(TROUBLES[trouble])

    def mend(self) -> None:
        if self.down:
            self.sink, self.down = WebhookSink(self.root, self.port), False
            self.sink.start()


@contextmanager
def other_side(root: Path, trouble: str) -> Iterator[OtherSide]:
    made = OtherSide(root, trouble)
    try:
        yield made
    finally:
        made.sink.close()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


def messenger(channel: Channel, url: str, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Any:
    match channel:
        case Channel.SLACK:
            return Slack(Web(5), f"{url}/slack/api", "c", lambda: "t")
        case Channel.PAGERDUTY:
            return PagerDuty(Web(5), f"{url}/pagerduty/v2/enqueue", lambda: "k")
        case Channel.APPLICATION:
            return Application(Web(5), f"{url}/notices", lambda: KEY, clock.now)
        case Channel.EMAIL:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", f"{url}/ses")
            return Email(patient_client("sesv2", 5), "from@example.com", ["to@example.com"], lambda _: None)
        case Channel.SMS:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"{url}/sns/")
            return Sms(patient_client("sns", 5), "arn:aws:sns:eu-west-1:123456789012:topic")


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("channel", Channel)
def test_everything_arrives_once_and_in_order(
    tmp_path: Path, trouble: str, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, clock, refused = FakeJournal(), FakeClock(), 0
    with other_side(tmp_path, trouble) as other:
        way = messenger(channel, other.url, monkeypatch, clock)
        for n, kind in enumerate(KINDS):
            told = event(kind, f"e{n}", at=f"2026-03-04T12:00:0{n}Z")
            for _ in range(8):
                try:
                    notify(channel, told, SETTINGS, journal=journal, messenger=way, clock=clock)
                except CutoverError:
                    # What the queue tries again was not written down as sent.
                    noted = [item["state"] for key, item in journal.items.items() if key.pk == f"NOTICE#e{n}"]
                    assert noted == [State.REFUSED]
                    refused += 1
                    if refused == 3:
                        other.mend()
                    continue
    # What the application says to a message is its own; that it took it is in the status.
    garbage = trouble == "garbage" and channel is Channel.APPLICATION
    assert refused == (0 if garbage or trouble in ("well", "slow") else 3)
    taken = [w for w in read_webhooks(tmp_path) if w.taken or garbage]
    if channel is Channel.APPLICATION:
        assert [w.json()["type"] for w in taken] == ["RolledBack", "DeploymentSucceeded"]
        for webhook in taken:
            sent = webhook.headers
            signed = signature(KEY, sent["webhook-id"], sent["webhook-timestamp"], webhook.body.encode())
            assert sent["webhook-signature"] == signed
        return
    if channel is Channel.PAGERDUTY:
        assert [w.json()["event_action"] for w in taken] == ["trigger", "resolve"]
        return
    if channel is Channel.EMAIL:
        texts = [w.json()["Content"]["Simple"]["Body"]["Text"]["Data"] for w in taken]
        assert [text.split(".")[0] for text in texts] == [
            "Version v2 was taken back in staging; the traffic is on the previous release",
            "Version v2 is live in staging",
        ]
        return
    if channel is Channel.SMS:
        (message,) = [parse_qs(w.body)["Message"] for w in taken]
        assert "was taken back" in message[0]
        return
    assert [w.path.rpartition(".")[2] for w in taken] == [
        "postMessage",
        "update",
        "update",
        "postMessage",
        "update",
        "postMessage",
    ]
    assert [len(w.json()["text"].splitlines()) for w in taken] == [2, 3, 4, 1, 5, 1]
    stamps = {w.json().get("ts") or w.json().get("thread_ts") for w in taken[1:]}
    assert len(stamps) == 1
