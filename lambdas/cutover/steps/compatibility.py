"""The version that still runs has to work with the new schema, before anything of the new one is released.

It serves until the swap, and again after a rollback: the N−1 proof. It is asked as its users ask it, on the
live listener.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.errors import NotReachableError
from cutover.domain.gates import Persona, Subject, closed
from cutover.domain.records import Deployment
from cutover.ports import Clock, Http
from cutover.steps.smoke import Smoke

SUBJECT = Subject("C2", Persona.RELIABILITY)
NAME = "The live release works with the new schema"
WANTED = "its smoke tests pass"
# One answer that was lost on the way is not the schema's doing.
ATTEMPTS, PAUSE_SECONDS = 3, 2.0


def prove_compatible(
    deployment: Deployment,
    live: Mapping[str, Any] | None,
    user: Mapping[str, str],
    port: int,
    *,
    http: Http,
    clock: Clock,
) -> dict[str, Any]:
    """{compatible, gates}. `live` is the plan's: {version, …}, or None on a first deployment, which is said
    in so many words: there is nobody to stay compatible with."""
    if live is None:
        first = SUBJECT.judge(NAME, True, found="no release is live", wanted=f"{WANTED}, where there is one")
        return {"compatible": True, "gates": [first.as_json()]}
    version = str(live["version"])
    gates: list[dict[str, Any]] = []
    for attempt in range(ATTEMPTS):
        if attempt:
            clock.sleep(PAUSE_SECONDS)
        gates = _smoke(version, Smoke(port, deployment.id, version, user, http=http, clock=clock))
        if not closed(gates):
            break
    return {"compatible": not closed(gates), "gates": gates}


def _smoke(version: str, smoke: Smoke) -> list[dict[str, Any]]:
    try:
        found = smoke.run()["gates"]
    except NotReachableError as error:
        return [SUBJECT.judge(NAME, False, found=f"version {version}: {error}", wanted=WANTED).as_json()]
    return [{**gate, "name": f"{version} on the new schema: {gate['name']}"} for gate in found]
