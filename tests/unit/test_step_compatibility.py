"""The N−1 proof: the version that runs works with the new schema, or the expansion is taken back."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.errors import ServiceRefusedError
from cutover.steps.compatibility import ATTEMPTS, prove_compatible
from tests.contract.fake_http import FakeHttp
from tests.contract.fakes import BLUE, FakeClock
from tests.contract.scenes import DEPLOYMENT
from tests.unit.test_handler_walk import INPUT, LIVE, LOCK, House, house  # noqa: F401  the walk's fixture

USER = {"email": "smoke@example.com", "password": "right"}
V1 = {"version": "v1"}


def proved(http: FakeHttp, live: dict[str, str] | None) -> dict[str, Any]:
    return prove_compatible(DEPLOYMENT, live, USER, 443, http=http, clock=FakeClock())


def phase_2(house: House) -> dict[str, Any]:  # noqa: F811
    (found,) = [phase for phase in house.record["phases"] if phase["number"] == 2]
    return dict(found)


def test_a_version_that_passes_its_smoke_tests_is_compatible() -> None:
    http = FakeHttp("v1")
    told = proved(http, V1)

    assert told["compatible"]
    assert {port for _, port, _ in http.asked} == {443}
    assert all(gate["name"].startswith("v1 on the new schema: ") for gate in told["gates"])


def test_another_version_than_the_one_that_was_live_proves_nothing() -> None:
    assert not proved(FakeHttp("v0"), V1)["compatible"]


def test_a_first_deployment_says_that_there_is_nobody_to_ask() -> None:
    http = FakeHttp("v1")
    told = proved(http, None)

    (gate,) = told["gates"]
    assert (told["compatible"], gate["found"], http.asked) == (True, "no release is live", [])


def test_a_service_that_does_not_answer_is_asked_again_and_then_not_compatible() -> None:
    http = FakeHttp("v1", faults=["dead"])
    told = proved(http, V1)

    assert not told["compatible"]
    assert len(http.asked) == ATTEMPTS
    assert "connection refused" in told["gates"][0]["found"]


def test_one_lost_answer_is_not_the_schemas_doing() -> None:
    http = FakeHttp("v1", faults=["dead"])
    clock = FakeClock()
    clock.sleep = lambda _seconds: http.faults.clear()  # type: ignore[method-assign]

    assert prove_compatible(DEPLOYMENT, V1, USER, 443, http=http, clock=clock)["compatible"]


def test_the_expansion_is_undone_when_the_live_release_no_longer_works(house: House) -> None:  # noqa: F811
    house.http.faults, house.http.only_on = {"redis"}, 443
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert "phase 2 (Migrate): “v1 on the new schema: Detailed health”" in output["Cause"]
    assert house.migrator.done == [("expand", "d2"), ("undo", "d2")]
    names = {gate["name"]: gate["verdict"] for gate in phase_2(house)["gates"]}
    assert names["The expansion is undone"] == "Pass"
    assert (house.builds, house.world.balancer.moves) == ([], [])
    assert house.world.balancer.of["listener"] == BLUE
    assert house.world.journal.items[LOCK]["holder"] is None


def test_what_can_not_be_undone_is_told(house: House) -> None:  # noqa: F811
    house.http.faults, house.http.only_on = {"dead"}, 443
    house.migrator.left = ["0002_backfill"]
    _, output = house.walk.run(INPUT)

    assert "left, for there is no way back: 0002_backfill" in output["Cause"]


def test_an_undoing_that_fails_is_told_too(house: House) -> None:  # noqa: F811
    house.http.faults, house.http.only_on = {"dead"}, 443
    house.migrator.broken = {"undo": ServiceRefusedError("the index is gone")}
    _, output = house.walk.run(INPUT)

    assert (
        "“The expansion is undone” (C2) failed: found ServiceRefusedError: the index is gone"
        in output["Cause"]
    )
    assert "v1: connection refused" in output["Cause"]


def test_a_live_release_that_could_not_be_asked_is_not_taken_for_compatible(
    house: House,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr("cutover.handlers.probe.prove_compatible", broken)
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert "is inconclusive: found TypeError: a bug" in output["Cause"]
    assert house.migrator.done[-1] == ("undo", "d2")


def test_a_first_deployment_has_the_gate_on_record(house: House) -> None:  # noqa: F811
    del house.world.journal.items[LIVE]
    house.http.serving.clear()
    assert house.walk.run(INPUT)[0] == "SUCCEEDED"
    assert "no release is live" in {gate["found"] for gate in phase_2(house)["gates"]}
