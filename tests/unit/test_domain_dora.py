"""DORA's four keys, recomputed by hand from small histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cutover.domain.dora import Change, four_keys

DAY = datetime(2026, 3, 4, tzinfo=UTC)
WEEK = (DAY, DAY + timedelta(days=7))


def record(hour: int, *, live: bool = True, **more: Any) -> dict[str, Any]:
    started = DAY + timedelta(hours=hour)
    swap = {"swap": {"modified_at": (started + timedelta(minutes=30)).isoformat()}} if live else {}
    return {"started": started.isoformat(), **swap, **more}


def keys(*records: dict[str, Any]) -> Any:
    return four_keys([Change.read(each) for each in records], *WEEK)


def rolled_back(hour: int, *, first_bad: bool = True) -> dict[str, Any]:
    asked = DAY + timedelta(hours=hour, minutes=45)
    clock = {
        "first_bad_at": (asked - timedelta(seconds=25)).isoformat() if first_bad else None,
        "asked_at": asked.isoformat(),
        "modified_at": (asked + timedelta(seconds=1)).isoformat(),
    }
    return record(hour, rollback={"clock": clock})


def test_nothing_deployed_is_no_data_and_not_nothing_wrong() -> None:
    found = keys(record(1, live=False))
    assert (found.deployments, found.per_day) == (0, 0)
    assert (found.failure_rate, found.lead_seconds, found.restore_seconds) == (None, None, None)


def test_a_key_that_nobody_knows_is_no_metric() -> None:
    assert keys(record(1, live=False)).as_metrics() == {"DeploymentsPerDay": 0}
    assert set(keys(rolled_back(4)).as_metrics()) == {
        "DeploymentsPerDay",
        "LeadTimeSeconds",
        "ChangeFailureRate",
        "TimeToRestoreSeconds",
    }


def test_each_key_is_of_the_releases_that_took_the_traffic() -> None:
    found = keys(record(1), record(2), record(3, live=False), rolled_back(4))
    assert (found.deployments, found.failures) == (3, 1)
    assert found.per_day == 3 / 7
    assert found.failure_rate == 1 / 3
    assert (found.lead_seconds, found.lead_times) == (1800, 3)
    assert (found.restore_seconds, found.restores) == (26, 1)


def test_a_rollback_counts_from_when_it_was_asked_for_where_the_first_bad_request_is_unknown() -> None:
    found = keys(rolled_back(4, first_bad=False), rolled_back(5, first_bad=False), rolled_back(6))
    assert found.restore_seconds == 1
    assert (found.restores, found.restores_from_first_bad) == (3, 1)


def test_a_change_counts_from_its_commit_where_that_is_told() -> None:
    committed = (DAY - timedelta(hours=1)).isoformat()
    found = keys(record(0, committed_at=committed))
    assert (found.lead_seconds, found.lead_from_commit) == (5400, 1)


def test_the_period_holds_its_beginning_and_not_its_end() -> None:
    at_start = Change(DAY, DAY)
    at_end = Change(DAY, DAY + timedelta(days=7))
    assert four_keys([at_start, at_end], *WEEK).deployments == 1


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=20))
def test_failures_are_never_more_than_deployments(history: list[tuple[int, bool]]) -> None:
    found = keys(*(rolled_back(hour) if bad else record(hour) for hour, bad in history))
    assert 0 <= found.failures <= found.deployments
    assert (found.failure_rate is None) == (found.deployments == 0)
