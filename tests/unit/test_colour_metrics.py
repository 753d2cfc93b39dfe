"""The 10 s metrics of an instance's containers: what is counted, and what a container's silence means."""

from __future__ import annotations

import signal
import threading
from typing import Any
from unittest.mock import Mock

import pytest

from backend import colour_metrics
from backend.colour_metrics import Containers, Counts, Window, entries, read_counts
from backend.metrics import Metrics

A, B = "http://a", "http://b"


def scrape(**statuses: tuple[int, float]) -> str:
    """Metrics as the backend itself renders them: {_STATUS: (how many, seconds each)}."""
    metrics = Metrics()
    for name, (count, seconds) in statuses.items():
        path = "/health" if name.startswith("health") else "/api/models"
        status = int(name.rsplit("_", 1)[-1])
        for _ in range(count):
            metrics.requests.labels("GET", path, status).inc()
            metrics.duration.labels("GET", path).observe(seconds)
    return metrics.render().decode()


def test_requests_errors_and_slow_answers_are_counted_from_the_backends_own_page() -> None:
    text = scrape(ok_200=(90, 0.01), bad_503=(6, 0.01), slow_201=(4, 2.5))

    assert read_counts(text, 2.0) == Counts(100, 6, 4)


def test_probes_are_no_requests() -> None:
    assert read_counts(scrape(health_503=(50, 3.0)), 2.0) == Counts(0, 0, 0)


def test_an_answer_of_exactly_the_limit_is_not_slow() -> None:
    assert read_counts(scrape(ok_200=(1, 2.0)), 2.0).slow == 0


def test_a_limit_between_two_buckets_counts_what_is_surely_slower() -> None:
    assert read_counts(scrape(ok_200=(1, 4.0), slow_200=(1, 6.0)), 3.0).slow == 1


def test_a_client_error_is_none_of_the_releases() -> None:
    assert read_counts(scrape(no_404=(3, 0.01)), 2.0).errors == 0


def test_the_first_look_is_a_beginning_and_says_nothing() -> None:
    containers = Containers([A, B], 2.0)

    assert containers.window({A: Counts(100, 50, 0), B: None}) is None


def test_a_window_is_the_growth_of_all_containers() -> None:
    containers = Containers([A, B], 2.0)
    containers.window({A: Counts(100, 50, 0), B: Counts(10, 0, 0)})

    window = containers.window({A: Counts(130, 56, 1), B: Counts(20, 0, 3)})
    assert window == Window(Counts(40, 6, 4), containers=2, silent=0)


def test_without_requests_a_window_says_zero() -> None:
    """Zero is something else than no datapoint: somebody looked, and there was nothing."""
    containers = Containers([A], 2.0)
    containers.window({A: Counts(100, 50, 0)})

    window = containers.window({A: Counts(100, 50, 0)})
    assert window is not None
    assert window.metrics() == {"Requests": 0, "Errors": 0, "Slow": 0, "Containers": 1, "Silent": 0}


def test_a_container_that_has_started_anew_counts_from_zero() -> None:
    containers = Containers([A], 2.0)
    containers.window({A: Counts(100, 50, 9)})

    window = containers.window({A: Counts(7, 1, 0)})
    assert window is not None
    assert window.counts == Counts(7, 1, 0)


def test_a_container_that_stops_answering_is_silent_and_one_that_never_did_is_still_starting() -> None:
    containers = Containers([A, B], 2.0)
    containers.window({A: Counts(1, 0, 0), B: None})

    assert containers.window({A: None, B: None}) == Window(Counts(), containers=1, silent=1)


def test_nobody_answers_at_that_address() -> None:
    assert Containers(["http://127.0.0.1:1"], 2.0).look() is None


def test_entries_are_of_high_resolution_and_carry_the_windows_beginning() -> None:
    found = entries(Window(Counts(5, 1, 0), 3, 0), {"Colour": "green"}, 1_700_000_000)

    assert {entry["StorageResolution"] for entry in found} == {1}
    assert {entry["Timestamp"].timestamp() for entry in found} == {1_700_000_000}
    assert found[0]["Dimensions"] == [{"Name": "Colour", "Value": "green"}]
    assert {entry["MetricName"]: entry["Value"] for entry in found}["Errors"] == 1


def test_a_window_that_has_begun_is_told_when_the_container_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handlers: list[Any] = []
    published: list[dict[str, Any]] = []
    window = Window(Counts(50, 25, 0), 2, 0)
    session = Mock()
    session.create_client.return_value.put_metric_data = lambda **told: published.append(told)
    monkeypatch.setattr(colour_metrics, "get_session", lambda: session)
    monkeypatch.setattr(colour_metrics, "Containers", lambda *_: Mock(look=lambda: window))
    monkeypatch.setattr(colour_metrics, "PERIOD_SECONDS", 10**9)
    monkeypatch.setattr(signal, "signal", lambda _number, handler: handlers.append(handler))
    settings = {"CONTAINERS": A, "METRICS_DIMENSIONS": "Colour=green", "SLOW_SECONDS": "2", "AWS_REGION": "x"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    telling = threading.Thread(target=colour_metrics.main)
    telling.start()
    while not handlers:
        assert telling.is_alive()
    handlers[0](signal.SIGTERM, None)
    telling.join(timeout=10)

    assert not telling.is_alive()
    (told,) = published
    assert {each["MetricName"]: each["Value"] for each in told["MetricData"]}["Errors"] == 25


def test_bad_text_is_a_silent_container(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import urllib.request

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"<html>"))
    assert Containers([A], 2.0).look() is None
