"""A service at a base URL, behind the same port as the one behind the test listener."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests

from cutover.adapters.http import SECONDS, BalancerHttp
from cutover.domain.errors import NotReachableError
from cutover.ports import Answer, Handshake

PORTS = {"http": 80, "https": 443}


class BaseUrl:
    """`port` of each request is not asked for: the URL has it. Raises ValueError for what is no http(s) URL."""

    def __init__(self, url: str, session: requests.Session | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"{url!r}: write https://HOST[:PORT]")
        self.url = url.rstrip("/")
        self.host, self.port = parts.hostname, parts.port or PORTS[parts.scheme]
        self._encrypted = parts.scheme == "https"
        self._session = session

    @contextmanager
    def kept(self) -> Iterator[BaseUrl]:
        with requests.Session() as session:
            yield BaseUrl(self.url, session)

    def request(
        self,
        method: str,
        _port: int,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        upload: tuple[str, bytes] | None = None,
    ) -> Answer:
        began = time.perf_counter()
        try:
            answer = (self._session or requests).request(
                method,
                self.url + path,
                headers=dict(headers or {}),
                json=json,
                files={"file": upload} if upload else None,
                timeout=SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise NotReachableError(f"{method} {self.url}{path}: {error}") from error
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, names, answer.content, (time.perf_counter() - began) * 1000)

    def handshake(self, _port: int, lowest: str, highest: str, suites: str | None = None) -> Handshake:
        if not self._encrypted:
            return Handshake(None, f"{self.url} is not encrypted")
        return BalancerHttp(self.host, self.host).handshake(self.port, lowest, highest, suites)
