"""The six security headers on every route, and the TLS versions and cipher suites on offer (requirements C5b,
C5c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cutover.domain.cipher_suites import weakness
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.routes import NOBODY, Route
from cutover.ports import Http

# Values from the source document's section 5.2.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'self'",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
HEADER, TLS = Subject("C5b", Persona.SECURITY), Subject("C5c", Persona.SECURITY)
NO_ROUTES = "the service has no OpenAPI 3 document at /openapi.json, so that its routes are unknown"
#: An answer that no route gives, and the one that gives all routes.
BESIDES = (Route("GET", f"/{NOBODY}"), Route("GET", "/openapi.json"))
WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})
MOST_TOLD = 5
MOST_SUITES = 100


def check_headers(port: int, every: Sequence[Route], *, http: Http) -> list[Gate]:
    """One gate for each header. Every route is asked without a token, with an empty body and for things that
    do not exist: whatever it answers, a refusal too, has to carry the header."""
    if not every:
        return [
            HEADER.inconclusive(f"Header {name}", found=NO_ROUTES, wanted=HEADERS[name]) for name in HEADERS
        ]
    answers = {
        route: http.request(
            route.method, port, route.path, json={} if route.method in WITH_A_BODY else None
        ).headers
        for route in (*every, *BESIDES)
    }
    return [_header(name, answers) for name in HEADERS]


def _header(name: str, answers: Mapping[Route, Mapping[str, str]]) -> Gate:
    wrong = [
        f"{route}: {headers.get(name.lower()) or 'no such header'}"
        for route, headers in answers.items()
        if headers.get(name.lower()) != HEADERS[name]
    ]
    more = f" and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
    found = "; ".join(wrong[:MOST_TOLD]) + more if wrong else f"on all {len(answers)} routes"
    return HEADER.judge(
        f"Header {name}",
        not wrong,
        found=found,
        wanted=f"{HEADERS[name]} on every route",
        samples=len(answers),
    )


def check_tls(port: int, *, http: Http) -> list[Gate]:
    """What the listener agrees to: no version below 1.2, version 1.3, no weak suite."""
    return [_refused(port, http), _offered(port, http), _suites(port, http)]


def _refused(port: int, http: Http) -> Gate:
    name, wanted = "TLS below 1.2 is refused", "refused"
    old = http.handshake(port, "1.0", "1.1")
    if old.accepted is None:
        return TLS.inconclusive(name, found=old.detail, wanted=wanted)
    return TLS.judge(name, not old.accepted, found=old.detail, wanted=wanted)


def _offered(port: int, http: Http) -> Gate:
    name, wanted = "TLS 1.3 is offered", "TLS 1.3"
    new = http.handshake(port, "1.3", "1.3")
    if new.accepted is None:
        return TLS.inconclusive(name, found=new.detail, wanted=wanted)
    return TLS.judge(name, new.accepted, found=new.detail, wanted=wanted)


def _suites(port: int, http: Http) -> Gate:
    """Every suite that the listener would agree to under TLS 1.2, found one after the other: each time
    without those that it has chosen already. TLS 1.3 knows no weak ones (RFC 8446, appendix B.4)."""
    name, wanted = "Weak cipher suites are refused", "none that is weak"
    agreed: list[str] = []
    for _ in range(MOST_SUITES):
        # COMPLEMENTOFALL are those without encryption.
        offer = ":".join(["ALL", "COMPLEMENTOFALL", *(f"!{suite}" for suite in agreed)])
        answer = http.handshake(port, "1.2", "1.2", offer)
        if answer.accepted is None and not agreed:
            return TLS.inconclusive(name, found=answer.detail, wanted=wanted)
        if not answer.accepted or answer.suite in agreed:
            break
        agreed.append(answer.suite)
    weak = [f"{suite} ({weakness(suite)})" for suite in agreed if weakness(suite)]
    if weak:
        found = f"{len(weak)} of {len(agreed)} are weak: {', '.join(weak)}"
    else:
        found = f"{len(agreed)} under TLS 1.2: {', '.join(agreed)}" if agreed else "none under TLS 1.2 at all"
    return TLS.judge(name, not weak, found=found, wanted=wanted, samples=max(1, len(agreed)))
