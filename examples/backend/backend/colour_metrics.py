"""`python -m backend.colour_metrics`: what this instance's containers answered, for CloudWatch, every 10 s.

The balancer publishes its metrics once a minute, and an alarm on them speaks minutes after the first bad
request. Here the counters that the containers keep anyway (/metrics) are read at every tenth second of the
clock, and their growth is published with a resolution of a second (StorageResolution 1), which is what
alarms on 10 s need. All are plain counts, so that instances add up; a window without a request says zero, and
a window without a datapoint says that nobody could look. On SIGTERM the window that has begun is published
as far as it has come: it may hold the very errors that a release is taken back for.

    CONTAINERS           URLs of the containers, separated by commas
    METRICS_DIMENSIONS   Environment=…,Service=…,Colour=…
    SLOW_SECONDS         an answer that took longer is slow: the p95 is above it when 5 % are

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/publishingMetrics.html#high-resolution-metrics
"""

import logging
import math
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session
from prometheus_client.parser import text_string_to_metric_families

logger = logging.getLogger("backend.colour_metrics")

NAMESPACE = "Cutover"
PERIOD_SECONDS = 10
# So that a container which hangs can't hold the window up.
SCRAPE_SECONDS = 4.0
_PROBES = frozenset({"/health", "/metrics"})


@dataclass(frozen=True)
class Counts:
    """A container's counters since it started: requests but probes, those answered with 5xx, those slow."""

    requests: float = 0
    errors: float = 0
    slow: float = 0

    def since(self, before: "Counts") -> "Counts":
        """The growth; counters that went back are those of a container that started anew."""
        if self.requests < before.requests:
            return self
        return Counts(
            self.requests - before.requests, self.errors - before.errors, max(0.0, self.slow - before.slow)
        )


@dataclass(frozen=True)
class Window:
    """What all containers did in a period. `silent` of `containers` did not answer, though they had once."""

    counts: Counts
    containers: int
    silent: int

    def metrics(self) -> dict[str, float]:
        """By name."""
        return {
            "Requests": self.counts.requests,
            "Errors": self.counts.errors,
            "Slow": self.counts.slow,
            "Containers": self.containers,
            "Silent": self.silent,
        }


def read_counts(text: str, slow_seconds: float) -> Counts:
    """From Prometheus's text. The bound is the smallest bucket that is not below `slow_seconds`."""
    requests = errors = timed = 0.0
    quick: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("path") in _PROBES:
                continue
            if sample.name == "http_requests_total":
                requests += sample.value
                errors += sample.value if sample.labels["status"].startswith("5") else 0
            elif sample.name == "http_request_duration_seconds_count":
                timed += sample.value
            elif sample.name == "http_request_duration_seconds_bucket":
                bound = float(sample.labels["le"])
                quick[bound] = quick.get(bound, 0.0) + sample.value
    bound = min((bound for bound in quick if bound >= slow_seconds), default=math.inf)
    return Counts(requests, errors, timed - quick.get(bound, timed))


class Containers:
    """The containers' counters, and what they were at the last look."""

    def __init__(self, urls: Iterable[str], slow_seconds: float) -> None:
        self._urls = list(urls)
        self._slow_seconds = slow_seconds
        self._before: dict[str, Counts] = {}

    def look(self) -> Window | None:
        """What happened since the last look; None while no container has answered twice."""
        with ThreadPoolExecutor(len(self._urls)) as pool:
            found = dict(zip(self._urls, pool.map(self._scrape, self._urls), strict=True))
        return self.window(found)

    def window(self, found: Mapping[str, Counts | None]) -> Window | None:
        known = dict(self._before)
        self._before |= {url: counts for url, counts in found.items() if counts is not None}
        if not known:
            return None
        grown = [
            counts.since(known[url]) for url, counts in found.items() if counts is not None and url in known
        ]
        total = Counts(
            sum(each.requests for each in grown),
            sum(each.errors for each in grown),
            sum(each.slow for each in grown),
        )
        # One that never answered is still starting; the release's own health check judges that.
        silent = sum(found.get(url) is None for url in known)
        return Window(total, len(known), silent)

    def _scrape(self, url: str) -> Counts | None:
        try:
            with urllib.request.urlopen(f"{url}/metrics", timeout=SCRAPE_SECONDS) as answer:  # noqa: S310
                return read_counts(answer.read().decode(), self._slow_seconds)
        except (OSError, ValueError) as error:
            logger.warning("%s does not tell its metrics: %s", url, error)
            return None


def entries(window: Window, dimensions: Mapping[str, str], began: float) -> list[dict[str, Any]]:
    """PutMetricData's entries of a window that began at `began` (epoch seconds)."""
    where = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    return [
        {
            "MetricName": name,
            "Dimensions": where,
            "Timestamp": datetime.fromtimestamp(began, UTC),
            "Value": value,
            "Unit": "Count",
            "StorageResolution": 1,
        }
        for name, value in window.metrics().items()
    ]


def main() -> None:
    """Publish until the container is stopped, and once more then. A window that could not be is missing, and
    no more."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    given = os.environ
    dimensions = dict(pair.split("=", 1) for pair in given["METRICS_DIMENSIONS"].split(","))
    containers = Containers(given["CONTAINERS"].split(","), float(given["SLOW_SECONDS"]))
    config = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 2})
    client: Any = get_session().create_client("cloudwatch", region_name=given["AWS_REGION"], config=config)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stopped.set())
    logger.info("telling %s of %s", NAMESPACE, dimensions)
    last = False
    while not last:
        now = time.time()
        end = (math.floor(now / PERIOD_SECONDS) + 1) * PERIOD_SECONDS
        last = stopped.wait(end - now)
        window = containers.look()
        if window is None:
            continue
        try:
            client.put_metric_data(
                Namespace=NAMESPACE, MetricData=entries(window, dimensions, end - PERIOD_SECONDS)
            )
        except (BotoCoreError, ClientError) as error:
            logger.warning("not published: %s", error)


if __name__ == "__main__":
    main()
