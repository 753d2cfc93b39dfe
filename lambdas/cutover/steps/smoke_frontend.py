"""Smoke tests of the frontend on the test listener: its page is whole, and knows where the backend is
(requirement C7a)."""

from __future__ import annotations

import re
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject
from cutover.ports import Answer, Http
from cutover.steps.prove import VERSION_HEADER

WORKS, GUARDED = Subject("C7a", Persona.RELIABILITY), Subject("C7a", Persona.SECURITY)
PAGE, CONFIGURATION = "/", "/config.json"
SCRIPT = re.compile(rb'<script[^>]* src="(/[^"]+)"')


def smoke_frontend(port: int, version: str, backend_domain: str, http: Http) -> list[dict[str, Any]]:
    """Gates. Raises NotReachableError when nothing answers at all."""
    page = http.request("GET", port, PAGE)
    gates = [_page(page, version), _script(page, port, http), _backend(port, backend_domain, http)]
    return [gate.as_json() for gate in gates]


def _page(page: Answer, version: str) -> Gate:
    found = page.headers.get(VERSION_HEADER)
    kind = page.headers.get("content-type", "no type")
    right = page.status == 200 and found == version and kind.startswith("text/html")
    return WORKS.judge(
        "The frontend's page",
        right,
        found=f"{page.status}, {kind}, version {found}",
        wanted=f"200, text/html from version {version}",
    )


def _script(page: Answer, port: int, http: Http) -> Gate:
    """A page whose script is missing is an empty one, and its own status does not tell."""
    name, wanted = "The frontend's script", "200 and a script"
    script = SCRIPT.search(page.body)
    if script is None:
        return WORKS.judge(name, False, found="the page names none", wanted=wanted)
    path = script[1].decode()
    answer = http.request("GET", port, path)
    kind = answer.headers.get("content-type", "no type")
    right = answer.status == 200 and kind.startswith("text/javascript") and len(answer.body) > 0
    return WORKS.judge(name, right, found=f"{path}: {answer.status}, {kind}", wanted=wanted)


def _backend(port: int, domain: str, http: Http) -> Gate:
    body = http.request("GET", port, CONFIGURATION).json()
    api = str(body.get("api") or "") if isinstance(body, dict) else ""
    right = api.startswith(f"https://{domain}")
    return GUARDED.judge(
        "The frontend calls its own backend", right, found=api or "no address", wanted=f"https://{domain}"
    )
