"""What people were sent, and how the other sides of their channels answer: the sandbox's sinks."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from config.model import load
from sandbox import identities, installation
from sandbox.settings import SandboxSettings
from sandbox.sinks import Mail, Webhook, read_mail, read_webhooks
from stacks.naming import Names

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
#: Longer than a warm function takes: what is refused is tried again so soon, and not after two minutes.
TRY_AGAIN_SECONDS = 4
#: The first message of a thread comes, late; no edit is taken; PagerDuty talks nonsense; the application and SES
#: have had too much; SNS is broken.
TROUBLE: tuple[dict[str, Any], ...] = (
    {"path": "/slack/api/chat.postMessage", "delay_seconds": 30},
    {"path": "/slack/api/chat.update", "status": 500},
    {"path": "/pagerduty/", "garbage": True},
    {"path": "/notices", "status": 429},
    {"path": "/ses/", "status": 429},
    {"path": "/sns/", "status": 500},
)


class Sinks:
    """Read by a deployment's version, which people know it by."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._configuration = load(installation.ENVIRONMENT)
        self._names = Names(installation.ENVIRONMENT, settings.account, settings.region)

    def _root(self, service: str) -> Any:
        return identities.root_session(self._settings).client(
            service, endpoint_url=self._settings.endpoint_url
        )

    def behave(self, **behaviour: Any) -> None:
        address = f"http://{self._settings.network}.0.5:8090/behaviour"
        body = json.dumps(behaviour).encode()
        OPENER.open(urllib.request.Request(address, body, method="PUT"), timeout=5).close()

    def speak(self, locale: str) -> None:
        """What another `cdk deploy` with this locale would change."""
        table = {**self._configuration.notifications.for_function(), "locale": locale}
        name = self._names.notifications_parameter
        self._root("ssm").put_parameter(Name=name, Value=json.dumps(table), Type="String", Overwrite=True)

    @contextmanager
    def in_trouble(self) -> Iterator[None]:
        """Given sinks that are slow, refuse and talk nonsense, until it is left."""
        queues = self._root("sqs")
        for channel in self._configuration.notifications.channels:
            url = queues.get_queue_url(QueueName=self._names.notices_queue(channel))["QueueUrl"]
            queues.set_queue_attributes(
                QueueUrl=url, Attributes={"VisibilityTimeout": str(TRY_AGAIN_SECONDS)}
            )
        for behaviour in TROUBLE:
            self.behave(**behaviour)
        try:
            yield
        finally:
            self.behave()

    def calls(self, path: str) -> list[Webhook]:
        return [call for call in read_webhooks(self._settings.root) if call.path.startswith(path)]

    def taken(self, path: str) -> list[dict[str, Any]]:
        return [call.json() for call in self.calls(path) if call.taken]

    def thread(self, version: str) -> list[dict[str, Any]]:
        """The live message of the deployment (of no plan for it) as it was posted and edited."""
        begins = re.compile(rf".*: (버전|version) {re.escape(version)}\n.* \((배포|deployment)\)\.$", re.M)
        return [body for body in self.taken("/slack/") if begins.match(body["text"])]

    def replies(self, version: str) -> list[str]:
        stamps = {body["ts"] for body in self.thread(version) if "ts" in body}
        return [body["text"] for body in self.taken("/slack/") if body.get("thread_ts") in stamps]

    def mails(self, kind: str, version: str) -> list[Mail]:
        """`kind` is email or sms."""
        named = re.compile(rf"(버전|[Vv]ersion) {re.escape(version)}(?![A-Za-z0-9-])")
        return [
            mail for mail in read_mail(self._settings.root) if mail.kind == kind and named.search(mail.text)
        ]

    def reports(self, *titles: str) -> list[Mail]:
        """Mails that are the report with one of these titles."""
        every = read_mail(self._settings.root)
        return [mail for mail in every if mail.kind == "email" and mail.subject.endswith(titles)]
