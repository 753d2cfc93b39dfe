"""E-mail, SMS and webhook calls land in the sandbox's sinks, as nobody outside may get any.

Caught are SES (SendEmail, SendRawEmail, templates and bulk, in both API versions), SNS topics with e-mail
and SMS subscribers, and SNS messages straight to a phone number.
https://docs.aws.amazon.com/ses/latest/dg/send-email-api.html
https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html

SES's SendEmail (version 2) and SNS's Publish can be in trouble like the webhooks: the sink's behaviour for
/ses/ and /sns/ (sandbox/sinks.py) holds for them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, SupportsIndex
from urllib.parse import parse_qs

from ministack.services import ses, ses_v2, sns

from sandbox.emulator.context import Context, replace, seam
from sandbox.sinks import Mail, WebhookSink, append_mail

WEBHOOK_PORT = 8090
_SNS_SENDER = "no-reply@sns.amazonaws.com"
_SMS_SENDER = "NOTICE"
_EMAIL_PROTOCOLS = ("email", "email-json")
Answer = tuple[int, dict[str, str], bytes]


class _Outbox(list[Any]):
    """A list of sent messages that tells of every message appended to it."""

    def __init__(self, messages: Iterable[Any], sent: Callable[[Any], None]) -> None:
        super().__init__(messages)
        self._sent = sent

    def append(self, message: Any) -> None:
        super().append(message)
        self._sent(message)

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        """A copy is a plain list: copying sends nothing."""
        return list, (list(self),)


def install(context: Context) -> None:
    root = context.settings.root
    # Where a configuration may send them: an address of the VPC that belongs to no subnet.
    sink = WebhookSink(root, WEBHOOK_PORT, f"{context.settings.network}.0.5")
    sink.start()
    _catch_ses(root)
    _catch_sns_topics(root)
    _catch_sms(root)
    _behave(ses_v2, sink, "/ses/", _is_email, _ses_refusal)
    _behave(sns, sink, "/sns/", _is_publication, _sns_refusal)


def _catch_ses(root: Path) -> None:
    store = seam(ses, "_sent_emails")

    def sent(record: dict[str, Any]) -> None:
        append_mail(root, _ses_mail({**record, **_rendered(record)}))

    def outbox() -> list[Any]:
        messages = plain()
        if not isinstance(messages, _Outbox):
            messages = store["entries"] = _Outbox(messages, sent)
        return messages

    plain = replace(ses, "_sent_emails_list", outbox)
    replace(ses_v2, "_sent_emails_list", outbox)


def _rendered(record: dict[str, Any]) -> dict[str, Any]:
    """Subject and body of a message made from a version 1 template, which ministack's record leaves out."""
    template = seam(ses, "_templates").get(record.get("Template"))
    if template is None or "Subject" in record:
        return {}
    parts = seam(ses, "_render_template")(template, record.get("TemplateData") or "")
    return {"Subject": parts.get("Subject"), "BodyText": parts.get("Text"), "BodyHtml": parts.get("Html")}


def _ses_mail(record: dict[str, Any]) -> Mail:
    return Mail(
        kind="email",
        service="ses",
        message_id=str(record["MessageId"]),
        sender=str(record.get("Source") or ""),
        to=list(record.get("To") or []),
        cc=list(record.get("CC") or []),
        bcc=list(record.get("BCC") or []),
        subject=str(record.get("Subject") or ""),
        text=str(record.get("BodyText") or ""),
        html=str(record.get("BodyHtml") or ""),
    )


def _catch_sns_topics(root: Path) -> None:
    topic_of = seam(sns, "_topic_by_arn_any_scope")
    message_for = seam(sns, "_resolve_message_for_protocol")
    matches = seam(sns, "_matches_filter_policy")
    envelope_of = seam(sns, "_build_envelope")

    def fan_out(  # noqa: PLR0917 (ministack calls it by position)
        topic_arn: str,
        msg_id: str,
        message: str,
        subject: str,
        message_structure: str = "",
        message_attributes: dict[str, Any] | None = None,
        message_group_id: str = "",
        message_dedup_id: str = "",
    ) -> None:
        rest = (message_structure, message_attributes, message_group_id, message_dedup_id)
        deliver(topic_arn, msg_id, message, subject, *rest)
        attributes = message_attributes or {}
        for subscription in (topic_of(topic_arn) or {}).get("subscriptions", []):
            protocol = subscription.get("protocol")
            if protocol not in (*_EMAIL_PROTOCOLS, "sms") or not subscription.get("confirmed"):
                continue
            text = message_for(message, message_structure, protocol)
            if not matches(subscription, attributes, text):
                continue
            if protocol == "email-json":
                text = envelope_of(topic_arn, msg_id, text, subject, attributes, False)
            sms = protocol == "sms"
            append_mail(
                root,
                Mail(
                    kind="sms" if sms else "email",
                    service="sns",
                    message_id=msg_id,
                    sender=_SMS_SENDER if sms else _SNS_SENDER,
                    to=[str(subscription.get("endpoint"))],
                    subject="" if sms else subject or "AWS Notification Message",
                    text=text,
                    topic=topic_arn,
                ),
            )

    deliver = replace(sns, "_fanout", fan_out)


def _catch_sms(root: Path) -> None:
    """Messages straight to a phone number: ministack keeps a log per number."""
    store = seam(sns, "_sms_messages")

    def sent(record: dict[str, Any]) -> None:
        append_mail(
            root,
            Mail(
                kind="sms",
                service="sns",
                message_id=str(record["MessageId"]),
                sender=_SMS_SENDER,
                to=[str(record["PhoneNumber"])],
                subject="",
                text=str(record["Message"]),
            ),
        )

    def log_for(phone_number: str) -> list[Any]:
        messages = plain(phone_number)
        if not isinstance(messages, _Outbox):
            messages = store[phone_number] = _Outbox(messages, sent)
        return messages

    plain = replace(sns, "_sms_log_for", log_for)


def _behave(
    service: Any,
    sink: WebhookSink,
    path: str,
    concerns: Callable[[str, str, bytes], bool],
    refusal: Callable[[int], Answer],
) -> None:
    """Let the service answer what `concerns` (method, path, body) says as `sink` was told for `path`."""

    async def handle(
        method: str, at: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Answer:
        if not concerns(method, at, body):
            return await plain(method, at, headers, body, query)
        told = sink.take(path)
        if told.status >= 400:
            answer = refusal(told.status)
        elif told.garbage:
            answer = told.status, {"Content-Type": "text/html"}, b"<html>\x00 not what you expect"
        else:
            # Sent before the delay: whoever gives up waiting did send it.
            answer = await plain(method, at, headers, body, query)
        await asyncio.sleep(told.delay_seconds)
        return answer

    plain: Callable[..., Awaitable[Answer]] = replace(service, "handle_request", handle)


def _is_email(method: str, path: str, _body: bytes) -> bool:
    return method == "POST" and path.rstrip("/").endswith("/outbound-emails")


def _is_publication(_method: str, _path: str, body: bytes) -> bool:
    return parse_qs(body.decode(errors="replace")).get("Action") == ["Publish"]


def _ses_refusal(status: int) -> Answer:
    """https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html"""
    error = "TooManyRequestsException" if status == 429 else "InternalFailure"
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error}
    return status, headers, json.dumps({"message": "refused as told"}).encode()


def _sns_refusal(status: int) -> Answer:
    """https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html"""
    answer: Answer = seam(sns, "_error")(
        "Throttled" if status == 429 else "InternalError", "refused as told", status
    )
    return answer
