"""The status function: the page, and the small API that it lives by. Reads the journal; writes only feedback.

Called by an HTTP API with its payload 2.0:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from aws_lambda_powertools import Logger

from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import ParameterConfiguration
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.trends import BalancerTrends
from cutover.domain.announcement import Announcement
from cutover.domain.errors import CutoverError, InvalidInputError, ThrottledError
from cutover.domain.records import ANNOUNCED, FREEZE, HISTORY, Status, deployment_key
from cutover.domain.status_view import view
from cutover.domain.window import read_hours
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.dora import dora
from cutover.steps.feedback import give_feedback
from cutover.steps.records import read_live

#: Everything that the page needs comes from here, and nothing of it is written into the page.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
LARGEST_BODY = 8192
MOST_RUNS = 20
#: Many people look at the same second, and figures change once in a while. Seconds.
STATUS_KEPT, FIGURES_KEPT = 0.25, 20.0

logger = Logger()


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    journal_table: str
    configuration_parameter: str


@dataclass
class Kept:
    """What was answered last, and until when it is answered again."""

    value: Any = None
    until: float = 0.0


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    journal: DynamoJournal
    configuration: Mapping[str, Any]
    trends: BalancerTrends
    clock: SystemClock
    status: Kept = field(default_factory=Kept)
    figures: Kept = field(default_factory=Kept)


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    return Wiring(
        variables,
        DynamoJournal(client("dynamodb"), variables.journal_table),
        ParameterConfiguration(client("ssm"), variables.configuration_parameter).read(),
        BalancerTrends(client("cloudwatch")),
        SystemClock(),
    )


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    request = event["requestContext"]["http"]
    route = (str(request["method"]), str(event.get("rawPath") or "/"))
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    try:
        return _route(route, event, headers)
    except InvalidInputError as error:
        return _json(400, {"error": str(error)})
    except ThrottledError:
        return _json(429, {"error": "too often; wait a moment"}, {"retry-after": "60"})
    except CutoverError as error:
        # Its words are for those who run it.
        logger.warning("could not answer", extra={"path": route[1], "reason": str(error)})
        return _json(503, {"error": "not available at the moment"}, {"retry-after": "2"})


def _route(route: tuple[str, str], event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    match route:
        case ("GET", "/api/status"):
            return _cached(json.dumps(status(), ensure_ascii=False), headers)
        case ("GET", "/api/figures"):
            return _cached(json.dumps(figures()), headers)
        case ("POST", "/api/feedback"):
            return _json(201, give(event, _sender(event, headers)))
        case ("GET", path) if path in PAGE:
            return _file(path, headers)
        case _:
            return _json(404, {"error": "there is nothing here"})


def status() -> dict[str, Any]:
    """How the environment stands."""
    wired = wiring()
    return _kept(wired.status, STATUS_KEPT, lambda: _read(wired))


def figures() -> dict[str, Any]:
    """{trends, dora}: the last hour's minutes (None where nobody can tell) and DORA's four figures. They take
    longer, and nobody who wants to know how a deployment goes waits for them."""
    wired = wiring()
    return _kept(
        wired.figures,
        FIGURES_KEPT,
        lambda: {"trends": _trends(wired), "dora": dora(wired.journal, wired.clock.now()).as_json()},
    )


def _kept(kept: Kept, seconds: float, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was read last; read anew when that is older."""
    if time.monotonic() >= kept.until:
        kept.value, kept.until = read(), time.monotonic() + seconds
    found: dict[str, Any] = kept.value
    return found


def _read(wired: Wiring) -> dict[str, Any]:
    now, live = wired.clock.now(), read_live(wired.journal)
    lines = wired.journal.newest(HISTORY, MOST_RUNS)
    records = [wired.journal.read(deployment_key(str(line["id"]))) or line for line in lines[:5]]
    records += lines[5:]
    former = next((r for r in records if r.get("status") == Status.SUCCEEDED and r.get("phases")), None)
    table = wired.configuration["window"]
    return view(
        wired.variables.cutover_environment,
        live,
        records,
        former=former,
        frozen=bool((wired.journal.read(FREEZE) or {}).get("frozen")),
        announced=Announcement.read(wired.journal.read(ANNOUNCED)),
        window=read_hours(table, str(table["zone"])),
        now=now,
    )


def _trends(wired: Wiring) -> dict[str, Any] | None:
    live = read_live(wired.journal)
    if live is None:
        return None
    try:
        return wired.trends.last_hour(live.targets.listener_arn, wired.clock.now())
    except CutoverError as error:
        # The page says that it does not know; the rest is worth showing.
        logger.warning("no trends", extra={"reason": str(error)})
        return None


def _sender(event: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """CloudFront says who asks it (address:port). Who asks the API itself and lies there is slowed by the
    limit for all."""
    viewer = headers.get("cloudfront-viewer-address", "").rpartition(":")[0]
    return viewer or str(event["requestContext"]["http"].get("sourceIp"))


def give(event: Mapping[str, Any], sender: str) -> dict[str, Any]:
    """Keep a user's feedback."""
    raw = str(event.get("body") or "")
    if len(raw) > LARGEST_BODY:
        raise InvalidInputError(f"the body: at most {LARGEST_BODY} bytes")
    try:
        body = json.loads(base64.b64decode(raw) if event.get("isBase64Encoded") else raw)
    except ValueError as error:
        raise InvalidInputError("the body: a JSON object is wanted") from error
    if not isinstance(body, dict):
        raise InvalidInputError("the body: a JSON object is wanted")
    wired = wiring()
    return give_feedback(body, sender, uuid.uuid4().hex, journal=wired.journal, clock=wired.clock)


def _file(path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    name, kind = PAGE[path]
    body = files("cutover.page").joinpath(name).read_text(encoding="utf-8")
    return _cached(body, headers, kind)


def _cached(
    body: str, headers: Mapping[str, str], kind: str = "application/json; charset=utf-8"
) -> dict[str, Any]:
    """With an ETag, so that who has it already is told so in a few bytes."""
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    every = {**HEADERS, "content-type": kind, "etag": tag, "cache-control": "no-cache"}
    if headers.get("if-none-match") == tag:
        return {"statusCode": 304, "headers": every}
    return {"statusCode": 200, "headers": every, "body": body}


def _json(status: int, body: Mapping[str, Any], more: Mapping[str, str] | None = None) -> dict[str, Any]:
    headers = {**HEADERS, "content-type": "application/json; charset=utf-8", "cache-control": "no-store"}
    return {"statusCode": status, "headers": {**headers, **(more or {})}, "body": json.dumps(body)}
