"""The ways to people: Slack, PagerDuty, e-mail by SES, SMS by SNS, the application itself.

Each waits longer than a slow other side takes: a request that was given up on may have been taken, and would
be made again. Nobody waits for these functions.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import requests

from cutover.adapters.aws import aws_errors
from cutover.adapters.report_mail import report_mail
from cutover.domain.errors import MisconfiguredError, NotReachableError, ServiceRefusedError
from cutover.domain.notices import WAKES, Notice

#: Slack cuts a text at 40,000 characters and advises 4,000: https://docs.slack.dev/reference/methods/chat.postMessage
SLACK_LENGTH = 3900
#: https://developer.pagerduty.com/docs/send-alert-event
PAGERDUTY_LENGTH = 1024
#: Four messages of the 70 characters that one in Korean holds.
SMS_LENGTH = 280
#: The live message is gone, or too old to be edited: a new one takes its place.
#: https://docs.slack.dev/reference/methods/chat.update#errors
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})

#: Reads a secret's token anew each time: it may have been replaced after a refusal.
Token = Callable[[], str]


class Web:
    """JSON over HTTPS. `seconds` is how long the other side may take."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def post(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """The answer's JSON object. Raises as `send` does, and NotReachableError for any other answer."""
        answer = self.send(url, json.dumps(body).encode(), headers)
        try:
            table = answer.json()
        except ValueError:
            table = None
        if not isinstance(table, dict):
            raise NotReachableError(
                f"{url} answered {answer.status_code} with something that is no JSON object"
            )
        return table

    def send(self, url: str, content: bytes, headers: Mapping[str, str]) -> requests.Response:
        """The answer to JSON that was taken (2xx). Raises NotReachableError, and ServiceRefusedError for what
        will not be taken as it is."""
        with requests.Session() as session:
            session.trust_env = False  # no .netrc, no proxy of somebody's shell
            try:
                answer = session.post(
                    url,
                    content,
                    headers={"Content-Type": "application/json", **headers},
                    timeout=(5, self._seconds),
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                # Its words may repeat the request; the class says enough.
                raise NotReachableError(f"{url} did not answer: {type(error).__name__}") from error
        if answer.status_code == 429 or answer.status_code >= 500:
            raise NotReachableError(f"{url} answered {answer.status_code}")
        if answer.status_code >= 300:
            raise ServiceRefusedError(f"{url} answered {answer.status_code}: {answer.text[:200]}")
        return answer


class Slack:
    """https://docs.slack.dev/reference/methods/chat.postMessage and …/chat.update"""

    def __init__(self, web: Web, api_url: str, channel: str, token: Token) -> None:
        self._web = web
        self._api = api_url.rstrip("/")
        self._channel = channel
        self._token = token

    def deliver(self, notice: Notice, text: str, place: str | None) -> str | None:
        body: dict[str, Any] = {"channel": self._channel, "text": escaped(text)[:SLACK_LENGTH]}
        # An edit is made in the channel's own id, which the first answer told.
        channel, _, stamp = (place or "").partition("/")
        if notice.part == "reply":
            self._call("chat.postMessage", {**body, "thread_ts": stamp or None, "reply_broadcast": True})
            return place
        if place is not None:
            answer = self._call("chat.update", {**body, "channel": channel, "ts": stamp}, tolerate=_GONE)
            if answer.get("ok"):
                return place
        answer = self._call("chat.postMessage", body)
        return f"{answer['channel']}/{answer['ts']}"

    def _call(
        self, method: str, body: Mapping[str, Any], tolerate: frozenset[str] = frozenset()
    ) -> Mapping[str, Any]:
        answer = self._web.post(
            f"{self._api}/{method}",
            {**body, "unfurl_links": False},
            {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json; charset=utf-8"},
        )
        problem = str(answer.get("error"))
        if answer.get("ok") is True:
            if method == "chat.postMessage" and not (answer.get("ts") and answer.get("channel")):
                raise NotReachableError("Slack took the message and did not say where it stands")
            return answer
        if problem in tolerate:
            return answer
        if problem in ("ratelimited", "internal_error", "fatal_error", "service_unavailable"):
            raise NotReachableError(f"Slack answered {problem}")
        raise ServiceRefusedError(f"Slack refused {method}: {problem}; see the channel's secret and settings")


class PagerDuty:
    """Events API v2: https://developer.pagerduty.com/docs/send-alert-event"""

    def __init__(self, web: Web, url: str, routing_key: Token) -> None:
        self._web = web
        self._url = url
        self._routing_key = routing_key

    def deliver(self, notice: Notice, text: str, place: str | None) -> str | None:
        environment = str(notice.event.detail["environment"])
        body: dict[str, Any] = {
            "routing_key": self._routing_key(),
            "event_action": notice.action,
            "dedup_key": f"cutover-{environment}",
        }
        if notice.action == "trigger":
            body["payload"] = {
                "summary": text[:PAGERDUTY_LENGTH],
                "source": f"cutover-{environment}",
                "severity": WAKES[notice.event.kind],
                "timestamp": notice.event.at,
                "component": "backend",
                "class": notice.event.kind,
                "custom_details": {"deployment": notice.event.deployment},
            }
        answer = self._web.post(self._url, body, {})
        if answer.get("status") != "success":
            raise NotReachableError(f"PagerDuty answered {str(answer.get('message'))[:200]!r}")
        return place


class Email:
    """SES: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html

    `read` gives the page of a notice by its key; None where it is gone, and then the text alone is sent.
    """

    def __init__(
        self, client: Any, sender: str, to: Sequence[str], read: Callable[[str], bytes | None]
    ) -> None:
        self._client = client
        self._sender = sender
        self._to = list(to)
        self._read = read

    def deliver(self, notice: Notice, text: str, place: str | None) -> str | None:
        # A line break would end the header.
        subject = " ".join(notice.subject.split())[:200]
        page = self._read(notice.page) if notice.page else None
        content: dict[str, Any]
        if page is None:
            body = {"Text": {"Data": text, "Charset": "UTF-8"}}
            content = {"Simple": {"Subject": {"Data": subject, "Charset": "UTF-8"}, "Body": body}}
        else:
            raw = report_mail(subject, self._sender, self._to, text, page.decode("utf-8", "replace"))
            content = {"Raw": {"Data": raw}}
        with aws_errors():
            answer = self._client.send_email(
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": self._to},
                Content=content,
            )
        _taken("SES", answer)
        return place


class Sms:
    """SNS, through a topic that has the numbers: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""

    def __init__(self, client: Any, topic: str) -> None:
        self._client = client
        self._topic = topic

    def deliver(self, notice: Notice, text: str, place: str | None) -> str | None:  # noqa: ARG002  the port's
        with aws_errors():
            answer = self._client.publish(TopicArn=self._topic, Message=text[:SMS_LENGTH])
        _taken("SNS", answer)
        return place


def _taken(service: str, answer: Mapping[str, Any]) -> None:
    """Raises NotReachableError for an answer that is not the service's: boto3 reads it as an empty one."""
    if not answer.get("MessageId"):
        raise NotReachableError(f"{service} answered with something that names no message")


class Application:
    """A webhook of the application, signed as Standard Webhooks says, so that a library of the receiver's
    language verifies it:
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """

    def __init__(self, web: Web, url: str, key: Token, now: Callable[[], datetime]) -> None:
        self._web = web
        self._url = url
        self._key = key
        self._now = now

    def deliver(self, notice: Notice, text: str, place: str | None) -> str | None:  # noqa: ARG002  the port's
        detail = notice.event.detail
        body = {
            "type": notice.event.kind,
            "timestamp": notice.event.at,
            "data": {
                "environment": detail["environment"],
                "version": detail.get("version"),
                "opening": detail.get("opening"),
                "texts": dict(notice.texts),
            },
        }
        content = json.dumps(body, ensure_ascii=False).encode()
        moment = str(int(self._now().timestamp()))
        headers = {
            "webhook-id": notice.event.id,
            "webhook-timestamp": moment,
            "webhook-signature": signature(self._key(), notice.event.id, moment, content),
        }
        self._web.send(self._url, content, headers)
        return place


def signature(key: str, id: str, moment: str, content: bytes) -> str:
    """`key` is base64, with or without `whsec_` before it. Raises MisconfiguredError."""
    try:
        secret = base64.b64decode(key.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise MisconfiguredError("the key that signs messages to the application is no base64") from error
    signed = hmac.new(secret, f"{id}.{moment}.".encode() + content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def escaped(text: str) -> str:
    """Slack's three control characters: nothing that an event carries becomes a link or calls everybody.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
