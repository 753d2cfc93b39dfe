"""What every load balancer does with weights: the one in memory, and Elastic Load Balancing's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Targets
from cutover.domain.errors import CutoverError, MisconfiguredError
from cutover.ports import LoadBalancer
from tests.contract.fakes import BLUE, GREEN, TARGETS, FakeLoadBalancer


@dataclass(frozen=True)
class Subject:
    balancer: LoadBalancer
    targets: Targets
    register: Callable[[Colour, int], None]


@pytest.fixture(params=["memory", "elasticloadbalancing"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "memory":
        fake = FakeLoadBalancer()
        return Subject(fake, TARGETS, lambda colour, count: fake.populate(colour, healthy=0, sick=count))
    real = request.getfixturevalue("balancer")

    def register(colour: Colour, count: int) -> None:
        here = [{"Id": "127.0.0.1", "Port": 1 + number} for number in range(count)]
        real.client.register_targets(TargetGroupArn=real.targets.of(colour), Targets=here)

    adapter = ElasticLoadBalancer(real.client)
    adapter.set_weights(real.targets.listener_arn, real.targets, BLUE)
    adapter.set_weights(real.targets.test_listener_arn, real.targets, GREEN)
    return Subject(adapter, real.targets, register)


def test_weights_are_read_as_they_are(subject: Subject) -> None:
    assert subject.balancer.weights(subject.targets.listener_arn, subject.targets) == BLUE
    assert subject.balancer.weights(subject.targets.test_listener_arn, subject.targets) == GREEN


@pytest.mark.parametrize("weights", [GREEN, BLUE, Weights(50, 50), Weights(1, 999)])
def test_weights_that_were_set_are_read_again(subject: Subject, weights: Weights) -> None:
    subject.balancer.set_weights(subject.targets.listener_arn, subject.targets, weights)

    assert subject.balancer.weights(subject.targets.listener_arn, subject.targets) == weights
    assert subject.balancer.weights(subject.targets.test_listener_arn, subject.targets) == GREEN


def test_setting_the_same_weights_twice_is_fine(subject: Subject) -> None:
    for _ in range(2):
        subject.balancer.set_weights(subject.targets.listener_arn, subject.targets, GREEN)

    assert subject.balancer.weights(subject.targets.listener_arn, subject.targets) == GREEN


def test_a_blocked_listener_forwards_to_nobody_until_weights_are_set_again(subject: Subject) -> None:
    subject.balancer.block(subject.targets.listener_arn)
    with pytest.raises(MisconfiguredError, match="does not forward"):
        subject.balancer.weights(subject.targets.listener_arn, subject.targets)
    subject.balancer.set_weights(subject.targets.listener_arn, subject.targets, GREEN)

    assert subject.balancer.weights(subject.targets.listener_arn, subject.targets) == GREEN


def test_a_group_without_targets_has_no_health(subject: Subject) -> None:
    assert subject.balancer.health(subject.targets.green) == []


def test_targets_that_nobody_serves_are_not_healthy(subject: Subject) -> None:
    subject.register(Colour.BLUE, 2)
    found = subject.balancer.health(subject.targets.blue)

    assert len(found) == 2
    assert {target.state for target in found} & {"healthy"} == set()


def test_a_stranger_behind_the_listener_is_named(balancer: Any) -> None:
    """Only a listener on AWS can have one."""
    targets = Targets(balancer.targets.listener_arn, "t", "arn:another-blue", balancer.targets.green)
    with pytest.raises(MisconfiguredError, match="targetgroup"):
        ElasticLoadBalancer(balancer.client).weights(balancer.targets.listener_arn, targets)


def test_a_listener_that_is_not_there_is_an_error_of_ours(balancer: Any) -> None:
    unknown = balancer.targets.listener_arn[:-4] + "0000"
    with pytest.raises(CutoverError, match="istener"):
        ElasticLoadBalancer(balancer.client).weights(unknown, balancer.targets)
