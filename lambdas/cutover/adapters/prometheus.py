"""Prometheus's HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/"""

from __future__ import annotations

from collections.abc import Sequence

import requests

from cutover.domain.errors import NotReachableError
from cutover.domain.seen import Sample

PORT = 9090
SECONDS = 5.0


class PrometheusMetrics:
    """The Prometheus at an address of the environment's network."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}:{PORT}/api/v1/query"

    def query(self, expression: str) -> Sequence[Sample]:
        """An instant query. Raises NotReachableError when nobody answers, or not as Prometheus does."""
        with requests.Session() as session:
            # No proxies: the host is in our own network.
            session.trust_env = False
            try:
                answer = session.post(self._url, data={"query": expression}, timeout=SECONDS)
                document = answer.json()
                if document["status"] != "success":
                    raise NotReachableError(f"Prometheus refuses {expression!r}: {document.get('error')}")
                result = document["data"]["result"]
                return [Sample(dict(one["metric"]), float(one["value"][1])) for one in result]
            except (requests.RequestException, ValueError, KeyError, TypeError, IndexError) as error:
                raise NotReachableError(f"Prometheus at {self._url} does not answer: {error}") from error
