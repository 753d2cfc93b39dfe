"""The load generator against a small TLS server that can be told to be bad, and the fake with the same calls."""

from __future__ import annotations

import asyncio
import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from cutover.adapters.load import OpenModelLoad
from cutover.adapters.load_generator import LoadGenerator, Schedule, Target
from cutover.domain.aim import Aim, Allowed
from cutover.domain.errors import InvalidInputError, NotReachableError
from cutover.domain.load_plan import Mix, Request, Scenario, Stage, of_paths, read_scenarios
from sandbox import pki
from tests.contract.fakes import FakeLoad

DOMAIN = "api.example.com"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, body))
        if self.path == "/hang":
            time.sleep(2)
        if self.path == "/cut":
            self.close_connection = True
            self.connection.close()
            return
        status = {"/missing": 404, "/broken": 500, "/limited": 429, "/made": 201}.get(self.path, 200)
        self.send_response(status)
        self.send_header("X-Release-Version", "v2")
        self.send_header("X-Cache", "hit")
        if status == 429:
            self.send_header("Retry-After", "30")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    return pki.Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def trusted(authority: pki.Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))
    Handler.seen = []


@pytest.fixture(scope="module")
def port(authority: pki.Authority) -> Iterator[int]:
    issued = authority.issue("load-server", [DOMAIN])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are part of the tests
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def load_of(port: int, aim: Aim | None = None) -> OpenModelLoad:
    own = Aim("127.0.0.1", DOMAIN)
    return OpenModelLoad(aim or own, Allowed(own, frozenset({port})))


def scenarios(*paths: str) -> list[Scenario]:
    return of_paths(paths, DOMAIN)


def test_every_request_of_every_stage_is_counted(port: int) -> None:
    ramp, whole = load_of(port).run(
        port=port, scenarios=scenarios("/"), stages=[Stage(20, 0.5), Stage(40, 1)], users=5
    )

    assert (ramp.scheduled, whole.scheduled, whole.right, whole.failed) == (10, 40, 40, 0)
    p50, p95, p99 = whole.latency.percentiles_ms(50, 95, 99)
    assert 0 < p50 <= p95 <= p99
    assert (sum(whole.per_second.values()), whole.cache["hit"]) == (40, 40)
    assert whole.lag.samples > 0
    assert 0 < whole.busiest < 1


def test_the_adapter_and_the_fake_answer_in_the_same_shape(port: int) -> None:
    asked: dict[str, Any] = {
        "port": port,
        "scenarios": scenarios("/"),
        "stages": [Stage(20, 0.5)],
        "users": 2,
    }
    pair: dict[str, Any] = {
        "new_port": port, "old_port": port, "scenarios": scenarios("/"),
        "rate": 40.0, "users": 4, "seconds": 1.0, "block_seconds": 0.25,
    }  # fmt: skip
    for load in (load_of(port), FakeLoad()):
        (result,) = load.run(**asked)
        assert (result.scheduled, result.right, result.failed) == (10, 10, 0)
        blocks = load.pair(**pair)
        assert (sum(b.new.answers for b in blocks), sum(b.old.answers for b in blocks)) == (40, 40)
        assert all(abs(b.new.answers - b.old.answers) <= 1 for b in blocks[:4])


@pytest.mark.parametrize(
    ("path", "wrong", "refused"),
    [("/missing", {"4xx": 10}, 0), ("/broken", {"5xx": 10}, 0), ("/limited", {}, 10)],
)
def test_wrong_answers_are_told_by_class_and_a_rate_limit_is_no_error(
    port: int, path: str, wrong: dict[str, int], refused: int
) -> None:
    (result,) = load_of(port).run(port=port, scenarios=scenarios(path), stages=[Stage(20, 0.5)], users=2)

    assert (dict(result.wrong), result.refused, result.right) == (wrong, refused, 0)


def test_a_scenario_that_is_refused_waits_as_long_as_it_is_told(port: int) -> None:
    tables = [
        {"name": "limited", "weight": 1, "most_per_minute": 1000, "steps": [{"path": "/limited"}]},
        {"name": "free", "weight": 1, "steps": [{"path": "/"}]},
    ]
    (result,) = load_of(port).run(
        port=port, scenarios=read_scenarios(tables, DOMAIN, {}, None), stages=[Stage(50, 1)], users=2
    )

    assert result.refused <= 3  # those that were on their way when the first refusal came
    assert result.exercised["free"] >= 47


