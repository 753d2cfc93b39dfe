"""A deployment that is bound to a plan: an execution that finds anything else refuses by name, untouched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cutover.domain.colours import Weights
from cutover.domain.records import LOCK, image_key
from cutover.handlers import plan
from cutover.ports import ImageScan
from tests.contract.fakes import OUTPUTS
from tests.contract.scenes import DIGEST
from tests.unit.test_handler_walk import FILES, INPUT, SOURCE, House

OTHER = f"sha256:{'3' * 64}"
PROMOTED = {"environment": "sandbox", "version": "v2", "image": DIGEST}
Break = Callable[[House], None]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(monkeypatch)
    made.registry.tags["other"] = OTHER
    for image in (DIGEST, OTHER):
        made.world.journal.items[image_key(image)] = {"source": SOURCE}
    return made


def planned(house: House, name: str, request: dict[str, Any]) -> dict[str, Any]:
    status, output = house.another(name).run({**request, "mode": "plan"})
    assert status == "SUCCEEDED", output
    return output


def template(name: str) -> Break:
    """Something that CloudFormation sees, too, so that its changes are others as well."""

    def change(house: House) -> None:
        resources = house.formation.stacks[name].wanted["Resources"]
        resources["New"] = {"Type": "AWS::EC2::VPC", "Properties": {}}

    return change


def migration(house: House) -> None:
    wider = FILES["indexes.json"].replace(b"email_unique", b"by_email")
    plan.wiring().sources.files = {**FILES, "indexes.json": wider}  # type: ignore[attr-defined]


def frontend_weights(house: House) -> None:
    house.world.balancer.of[OUTPUTS["FrontendRuleArn"]] = Weights(50, 50)


def configuration(house: House) -> None:
    house.configuration.settings["poll_seconds"] = 2


def nothing(house: House) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "asked", "names"),
    [
        (template("network"), {}, "template network, changes network"),
        (template("data"), {}, "template data, changes data"),
        (template("service"), {}, "template service, changes service"),
        (template("monitoring"), {}, "template monitoring, changes monitoring"),
        (migration, {}, "migrations"),
        (nothing, {"image": OTHER}, "image"),
        (frontend_weights, {}, "weights frontend"),
        (configuration, {}, "configuration"),
        (nothing, {"allow_destructive": ["Database"]}, "destructive permission"),
        (nothing, {"settings": {"LOG_LEVEL": "DEBUG"}}, "settings"),
        (nothing, {"version": "v3"}, "version"),
    ],
)
def test_an_execution_that_finds_another_input_refuses_by_its_name_and_touches_nothing(
    house: House, change: Break, asked: dict[str, Any], names: str
) -> None:
    digest = planned(house, "p1", PROMOTED)["sha256"]
    change(house)
    before = dict(house.world.balancer.of)
    status, output = house.walk.run({**PROMOTED, **asked, "plan": digest})

    assert (status, output["Error"]) == ("FAILED", "PlanChangedError")
    assert f"changed since: {names}. " in output["Cause"]
    # CloudFormation may be told where traffic is: an update that changes nothing.
    assert all(name == "cutover-d2-weights" for _, name in house.formation.executed)
    assert house.formation.unexecuted == []
    assert (house.world.balancer.of, house.world.balancer.moves) == (before, [])
    assert (house.builds, house.world.commands.sent) == ([], [])
    assert house.world.journal.items[LOCK]["holder"] is None


def test_weights_that_no_deployment_set_are_refused_before_plans_are_compared(house: House) -> None:
    digest = planned(house, "p1", PROMOTED)["sha256"]
    house.world.balancer.of["listener"] = Weights(0, 100)
    status, output = house.walk.run({**PROMOTED, "plan": digest})

    assert (status, output["Error"]) == ("FAILED", "MisconfiguredError")
    assert "the listener has blue 0, green 100, which no deployment did" in output["Cause"]
    assert house.world.balancer.moves == []
    assert (house.builds, house.world.commands.sent) == ([], [])
    assert house.world.journal.items[LOCK]["holder"] is None


def test_two_plans_with_nothing_changed_have_one_digest(house: House) -> None:
    assert planned(house, "p1", INPUT)["sha256"] == planned(house, "p2", INPUT)["sha256"]


def test_what_was_planned_is_executed(house: House) -> None:
    digest = planned(house, "p1", PROMOTED)["sha256"]
    status, output = house.walk.run({**PROMOTED, "plan": digest})

    assert (status, output["image"]) == ("SUCCEEDED", DIGEST)
    assert house.record["plan"]["sha256"] == digest


def test_a_plan_says_that_the_scan_gate_would_block_and_the_gate_does(house: House) -> None:
    house.registry.scans = [ImageScan("COMPLETE", counts={"CRITICAL": 1})]
    document = planned(house, "p1", PROMOTED)
    status, output = house.walk.run({**PROMOTED, "plan": document["sha256"]})

    assert document["image"]["scan"]["blocks"] is True
    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
