"""JSON web tokens as an attacker takes them apart and puts them together (RFC 7515, RFC 7519).

Not for checking tokens: these are the ones that a service has to refuse.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any


def claims_of(token: str) -> Mapping[str, Any] | None:
    """The claims, unverified; None for what is no token of three parts."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(_decoded(payload))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def signed(claims: Mapping[str, Any], secret: str) -> str:
    """Signed with HS256."""
    head = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    signature = hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{_encoded(signature)}"


def unsigned(claims: Mapping[str, Any], algorithm: str = "none") -> str:
    """An unsecured token: RFC 7519, section 6."""
    return f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(claims)}."


def altered(token: str, claims: Mapping[str, Any]) -> str:
    """Other claims under the signature of a genuine token."""
    head, _, signature = token.split(".")
    return f"{head}.{_part(claims)}.{signature}"


def _part(table: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(table, separators=(",", ":")).encode())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
