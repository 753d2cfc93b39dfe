"""The board and the evidence in the whole machine, with the real handlers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.domain.evidence import Chain, problems
from cutover.domain.records import evidence_key
from cutover.handlers import evidence, observe
from tests.contract.fakes import BLUE
from tests.unit.test_handler_walk import INPUT, House, slow_service


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


def told(house: House) -> tuple[Chain, dict[str, Any]]:
    """The bus delivers every event, the last one twice and the first one late."""
    published = house.world.events.published
    for kind, detail in [*published, published[-1], published[0]]:
        evidence.handler({"detail-type": kind, "detail": detail}, None)
    chain = Chain.read("d2", house.world.journal.items.get(evidence_key("d2")))
    objects = {k: b for k, b in house.documents.objects.items() if k.startswith("evidence/")}
    assert problems(chain, objects) == []
    return chain, {entry["name"]: entry["content"] for entry in map(json.loads, objects.values())}


def test_a_deployment_is_let_on_by_its_board_and_leaves_its_evidence(house: House) -> None:
    status, _ = house.walk.run(INPUT)
    assert status == "SUCCEEDED"
    assert house.walk.visited.index("Go or no go?") == house.walk.visited.index("Conclude phase 7") + 1
    assert house.record["board"]["verdict"] == "Go"
    assert house.record["board"]["location"] == "s3://artifacts/boards/d2.json"

    _, entries = told(house)
    phases = [name for name in entries if name.startswith("phase ")]
    assert len(phases) == 7
    assert {"input", "plan", "board", "outcome SUCCEEDED"} <= set(entries)
    assert entries["plan"]["document"]["sha256"] == house.record["plan"]["sha256"]
    gates = [gate for name in phases for gate in entries[name]["gates"]]
    (p95,) = (gate for gate in gates if gate.get("measure") == "p95")
    assert p95["evidence"]["value"] > 0
    assert (p95["samples"] > 100, p95["phase"]) == (True, "Perform")
    assert set(entries["outcome SUCCEEDED"]) == {
        "record",
        "recorded_at",
        "timings",
        "alarms",
        "dora",
        "cost",
    }


def test_the_four_keys_are_told_as_metrics_once_the_traffic_has_moved(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.walk.run(INPUT)
    capsys.readouterr()
    told(house)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "DeploymentsPerDay" in line]
    assert {(each["DeploymentsPerDay"], each["ChangeFailureRate"]) for each in lines} == {(1 / 30, 0)}
    assert all(each["LeadTimeSeconds"] > 0 and "TimeToRestoreSeconds" not in each for each in lines)
    units = {m["Name"]: m["Unit"] for m in lines[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert units == {"DeploymentsPerDay": "Count", "LeadTimeSeconds": "Seconds", "ChangeFailureRate": "None"}


def test_a_must_that_nobody_measures_is_no_go_and_moves_no_traffic(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that was left out closes no phase: only the board misses it."""
    house.configuration.settings["gates"] = {"cpu": "must"}
    monkeypatch.setattr(observe, "check_resources", lambda *_, **__: {"gates": [], "complete": True})
    status, output = house.walk.run(INPUT)
    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert (
        "no go. performance: “CPU” (C7b, E2) is inconclusive: found no phase has measured it"
        in output["Cause"]
    )
    assert (house.record["status"], house.record["board"]["verdict"]) == ("FAILED", "No-Go")
    assert house.world.balancer.of["listener"] == BLUE

    _, entries = told(house)
    assert entries["board"]["verdict"] == "No-Go"
    assert "plan" in entries
    assert "outcome FAILED" in entries


def test_a_deployment_that_a_gate_stopped_leaves_its_evidence(house: House) -> None:
    slow_service(house)
    house.walk.run(INPUT)
    chain, entries = told(house)
    assert entries["phase 6 Perform"]["verdict"] == "Fail"
    assert "p95 latency" in entries["outcome FAILED"]["record"]["cause"]
    assert "board" not in entries
    assert [name for name, _ in chain.entries][-1] == "outcome FAILED"


def test_a_bundle_that_can_not_be_written_stops_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the machine calls the evidence function: it only hears."""
    monkeypatch.setattr(house.documents, "add", lambda *_: pytest.fail("the machine wrote evidence"))
    slow_service(house)
    status, _ = house.walk.run(INPUT)
    assert (status, house.record["status"]) == ("FAILED", "FAILED")
