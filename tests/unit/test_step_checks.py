"""Monitoring, security and smoke: every gate, open and closed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.alarms import alarm_names
from cutover.domain.colours import Colour
from cutover.domain.errors import NotReachableError
from cutover.domain.gates import closed
from cutover.ports import Alarm, IngressRule
from cutover.steps.monitoring import check_monitoring
from cutover.steps.network_security import check_network
from cutover.steps.smoke import ITEMS, Smoke
from tests.contract.fake_http import FakeHttp
from tests.contract.fakes import NOON, FakeAlarms, FakeClock, FakeNetwork
from tests.contract.scenes import DEPLOYMENT, ENVIRONMENT, alarm_event

SMOKE_USER = {"email": "smoke@example.com", "password": "right"}


def verdicts(answer: dict[str, Any]) -> dict[str, str]:
    return {gate["name"]: gate["verdict"] for gate in answer["gates"]}


def guards(colour: Colour = Colour.GREEN, description: str | None = None) -> list[Alarm]:
    note = description or alarm_event(colour)["detail"]["configuration"]["description"]
    return [Alarm(name, "OK", NOON, note) for name in alarm_names("sandbox", Colour.GREEN)]


def monitored(alarms: FakeAlarms) -> dict[str, str]:
    return verdicts(check_monitoring(DEPLOYMENT, ENVIRONMENT, Colour.GREEN, "dashboard", alarms=alarms))


def test_the_five_alarms_three_fast_ones_and_a_dashboard_guard_a_release() -> None:
    found = monitored(FakeAlarms(*guards()))
    assert len(found) == 9
    assert set(found.values()) == {"Pass"}


def test_an_alarm_that_stands_already_guards_nothing() -> None:
    """An alarm sends an event when it changes: one that is in ALARM before the swap has nothing left to say."""
    first, *others = guards()
    alarms = FakeAlarms(replace(first, state="ALARM"), *others)
    answer = check_monitoring(DEPLOYMENT, ENVIRONMENT, Colour.GREEN, "dashboard", alarms=alarms)
    assert not answer["quiet"]
    assert verdicts(answer)[f"Alarm {first.name}"] == "Fail"
    assert list(verdicts(answer).values()).count("Fail") == 1


def test_alarms_without_data_are_quiet() -> None:
    alarms = FakeAlarms(*(replace(alarm, state="INSUFFICIENT_DATA") for alarm in guards()))
    answer = check_monitoring(DEPLOYMENT, ENVIRONMENT, Colour.GREEN, "dashboard", alarms=alarms)
    assert answer["quiet"]
    assert closed(answer["gates"]) == []


def test_a_fast_alarm_without_data_is_inconclusive_for_its_metrics_never_pause() -> None:
    alarms = FakeAlarms(*(replace(alarm, state="INSUFFICIENT_DATA") for alarm in guards()))
    told = {name: verdict for name, verdict in monitored(alarms).items() if "-fast-" in name}
    assert list(told.values()) == ["Inconclusive"] * 3


def test_a_missing_alarm_closes_its_gate() -> None:
    found = monitored(FakeAlarms(*guards()[1:]))
    assert [name for name, verdict in found.items() if verdict == "Fail"] == [
        "Alarm cutover-sandbox-backend-green-errors"
    ]


@pytest.mark.parametrize("wrong", [guards(Colour.BLUE), guards(description="written by hand")])
def test_an_alarm_that_knows_not_where_to_roll_back_to_closes_its_gate(wrong: list[Alarm]) -> None:
    assert list(monitored(FakeAlarms(*wrong)).values()).count("Fail") == 8


@pytest.mark.parametrize("body", [None, "{}", '{"widgets": []}', "not JSON"])
def test_a_dashboard_that_shows_nothing_closes_its_gate(body: str | None) -> None:
    assert monitored(FakeAlarms(*guards(), dashboard=body))["Dashboard dashboard"] == "Fail"


def rule(first: int, last: int, *sources: str, protocol: str = "tcp") -> IngressRule:
    return IngressRule("group", protocol, first, last, sources)


DECLARED = [
    rule(443, 443, "0.0.0.0/0", "::/0"),
    rule(8443, 8443, "10.1.0.0/16"),
    rule(8000, 8002, "sg-balancer"),
    rule(27017, 27017, "sg-backend"),
    rule(6379, 6379, "sg-backend"),
]


def test_the_declared_doors_are_fine() -> None:
    assert set(verdicts(check_network(ENVIRONMENT, network=FakeNetwork(*DECLARED))).values()) == {"Pass"}


@pytest.mark.parametrize(
    ("opened", "closed"),
    [
        (
            rule(22, 22, "0.0.0.0/0"),
            {"No SSH from anywhere", "Only the service's ports are open to the world"},
        ),
        (rule(0, 65535, "::/0"), {"No SSH from anywhere", "Only the service's ports are open to the world"}),
        (
            rule(0, 65535, "0.0.0.0/0", protocol="-1"),
            {"No SSH from anywhere", "Only the service's ports are open to the world"},
        ),
        (rule(8443, 8443, "0.0.0.0/0"), {"Only the service's ports are open to the world"}),
        (rule(27017, 27017, "0.0.0.0/0"), {"Only the service's ports are open to the world"}),
        (rule(22, 22, "10.1.0.0/16"), {"Only the declared ports are open inside"}),
        (rule(8000, 8003, "sg-balancer"), {"Only the declared ports are open inside"}),
        (rule(0, 65535, "sg-x", protocol="-1"), {"Only the declared ports are open inside"}),
        (rule(8000, 8000, "sg-x", protocol="udp"), {"Only the declared ports are open inside"}),
    ],
)
def test_a_door_that_was_not_declared_closes_its_gate(opened: IngressRule, closed: set[str]) -> None:
    found = verdicts(check_network(ENVIRONMENT, network=FakeNetwork(*DECLARED, opened)))
    assert {name for name, verdict in found.items() if verdict == "Fail"} == closed


def test_no_rules_at_all_are_no_data() -> None:
    assert set(verdicts(check_network(ENVIRONMENT, network=FakeNetwork())).values()) == {"Inconclusive"}


def smoke(http: FakeHttp, user: dict[str, str] | None = None, version: str = "v1") -> dict[str, str]:
    return verdicts(
        Smoke(8443, "d2", version, user or SMOKE_USER, http=http, clock=http.clock or FakeClock()).run()
    )


def test_a_service_that_works_passes_every_smoke_test() -> None:
    found = smoke(FakeHttp("v1"))
    assert set(found) == {name for names in ITEMS.values() for name in names}
    assert set(found.values()) == {"Pass"}


@pytest.mark.parametrize(
    ("fault", "gates"),
    [
        ("redis", {"Detailed health", "A list comes from the cache"}),
        ("forgets", {"An evaluation is written and read back"}),
        ("spoils files", {"A file goes up and comes down the same"}),
        ("open door", {"No token, no evaluations", "A forged token is refused"}),
    ],
)
def test_each_fault_is_seen_by_its_own_smoke_test(fault: str, gates: set[str]) -> None:
    found = smoke(FakeHttp("v1", [fault]))
    assert {name for name, verdict in found.items() if verdict != "Pass"} == gates


def test_a_login_that_is_refused_for_others_is_tried_again_when_it_is_let_in() -> None:
    http = FakeHttp("v1", clock=FakeClock())
    for _ in range(5):
        http.request("POST", 8443, "/api/auth/login", json={})

    assert smoke(http)["Login"] == "Pass"


def test_another_version_behind_the_test_listener_is_seen() -> None:
    assert smoke(FakeHttp("v1"), version="v2")["Detailed health"] == "Fail"


def test_without_a_token_what_needs_one_is_inconclusive() -> None:
    found = smoke(FakeHttp("v1"), {**SMOKE_USER, "password": "wrong"})
    assert found["Login"] == "Fail"
    assert found["A file goes up and comes down the same"] == "Inconclusive"


def test_a_service_that_does_not_answer_is_tried_again() -> None:
    with pytest.raises(NotReachableError):
        smoke(FakeHttp(faults=["dead"]))
