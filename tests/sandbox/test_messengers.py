"""Slack, PagerDuty and the application over real sockets, with a sink in every kind of trouble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.messengers import Application, PagerDuty, Slack, Web, signature
from cutover.domain.errors import CutoverError
from cutover.domain.notices import Channel
from cutover.steps.notify import notify
from sandbox.sinks import Behaviour, WebhookSink, read_webhooks
from tests.contract.fakes import FakeClock, FakeJournal
from tests.unit.test_notices import SETTINGS, event

KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KINDS = ["DeploymentStarted", "PhaseCompleted", "RolledBack", "DeploymentSucceeded"]


@pytest.mark.parametrize(
    "trouble",
    [
        Behaviour(),
        Behaviour(status=500, times=3),
        Behaviour(status=429, times=3),
        Behaviour(garbage=True, times=3),
        Behaviour(delay_seconds=1.0, times=3),
    ],
)
@pytest.mark.parametrize("channel", [Channel.SLACK, Channel.PAGERDUTY, Channel.APPLICATION])
def test_everything_arrives_once_and_in_order(tmp_path: Path, trouble: Behaviour, channel: Channel) -> None:
    journal, clock = FakeJournal(), FakeClock()
    with WebhookSink(tmp_path) as sink:
        sink.behave(trouble)
        messengers: dict[Channel, Any] = {
            Channel.SLACK: Slack(Web(5), f"{sink.url}/slack/api", "c", lambda: "t"),
            Channel.PAGERDUTY: PagerDuty(Web(5), f"{sink.url}/pagerduty/v2/enqueue", lambda: "k"),
            Channel.APPLICATION: Application(Web(5), f"{sink.url}/notices", lambda: KEY, clock.now),
        }
        for n, kind in enumerate(KINDS):
            for _ in range(8):
                try:
                    notify(
                        channel,
                        event(kind, f"e{n}", at=f"2026-03-04T12:00:0{n}Z"),
                        SETTINGS,
                        journal=journal,
                        messenger=messengers[channel],
                        clock=clock,
                    )
                except CutoverError:
                    continue
    # What the application says to a message is its own; that it took it is in the status.
    garbage = trouble.garbage and channel is Channel.APPLICATION
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
