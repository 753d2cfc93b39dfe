"""Users' credentials and the server's side of SCRAM-SHA-256 and SCRAM-SHA-1 (RFC 5802, RFC 7677).

Passwords are not kept: only the salted keys that SCRAM needs. SHA-1 is there because clients that are given
no mechanism, and applications written for DocumentDB, may use it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from dataclasses import dataclass
from typing import Any, Final

from bson import Binary
from pymongo.saslprep import saslprep

from sandbox.database.errors import CommandError, Document

# Iterations per mechanism: MongoDB's own defaults.
MECHANISMS: Final = {"SCRAM-SHA-256": ("sha256", 15_000, 28), "SCRAM-SHA-1": ("sha1", 10_000, 16)}

# Makes the answer to an unknown user look like any other, and the same each time.
_DECOY_SECRET = os.urandom(32)


@dataclass(frozen=True)
class Credential:
    """What SCRAM stores instead of a password."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


def make_credentials(user: str, password: str, mechanisms: list[str]) -> dict[str, Credential]:
    """Salted keys for each mechanism."""
    return {name: _credential(name, user, password) for name in mechanisms}


def _credential(mechanism: str, user: str, password: str) -> Credential:
    digest, iterations, salt_length = MECHANISMS[mechanism]
    if mechanism == "SCRAM-SHA-256":
        secret = saslprep(password).encode()
    else:
        # MongoDB's SCRAM-SHA-1 salts this digest, not the password.
        secret = hashlib.md5(f"{user}:mongo:{password}".encode(), usedforsecurity=False).hexdigest().encode()
    salt = os.urandom(salt_length)
    salted = hashlib.pbkdf2_hmac(digest, secret, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", digest)
    return Credential(
        salt, iterations, hashlib.new(digest, client_key).digest(), hmac.digest(salted, b"Server Key", digest)
    )


def authentication_failed() -> CommandError:
    """One message for a wrong user, a wrong password and a broken message: it tells nothing."""
    return CommandError(18, "Authentication failed.")


class Conversation:
    """One SCRAM exchange on one connection: `start`, then `finish`, then perhaps one empty message."""

    def __init__(self, mechanism: str, skip_empty_exchange: bool) -> None:
        self.digest = MECHANISMS[mechanism][0]
        self.mechanism = mechanism
        self.user = ""
        self.proven = False
        self.done = False
        self._skip_empty_exchange = skip_empty_exchange
        self._credential: Credential | None = None
        self._messages = ""
        self._nonce = ""

    def start(self, payload: bytes, credentials: Any) -> Document:
        """The client's first message; `credentials(user)` gives the user's Credential or None."""
        match = re.fullmatch(r"[ny],(?:a=[^,]*)?,(n=([^,]*),r=([^,]+))", _text(payload))
        if match is None:
            raise authentication_failed()
        bare, name, client_nonce = match.groups()
        self.user = name.replace("=2C", ",").replace("=3D", "=")
        self._credential = credentials(self.user)
        shown = self._credential or self._decoy()
        self._nonce = client_nonce + base64.b64encode(os.urandom(18)).decode()
        first = f"r={self._nonce},s={base64.b64encode(shown.salt).decode()},i={shown.iterations}"
        self._messages = f"{bare},{first}"
        return self._reply(first.encode(), done=False)

    def finish(self, payload: bytes) -> Document:
        """The client's proof; raises AuthenticationFailed (18) unless it is right."""
        if self.proven:
            if payload:
                raise authentication_failed()
            return self._reply(b"", done=True)
        match = re.fullmatch(r"(c=[^,]+,r=([^,]+)),p=([A-Za-z0-9+/=]+)", _text(payload))
        credential = self._credential
        if match is None or credential is None or match[2] != self._nonce:
            raise authentication_failed()
        signed = f"{self._messages},{match[1]}".encode()
        signature = hmac.digest(credential.stored_key, signed, self.digest)
        try:
            proof = base64.b64decode(match[3], validate=True)
        except ValueError:
            raise authentication_failed() from None
        if len(proof) != len(signature):
            raise authentication_failed()
        client_key = bytes(a ^ b for a, b in zip(signature, proof, strict=True))
        if not hmac.compare_digest(hashlib.new(self.digest, client_key).digest(), credential.stored_key):
            raise authentication_failed()
        self.proven = True
        verifier = base64.b64encode(hmac.digest(credential.server_key, signed, self.digest))
        return self._reply(b"v=" + verifier, done=self._skip_empty_exchange)

    def _decoy(self) -> Credential:
        _, iterations, salt_length = MECHANISMS[self.mechanism]
        salt = hmac.digest(_DECOY_SECRET, self.user.encode(), "sha256")[:salt_length]
        return Credential(salt, iterations, b"", b"")

    def _reply(self, payload: bytes, *, done: bool) -> Document:
        self.done = done
        return {"conversationId": 1, "done": done, "payload": Binary(payload), "ok": 1.0}


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise authentication_failed() from None
