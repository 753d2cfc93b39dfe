"""Every move of traffic is a move of all services: they are on the same colour, or about to be."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cutover.domain.colours import Weights
from cutover.domain.errors import UnhealthyTargetsError
from cutover.domain.health import health_of

if TYPE_CHECKING:  # the rollback waits for none of them
    from cutover.domain.colours import Colour
    from cutover.domain.environment import Services
    from cutover.domain.services import Service
    from cutover.ports import LoadBalancer


def move_traffic(services: Services, weights: Weights, *, balancer: LoadBalancer) -> None:
    """Give the live listener and the rules these weights, side by side: no service waits for another's call.

    Each is tried, whatever becomes of the others; then the first error is raised. Run again, it sets the
    same.
    """
    each = list(services.values())
    if not each:
        return
    if len(each) == 1:
        balancer.set_weights(each[0].listener_arn, each[0], weights)
        return
    with ThreadPoolExecutor(len(each)) as pool:
        moves = [
            pool.submit(balancer.set_weights, targets.listener_arn, targets, weights) for targets in each
        ]
    for move in moves:
        move.result()


def takers(
    services: Services,
    colour: Colour,
    needed: Collection[Service],
    what: str,
    *,
    balancer: LoadBalancer,
) -> Services:
    """The services that `colour` can take `what` of: those that are needed, and any other that has a healthy
    target there. One that was never released has none, and its rule stays as it is.

    Raises UnhealthyTargetsError, naming the service, when a needed one has no healthy target.
    """
    able = {}
    for service, targets in services.items():
        health = health_of(balancer.health(targets.of(colour)))
        if health.healthy > 0:
            able[service] = targets
        elif service in needed:
            raise UnhealthyTargetsError(
                f"{colour} can't take {what} of the {service}: {health}; the listener was not touched"
            )
    return able


def aim(services: Services, colour: Colour, *, balancer: LoadBalancer) -> None:
    """The test listener and its rules forward to the colour."""
    wanted = Weights.all_on(colour)
    for targets in services.values():
        if balancer.weights(targets.test_listener_arn, targets) != wanted:
            balancer.set_weights(targets.test_listener_arn, targets, wanted)


def elsewhere(services: Services, colour: Colour, *, balancer: LoadBalancer) -> Services:
    """Those that do not send everything to the colour."""
    wanted = Weights.all_on(colour)
    return {
        service: targets
        for service, targets in services.items()
        if balancer.weights(targets.listener_arn, targets) != wanted
    }
