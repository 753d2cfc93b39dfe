"""The candidate: what the journal says of traffic that is being moved, before the listener moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from cutover.domain.colours import Weights
from cutover.domain.environment import Services
from cutover.domain.errors import ConflictError, LockLostError
from cutover.domain.records import LIVE, Candidate, Live, deployment_key
from cutover.domain.services import Service
from cutover.ports import Change, Journal, LoadBalancer
from cutover.steps.records import read_live
from cutover.steps.traffic import move_traffic, takers


def announced(candidate: Candidate, live: Live) -> Change:
    """The change that names it, as long as that release is live."""
    return Change("update", LIVE, {"candidate": asdict(candidate)}, expect=_still(live))


def _still(live: Live) -> dict[str, Any]:
    return {"deployment": live.deployment, "swapped_at": live.swapped_at}


@contextlib.contextmanager
def given_back(
    services: Services, lost: Candidate, *, journal: Journal, balancer: LoadBalancer
) -> Iterator[None]:
    """For what comes after a move to `lost` and needs the lock: where somebody else has taken it meanwhile,
    they have the last word, and the traffic is given back. Raises LockLostError then."""
    try:
        yield
    except LockLostError:
        _give_back(services, lost, journal=journal, balancer=balancer)
        raise


def _give_back(services: Services, lost: Candidate, *, journal: Journal, balancer: LoadBalancer) -> None:
    """The traffic goes where the journal says, unless nobody is healthy there.

    Then users stay where they are, and the journal has it so: as the candidate again, which whoever comes
    next takes back, or as a frontend that stayed behind.
    """
    now = read_live(journal)
    if now is None:
        return
    able = takers(services, now.colour, (), "the traffic", balancer=balancer)
    move_traffic(able, Weights.all_on(now.colour), balancer=balancer)
    if now.colour is lost.colour:
        return
    astray: dict[str, Any] = {}
    pages = services.get(Service.FRONTEND)
    if Service.BACKEND not in able:
        astray = {"candidate": asdict(lost)}
    elif now.frontend is not None and pages is not None and Service.FRONTEND not in able:
        weights = balancer.weights(pages.listener_arn, pages)
        if weights.only is lost.colour and now.frontend.colour is not lost.colour:
            record = journal.read(deployment_key(lost.deployment)) or {}
            astray = {"frontend": now.frontend.left_on(lost.colour, record).item()}
    if astray:
        with contextlib.suppress(ConflictError):  # somebody has moved the traffic since
            expect = {**_still(now), "candidate": None}
            journal.write([Change("update", LIVE, astray, expect=expect)])
