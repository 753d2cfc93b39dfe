"""The example backend's rate limits: the arithmetic of the sliding window, and who is counted."""

import math

import pytest

from backend.rate_limits import Limits, Rate, Window, allows, retry_after
from backend.security import RATE_LIMITS
from backend.tokens import User, client_identity

FIVE = Rate(5, 60)


def window(elapsed: float, rate: Rate = FIVE) -> Window:
    return Window.at(1_000 * rate.seconds + elapsed, rate)


@pytest.mark.parametrize(
    "text", ["5", "5/", "5/day", "0/minute", "-1/minute", "five/minute", "5 / minute", "5/0second"]
)
def test_a_rate_that_cannot_be_read_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="COUNT/UNIT") as caught:
        Rate.parse(text)
    assert repr(text) in str(caught.value)


def test_the_plans_four_limits_are_read() -> None:
    limits = Limits.of(RATE_LIMITS, 1000)

    assert limits.for_path("/api/auth/login") == ("/api/auth/login", Rate(5, 60))
    assert limits.for_path("/api/models") == ("/api/models", Rate(100, 60))
    assert limits.for_path("/api/evaluations") == ("/api/evaluations", Rate(50, 60))
    assert limits.for_path("/api/files/upload") == ("/api/files/upload", Rate(10, 60))


def test_a_window_may_be_several_units_long_and_a_limit_may_be_off() -> None:
    limits = Limits.of({"/api/models": "7/10second", "/api/auth/login": "off"}, 0)

    assert limits.for_path("/api/models") == ("/api/models", Rate(7, 10))
    assert limits.for_path("/api/auth/login") is None


def test_a_route_without_a_limit_of_its_own_has_the_general_one() -> None:
    assert Limits.of(RATE_LIMITS, 1000).for_path("/api/files/7") == ("general", Rate(1000, 60))
    assert Limits.of(RATE_LIMITS, 0).for_path("/api/files/7") is None


def test_a_path_below_a_limited_route_shares_its_limit_but_a_longer_name_does_not() -> None:
    limits = Limits.of(RATE_LIMITS, 0)

    assert limits.for_path("/api/models/7") == ("/api/models", Rate(100, 60))
    assert limits.for_path("/api/models-archive") is None


@pytest.mark.parametrize("path", ["/health", "/api/health", "/api/health/detailed", "/metrics"])
def test_probes_are_never_limited(path: str) -> None:
    assert Limits.of(RATE_LIMITS, 1).for_path(path) is None


def test_as_many_requests_as_the_limit_are_allowed_in_a_fresh_window() -> None:
    assert [allows(FIVE, window(0), 0, made) for made in range(7)] == [True] * 5 + [False] * 2


def test_the_turn_of_a_minute_does_not_double_the_limit() -> None:
    assert not allows(FIVE, window(0.5), previous=5, current=0)


def test_the_previous_window_counts_less_as_time_passes() -> None:
    # After 12 s, 4 of the previous 5 still lie inside the last 60 s: room for one.
    assert not allows(FIVE, window(11.9), previous=5, current=0)
    assert allows(FIVE, window(12), previous=5, current=0)


@pytest.mark.parametrize("previous", [0, 1, 4, 5])
@pytest.mark.parametrize("current", [0, 1, 4, 5])
@pytest.mark.parametrize("elapsed", [0.0, 0.5, 12.0, 30.0, 59.9])
@pytest.mark.parametrize("rate", [FIVE, Rate(1, 60), Rate(100, 60)])
def test_a_client_that_waits_for_retry_after_is_let_in(
    previous: int, current: int, elapsed: float, rate: Rate
) -> None:
    previous, current = min(previous, rate.limit), min(current, rate.limit)
    now = window(elapsed, rate)
    if allows(rate, now, previous, current):
        return
    wait = retry_after(rate, now, previous, current)
    later = Window.at(now.index * rate.seconds + elapsed + wait, rate)
    passed = later.index - now.index
    counts = {0: (previous, current), 1: (current, 0)}.get(passed, (0, 0))

    assert 1 <= wait <= 2 * rate.seconds
    assert allows(rate, later, *counts)


def test_retry_after_is_not_longer_than_needed() -> None:
    now = window(10)
    wait = retry_after(FIVE, now, previous=0, current=5)

    # 50 s until the window turns, and 12 s more until the first of the five has left it.
    assert wait == 62
    assert not allows(FIVE, window(math.floor(10 + wait - 60) - 1), previous=5, current=0)


def scope(
    *forwarded: str, user: User | None = None, client: tuple[str, int] | None = ("10.1.1.9", 5)
) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"headers": headers, "client": client, "user": user}


def test_only_the_last_hop_of_x_forwarded_for_is_believed() -> None:
    assert client_identity(scope("6.6.6.6, 203.0.113.7")) == "address:203.0.113.7"
    assert client_identity(scope("6.6.6.6", "7.7.7.7, 203.0.113.7")) == "address:203.0.113.7"


@pytest.mark.parametrize("hop", ["203.0.113.7:51234", "203.0.113.7"])
def test_a_port_in_the_last_hop_does_not_make_a_new_client(hop: str) -> None:
    assert client_identity(scope(hop)) == "address:203.0.113.7"


@pytest.mark.parametrize("hop", ["[2001:db8::1]:51234", "[2001:db8::1]", "2001:db8::1"])
def test_an_ipv6_client_is_one_client(hop: str) -> None:
    assert client_identity(scope(hop)) == "address:2001:db8::1"


def test_a_user_who_has_logged_in_is_counted_as_such_wherever_they_come_from() -> None:
    assert client_identity(scope("203.0.113.7", user=User("u1", "user"))) == "user:u1"


def test_without_a_balancer_the_peer_is_counted() -> None:
    assert client_identity(scope()) == "address:10.1.1.9"
    assert client_identity(scope("")) == "address:10.1.1.9"
