"""The webhook sink and the mail sink, over real sockets and files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.sinks import WEBHOOKS, Mail, WebhookSink, append_mail, read_mail, read_webhooks

REPOSITORY = Path(__file__).resolve().parents[2]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def send(method: str, url: str, body: bytes, timeout: float = 10, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with OPENER.open(request, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[WebhookSink]:
    with WebhookSink(tmp_path) as running:
        yield running


def test_every_post_is_kept_with_its_headers_and_body(sink: WebhookSink) -> None:
    body = json.dumps({"text": "복구했습니다"}, ensure_ascii=False).encode()
    assert (
        send("POST", f"{sink.url}/slack/T1", body, **{"Content-Type": "application/json", "X-Tag": "a"})[0]
        == 200
    )
    assert send("POST", f"{sink.url}/pager?key=1", b"\xff\x00")[0] == 200
    first, second = read_webhooks(sink.root)
    assert (first.method, first.path, first.status) == ("POST", "/slack/T1", 200)
    assert first.headers["x-tag"] == "a"
    assert first.json() == {"text": "복구했습니다"}
    assert (second.path, second.body, second.body_base64) == ("/pager?key=1", "", "/wA=")


def test_the_sink_answers_as_it_was_told(sink: WebhookSink) -> None:
    assert send("PUT", f"{sink.url}/behaviour", b'{"status": 503, "times": 2}')[0] == 200
    assert [send("POST", sink.url, b"{}")[0] for _ in range(3)] == [503, 503, 200]
    assert [each.status for each in read_webhooks(sink.root)] == [503, 503, 200]


def test_each_path_behaves_as_it_was_told_until_all_are_told_anew(sink: WebhookSink) -> None:
    for behaviour in ({"path": "/slack/", "status": 500}, {"path": "/slack/api/chat.post", "status": 429}):
        assert send("PUT", f"{sink.url}/behaviour", json.dumps(behaviour).encode())[0] == 200
    paths = ("/slack/api/chat.update", "/slack/api/chat.postMessage", "/notices")
    assert [send("POST", f"{sink.url}{path}", b"{}")[0] for path in paths] == [500, 429, 200]
    assert len(json.loads(send("GET", f"{sink.url}/behaviour", b"")[1])) == 2
    assert send("PUT", f"{sink.url}/behaviour", b"{}")[0] == 200
    assert [send("POST", f"{sink.url}{path}", b"{}")[0] for path in paths] == [200] * 3


def test_a_slow_sink_keeps_the_call_of_a_sender_that_gives_up(sink: WebhookSink) -> None:
    send("PUT", f"{sink.url}/behaviour", b'{"delay_seconds": 30}')
    with pytest.raises((TimeoutError, urllib.error.URLError)):
        send("POST", sink.url, b"{}", timeout=0.3)
    assert len(read_webhooks(sink.root)) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"no", "JSON"),
        (b"[]", "JSON object"),
        (b'{"state": 1}', "status, delay_seconds, times"),
        (b'{"status": 99}', "status is 99"),
        (b'{"status": true}', "status is True"),
        (b'{"delay_seconds": -1}', "delay_seconds is -1"),
        (b'{"times": 0}', "times is 0"),
    ],
)
def test_a_behaviour_that_cannot_be_had_is_refused_and_changes_nothing(
    sink: WebhookSink, body: bytes, told: str
) -> None:
    status, answer = send("PUT", f"{sink.url}/behaviour", body)
    assert status == 400
    assert told in answer.decode()
    assert send("POST", sink.url, b"{}")[0] == 200


def test_calls_at_the_same_time_are_kept_as_whole_lines(sink: WebhookSink) -> None:
    body = b"x" * 20_000
    threads = [threading.Thread(target=send, args=("POST", f"{sink.url}/{n}", body)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.path for each in read_webhooks(sink.root)} == {f"/{n}" for n in range(16)}


def test_mail_is_read_back_as_it_was_put_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert read_mail(tmp_path) == []
    mail = Mail(
        "email", "ses", "id-1", "a@example.com", ["b@example.com"], "제목", "line 1\nline 2", cc=["c@d.e"]
    )
    append_mail(tmp_path, mail)
    assert read_mail(tmp_path) == [mail]
    assert (tmp_path / "sinks" / "mail.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_line_that_is_still_being_written_is_left_for_the_next_reading(tmp_path: Path) -> None:
    with WebhookSink(tmp_path) as sink:
        send("POST", sink.url, b"{}")
    with (tmp_path / WEBHOOKS).open("a") as file:
        file.write('{"method": "POST", "pa')
    assert len(read_webhooks(tmp_path)) == 1


def test_the_command_serves_until_it_is_ended(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.sinks", str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert send("POST", url, b"{}")[0] == 200
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert len(read_webhooks(tmp_path)) == 1


def test_a_port_that_is_taken_is_a_message_and_no_stack_trace(sink: WebhookSink, tmp_path: Path) -> None:
    port = sink.url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.sinks", str(tmp_path), "--port", port],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert f"--port {port}" in done.stderr
    assert "Traceback" not in done.stderr
