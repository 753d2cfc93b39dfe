"""Every move of traffic is one of all services."""

from __future__ import annotations

import threading

import pytest

from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Targets
from cutover.domain.errors import NotReachableError, UnhealthyTargetsError
from cutover.domain.services import Service
from cutover.steps.traffic import move_traffic, takers
from tests.contract.fakes import GREEN, TARGETS, FakeLoadBalancer
from tests.contract.scenes import ENVIRONMENT

RULE = ENVIRONMENT.frontend_targets.listener_arn
BOTH = ENVIRONMENT.services


class Side(FakeLoadBalancer):
    """Each change is only made once both are asked for: one that waited for the other would wait for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._together = threading.Barrier(2, timeout=10)

    def set_weights(self, listener: str, targets: Targets, weights: Weights) -> None:
        self._together.wait()
        super().set_weights(listener, targets, weights)


def test_the_services_are_moved_side_by_side() -> None:
    balancer = Side()
    move_traffic(BOTH, GREEN, balancer=balancer)
    assert (balancer.of[TARGETS.listener_arn], balancer.of[RULE]) == (GREEN, GREEN)


@pytest.mark.parametrize("broken", [TARGETS.listener_arn, RULE])
def test_a_service_that_can_not_be_moved_does_not_keep_the_other_one(broken: str) -> None:
    balancer = FakeLoadBalancer()
    balancer.unreadable.add(broken)
    with pytest.raises(NotReachableError):
        move_traffic(BOTH, GREEN, balancer=balancer)

    moved = {listener for listener, _ in balancer.moves}
    assert moved == {TARGETS.listener_arn, RULE} - {broken}


def test_a_needed_service_without_a_healthy_target_is_named() -> None:
    balancer = FakeLoadBalancer()
    balancer.populate(Colour.GREEN, healthy=6)
    with pytest.raises(UnhealthyTargetsError, match="green can't take the traffic of the frontend: 0 of 0"):
        takers(BOTH, Colour.GREEN, frozenset(Service), "the traffic", balancer=balancer)


def test_a_frontend_that_was_never_released_stays_out_of_it() -> None:
    balancer = FakeLoadBalancer()
    balancer.populate(Colour.GREEN, healthy=6)
    able = takers(BOTH, Colour.GREEN, {Service.BACKEND}, "the traffic", balancer=balancer)
    assert set(able) == {Service.BACKEND}


def test_a_frontend_that_has_a_healthy_target_goes_along() -> None:
    balancer = FakeLoadBalancer()
    for service in Service:
        balancer.populate(Colour.GREEN, healthy=2, service=service)
    able = takers(BOTH, Colour.GREEN, {Service.BACKEND}, "the traffic", balancer=balancer)
    assert set(able) == set(Service)
