"""Prove the data plane: answers through the balancer carry the new version, N in a row.

A listener that has been modified is not yet a balancer that routes: weights take a moment to reach every
node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.errors import DataPlaneNotProvedError, NotReachableError
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.ports import Clock, Http

PATH = "/api/health"
#: What each service is asked for, under its own name.
PATHS: Mapping[Service, str] = {Service.BACKEND: PATH, Service.FRONTEND: "/config.json"}
VERSION_HEADER = "x-release-version"
PAUSE_SECONDS = 0.1
LONGEST_SECONDS = 90.0
# After a rollback nobody waits for this but the record of it.
GONE_ANSWERS = 20
GONE_SECONDS = 20.0


def prove_each(
    services: Mapping[Service, Http], version: str, answers: int, port: int, *, clock: Clock
) -> dict[str, Any]:
    """The backend's proof, and the frontend's in it: nothing drains before each has been seen."""
    proofs = {
        service: prove(version, answers, port, http=http, clock=clock, path=PATHS[service])
        for service, http in services.items()
    }
    return {**proofs.pop(Service.BACKEND), **{service.value: proof for service, proof in proofs.items()}}


def prove(
    version: str, answers: int, port: int, *, http: Http, clock: Clock, path: str = PATH
) -> dict[str, Any]:
    """{first_answer_at, answers, tries}: the first of the N answers in a row. Each is asked for on a
    connection of its own, so that the balancer decides anew.

    Raises DataPlaneNotProvedError after LONGEST_SECONDS, with the last thing that was seen instead.
    """
    began = clock.monotonic()
    row, tries, first, seen = 0, 0, "", "nothing"
    while clock.monotonic() - began < LONGEST_SECONDS:
        tries += 1
        try:
            answer = http.request("GET", port, path)
            found, seen = (
                answer.headers.get(VERSION_HEADER),
                f"{answer.status} from {answer.headers.get(VERSION_HEADER)}",
            )
        except NotReachableError as error:
            found, seen = None, str(error)
        if found != version:
            row = 0
            clock.sleep(PAUSE_SECONDS)
            continue
        row += 1
        first = text(clock.now()) if row == 1 else first
        if row >= answers:
            return {"first_answer_at": first, "answers": row, "tries": tries, "version": version}
    raise DataPlaneNotProvedError(
        f"{answers} answers in a row of version {version} to {path} were not seen in {tries} tries; "
        f"the last was {seen}"
    )


def see_gone(version: str, port: int, *, http: Http, clock: Clock) -> dict[str, Any]:
    """{last_at, answers}: when the version was last seen, None if it was not, and how many answers of others
    in a row have come since. Raises DataPlaneNotProvedError while it does not go.
    """
    began = clock.monotonic()
    last: str | None = None
    row = 0
    while clock.monotonic() - began < GONE_SECONDS:
        try:
            found = http.request("GET", port, PATH).headers.get(VERSION_HEADER)
        except NotReachableError:
            clock.sleep(PAUSE_SECONDS)
            continue
        if found == version:
            row, last = 0, text(clock.now())
            continue
        row += 1
        if row >= GONE_ANSWERS:
            return {"last_at": last, "answers": row}
    raise DataPlaneNotProvedError(
        f"{GONE_ANSWERS} answers in a row without version {version} were not seen in {GONE_SECONDS:.0f} s"
    )
