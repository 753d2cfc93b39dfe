"""The new release beside the one that is live, under the same load at the same time (requirement C6a)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.aim import Aim
from cutover.domain.judge import Requirements, gates_of, judge, not_compared
from cutover.domain.load_plan import halved, read_scenarios
from cutover.ports import Load
from cutover.steps.load_session import Session


def compare_releases(
    live_version: str | None,
    wanted: Mapping[str, Any],
    *,
    aim: Aim,
    ports: tuple[int, int],
    deployment: str,
    load: Load,
    session: Session,
) -> dict[str, Any]:
    """{gates}: two, or why there is nothing to compare with. `ports` are the test listener's and the live
    one's."""
    if not live_version:
        gates = not_compared("there is no live release yet to compare with: this is the first")
        return {"gates": [gate.as_json() for gate in gates]}
    settings, (new_port, old_port) = wanted["judge"], ports
    filled = {**session.user, "deployment": deployment}
    blocks = load.pair(
        new_port=new_port,
        old_port=old_port,
        scenarios=halved(read_scenarios(wanted["scenarios"], aim.name, filled, session.token(new_port))),
        rate=float(settings["requests_per_second"]),
        users=int(settings["users"]),
        seconds=float(settings["seconds"]),
        block_seconds=float(settings["block_seconds"]),
    )
    requirements = Requirements.read(settings)
    gates = gates_of(judge(blocks, requirements), requirements)
    return {"gates": [gate.as_json() for gate in gates]}
