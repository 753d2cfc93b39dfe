"""The service through its balancer, as a client outside sees it.

Connects to the balancer's address, and asks for (Host, SNI, certificate) the service's domain: DNS may not
point there yet, and never does to the test listener.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import copy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from cutover.domain.errors import NotReachableError
from cutover.ports import Answer, Handshake

SECONDS = 10.0
VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


class BalancerHttp:
    def __init__(self, address: str, domain: str) -> None:
        self._address = address
        self._domain = domain
        # Reading the trust store takes tens of milliseconds: once, not for each request.
        self._trust = ssl.create_default_context()
        self._kept: requests.Session | None = None

    @contextmanager
    def kept(self) -> Iterator[BalancerHttp]:
        with self._session() as session:
            keeping = copy(self)
            keeping._kept = session
            yield keeping

    def request(
        self,
        method: str,
        port: int,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        upload: tuple[str, bytes] | None = None,
    ) -> Answer:
        url = f"https://{self._address}:{port}"
        every = {
            **(headers or {}),
            "Host": self._domain,
            "Connection": "keep-alive" if self._kept else "close",
            "User-Agent": "cutover-probe",
        }
        with nullcontext(self._kept) if self._kept else self._session() as session:
            began = time.perf_counter()
            try:
                answer = session.request(
                    method,
                    url + path,
                    headers=every,
                    json=json,
                    files={"file": upload} if upload else None,
                    timeout=SECONDS,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                raise NotReachableError(f"{method} {path} on port {port}: {error}") from error
            taken = (time.perf_counter() - began) * 1000
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, names, answer.content, taken)

    def _session(self) -> requests.Session:
        session = requests.Session()
        # No proxies, no .netrc; the trust store is the context's.
        session.trust_env = False
        session.mount(f"https://{self._address}:", _ByName(self._domain, self._trust))
        return session

    def handshake(self, port: int, lowest: str, highest: str, suites: str | None = None) -> Handshake:
        context = ssl.create_default_context()
        if suites is None and highest in ("1.0", "1.1"):
            suites = "ALL"
        try:
            if suites is not None:
                # A certificate that is not valid must not pass for a refusal of what is offered.
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                # What OpenSSL would not even offer today has to be asked for, or nothing would be tested.
                context.set_ciphers(f"{suites}:@SECLEVEL=0")
            context.minimum_version, context.maximum_version = VERSIONS[lowest], VERSIONS[highest]
        except (ssl.SSLError, ValueError) as error:
            return Handshake(None, f"this client can't offer TLS {lowest} to {highest}: {error}")
        try:
            raw = socket.create_connection((self._address, port), SECONDS)
        except OSError as error:
            raise NotReachableError(f"port {port}: {error}") from error
        with raw:
            try:
                with context.wrap_socket(raw, server_hostname=self._domain) as secure:
                    return Handshake(True, f"{secure.version()} was agreed on", (secure.cipher() or ("",))[0])
            except ssl.SSLCertVerificationError as error:
                return Handshake(
                    False, f"the certificate is not valid for {self._domain}: {error.verify_message}"
                )
            except (ssl.SSLError, ConnectionError) as error:
                reason = getattr(error, "reason", None) or str(error)
                if "NO_PROTOCOLS_AVAILABLE" in reason or "NO_CIPHERS_AVAILABLE" in reason:
                    return Handshake(None, f"this client can't offer TLS {lowest} to {highest}: {reason}")
                return Handshake(False, f"refused: {reason}")
            except TimeoutError as error:
                raise NotReachableError(f"port {port}: the handshake timed out") from error


class _ByName(HTTPAdapter):
    """Verifies the certificate for a name other than the address, against the system's trust store."""

    def __init__(self, name: str, trust: ssl.SSLContext) -> None:
        self._name = name
        self._trust = trust
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        more.update(ssl_context=self._trust, server_hostname=self._name, assert_hostname=self._name)
        super().init_poolmanager(*args, **more)

    def cert_verify(self, conn: Any, *_: Any) -> None:
        """requests would load a bundle of its own here; the context has loaded the system's."""
        conn.cert_reqs = "CERT_REQUIRED"
