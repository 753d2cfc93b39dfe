"""Where messages to people end up in the sandbox: mail and SMS in one file, webhook calls in another.

    .sandbox/sinks/mail.jsonl       one line per e-mail or SMS that SES or SNS would have sent
    .sandbox/sinks/webhooks.jsonl   one line per request that a webhook got

The webhook sink is an HTTP server on the loopback that stands in for Slack, PagerDuty and the like.
`python -m sandbox.sinks ROOT [--port N]` runs one until SIGTERM and prints its URL. How it answers can be
switched while it runs, for tests of what happens when the other side is slow or down:

    PUT /behaviour  {"status": 503, "delay_seconds": 2, "times": 3, "path": "/slack/"}

answers the next 3 requests (without `times`: all) under /slack/ with status 503 after 2 seconds; with
`"garbage": true`, with something that nobody can read. Each path may have its own, and the longest one holds;
one without a path ends all others. GET /behaviour tells them.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MAIL = Path("sinks", "mail.jsonl")
WEBHOOKS = Path("sinks", "webhooks.jsonl")
SNS = "http://sns.amazonaws.com/doc/2010-03-31/"
_LARGEST_BODY = 10 * 1024 * 1024
_LONGEST_DELAY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to people. `kind` is "email" or "sms"; `service` is the one that would have sent it."""

    kind: str
    service: str
    message_id: str
    sender: str
    to: list[str]
    subject: str
    text: str
    html: str = ""
    cc: list[str] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    topic: str | None = None
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request that a webhook got. `body_base64` is set, and `body` empty, when the body is not UTF-8.
    `taken`: the answer said that it was accepted."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    status: int
    body_base64: str | None = None
    taken: bool = True
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    def json(self) -> Any:
        """The body parsed as JSON. Raises json.JSONDecodeError."""
        return json.loads(self.body)


def append_mail(root: Path | str, mail: Mail) -> None:
    """Put `mail` into the sandbox in `root`. Safe from several threads and processes."""
    _append(Path(root, MAIL), asdict(mail))


def read_mail(root: Path | str) -> list[Mail]:
    """All messages of the sandbox in `root`, oldest first; none when nothing was sent yet."""
    return [Mail(**each) for each in _read(Path(root, MAIL))]


def read_webhooks(root: Path | str) -> list[Webhook]:
    """All webhook calls of the sandbox in `root`, oldest first; none when there was none yet."""
    return [Webhook(**each) for each in _read(Path(root, WEBHOOKS))]


