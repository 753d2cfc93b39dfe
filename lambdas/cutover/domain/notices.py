"""From an event of ours to what people are told, channel by channel (requirements A4, F2).

Pure: an event, the configuration and the hour decide. A channel takes what is at least as severe as it is
configured for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Self, get_args

from cutover.domain.errors import MisconfiguredError
from cutover.domain.gates import sentence
from cutover.domain.window import Hours, read_hours
from cutover.domain.wording import MISSING, Locale, moment, say, word


class Channel(StrEnum):
    """Where notices go; each has a queue of its own, so that none waits for another."""

    SLACK = "slack"
    EMAIL = "email"
    SMS = "sms"
    PAGERDUTY = "pagerduty"
    APPLICATION = "application"


class Severity(IntEnum):
    """How much an event matters to a person; a channel is configured with the least that it takes."""

    INFO = 0
    IMPORTANT = 1
    URGENT = 2

    @property
    def word(self) -> str:
        return self.name.lower()


SEVERITY: Mapping[str, Severity] = {
    "ReleaseAnnounced": Severity.IMPORTANT,
    "ReleaseWithdrawn": Severity.IMPORTANT,
    "DeploymentSucceeded": Severity.IMPORTANT,
    "DeploymentFailed": Severity.IMPORTANT,
    "RolledBack": Severity.URGENT,
    "RollbackRefused": Severity.URGENT,
    "DriftFound": Severity.IMPORTANT,
    "ApprovalRequested": Severity.IMPORTANT,
    "Frozen": Severity.IMPORTANT,
    "Unfrozen": Severity.IMPORTANT,
    "ContractionFailed": Severity.IMPORTANT,
    "DrillFailed": Severity.IMPORTANT,
    "DrillStopped": Severity.IMPORTANT,
    "ReportReady": Severity.IMPORTANT,
}
#: PagerDuty's severities of what wakes somebody; what ends the incident is in ENDS.
#: https://developer.pagerduty.com/docs/send-alert-event
WAKES: Mapping[str, str] = {"RolledBack": "error", "RollbackRefused": "critical"}
ENDS = frozenset({"DeploymentSucceeded"})
#: What the application's own users are told, in words of their own without causes (`users.KIND`).
FOR_USERS = frozenset({"ReleaseAnnounced", "ReleaseWithdrawn", "DeploymentSucceeded", "RolledBack"})


@dataclass(frozen=True)
class Event:
    """An event of ours as the bus delivers it. `id` is what happened (`happenings.happening`), the same
    however often it was published; where nothing tells that, the bus's own. `at` is ISO 8601 in UTC."""

    id: str
    kind: str
    at: str
    detail: Mapping[str, Any]

    @classmethod
    def read(cls, envelope: Mapping[str, Any]) -> Self:
        """From EventBridge's envelope. Raises KeyError when it is none."""
        id, detail = str(envelope["id"]), envelope["detail"]
        return cls(
            str(detail.get("happening") or id), str(envelope["detail-type"]), str(envelope["time"]), detail
        )

    @property
    def deployment(self) -> str | None:
        named = self.detail.get("deployment")
        return str(named) if named else None

    @property
    def severity(self) -> Severity:
        return SEVERITY.get(self.kind, Severity.INFO)