def test_the_steps_of_a_scenario_follow_each_other_with_body_file_and_token(port: int) -> None:
    tables = [
        {
            "name": "work",
            "weight": 1,
            "steps": [
                {"method": "POST", "path": "/made", "body": {"note": "of {deployment}"}, "expect": 201},
                {"method": "POST", "path": "/made", "upload_bytes": 64, "token": True, "expect": 201},
                {"path": "/"},
            ],
        }
    ]
    (result,) = load_of(port).run(
        port=port,
        scenarios=read_scenarios(tables, DOMAIN, {"deployment": "d2"}, "secret"),
        stages=[Stage(30, 0.05)],  # one scenario: the steps of two would come in between each other
        users=2,
    )

    assert (result.scheduled, result.right) == (3, 3)
    (first, second, third) = Handler.seen
    assert first == ("POST", "/made", b'{"note": "of d2"}')
    assert b'name="file"; filename="load.bin"' in second[2]
    assert third[:2] == ("GET", "/")


def test_what_is_never_answered_is_a_timeout_and_does_not_hold_the_load_up(port: int) -> None:
    target = Target("127.0.0.1", port, DOMAIN, ["/hang"])
    began = time.monotonic()
    result = asyncio.run(LoadGenerator(target, Schedule(10, 2, 0.5, timeout_seconds=0.3)).run())

    assert dict(result.errors) == {"timeout": 5}
    assert time.monotonic() - began < 2


def test_a_connection_that_is_cut_and_a_certificate_of_another_name_have_kinds_of_their_own(
    port: int,
) -> None:
    cut = LoadGenerator(Target("127.0.0.1", port, DOMAIN, ["/cut"]), Schedule(10, 2, 0.5))
    other = LoadGenerator(Target("127.0.0.1", port, "other.example.com", ["/"]), Schedule(10, 2, 0.5))

    assert dict(asyncio.run(cut.run()).errors) == {"connection": 5}
    assert dict(asyncio.run(other.run()).errors) == {"tls": 5}


def test_a_load_that_nobody_answers_is_worth_another_try() -> None:
    with pytest.raises(NotReachableError, match="no request was answered on port 1: 4 × connection"):
        load_of(1).run(port=1, scenarios=scenarios("/"), stages=[Stage(20, 0.2)], users=2)


@pytest.mark.parametrize("aim", [Aim("localhost", DOMAIN), Aim("127.0.0.1", "www.example.com")])
def test_nothing_is_sent_to_anybody_elses_host(port: int, aim: Aim) -> None:
    load, asked = load_of(port, aim), {"scenarios": scenarios("/"), "users": 2}
    pair = {"rate": 10, "seconds": 1, "block_seconds": 1}
    with pytest.raises(InvalidInputError, match="is not this environment's"):
        load.run(port=port, stages=[Stage(10, 1)], **asked)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="is not this environment's"):
        load.pair(new_port=port, old_port=port, **asked, **pair)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="is not this environment's"):
        load.by_version(port=port, path="/", rate=10, users=2, seconds=1)
    assert Handler.seen == []


def test_nothing_is_sent_to_a_port_that_is_no_listener(port: int) -> None:
    with pytest.raises(InvalidInputError, match="is no listener of this environment"):
        load_of(port).run(port=22, scenarios=scenarios("/"), stages=[Stage(10, 1)], users=2)


def test_requests_that_end_on_a_limit_of_the_minute_go_to_the_others() -> None:
    limited = Scenario("limited", 9, (Request("limited", b""),), 3)
    free = Scenario("free", 1, (Request("free", b""),))
    mix = Mix([limited, free])
    drawn = [mix.next(second * 0.1).name for second in range(300)]
    later = [mix.next(90 + second * 0.1).name for second in range(300)]

    assert (drawn.count("limited"), later.count("limited")) == (3, 3)


def test_answers_are_told_apart_by_the_version_that_they_name(port: int) -> None:
    load = load_of(port)
    found = load.by_version(port=port, path="/", rate=40, users=4, seconds=0.5)
    wrong = load.by_version(port=port, path="/missing", rate=40, users=4, seconds=0.5)
    nobody = load_of(1).by_version(port=1, path="/", rate=20, users=2, seconds=0.2)

    assert {version: (seen.answers, seen.failed) for version, seen in found.items()} == {"v2": (20, 0)}
    assert {version: (seen.answers, seen.failed) for version, seen in wrong.items()} == {"v2": (20, 20)}
    assert (nobody[""].answers, nobody[""].failed) == (4, 4)
