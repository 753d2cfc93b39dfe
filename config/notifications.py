"""Whom deployments are told to, and how (requirements A4, F2): the tables [notifications] and [status_page].

A channel whose table is left out does not exist. Tokens are in Secrets Manager, never here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, Strict, StringConstraints, model_validator

from config.explanation import UnfitError
from config.types import Clock, Table, TimeZone

Severity = Literal["info", "important", "urgent"]
Address = Annotated[str, StringConstraints(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+$")]
# E.164, as SNS takes it: https://docs.aws.amazon.com/sns/latest/dg/sms_sending-overview.html
PhoneNumber = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{6,14}$")]


def _endpoint(value: str) -> str:
    """Tokens travel to it: in the clear to this machine only."""
    if not value.startswith(("https://", "http://127.", "http://localhost:")):
        raise ValueError("is not an https:// address; tokens would travel in the clear")
    return value


Endpoint = Annotated[str, AfterValidator(_endpoint)]


class Slack(Table):
    """A bot of yours with the scope chat:write; its token goes into the secret
    cutover-ENV/notifications-slack."""

    channel: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    severity: Severity = "info"
    api_url: Endpoint = "https://slack.com/api"


class Email(Table):
    """By SES: the sender's address or domain must be a verified identity of the account."""

    sender: Address
    to: Annotated[tuple[Address, ...], Strict(False), Field(min_length=1, max_length=50)]
    severity: Severity = "important"


class Sms(Table):
    """By SNS."""

    to: Annotated[tuple[PhoneNumber, ...], Strict(False), Field(min_length=1, max_length=20)]
    severity: Severity = "urgent"


class PagerDuty(Table):
    """Events API v2; the integration's key goes into the secret cutover-ENV/notifications-pagerduty."""

    url: Endpoint = "https://events.pagerduty.com/v2/enqueue"
    severity: Severity = "urgent"


class Application(Table):
    """A message to the application's own users, posted to an endpoint of the application and signed with the
    secret cutover-ENV/notifications-application."""

    url: Endpoint
    severity: Severity = "important"


class Quiet(Table):
    """Hours in which `channels` are given only what is urgent."""

    start: Clock = "22:00"
    end: Clock = "07:00"
    zone: TimeZone = "Asia/Seoul"
    channels: Annotated[tuple[Literal["email", "sms"], ...], Strict(False), Field(min_length=1)] = ("sms",)


class StatusPage(Table):
    """The page on which everybody follows deployments (requirement A4)."""

    # CloudFront leads to it, without sign-in. Else the function is there, and a front of yours calls it.
    public: bool = False


class Notifications(Table):
    """Whom deployments are told to. Without any channel nobody is told, and the events stay on the bus."""

    locale: Literal["ko", "en"] = "ko"
    # How long the other side of a channel may take. One that is given up on may have taken the message all
    # the same, and gets it again.
    timeout_seconds: Annotated[int, Field(ge=1, le=120)] = 45
    # How soon a message that was not taken is tried again; a thousand times, then it is a dead letter.
    retry_seconds: Annotated[int, Field(ge=5, le=3600)] = 120
    # Where people follow a deployment; goes into e-mails.
    status_page: Endpoint | None = None
    slack: Slack | None = None
    email: Email | None = None
    sms: Sms | None = None
    pagerduty: PagerDuty | None = None
    application: Application | None = None
    quiet: Quiet | None = None

    @model_validator(mode="after")
    def _retries_after_the_timeout(self) -> Self:
        if self.retry_seconds < self.function_seconds:
            problem = (
                f"must be at least 2 × timeout_seconds + 15 = {self.function_seconds}, or a message would be "
                "tried again while it is being sent; raise it"
            )
            raise UnfitError("retry_seconds", self.retry_seconds, problem)
        return self

    @property
    def function_seconds(self) -> int:
        """The function's own timeout: two calls of the other side, and room for secrets and journal."""
        return 2 * self.timeout_seconds + 15

    @property
    def channels(self) -> list[str]:
        """The channels that are configured."""
        known = ("slack", "email", "sms", "pagerduty", "application")
        return [name for name in known if getattr(self, name) is not None]

    def for_function(self) -> dict[str, Any]:
        """What the function reads from the parameter /cutover/ENV/notifications (JSON); nothing secret."""
        return self.model_dump(mode="json", exclude_none=True)
