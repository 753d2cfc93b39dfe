"""All that a rollback decides by, read side by side: the one wait before the traffic moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cutover.domain.environment import Services, Targets
from cutover.domain.errors import MisconfiguredError
from cutover.domain.health import Health, health_of
from cutover.domain.records import LIVE, Live, colour_key
from cutover.domain.rollback import Follower
from cutover.domain.services import Service
from cutover.steps.aftermath import World, attempt

if TYPE_CHECKING:
    from cutover.domain.colours import Colour, Weights
    from cutover.ports import Journal, LoadBalancer


@dataclass(frozen=True)
class Reading:
    """What was found out. `frontend` is None where there is none to move."""

    live: Live | None
    journal_readable: bool
    weights: Weights | None
    edited: str | None
    health: Health | None
    standing: str | None
    frontend: Follower | None = None
    problems: tuple[str, ...] = field(default=())


def read(services: Services, other: Colour, world: World) -> Reading:
    """Listener and rule, the other colour's health, what is live and what stands there: at the same time, and
    each may fail alone."""
    balancer, problems = world.balancer, list[str]()
    with ThreadPoolExecutor(2 * len(services) + 2) as pool:
        asked = {
            service: (
                pool.submit(_listener, balancer, targets),
                pool.submit(_health, balancer, targets.of(other)),
            )
            for service, targets in services.items()
        }
        # Made while those are on their way, and in this thread: making clients is not safe in several.
        journal = world.journal
        live = pool.submit(read_live, journal)
        line = pool.submit(journal.read, colour_key(other))
        found_live = attempt("read the journal", problems, live.result)
        found_line = attempt("read the journal", problems, line.result)
        readable = not problems
        seen = {}
        for service, (listener, health) in asked.items():
            of = "" if service is Service.BACKEND else f" of the {service}"
            weights, edited = attempt(f"read the listener{of}", problems, listener.result) or (None, None)
            found = attempt(f"read the target health{of}", problems, health.result)
            seen[service] = Follower(weights, found, edited)
    backend = seen[Service.BACKEND]
    return Reading(
        live=found_live,
        journal_readable=readable,
        weights=backend.weights,
        edited=backend.edited,
        health=backend.health,
        standing=str(found_line["deployment"]) if found_line else None,
        frontend=seen.get(Service.FRONTEND),
        problems=tuple(problems),
    )


def read_live(journal: Journal) -> Live | None:
    """As cutover.steps.records has it, which writes too and so imports more."""
    item = journal.read(LIVE)
    return Live.read(item) if item else None


def _health(balancer: LoadBalancer, target_group: str) -> Health:
    return health_of(balancer.health(target_group))


def _listener(balancer: LoadBalancer, targets: Targets) -> tuple[Weights | None, str | None]:
    """The weights, or why they are none that a deployment can have set."""
    try:
        return balancer.weights(targets.listener_arn, targets), None
    except MisconfiguredError as error:
        return None, str(error)
