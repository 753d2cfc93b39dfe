"""Traffic through the real proxy: none is lost while weights move, and failures show as ALB shows them."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.http import BalancerHttp
from sandbox import processes
from sandbox.balancer.metrics import RequestKey, parse
from sandbox.balancer.model import (
    TLS_1_0,
    TLS_1_2,
    TLS_1_3,
    Condition,
    FixedResponse,
    Forward,
    HealthCheck,
    Listener,
    Rule,
    State,
    Target,
    TargetGroup,
    Tls,
)
from sandbox.balancer.proxy import Proxy
from sandbox.pki import Authority
from tests.loopback import free_port
from tests.sandbox.sandbox_kit import wait_for

HOST = "127.0.0.1"
CHECK = HealthCheck(
    path="/health", interval=0.25, timeout=1, healthy_threshold=2, unhealthy_threshold=2, codes=((200, 299),)
)


class Backend:
    """A keep-alive HTTP server that says its name, and what it was asked; its health is set by the test."""

    def __init__(self, name: str, port: int = 0) -> None:
        backend = self
        self.health = 200
        self.slow = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version, sys_version = "Backend/1", ""

            def do_GET(self) -> None:
                if self.path == "/slow":
                    backend.slow.wait(10)
                status = backend.health if self.path == "/health" else int(self.headers.get("x-status", 200))
                body = json.dumps({"name": name, "headers": dict(self.headers.items())}).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server((HOST, port), Handler)
        self.target = Target(HOST, self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Balancer:
    """A proxy with one TLS listener in front of blue and green, and what to ask it."""

    def __init__(self, folder: Path) -> None:
        os.environ[processes.MARKER] = str(folder)
        self.authority = Authority(folder / "pki")
        self.proxy = Proxy(folder / "run" / "balancer", folder / "balancer.log")
        self.folder = folder
        self.port = free_port()
        self.tls = self.certificate("first")
        self.backends = {name: Backend(name) for name in ("blue", "green")}
        self.weights = {"blue": 100, "green": 0}
        self.rules: tuple[Rule, ...] = ()
        self.idle_timeout = 60.0
        self.targets = {name: (backend.target,) for name, backend in self.backends.items()}

    def certificate(self, name: str, **more: Any) -> Tls:
        issued = self.authority.issue(name, ["app.example.com"])
        return Tls(issued.certificate, issued.key, **more)

    def apply(self) -> None:
        forward = Rule(Forward(tuple(self.weights.items())))
        listener = Listener("live", HOST, self.port, (*self.rules, forward), self.tls, self.idle_timeout)
        groups = tuple(TargetGroup(name, targets, CHECK) for name, targets in self.targets.items())
        self.proxy.apply(State((listener,), groups))

    def settle(self) -> None:
        """Waits until each target is known and checked, and the listener accepts connections."""

        def checked() -> bool:
            known = {(name, t.address, t.port) for name, targets in self.targets.items() for t in targets}
            found = self.proxy.health()
            ready = all(key in found and not found[key].pending for key in known)
            return ready and (HOST, self.port) in self.proxy.listening()

        wait_for(checked, what="the first health checks")

    def connection(self, *, version: ssl.TLSVersion | None = None) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.authority.certificate_path))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        connection = _NamedConnection(HOST, self.port, context=context, timeout=20)
        connection.connect()
        return connection

    def get(
        self, path: str = "/", headers: dict[str, str] | None = None, connection: Any = None
    ) -> tuple[int, Any, Any]:
        """(status, headers, body) of one request, on a connection of its own if none is given."""
        used = connection or self.connection()
        used.request("GET", path, headers=headers or {})
        response = used.getresponse()
        body = response.read()
        if connection is None:
            used.close()
        document = json.loads(body) if body.startswith(b"{") else body.decode()
        return response.status, response.headers, document

    def name(self) -> str:
        return str(self.get()[2]["name"])

    def stop(self) -> None:
        self.proxy.stop()
        for backend in self.backends.values():
            backend.slow.set()
            backend.stop()


class _NamedConnection(http.client.HTTPSConnection):
    """Connects to the address, and expects the certificate of the service's name."""

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        context: ssl.SSLContext = self._context  # type: ignore[attr-defined]
        self.sock = context.wrap_socket(self.sock, server_hostname="app.example.com")


@pytest.fixture
def balancer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Balancer]:
    monkeypatch.setenv(processes.MARKER, "")
    with tempfile.TemporaryDirectory(prefix="cutover-") as folder:
        made = Balancer(Path(folder))
        try:
            made.apply()
            made.settle()
            yield made
        finally:
            made.stop()
            assert processes.marked(folder) == []


