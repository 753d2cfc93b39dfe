"""The notify function: one event of ours from a channel's queue to people.

The queue is first in, first out and hands over one message at a time: while a channel's other side is down,
its messages wait in their order, and no other channel's do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client, patient_client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import ParameterConfiguration, SecretsStore
from cutover.adapters.documents import BucketDocuments
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.messengers import Application, Email, PagerDuty, Slack, Sms, Web
from cutover.domain.errors import InvalidInputError, MisconfiguredError
from cutover.domain.notices import Channel, Event, Settings
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.notice_ports import Messenger
from cutover.steps.notify import notify


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    journal_table: str
    notifications_parameter: str
    secrets_prefix: str
    topic_arn: str
    artifacts_bucket: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    journal: DynamoJournal
    configuration: ParameterConfiguration
    secrets: SecretsStore
    clock: SystemClock


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    return Wiring(
        variables,
        DynamoJournal(client("dynamodb"), variables.journal_table),
        ParameterConfiguration(client("ssm"), variables.notifications_parameter),
        SecretsStore(client("secretsmanager")),
        SystemClock(),
    )


def tell(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, channel = wiring(), Channel(event["channel"])
    table = wired.configuration.read()
    return notify(
        channel,
        Event.read(event["event"]),
        Settings.read(table),
        journal=wired.journal,
        messenger=messenger(channel, table, wired),
        clock=wired.clock,
    )


def messenger(channel: Channel, table: Mapping[str, Any], wired: Wiring) -> Messenger:
    """`table` is the parameter's; a channel that it lacks was taken away since the event was queued."""
    own: Mapping[str, Any] = table.get(channel) or {}
    seconds = float(table["timeout_seconds"])
    match channel:
        case Channel.SLACK:
            address, place = str(own.get("api_url")), str(own.get("channel"))
            return Slack(Web(seconds), address, place, _token("slack", wired))
        case Channel.PAGERDUTY:
            return PagerDuty(Web(seconds), str(own.get("url")), _token("pagerduty", wired))
        case Channel.APPLICATION:
            return Application(
                Web(seconds), str(own.get("url")), _token("application", wired), wired.clock.now
            )
        case Channel.EMAIL:
            documents = BucketDocuments(client("s3"), wired.variables.artifacts_bucket)
            ses = patient_client("sesv2", seconds)
            return Email(ses, str(own.get("sender")), own.get("to") or (), documents.read)
        case Channel.SMS:
            return Sms(patient_client("sns", seconds), wired.variables.topic_arn)


def _token(name: str, wired: Wiring) -> Callable[[], str]:
    def read() -> str:
        secret = f"{wired.variables.secrets_prefix}{name}"
        token = wired.secrets.read(secret).get("token")
        if not token:
            raise MisconfiguredError(f"the secret {secret} has no token")
        return token

    return read


ACTIONS = {"tell": tell}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    records = event.get("Records") or []
    if len(records) != 1:
        raise InvalidInputError(f"Records: one message of a channel's queue is wanted, {len(records)} came")
    queue = str(records[0]["eventSourceARN"]).rpartition(":")[2]
    channel = queue.removesuffix(".fifo").rpartition("-")[2]
    told = json.loads(records[0]["body"])
    about = {"id": (told.get("detail") or {}).get("deployment")}
    return dispatch({"action": "tell", "channel": channel, "event": told, "deployment": about}, ACTIONS)
