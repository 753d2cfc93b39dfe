"""A look at the environment, walked through with the real handlers over the ports in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.domain.declared import Rule
from cutover.domain.records import LOCK
from tests.contract.scenes import V1
from tests.unit.test_handler_walk import SOURCE, House


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


LOOK = {"environment": "sandbox", "version": "nightly", "mode": "verify"}


def test_a_look_verifies_puts_the_security_groups_right_and_deploys_nothing(house: House) -> None:
    ssh, declared = Rule("tcp", 22, 22, "0.0.0.0/0"), house.doors.groups["securitygroup"]
    house.doors.groups["securitygroup"] = frozenset({ssh})
    status, output = house.walk.run(LOOK)

    assert (status, output) == ("SUCCEEDED", {"deployment": "d2", "status": "VERIFIED", "drift": "restored"})
    assert house.doors.groups["securitygroup"] == declared
    assert (house.formation.effects, house.world.balancer.moves, house.builds) == ([], [], [])
    assert (house.record["status"], house.record["drift"]["status"]) == ("VERIFIED", "restored")
    (phase,) = house.record["phases"]
    assert (phase["name"], phase["verdict"]) == ("Look", "Pass")
    assert house.world.journal.items[LOCK]["holder"] is None
    assert house.world.events.kinds == [
        "DeploymentStarted",
        "PhaseCompleted",
        "DriftFound",
        "EnvironmentVerified",
    ]
    (found,) = [detail for kind, detail in house.world.events.published if kind == "DriftFound"]
    assert {finding["done"] for finding in found["findings"]} == {"closed", "put back"}


def test_a_look_that_finds_nothing_tells_of_no_drift(house: House) -> None:
    status, output = house.walk.run(LOOK)

    assert (status, output["drift"]) == ("SUCCEEDED", "none")
    assert "DriftFound" not in house.world.events.kinds


def unknown_rule(house: House) -> None:
    house.doors.groups["securitygroup"] |= {Rule("tcp", 9999, 9999, "10.0.0.0/8")}


def lost_cluster(house: House) -> None:
    house.resources.found["DBCluster"] = None


@pytest.mark.parametrize(
    ("breaks", "words"),
    [(unknown_rule, "tcp 9999 from 10.0.0.0/8 unknown, left"), (lost_cluster, "there is no dbcluster")],
)
def test_a_look_fails_by_what_it_may_not_put_right(house: House, breaks: Any, words: str) -> None:
    breaks(house)
    status, output = house.walk.run(LOOK)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert words in output["Cause"]
    assert (house.record["status"], house.world.balancer.moves) == ("FAILED", [])
    assert house.world.journal.items[LOCK]["holder"] is None


def test_a_night_with_a_backup_looks_and_does_not_drill(house: House) -> None:
    """Noon in UTC is nine in the evening in Seoul."""
    settings = house.configuration.settings
    settings["drill"] = {**settings["drill"], "nightly": True}
    backup = {"start": "20:00", "end": "23:00"}
    settings["window"] = {
        "enforced": True,
        "zone": "Asia/Seoul",
        "start": "02:00",
        "end": "04:00",
        "backup": backup,
    }
    status, _ = house.walk.run({**LOOK, "mode": "nightly"})

    assert (status, house.started) == ("SUCCEEDED", [])


@pytest.mark.parametrize(
    ("mode", "nightly", "drills"), [("nightly", True, 1), ("nightly", False, 0), ("verify", True, 0)]
)
def test_the_night_drills_after_its_look(house: House, mode: str, nightly: bool, drills: int) -> None:
    house.configuration.settings["drill"] = {**house.configuration.settings["drill"], "nightly": nightly}
    status, output = house.walk.run({**LOOK, "mode": mode})

    assert (status, len(house.started)) == ("SUCCEEDED", drills)
    if drills:
        assert json.loads(house.started[0]["Input"]) == {
            "environment": "sandbox",
            "by": "the night",
            "reason": "d2",
        }
        assert output["drill"] == "arn:d2-drill"
        assert house.world.journal.items[LOCK]["holder"] is None


def test_a_look_waits_for_no_deployment(house: House) -> None:
    house.world.journal.items[LOCK] = {"holder": "d1", "fence": 1, "since": "noon", "execution_arn": "arn:d1"}
    house.executions.under_way.add("arn:d1")

    assert house.walk.run(LOOK)[1]["Error"] == "LockHeldError"


@pytest.mark.parametrize(
    ("release", "ends"), [({"source": SOURCE}, "SUCCEEDED"), ({"image": V1.image}, "VERIFIED")]
)
def test_the_night_deploys_what_is_pending_and_else_looks(
    house: House, release: dict[str, str], ends: str
) -> None:
    status, _ = house.walk.run({"environment": "sandbox", "version": "v2", "mode": "nightly", **release})

    assert (status, house.record["status"]) == ("SUCCEEDED", ends)