def test_no_request_is_lost_while_weights_flip_under_keep_alive(balancer: Balancer) -> None:
    """The promise of the whole product: 2000 requests on kept connections, the weights moving all the while."""
    users, requests = 10, 200
    outcome: Counter[str] = Counter()
    lock, finished = threading.Lock(), threading.Event()

    def user() -> None:
        connection = balancer.connection()
        for _ in range(requests):
            try:
                status, _, body = balancer.get(connection=connection)
                seen = body["name"] if status == 200 else f"status {status}"
            except OSError as error:
                seen = f"{type(error).__name__}"
                connection = balancer.connection()
            with lock:
                outcome[seen] += 1
        connection.close()

    def flip() -> None:
        step = 0
        while not finished.wait(0.03):
            step += 1
            share = (0, 10, 50, 100)[step % 4]
            balancer.weights = {"blue": 100 - share, "green": share}
            balancer.apply()

    flipping = threading.Thread(target=flip)
    threads = [threading.Thread(target=user) for _ in range(users)]
    for thread in [flipping, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    finished.set()
    flipping.join()
    assert set(outcome) == {"blue", "green"}, outcome
    assert outcome.total() == users * requests
    balancer.weights = {"blue": 0, "green": 1}
    balancer.apply()
    wait_for(lambda: balancer.name() == "green", what="the last weights")


def test_new_weights_leave_open_connections_open(balancer: Balancer) -> None:
    connection = balancer.connection()
    assert balancer.get(connection=connection)[2]["name"] == "blue"
    own_port = connection.sock.getsockname()[1]
    balancer.weights = {"blue": 0, "green": 100}
    balancer.apply()
    wait_for(lambda: balancer.get(connection=connection)[2]["name"] == "green", what="green")
    assert connection.sock.getsockname()[1] == own_port
    connection.close()


def test_weights_share_the_requests_out(balancer: Balancer) -> None:
    balancer.weights = {"blue": 3, "green": 1}
    balancer.apply()
    wait_for(lambda: balancer.name() == "green", what="the new weights")
    connection = balancer.connection()
    seen = Counter(balancer.get(connection=connection)[2]["name"] for _ in range(400))
    assert 50 <= seen["green"] <= 150, seen  # 100 expected; six standard deviations
    connection.close()


def test_a_target_that_leaves_gets_no_new_request_and_ends_its_last(balancer: Balancer) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay"""
    answers: list[int] = []
    slow = threading.Thread(target=lambda: answers.append(balancer.get("/slow")[0]))
    slow.start()
    key = ("blue", HOST, balancer.backends["blue"].target.port)
    wait_for(lambda: _active(balancer, "blue") > 0, what="the request under way")
    balancer.targets["blue"] = ()
    balancer.apply()
    wait_for(lambda: key not in balancer.proxy.health(), what="the target to be gone")
    assert balancer.get()[0] == 503  # a group without targets
    balancer.backends["blue"].slow.set()
    slow.join()
    assert answers == [200]


def _active(balancer: Balancer, cluster: str) -> int:
    text = balancer.proxy.admin(f"/stats?filter=^cluster.{cluster}.upstream_rq_active$")
    return int(text.split(": ")[1])


def test_a_group_whose_targets_are_all_unhealthy_fails_open(balancer: Balancer) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html"""
    backend = balancer.backends["blue"]
    backend.health = 500
    key = ("blue", HOST, backend.target.port)
    wait_for(lambda: not balancer.proxy.health()[key].healthy, what="the target to be unhealthy")
    assert balancer.proxy.health()[key].proven
    threshold = CHECK.unhealthy_threshold
    wait_for(lambda: balancer.proxy.health()[key].failures >= threshold, what="the failures")
    status, _, body = balancer.get()
    assert (status, body["name"]) == (200, "blue")


def test_an_unhealthy_target_gets_nothing_while_another_is_healthy(balancer: Balancer) -> None:
    other = Backend("second")
    try:
        balancer.targets["blue"] = (balancer.backends["blue"].target, other.target)
        balancer.apply()
        balancer.settle()
        wait_for(lambda: balancer.name() == "second", what="the second target")
        balancer.backends["blue"].health = 500
        key = ("blue", HOST, balancer.backends["blue"].target.port)
        wait_for(lambda: not balancer.proxy.health()[key].healthy, what="the target to be unhealthy")
        assert {balancer.name() for _ in range(20)} == {"second"}
    finally:
        other.stop()


def test_weights_of_nothing_but_zero_answer_503(balancer: Balancer) -> None:
    balancer.weights = {"blue": 0, "green": 0}
    balancer.apply()
    status, headers, _ = wait_for(
        lambda: answer if (answer := balancer.get())[0] != 200 else None, what="a refusal"
    )
    assert (status, headers["server"]) == (503, "awselb/2.0")


def test_a_target_that_refuses_connections_is_a_502_and_counted_as_the_balancers(balancer: Balancer) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-502-issues"""
    balancer.backends["blue"].stop()
    status, headers, body = balancer.get()
    assert (status, headers["server"]) == (502, "awselb/2.0")
    assert "502 Bad Gateway" in body
    counted = parse(balancer.proxy.statistics()).requests
    assert counted[RequestKey("live", "blue", 502, "UF")] == 1
    balancer.backends["blue"] = Backend("blue", balancer.backends["blue"].target.port)


def test_a_target_that_does_not_answer_in_time_is_a_504(balancer: Balancer) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-504-issues"""
    balancer.idle_timeout = 1.0
    balancer.apply()

    def timed_out() -> bool:
        try:
            status, headers, _ = balancer.get("/slow")
        except http.client.RemoteDisconnected:
            return False  # it had come in by the listener that the new timeout replaced
        return (status, headers["server"]) == (504, "awselb/2.0")

    threading.Timer(8, balancer.backends["blue"].slow.set).start()
    wait_for(timed_out, what="a 504")
    counted = parse(balancer.proxy.statistics()).requests
    assert [key for key in counted if key.code == 504 and key.group == "blue" and key.flags != "-"]


def test_an_error_that_the_target_answers_is_passed_on_as_it_is(balancer: Balancer) -> None:
    status, headers, _ = balancer.get(headers={"x-status": "503"})
    assert (status, headers["server"].strip()) == (503, "Backend/1")
    assert parse(balancer.proxy.statistics()).requests[RequestKey("live", "blue", 503, "-")] == 1


def test_the_target_learns_who_asked_and_how(balancer: Balancer) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html"""
    asked = {"x-forwarded-for": "203.0.113.7"}
    seen = {name.lower(): value for name, value in balancer.get(headers=asked)[2]["headers"].items()}
    assert [each.strip() for each in seen["x-forwarded-for"].split(",")] == ["203.0.113.7", "127.0.0.1"]
    assert seen["x-forwarded-proto"] == "https"
    assert seen["x-forwarded-port"] == str(balancer.port)
    assert seen["x-amzn-trace-id"].startswith("Root=1-")
    assert not [name for name in seen if name.startswith("x-envoy")]


def test_rules_answer_before_the_default_action(balancer: Balancer) -> None:
    maintenance = FixedResponse(404, "text/plain", "not here")
    balancer.rules = (Rule(maintenance, (Condition("path-pattern", ("/old/*", "/gone")),)),)
    balancer.apply()
    wait_for(lambda: balancer.get("/gone")[0] == 404, what="the rule")
    assert balancer.get("/old/page")[2] == "not here"
    assert balancer.get("/older")[0] == 200


def test_a_new_certificate_serves_new_connections_and_keeps_old_ones(balancer: Balancer) -> None:
    kept = balancer.connection()
    first = kept.sock.getpeercert()["serialNumber"]  # type: ignore[index]
    balancer.tls = balancer.certificate("second")
    balancer.apply()

    def serial() -> Any:
        fresh = balancer.connection()
        try:
            return fresh.sock.getpeercert()["serialNumber"]  # type: ignore[index]
        finally:
            fresh.close()

    wait_for(lambda: serial() != first, what="the new certificate")
    assert balancer.get(connection=kept)[0] == 200
    kept.close()


def test_a_policy_of_tls_1_3_refuses_tls_1_2(balancer: Balancer) -> None:
    balancer.connection(version=ssl.TLSVersion.TLSv1_2).close()
    balancer.tls = balancer.certificate("strict", minimum=TLS_1_3)
    balancer.apply()

    def refused() -> bool:
        try:
            balancer.connection(version=ssl.TLSVersion.TLSv1_2).close()
        except (ssl.SSLError, OSError):
            return True
        return False

    wait_for(refused, what="the refusal of TLS 1.2")
    balancer.connection(version=ssl.TLSVersion.TLSv1_3).close()


def test_an_old_policy_agrees_to_tls_1_1_and_not_to_1_3(balancer: Balancer) -> None:
    balancer.tls = balancer.certificate("old", minimum=TLS_1_0, maximum=TLS_1_2)
    balancer.apply()
    phase_5 = BalancerHttp(HOST, "app.example.com")

    def agreed() -> bool:
        return phase_5.handshake(balancer.port, "1.0", "1.1").accepted is True

    wait_for(agreed, what="an agreement on TLS 1.1")
    assert phase_5.handshake(balancer.port, "1.0", "1.1").detail == "TLSv1.1 was agreed on"
    assert phase_5.handshake(balancer.port, "1.3", "1.3").accepted is False


def test_a_proxy_that_was_killed_comes_back_with_the_next_change(balancer: Balancer) -> None:
    for pid in processes.marked(balancer.folder):
        processes.end_tree(pid, grace_seconds=0)
    wait_for(lambda: not balancer.proxy.running, what="the proxy's end")
    balancer.apply()
    balancer.settle()
    assert balancer.name() == "blue"
