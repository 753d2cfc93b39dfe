"""Laws of grouping a log's errors."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cutover.domain.log_patterns import MOST, grouped, merged, pattern_of
from cutover.domain.series import Span

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SPAN = Span(NOON, NOON + timedelta(hours=1))
WORDS = st.sampled_from(["timeout", "after", "user", "failed:", "model", "could not connect to"])
VALUES = st.one_of(
    st.integers(0, 10**6).map(str),
    st.uuids().map(str),
    st.emails().filter(lambda mail: mail.isascii() and all(c.isalnum() or c in "@.-" for c in mail)),
    st.ip_addresses(v=4).map(str),
)
MESSAGES = st.lists(st.tuples(WORDS, st.integers(0, 99)), min_size=1, max_size=5).map(
    lambda parts: " ".join(f"{word} {number}" for word, number in parts)
)


def line(message: str, minute: int = 0, level: str = "ERROR") -> str:
    return json.dumps(
        {"time": (NOON + timedelta(minutes=minute)).isoformat(), "level": level, "message": message}
    )


@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_differs_in_numbers_only_is_one_pattern(words: list[str], one: int, other: int) -> None:
    text = " ".join(words)
    assert pattern_of(f"{text} {one} ms") == pattern_of(f"{text} {other} ms")


@given(st.uuids(), st.uuids(), st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_what_differs_in_ids_and_addresses_only_is_one_pattern(
    one: object, other: object, here: object, there: object
) -> None:
    assert pattern_of(f"model {one} at {here}:8000") == pattern_of(f"model {other} at {there}:8000")


@given(st.text(max_size=300))
def test_a_pattern_is_its_own_pattern(message: str) -> None:
    once = pattern_of(message)
    assert len(once) <= 200
    assert pattern_of(once) in (once, once[:200])


@given(st.lists(MESSAGES, max_size=30), st.randoms(use_true_random=False))
def test_counts_add_up_whatever_the_order(messages: list[str], chance: random.Random) -> None:
    lines = [line(message, minute % 60) for minute, message in enumerate(messages)]
    found = grouped(lines, [SPAN])
    assert found["errors"] == len(messages)
    if found["kinds"] <= 20:
        assert sum(each["count"] for each in found["patterns"]) == len(messages)
    shuffled = lines[:]
    chance.shuffle(shuffled)
    assert grouped(shuffled, [SPAN]) == found


@given(st.lists(st.lists(MESSAGES, max_size=8), max_size=4))
def test_logs_that_are_grouped_where_they_lie_are_as_if_grouped_together(logs: list[list[str]]) -> None:
    """As long as no log has more patterns than are listed."""
    every = [[line(message, minute) for minute, message in enumerate(messages)] for messages in logs]
    together = grouped([each for lines in every for each in lines], [SPAN])
    assert merged(grouped(lines, [SPAN]) for lines in every) == together


def test_of_more_patterns_than_are_listed_the_number_is_told() -> None:
    words = [f"{first}{second} failed" for first in "abcde" for second in "vwxyz"]
    told = merged([grouped(map(line, words), [SPAN]), grouped([], [SPAN])])
    assert (told["errors"], told["kinds"], len(told["patterns"])) == (25, 25, MOST)


def test_a_requests_error_tells_its_answer_and_its_route() -> None:
    failed = [
        json.dumps({"level": "ERROR", "message": "request", "status": 500, "route": route, "path": path})
        for route, path in (("/api/models/{id}", "/api/models/7"), ("/api/models/{id}", "/api/models/8"))
    ]
    (pattern,) = grouped(failed, [SPAN])["patterns"]
    assert (pattern["pattern"], pattern["count"]) == ("request 500 /api/models/{id}", 2)


def test_only_the_times_that_are_asked_for_count() -> None:
    spans = [(NOON, NOON + timedelta(minutes=1)), (NOON + timedelta(minutes=5), NOON + timedelta(minutes=6))]
    assert grouped([line("x", minute) for minute in range(10)], spans)["errors"] == 2


def test_only_errors_of_the_time_count_and_what_cannot_be_read_is_told() -> None:
    lines = [
        line("could not connect to 10.1.0.7:27017 after 2003 ms"),
        line("could not connect to 10.1.0.9:27017 after 1999 ms", 30),
        line("served", level="INFO"),
        line("late", 61),
        json.dumps({"_source": {"@timestamp": NOON.isoformat(), "level": "error", "message": "from Kibana"}}),
        json.dumps(
            {"level": "CRITICAL", "message": "boom", "exception": "Traceback\n  File x\nKeyError: 'a'"}
        ),
        "Traceback (most recent call last):",
        "",
        "[1, 2]",
    ]
    found = grouped(lines, [SPAN])
    assert (found["errors"], found["unreadable"], found["kinds"]) == (4, 2, 3)
    assert found["patterns"][0] == {
        "pattern": "could not connect to <address> after <n> ms",
        "count": 2,
        "first": "2026-03-04T12:00:00.000Z",
        "last": "2026-03-04T12:30:00.000Z",
        "example": "could not connect to 10.1.0.7:27017 after 2003 ms",
    }
    assert {each["pattern"] for each in found["patterns"][1:]} == {"from Kibana", "boom: KeyError: <text>"}
