"""The six security headers, and the TLS versions on offer (requirements C5b, C5c)."""

from __future__ import annotations

from typing import Any

from cutover.domain.gates import Gate, Persona, Subject
from cutover.ports import Http

PATH = "/api/health"
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


def check_http(port: int, *, http: Http) -> dict[str, Any]:
    """{gates}, asked of the test listener."""
    answer = http.request("GET", port, PATH)
    gates = [_header(name, value, answer.headers.get(name.lower())) for name, value in HEADERS.items()]
    gates += [_refused(port, http), _offered(port, http)]
    return {"gates": [gate.as_json() for gate in gates]}


def _header(name: str, wanted: str, found: str | None) -> Gate:
    return HEADER.judge(f"Header {name}", found == wanted, found=found or "no such header", wanted=wanted)


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