@dataclass(frozen=True)
class Settings:
    """What [notifications] says. `severity` has the channels that are configured, and the least each takes;
    in the quiet hours `quiet_channels` take what is urgent only."""

    locale: Locale
    severity: Mapping[Channel, Severity]
    status_page: str | None
    quiet: Hours | None = None
    quiet_channels: frozenset[Channel] = frozenset()

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Self:
        """From the parameter /cutover/ENV/notifications. Raises MisconfiguredError."""
        quiet = table.get("quiet")
        try:
            return cls(
                locale=table["locale"],
                severity={
                    channel: Severity[str(table[channel]["severity"]).upper()]
                    for channel in Channel
                    if table.get(channel)
                },
                status_page=table.get("status_page"),
                quiet=read_hours(quiet, str(quiet["zone"]), "notifications.quiet") if quiet else None,
                quiet_channels=frozenset(Channel(name) for name in quiet["channels"])
                if quiet
                else frozenset(),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise MisconfiguredError(
                f"the notifications' configuration lacks or misspells {error}; deploy the control plane again"
            ) from error


@dataclass(frozen=True)
class Notice:
    """One message on one channel. `part` tells a channel's messages about one event apart; `thread` is what
    belongs together (a deployment); `action` is PagerDuty's; `texts` are the application's, by language;
    `page` is the key of the HTML that an e-mail shows beside its text."""

    channel: Channel
    part: str
    event: Event
    severity: Severity
    subject: str
    text: str
    thread: str
    action: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    page: str = ""


def notices(channel: Channel, event: Event, settings: Settings, now: datetime) -> list[Notice]:
    """What `channel` is told of the event: nothing, or one message; on Slack the edited one, and a reply
    beneath it for what matters, because an edit makes nobody look."""
    if not _wanted(channel, event, settings, now):
        return []
    if channel is Channel.APPLICATION:
        return [_for_users(event, settings)]
    if channel is Channel.EMAIL and event.kind == "ReportReady" and event.detail.get("text"):
        return [_report(event, settings)]
    values = _values(event, settings.locale)
    text = _text(event, settings.locale, values)
    named = values.get("version") is not None and event.kind != "RollbackRefused"
    title = say(settings.locale, "title" if named else "title.environment", values)
    subject = say(settings.locale, f"subject.{event.severity.word}", {"title": title})
    thread = event.deployment or event.id
    action = ""
    if channel is Channel.PAGERDUTY:
        action, thread = ("resolve" if event.kind in ENDS else "trigger"), str(event.detail["environment"])
    if channel is Channel.EMAIL and settings.status_page:
        text += "\n\n" + say(settings.locale, "more", {"status_page": settings.status_page})
    first = Notice(channel, "main", event, event.severity, subject, text, thread, action)
    if channel is Channel.SLACK and event.severity > Severity.INFO and event.deployment:
        return [first, Notice(channel, "reply", event, event.severity, subject, text, thread)]
    return [first]


def _for_users(event: Event, settings: Settings) -> Notice:
    """In every language: the application knows its reader's."""
    texts = {
        locale: say(locale, f"users.{event.kind}", _values(event, locale)) for locale in get_args(Locale)
    }
    own, thread = texts[settings.locale], event.deployment or event.id
    return Notice(Channel.APPLICATION, "main", event, event.severity, own, own, thread, texts=texts)


def _report(event: Event, settings: Settings) -> Notice:
    """The whole report, and not only that there is one."""
    detail, locale = event.detail, settings.locale
    subject = say(locale, f"subject.{event.severity.word}", {"title": detail["title"][locale]})
    page = str(detail["files"].get(f"report.{locale}.html", ""))
    thread = event.deployment or event.id
    text = str(detail["text"][locale])
    return Notice(Channel.EMAIL, "main", event, event.severity, subject, text, thread, page=page)


def _wanted(channel: Channel, event: Event, settings: Settings, now: datetime) -> bool:
    if channel not in settings.severity:
        return False
    if event.detail.get("mode") not in (None, "deploy") and channel is not Channel.SLACK:
        return False
    if channel is Channel.PAGERDUTY:
        return event.kind in WAKES or event.kind in ENDS
    if channel is Channel.APPLICATION and event.kind not in FOR_USERS:
        return False
    least = settings.severity[channel]
    quiet = settings.quiet is not None and channel in settings.quiet_channels and settings.quiet.contains(now)
    return event.severity >= (Severity.URGENT if quiet else least)


def _text(event: Event, locale: Locale, values: Mapping[str, Any]) -> str:
    # Of a release that was brought back, the event names the one that is live, and not the one that was left.
    brought_back = event.kind == "RolledBack" and event.detail.get("steps")
    try:
        return say(locale, "RolledBack.restored" if brought_back else event.kind, values).strip()
    except KeyError:
        # A kind that is newer than this catalogue is told all the same.
        return say(locale, "unknown", values)


def _values(event: Event, locale: Locale) -> dict[str, Any]:
    """The event's details as the texts name them."""
    detail = event.detail
    phase = detail.get("phase")
    found = phase if isinstance(phase, Mapping) else {}
    gates, findings = detail.get("gates"), detail.get("findings")
    expires, opening = detail.get("expires_at"), detail.get("opening")
    return {
        **{name: value for name, value in detail.items() if isinstance(value, (str, int, float))},
        "kind": event.kind,
        "number": found.get("number"),
        "name": found.get("name"),
        "gates": "; ".join(sentence(gate) for gate in gates) if isinstance(gates, list) else None,
        "findings": len(findings) if isinstance(findings, list) else None,
        "share": detail.get("share", 100),
        "cause": detail.get("cause") or detail.get("reason"),
        "mode": word(locale, "mode", detail.get("mode", MISSING)),
        "status": word(locale, "status", detail.get("status", MISSING)),
        "expires": moment(locale, str(expires)) if expires else None,
        "opening": moment(locale, str(opening)) if opening else None,
        **{name: moment(locale, str(detail[name])) for name in ("since", "until") if detail.get(name)},
    }


#: The signs of a live message's lines, which need no translation.
_SIGNS: Mapping[str, str] = {
    "PhaseCompleted": "✓",
    "DeploymentSucceeded": "●",
    "TrafficShifted": "→",
    "GateFailed": "✗",
    "DeploymentFailed": "✗",
    "RolledBack": "↩",
    "RollbackRefused": "✗",
}
#: Slack shows more than this badly; the oldest lines go first.
MOST_LINES = 40


def line(notice: Notice, turn: int) -> dict[str, str]:
    """The event's line in its thread's live message; `turn` counts those that were there before it."""
    sign = _SIGNS.get(notice.event.kind, "·")
    return {
        "at": notice.event.at,
        "turn": f"{turn:04}",
        "text": f"{sign} {notice.text}",
        "title": notice.subject,
    }


def live_message(lines: Mapping[str, Mapping[str, str]]) -> str:
    """A thread's live message from its lines by event id: in the order in which the events happened, and of
    those in one second, which is as exact as EventBridge tells, in the order of the queue."""
    ordered = sorted(lines.values(), key=lambda entry: (entry["at"], entry["turn"]))
    shown = [f"{_clock(entry['at'])} {entry['text']}" for entry in ordered[-MOST_LINES:]]
    return "\n".join([ordered[-1]["title"], *shown])


def _clock(at: str) -> str:
    return moment("ko", at).rsplit(" ", 1)[-1]
