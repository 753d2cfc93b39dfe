"""The service under its domain's name: a TLS server on loopback with a certificate for that name only."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.http import BalancerHttp
from cutover.domain.errors import NotReachableError
from cutover.steps.http_security import check_tls
from sandbox import pki

DOMAIN = "api.example.com"


class Handler(http.server.BaseHTTPRequestHandler):
    """Tells what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        told = {
            "method": self.command,
            "host": self.headers["Host"],
            "peer": self.client_address[1],
            "authorization": self.headers.get("Authorization"),
            "body": self.rfile.read(length).decode("latin-1"),
        }
        status = {"/moved": 302, "/missing": 404}.get(self.path, 200)
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("X-Release-Version", "v2")
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", "https://elsewhere.example.com/")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    return pki.Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def trusted(authority: pki.Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in any machine whose trust store holds the authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))


def serve(
    authority: pki.Authority, name: str, *, lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
) -> Iterator[int]:
    issued = authority.issue(f"server-{name}", [name])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if lowest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = lowest
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes are part of the tests
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def port(authority: pki.Authority) -> Iterator[int]:
    yield from serve(authority, DOMAIN)


@pytest.fixture
def probe() -> BalancerHttp:
    return BalancerHttp("127.0.0.1", DOMAIN)


def test_the_domain_is_asked_for_whatever_the_address(port: int, probe: BalancerHttp) -> None:
    answer = probe.request("GET", port, "/api/health", headers={"Authorization": "Bearer x"})

    assert (answer.status, answer.headers["x-release-version"]) == (200, "v2")
    assert (answer.json()["host"], answer.json()["authorization"]) == (DOMAIN, "Bearer x")
    assert answer.milliseconds > 0


def test_bodies_and_files_are_sent(port: int, probe: BalancerHttp) -> None:
    posted = probe.request("POST", port, "/", json={"a": 1}).json()
    uploaded = probe.request("POST", port, "/", upload=("smoke.bin", b"\x00\xff")).json()

    assert json.loads(posted["body"]) == {"a": 1}
    assert 'name="file"; filename="smoke.bin"' in uploaded["body"]
    assert "\x00\xff" in uploaded["body"]


@pytest.mark.parametrize(("path", "status"), [("/moved", 302), ("/missing", 404)])
def test_an_answer_is_an_answer_and_nowhere_is_gone_to(
    port: int, probe: BalancerHttp, path: str, status: int
) -> None:
    assert probe.request("GET", port, path).status == status


def test_another_names_certificate_is_not_accepted(authority: pki.Authority, probe: BalancerHttp) -> None:
    for port in serve(authority, "other.example.com"):
        with pytest.raises(NotReachableError, match="doesn't match"):
            probe.request("GET", port, "/")
        assert probe.handshake(port, "1.3", "1.3").accepted is False


def test_an_unknown_authoritys_certificate_is_not_accepted(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pki.Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(NotReachableError, match="certificate"):
        BalancerHttp("127.0.0.1", DOMAIN).request("GET", port, "/")


def test_nobody_there_is_worth_another_try(probe: BalancerHttp) -> None:
    with pytest.raises(NotReachableError):
        probe.request("GET", 1, "/")
    with pytest.raises(NotReachableError):
        probe.handshake(1, "1.3", "1.3")


def test_old_tls_is_refused_and_new_is_agreed_on(port: int, probe: BalancerHttp) -> None:
    old = probe.handshake(port, "1.0", "1.1")

    assert (old.accepted, old.detail) == (False, "refused: TLSV1_ALERT_PROTOCOL_VERSION")
    assert probe.handshake(port, "1.3", "1.3").accepted is True


def test_old_tls_that_is_accepted_is_seen(authority: pki.Authority, probe: BalancerHttp) -> None:
    for port in serve(authority, DOMAIN, lowest=ssl.TLSVersion.TLSv1):
        assert probe.handshake(port, "1.0", "1.1").accepted is True


def test_many_requests_share_a_connection_that_is_kept(port: int, probe: BalancerHttp) -> None:
    with probe.kept() as kept:
        peers = {kept.request("GET", port, "/").json()["peer"] for _ in range(3)}
    apart = {probe.request("GET", port, "/").json()["peer"] for _ in range(2)}

    assert (len(peers), len(apart)) == (1, 2)


def test_what_is_agreed_on_is_one_of_the_suites_that_are_offered(port: int, probe: BalancerHttp) -> None:
    strong = probe.handshake(port, "1.2", "1.2", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384")
    weak = probe.handshake(port, "1.2", "1.2", "NULL:aNULL")

    assert (strong.accepted, strong.suite.endswith("AES256-GCM-SHA384")) == (True, True)
    assert weak.accepted is False


def test_a_weak_suite_that_is_accepted_is_found_among_all(
    authority: pki.Authority, probe: BalancerHttp
) -> None:
    for port in serve(authority, DOMAIN, lowest=ssl.TLSVersion.TLSv1):
        weak = {gate.name: gate for gate in check_tls(port, http=probe)}["Weak cipher suites are refused"]
        assert weak.verdict == "Fail"
        assert "(a SHA-1 MAC)" in weak.found


def test_a_certificate_that_is_not_valid_is_no_refusal_of_old_tls(
    authority: pki.Authority, probe: BalancerHttp
) -> None:
    for port in serve(authority, "other.example.com", lowest=ssl.TLSVersion.TLSv1):
        assert probe.handshake(port, "1.0", "1.1").accepted is True
