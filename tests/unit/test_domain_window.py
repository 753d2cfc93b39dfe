"""Deployment and backup windows (requirement A3)."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from cutover.domain.errors import MisconfiguredError
from cutover.domain.window import Hours, decide_window, read_hours

SEOUL = ZoneInfo("Asia/Seoul")
NIGHT = Hours(time(2), time(4), SEOUL)
BACKUP = Hours(time(1), time(3), SEOUL, weekday=6)
MIDNIGHT = Hours(time(23), time(1), SEOUL)
# 2026-03-01 is a Sunday.
SUNDAY, MONDAY = (2026, 3, 1), (2026, 3, 2)


def seoul(day: tuple[int, int, int], hour: int, minute: int = 0) -> datetime:
    """That wall-clock time in Seoul, told in UTC as Lambda's clock does."""
    return datetime(*day, hour, minute, tzinfo=SEOUL).astimezone(UTC)


@pytest.mark.parametrize(
    ("hour", "minute", "inside"),
    [(1, 59, False), (2, 0, True), (3, 59, True), (4, 0, False), (14, 0, False)],
)
def test_the_window_is_open_from_its_start_up_to_its_end(hour: int, minute: int, inside: bool) -> None:
    assert NIGHT.contains(seoul(MONDAY, hour, minute)) is inside


@pytest.mark.parametrize(
    ("hour", "minute", "inside"), [(22, 59, False), (23, 0, True), (0, 30, True), (1, 0, False)]
)
def test_a_window_may_cross_midnight(hour: int, minute: int, inside: bool) -> None:
    assert MIDNIGHT.contains(seoul(MONDAY, hour, minute)) is inside


def test_a_day_is_that_on_which_the_window_starts() -> None:
    saturday_night = Hours(time(23), time(1), SEOUL, weekday=5)

    assert saturday_night.contains(seoul(SUNDAY, 0, 30))
    assert not saturday_night.contains(seoul(SUNDAY, 23, 30))


def test_inside_the_window_a_deployment_may_start() -> None:
    assert decide_window(seoul(MONDAY, 2, 30), NIGHT, BACKUP).allowed


def test_outside_it_is_refused_with_the_next_opening() -> None:
    decision = decide_window(seoul(MONDAY, 4, 30), NIGHT, BACKUP)

    assert not decision.allowed
    assert "2026-03-03 02:00" in decision.reason


def test_a_reason_forces_it_and_is_told() -> None:
    decision = decide_window(seoul(MONDAY, 12), NIGHT, BACKUP, forced_because="security fix")

    assert (decision.allowed, decision.forced) == (True, True)
    assert "security fix" in decision.reason


def test_no_reason_is_good_enough_to_overlap_a_backup() -> None:
    decision = decide_window(seoul(SUNDAY, 2, 30), NIGHT, BACKUP, forced_because="security fix")

    assert not decision.allowed
    assert "backup" in decision.reason


def test_a_deployment_that_would_run_into_a_backup_is_refused() -> None:
    almost = seoul(SUNDAY, 0, 50)
    assert not decide_window(almost, MIDNIGHT, BACKUP, lasts=timedelta(minutes=15)).allowed
    assert decide_window(almost, MIDNIGHT, BACKUP, lasts=timedelta(minutes=5)).allowed


def test_an_environment_without_a_window_is_always_open() -> None:
    assert decide_window(seoul(SUNDAY, 2, 30), NIGHT, BACKUP, enforced=False).allowed


def test_a_skipped_hour_opens_after_the_change_of_the_clock() -> None:
    """Berlin goes from 02:00 to 03:00 on 2026-03-29, so that a window from 02:30 begins at 03:30 that night."""
    berlin = ZoneInfo("Europe/Berlin")
    window = Hours(time(2, 30), time(4), berlin)
    evening = datetime(2026, 3, 28, 12, tzinfo=berlin)

    assert window.next_opening(evening).isoformat() == "2026-03-29T03:30:00+02:00"
    assert window.contains(datetime(2026, 3, 29, 1, 15, tzinfo=UTC))


def test_a_repeated_hour_is_inside_both_times() -> None:
    """Berlin has 02:00 to 03:00 twice on 2026-10-25."""
    window = Hours(time(2), time(3), ZoneInfo("Europe/Berlin"))

    assert window.contains(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert window.contains(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert not window.contains(datetime(2026, 10, 25, 2, 30, tzinfo=UTC))


def test_a_window_that_a_clock_change_swallows_opens_on_the_next_day() -> None:
    window = Hours(time(2), time(3), ZoneInfo("Europe/Berlin"))

    opening = window.next_opening(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert opening.isoformat() == "2026-03-30T02:00:00+02:00"


def test_hours_are_read_from_the_configuration() -> None:
    assert read_hours({"day": "Sunday", "start": "01:00", "end": "03:00"}, "Asia/Seoul") == BACKUP


@pytest.mark.parametrize(
    ("table", "zone"),
    [
        ({"start": "2 am", "end": "04:00"}, "Asia/Seoul"),
        ({"start": "02:00"}, "Asia/Seoul"),
        ({"start": "02:00", "end": "04:00", "day": "Sonntag"}, "Asia/Seoul"),
        ({"start": "02:00", "end": "04:00"}, "Asia/Soul"),
    ],
)
def test_hours_that_are_none_are_named(table: dict[str, str], zone: str) -> None:
    with pytest.raises(MisconfiguredError, match="wanted start and end as HH:MM"):
        read_hours(table, zone)
