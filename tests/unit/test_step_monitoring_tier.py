"""The monitoring tier's rollout, and what Prometheus says of a release."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cutover.domain.colours import Colour
from cutover.domain.gates import closed
from cutover.domain.records import MONITORING
from cutover.domain.seen import QUERIES
from cutover.ports import Group, Invocation
from cutover.steps.roll_out_monitoring import not_running, roll_out_monitoring
from cutover.steps.see_release import see_release
from stacks.environment.tier.grafana import DASHBOARD
from tests.contract.fakes import FakeAddresses, FakeInstances, FakeMetrics, FakeWorld
from tests.contract.provisioning import FULL
from tests.contract.scenes import DEPLOYMENT, ENVIRONMENT, locked
from tests.unit.test_step_checks import verdicts

HOST, OTHERS = "i-7", ("i-1", "i-2", "i-3", "i-4", "i-5", "i-6")


class Tier:
    """A world with a deployment under way; `deployment` and `must` may be changed between two calls."""

    def __init__(self) -> None:
        self.world = FakeWorld()
        self.instances, self.addresses = FULL, FakeAddresses()
        self.deployment, self.must = DEPLOYMENT, True
        self.environment = ENVIRONMENT
        locked(self.world.journal)

    def step(self) -> dict[str, Any]:
        return roll_out_monitoring(
            self.deployment,
            self.environment,
            Colour.GREEN,
            self.must,
            journal=self.world.journal,
            instances=self.instances,
            addresses=self.addresses,
            commands=self.world.commands,
            clock=self.world.clock,
        )

    def settle(self) -> dict[str, Any]:
        for _ in range(5):
            answer = self.step()
            if answer["status"] == "settled":
                return answer
        raise AssertionError(f"never settled: {answer}")

    def lack(self, instance: str, *services: str) -> None:
        text = f"monitoring: not running: {' '.join(services)}\n"
        self.world.commands.rolled_out[instance] = Invocation(instance, "Failed", text)


@pytest.fixture
def tier() -> Tier:
    return Tier()


def test_one_command_goes_to_the_host_and_to_every_instance(tier: Tier) -> None:
    answer = tier.settle()
    ((instances, parameters),) = tier.world.commands.rollouts
    assert instances == (HOST, *OTHERS)
    assert parameters == {"Deployment": DEPLOYMENT.id, "Host": HOST, "Address": "10.1.10.7"}
    assert verdicts(answer) == {"The monitoring tier runs": "Pass"}
    assert (answer["address"], answer["containers"]) == ("10.1.10.7", 6)


def test_what_is_there_already_is_not_brought_again(tier: Tier) -> None:
    tier.settle()
    tier.world.clock.sleep(86400)
    assert verdicts(tier.settle()) == {"The monitoring tier runs": "Pass"}
    assert len(tier.world.commands.rollouts) == 1


def test_a_changed_file_a_new_host_and_a_new_instance_bring_it_again(tier: Tier) -> None:
    tier.settle()
    tier.environment = replace(ENVIRONMENT, monitoring_digest="d2")
    tier.settle()
    tier.instances = FakeInstances(**{**names(FULL), "monitoring": Group(["i-8"], 1)})
    tier.settle()
    tier.instances = FakeInstances(**{**names(FULL), "backend-blue": Group(["i-1", "i-9"], 2)})
    tier.settle()
    assert len(tier.world.commands.rollouts) == 4


def names(instances: FakeInstances) -> dict[str, Group]:
    return dict(instances.groups)


def test_services_that_cannot_be_had_are_named_and_prometheus_is_asked_all_the_same(tier: Tier) -> None:
    tier.lack(HOST, "grafana", "kibana")
    tier.lack("i-1", "filebeat")
    tier.lack("i-2", "filebeat")
    answer = tier.settle()
    (gate,) = answer["gates"]
    assert (gate["verdict"], gate["must"]) == ("Fail", True)
    assert gate["found"] == "not running: grafana, kibana, filebeat (2 instances)"
    assert answer["address"] == "10.1.10.7"


def test_without_a_prometheus_nobody_is_asked_and_the_reason_is_told(tier: Tier) -> None:
    tier.lack(HOST, "prometheus", "grafana")
    answer = tier.settle()
    assert answer["address"] == ""
    assert answer["absent"] == "no Prometheus runs: not running: prometheus, grafana"


def test_a_rollout_that_says_nothing_clear_is_told_with_its_last_words(tier: Tier) -> None:
    tier.world.commands.rolled_out[HOST] = Invocation(HOST, "TimedOut", "pulling…")
    (gate,) = tier.settle()["gates"]
    assert (gate["verdict"], gate["found"]) == ("Fail", "i-7 TimedOut: pulling…")


def test_a_failed_rollout_is_tried_again_at_once_where_it_is_a_must(tier: Tier) -> None:
    tier.lack(HOST, "grafana")
    tier.settle()
    tier.settle()
    assert len(tier.world.commands.rollouts) == 1, "not again by the same deployment"
    tier.deployment = another()
    locked(tier.world.journal, tier.deployment)
    tier.world.commands.rolled_out.clear()
    assert closed(tier.settle()["gates"]) == []
    assert len(tier.world.commands.rollouts) == 2


def test_and_after_a_quarter_of_an_hour_where_it_is_not(tier: Tier) -> None:
    tier.must = False
    tier.lack(HOST, "grafana")
    tier.settle()
    tier.deployment = another()
    locked(tier.world.journal, tier.deployment)
    (gate,) = tier.settle()["gates"]
    assert (gate["verdict"], gate["must"], len(tier.world.commands.rollouts)) == ("Fail", False, 1)
    tier.world.clock.sleep(timedelta(minutes=16).total_seconds())
    tier.settle()
    assert len(tier.world.commands.rollouts) == 2


def another() -> Any:
    return replace(DEPLOYMENT, id="d-next")


def test_without_a_host_every_gate_is_inconclusive(tier: Tier) -> None:
    tier.instances = FakeInstances(**{**names(FULL), "monitoring": Group([], 1)})
    answer = tier.settle()
    assert verdicts(answer) == {"The monitoring tier runs": "Inconclusive"}
    assert (answer["address"], "no instance in service" in answer["absent"]) == ("", True)
    tier.instances = FULL
    tier.addresses.gone.add(HOST)
    assert verdicts(tier.settle()) == {"The monitoring tier runs": "Inconclusive"}


def test_an_instance_that_has_not_reported_is_waited_for(tier: Tier) -> None:
    tier.world.commands.unmanaged = True
    assert tier.step()["status"] == "waiting"
    assert MONITORING not in tier.world.journal.items
    tier.world.commands.unmanaged = False
    tier.settle()


def test_a_command_that_never_ends_is_given_up(tier: Tier) -> None:
    tier.step()
    tier.world.commands.rolled_out[HOST] = Invocation(HOST, "InProgress")
    assert tier.step()["found"] == "ended on 6 of 7 instances"
    tier.world.clock.sleep(timedelta(minutes=26).total_seconds())
    (gate,) = tier.settle()["gates"]
    assert (gate["verdict"], gate["found"]) == ("Fail", "ended on 6 of 7 instances in 0:25:00")


def test_a_step_that_died_after_sending_finds_its_command_when_it_was_written_down(tier: Tier) -> None:
    tier.step()
    assert tier.world.journal.items[MONITORING]["command"] == "rollout-1"
    tier.settle()
    assert len(tier.world.commands.rollouts) == 1


def test_only_the_scripts_own_line_names_services() -> None:
    assert not_running("x\nmonitoring: not running: a b\ny") == ["a", "b"]
    assert not_running("not running: a") == []


# ---- what Prometheus says ------------------------------------------------------------------------------------


def seen(metrics: FakeMetrics | None, *, must: bool = True) -> dict[str, Any]:
    return see_release(Colour.GREEN, 6, must, metrics=metrics, absent="no Prometheus runs")


def test_a_release_that_prometheus_sees_opens_four_gates() -> None:
    metrics = FakeMetrics()
    answer = seen(metrics)
    assert list(verdicts(answer).values()) == ["Pass"] * 4
    assert answer["seen"] is True
    assert len(metrics.asked) == 1 + len(QUERIES)


@pytest.mark.parametrize("query", ["histogram_quantile", "sum by (colour) (rate"])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_no_data_is_inconclusive_and_never_a_pass(query: str, value: float | None) -> None:
    metrics = FakeMetrics()
    metrics.answers[query] = value
    answer = seen(metrics)
    assert answer["seen"] is False
    assert "Inconclusive" in verdicts(answer).values()
    assert "Fail" not in verdicts(answer).values()
    assert closed(answer["gates"])


def test_data_of_the_other_colour_alone_is_none() -> None:
    class Blue(FakeMetrics):
        def query(self, expression: str) -> Any:
            return [each for each in super().query(expression) if each.labels["colour"] == "blue"]

    assert set(verdicts(seen(Blue())).values()) == {"Inconclusive"}


def test_a_container_that_is_not_scraped_closes_its_gate() -> None:
    answer = seen(FakeMetrics(containers=5))
    assert verdicts(answer)["Prometheus scrapes green"] == "Fail"
    assert answer["gates"][0]["found"] == "5 of 6 answer"


def test_nobody_there_is_inconclusive_everywhere_with_the_reason() -> None:
    unreachable = FakeMetrics()
    unreachable.reachable = False
    for answer, why in ((seen(unreachable), "connection refused"), (seen(None), "no Prometheus runs")):
        assert set(verdicts(answer).values()) == {"Inconclusive"}
        assert all(why in gate["found"] for gate in answer["gates"])
        assert len(closed(answer["gates"])) == 4


def test_where_it_is_a_should_it_is_told_and_closes_nothing() -> None:
    answer = seen(None, must=False)
    assert closed(answer["gates"]) == []
    assert set(verdicts(answer).values()) == {"Inconclusive"}


def test_the_queries_are_those_of_the_dashboard_that_grafana_has() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    shown = {panel["title"]: panel["targets"][0]["expr"] for panel in panels}
    assert {title: shown[title] for title in QUERIES} == {
        title: query for title, (query, _) in QUERIES.items()
    }