def _append(path: Path, entry: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(entry, ensure_ascii=False) + "\n"
    # Messages may hold what only their reader should see.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line)
        file.flush()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    # A last line without its newline is still being written.
    return [json.loads(line) for line in text.split("\n")[:-1] if line]


class BehaviourError(ValueError):
    """The behaviour asked for can't be had; the message names the field, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the webhook sink answers: a status, after a delay, for so many requests (None: all). `garbage`
    instead of what Slack or PagerDuty would say; `path` is what the requests concerned begin with."""

    status: int = 200
    delay_seconds: float = 0.0
    times: int | None = None
    garbage: bool = False
    path: str = ""

    @classmethod
    def parse(cls, body: bytes) -> Behaviour:
        """Raises BehaviourError."""
        try:
            given = json.loads(body)
        except ValueError as error:
            raise BehaviourError(f"the behaviour has to be a JSON object: {error}") from error
        if not isinstance(given, dict) or set(given) - {field.name for field in fields(cls)}:
            raise BehaviourError(
                "the behaviour has to be a JSON object of status, delay_seconds, times, garbage and path"
            )
        found = cls(**given)
        if type(found.status) is not int or not 200 <= found.status <= 599:
            raise BehaviourError(f"status is {found.status!r}; it has to be 200 to 599")
        if (
            not isinstance(found.delay_seconds, int | float)
            or not 0 <= found.delay_seconds <= _LONGEST_DELAY_SECONDS
        ):
            raise BehaviourError(
                f"delay_seconds is {found.delay_seconds!r}; it has to be 0 to {_LONGEST_DELAY_SECONDS:.0f}"
            )
        if type(found.garbage) is not bool or not isinstance(found.path, str):
            raise BehaviourError("garbage has to be true or false, and path a text")
        if found.times is not None and (type(found.times) is not int or found.times < 1):
            raise BehaviourError(f"times is {found.times!r}; it has to be 1 or more, or left out")
        return found


class _Server(ThreadingHTTPServer):
    # socketserver's own backlog of 5 resets connections when a few senders come at once.
    request_queue_size = 128
    daemon_threads = True


class WebhookSink:
    """The webhook server of a sandbox. Use it as a context manager, or `start` and `close` it."""

    def __init__(self, root: Path | str, port: int = 0, host: str = "127.0.0.1") -> None:
        self.root = Path(root)
        self._behaviours: dict[str, Behaviour] = {}
        self._lock = threading.Lock()
        self._server = _Server((host, port), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            daemon=True,
            name="webhook-sink",
        )

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def behaviours(self) -> list[Behaviour]:
        """Those that were asked for; what they do not concern is answered well."""
        with self._lock:
            return list(self._behaviours.values())

    def behave(self, behaviour: Behaviour) -> None:
        """Answer like this from the next request on."""
        with self._lock:
            if not behaviour.path:
                self._behaviours.clear()
            self._behaviours[behaviour.path] = behaviour

    def take(self, path: str) -> Behaviour:
        """The behaviour for one more request."""
        with self._lock:
            concerned = [each for each in self._behaviours if path.startswith(each)]
            if not concerned:
                return Behaviour()
            now = self._behaviours[max(concerned, key=len)]
            if now.times is not None:
                left = replace(now, times=now.times - 1) if now.times > 1 else Behaviour(path=now.path)
                self._behaviours[now.path] = left
            return now

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> WebhookSink:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def said(path: str, body: bytes) -> bytes:
    """The words of who would have taken it: Slack's, PagerDuty's, SES's, SNS's, or ok.

    https://docs.slack.dev/reference/methods/chat.postMessage, https://developer.pagerduty.com/docs/send-alert-event,
    https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html,
    https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    """
    if path.startswith("/slack/"):
        try:
            stamp = json.loads(body).get("ts")
        except (ValueError, AttributeError):
            stamp = None
        stamp = stamp or f"{time.time_ns() / 1e9:.6f}"
        return json.dumps({"ok": True, "channel": "C0CUTOVER", "ts": stamp}).encode()
    if path.startswith("/pagerduty/"):
        return json.dumps({"status": "success", "message": "Event processed"}).encode()
    if path.startswith("/ses/"):
        return json.dumps({"MessageId": str(uuid.uuid4())}).encode()
    if path.startswith("/sns/"):
        taken = f"<PublishResult><MessageId>{uuid.uuid4()}</MessageId></PublishResult>"
        return f'<PublishResponse xmlns="{SNS}">{taken}</PublishResponse>'.encode()
    return b"ok"


def _handler(sink: WebhookSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            if body is None:
                return
            behaviour = sink.take(self.path)
            # Recorded before the delay: whoever gave up waiting did send it.
            _append(Path(sink.root, WEBHOOKS), asdict(self._call(body, behaviour)))
            time.sleep(behaviour.delay_seconds)
            if behaviour.status >= 400:
                self._answer(behaviour.status, b"refused as told")
            elif behaviour.garbage:
                self._answer(behaviour.status, b"<html>\x00 not what you expect")
            else:
                self._answer(behaviour.status, said(self.path, body))

        def do_PUT(self) -> None:
            body = self._body()
            if body is None:
                return
            if self.path != "/behaviour":
                self._answer(404, b"PUT /behaviour is the only PUT")
                return
            try:
                sink.behave(Behaviour.parse(body))
            except BehaviourError as error:
                self._answer(400, str(error).encode())
                return
            self._tell()

        def do_GET(self) -> None:
            if self.path == "/behaviour":
                self._tell()
            else:
                self._answer(404, b"GET /behaviour is the only GET")

        def _tell(self) -> None:
            self._answer(200, json.dumps([asdict(each) for each in sink.behaviours]).encode())

        def _body(self) -> bytes | None:
            """The request's body; None when it was refused."""
            length = self.headers.get("Content-Length", "0")
            if not length.isdigit() or int(length) > _LARGEST_BODY:
                self.close_connection = True
                self._answer(413, f"Content-Length has to be 0 to {_LARGEST_BODY}".encode())
                return None
            return self.rfile.read(int(length))

        def _call(self, body: bytes, behaviour: Behaviour) -> Webhook:
            encoded = None
            try:
                text = body.decode("utf-8")
            except UnicodeDecodeError:
                text, encoded = "", base64.b64encode(body).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            taken = behaviour.status < 400 and not behaviour.garbage
            return Webhook(self.command, self.path, headers, text, behaviour.status, encoded, taken)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Every call is in webhooks.jsonl already."""

    return Handler


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.sinks", description="Run the webhook sink.")
    parser.add_argument("root", type=Path, metavar="ROOT", help="the sandbox's folder")
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: a free one)")
    options = parser.parse_args(arguments)
    try:
        sink = WebhookSink(options.root, options.port)
    except (OSError, OverflowError) as error:
        parser.error(f"--port {options.port}: {error}; choose another port or leave it out")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_signal: ended.set())
    with sink:
        print(sink.url, flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
