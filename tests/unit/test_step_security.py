"""Phase 5 from outside: each gate open for a sound service, and closed by the one fault that it is there for."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.cipher_suites import weakness
from cutover.domain.gates import closed
from cutover.domain.rates import Rate, read_rate
from cutover.domain.routes import Route, routes
from cutover.domain.web_tokens import claims_of
from cutover.ports import Answer, Handshake
from cutover.steps.http_security import HEADERS
from cutover.steps.security import check_service
from tests.contract.fake_http import DOCUMENT, LIMITS, SECRET, FakeHttp
from tests.contract.fakes import FakeClock

USER = {"email": "smoke@example.com", "password": "right"}
MINUTES = {path: f"{limit}/minute" for path, (limit, _) in LIMITS.items()}
FILE, LIST = "Another user's file is not handed out", "Lists hold one's own things only"
EXPIRED, UNSIGNED = "An expired token is refused", "An unsigned token (alg: none) is refused"
FORGED, NOBODY = "A forged signature is refused", "Without a token nobody is let in"
SUITES = "Weak cipher suites are refused"


def service(*faults: str) -> FakeHttp:
    http = FakeHttp(faults=faults, clock=FakeClock())
    http.headers = {name.lower(): value for name, value in HEADERS.items()}
    return http


def gates(http: FakeHttp, limits: dict[str, str] | None = None, secret: str = SECRET) -> dict[str, Any]:
    assert isinstance(http.clock, FakeClock)
    answer = check_service(8443, limits or MINUTES, USER, secret, http=http, clock=http.clock)
    return {gate["name"]: gate for gate in answer["gates"]}


def judged(http: FakeHttp, verdict: str, **more: Any) -> set[str]:
    return {name for name, gate in gates(http, **more).items() if gate["verdict"] == verdict}


def test_a_sound_service_opens_every_gate_and_each_stands_on_something() -> None:
    found = gates(service())

    assert {gate["verdict"] for gate in found.values()} == {"Pass"}
    assert len(found) == 6 + 4 + 6 + 3
    assert all(gate["samples"] >= 1 for gate in found.values())
    assert found["/api/models is limited"]["found"] == (
        "request 101 was the first to be refused, Retry-After: 60, answered 200 after it"
    )
    assert found["Header Referrer-Policy"]["samples"] == 12 + 2


@pytest.mark.parametrize(
    ("fault", "gate"),
    [
        ("forged", FORGED),
        ("unsigned", UNSIGNED),
        ("expired", EXPIRED),
        ("idor", FILE),
        ("lists all", LIST),
        ("bare route", "Header Content-Security-Policy"),
    ],
)
def test_a_fault_closes_its_own_gate_and_no_other(fault: str, gate: str) -> None:
    assert judged(service(fault), "Fail") == {gate}


def test_a_door_without_a_lock_fails_with_every_token() -> None:
    assert judged(service("open door"), "Fail") >= {NOBODY, FORGED, UNSIGNED, EXPIRED}


@pytest.mark.parametrize("path", LIMITS)
@pytest.mark.parametrize("by", [-1, 1])
def test_a_limit_that_is_off_by_one_closes_its_gate(path: str, by: int) -> None:
    http = service()
    limit, seconds = LIMITS[path]
    http.limits[path] = (limit + by, seconds)
    found = gates(http)

    assert [name for name, gate in found.items() if gate["verdict"] == "Fail"] == [f"{path} is limited"]
    assert f"request {limit + by + 1} was the first to be refused" in found[f"{path} is limited"]["found"]


def test_no_limit_at_all_closes_its_gate() -> None:
    http = service()
    del http.limits["/api/models"]

    gate = gates(http)["/api/models is limited"]
    assert (gate["verdict"], gate["samples"]) == ("Fail", 201)
    assert "none was refused" in gate["found"]


def test_a_refusal_without_retry_after_closes_every_limits_gate() -> None:
    assert judged(service("no retry-after"), "Fail") == {f"{path} is limited" for path in LIMITS}


def test_a_limit_that_never_resets_closes_its_gate() -> None:
    assert judged(service("never resets"), "Fail") == {f"{path} is limited" for path in LIMITS}


def test_a_place_that_somebody_else_took_is_waited_for_once_more() -> None:
    http, waited = service(), list[float]()
    clock = http.clock
    assert isinstance(clock, FakeClock)
    sleep = clock.sleep

    def jostled(seconds: float) -> None:
        sleep(seconds)
        waited.append(seconds)
        if len(waited) == 1:
            for _ in range(LIMITS["/api/auth/login"][0]):
                http.request("POST", 8443, "/api/auth/login", json={})

    clock.sleep = jostled  # type: ignore[method-assign]
    assert judged(http, "Fail") == set()
    assert len(waited) > 1


def test_requests_of_others_from_the_same_address_are_forgotten_before_it_is_counted_again() -> None:
    http = service()
    for _ in range(3):
        http.request("POST", 8443, "/api/auth/login", json={})
    began = http.clock.now()  # type: ignore[union-attr]

    assert judged(http, "Pass") >= {"/api/auth/login is limited"}
    assert (http.clock.now() - began).total_seconds() >= 2 * 60  # type: ignore[union-attr]


def test_a_limit_that_is_configured_off_is_told_and_never_passes() -> None:
    found = gates(service(), {**MINUTES, "/api/models": "off"})
    gate = found["/api/models is limited"]

    assert (gate["verdict"], gate["must"]) == ("Inconclusive", False)
    assert "the limit is off" in gate["found"]
    assert closed(list(found.values())) == []


def test_the_limit_as_configured_is_what_is_verified() -> None:
    http = service()
    http.limits["/api/models"] = (7, 3)

    assert judged(http, "Pass", limits={"/api/models": "7/3second"}) >= {"/api/models is limited"}


def test_without_a_document_headers_and_limits_are_inconclusive() -> None:
    for document in (
        None,
        {},
        {"openapi": "3.1.0", "paths": {}},
        {"swagger": "2.0", "paths": {"/": {"get": {}}}},
    ):
        http = service()
        http.document = document
        found = judged(http, "Inconclusive")
        assert found == {f"Header {name}" for name in HEADERS} | {f"{path} is limited" for path in LIMITS}


def test_a_route_that_the_document_does_not_know_has_no_limit_to_try() -> None:
    http = service()
    http.document = {"openapi": "3.1.0", "paths": {"/health": {"get": {}}}}

    assert judged(http, "Inconclusive") == {f"{path} is limited" for path in LIMITS}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_missing_or_says_something_else_closes_its_gate(name: str) -> None:
    missing, other = service(), service()
    del missing.headers[name.lower()]
    other.headers[name.lower()] = "something else"

    for http in (missing, other):
        assert judged(http, "Fail") == {f"Header {name}"}


def test_the_route_without_the_header_is_named() -> None:
    found = gates(service("bare route"))["Header Content-Security-Policy"]["found"]
    assert found == "GET /api/models/{model_id}: no such header"


def test_without_a_second_user_what_needs_one_is_inconclusive() -> None:
    limits = {f"{path} is limited" for path in LIMITS if path != "/api/auth/login"}
    assert judged(service("closed registration"), "Inconclusive") == {FILE, LIST} | limits


def test_where_nobody_is_let_in_a_refusal_shows_nothing() -> None:
    http = service()
    http.users["smoke@example.com"] = "another"

    assert judged(http, "Inconclusive") >= {NOBODY, FORGED, UNSIGNED, EXPIRED, FILE, LIST}


def test_an_expired_token_of_another_secret_shows_nothing() -> None:
    assert judged(service(), "Inconclusive", secret="another") == {EXPIRED}


def test_old_tls_that_is_accepted_closes_its_gate_and_untried_is_no_data() -> None:
    accepted, untried = service(), service()
    accepted.tls[("1.0", "1.1")] = Handshake(True, "TLSv1.1")
    untried.tls[("1.0", "1.1")] = Handshake(None, "no protocols")

    assert judged(accepted, "Fail") == {"TLS below 1.2 is refused"}
    assert judged(untried, "Inconclusive") == {"TLS below 1.2 is refused"}


def test_tls_1_3_that_is_refused_closes_its_gate() -> None:
    http = service()
    http.tls[("1.3", "1.3")] = Handshake(False, "refused")
    assert judged(http, "Fail") == {"TLS 1.3 is offered"}


def test_one_weak_suite_among_strong_ones_closes_the_gate_and_is_named() -> None:
    http = service()
    http.suites.append("AES128-SHA")

    gate = gates(http)[SUITES]
    assert (gate["verdict"], gate["samples"]) == ("Fail", 3)
    assert "AES128-SHA (no forward secrecy)" in gate["found"]


def test_a_listener_of_tls_1_3_alone_has_no_weak_suite() -> None:
    http = service()
    http.suites.clear()
    assert gates(http)[SUITES]["found"] == "none under TLS 1.2 at all"


@pytest.mark.parametrize(
    "suite",
    [
        "NULL-SHA256",
        "RC4-SHA",
        "DES-CBC3-SHA",
        "ADH-AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-SHA",
    ],
)
def test_weak_suites_are_known(suite: str) -> None:
    assert weakness(suite)


@pytest.mark.parametrize(
    "suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "DHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES256-SHA384"]
)
def test_strong_suites_are_let_pass(suite: str) -> None:
    assert weakness(suite) is None


def test_a_service_that_fails_under_the_requests_is_inconclusive() -> None:
    class Broken(FakeHttp):
        def request(self, method: str, port: int, path: str, **more: Any) -> Answer:  # type: ignore[override]
            answer = super().request(method, port, path, **more)
            return Answer(503, answer.headers, b"", 1.0) if path == "/api/models" else answer

    http = Broken(clock=FakeClock())
    http.headers = {name.lower(): value for name, value in HEADERS.items()}
    gate = gates(http)["/api/models is limited"]
    assert (gate["verdict"], gate["found"]) == ("Inconclusive", "request 1 was answered 503")


def test_a_service_too_slow_to_exceed_its_limit_is_inconclusive() -> None:
    class Slow(FakeHttp):
        def request(self, method: str, port: int, path: str, **more: Any) -> Answer:  # type: ignore[override]
            self.clock.sleep(1)  # type: ignore[union-attr]
            return super().request(method, port, path, **more)

    http = Slow(clock=FakeClock())
    gate = gates(http)["/api/models is limited"]
    assert gate["verdict"] == "Inconclusive"
    assert "too slow" in gate["found"]


def test_rates_are_read_as_they_are_written() -> None:
    assert (read_rate("5/minute"), read_rate("5/3second"), read_rate("off")) == (
        Rate(5, 60),
        Rate(5, 3),
        None,
    )
    for text in ("", "5", "0/minute", "5/day", "5 / minute", "-5/minute", "5/0second"):
        with pytest.raises(ValueError, match="COUNT/UNIT"):
            read_rate(text)


def test_routes_are_every_operation_of_the_document() -> None:
    found = routes(DOCUMENT)
    assert len(found) == 12
    assert Route("POST", "/api/models") in found
    assert Route("GET", "/api/models/{model_id}").path == "/api/models/cutover-probe"
    for document in (None, [], "x", {"openapi": "3.0.3"}, {"openapi": "3.0.3", "paths": []}):
        assert routes(document) == []


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "a.bm90IEpTT04.c", "a.W10.c"])
def test_what_is_no_token_has_no_claims(token: str) -> None:
    assert claims_of(token) is None
