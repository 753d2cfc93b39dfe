"""Go or no go? The last look before any traffic moves, over all that the phases found (requirements E1, E2,
E3)."""

from __future__ import annotations

import json
from typing import Any

from cutover.domain.board import Decision, decide_board, refusal
from cutover.domain.errors import GateFailedError
from cutover.domain.measures import Limits
from cutover.domain.records import Deployment
from cutover.domain.times import text
from cutover.ports import Clock, Documents, Events, Journal
from cutover.steps.records import update_record


def key(deployment: str) -> str:
    return f"boards/{deployment}.json"


def decide(
    deployment: Deployment,
    limits: Limits,
    *,
    journal: Journal,
    documents: Documents,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{verdict, location, console}. The board is kept whole under the deployment's id, and without the
    phases' gates, which stand there already, in its record. Raises GateFailedError on No-Go, naming each
    closed gate by its persona.
    """
    record = journal.read(deployment.key) or {}
    board = decide_board(record.get("phases") or [], limits)
    where = key(deployment.id)
    told = {
        "deployment": deployment.id,
        "version": deployment.version,
        "decided_at": text(clock.now()),
        "location": documents.location(where),
        "console": documents.console(where),
    }
    whole = json.dumps({**told, **board}, indent=2, sort_keys=True, ensure_ascii=False)
    documents.keep(where, whole.encode())
    short = {name: board[name] for name in ("verdict", "personas", "rows")}
    update_record(journal, deployment, {"board": {**told, **short}})
    about = {name: told[name] for name in ("deployment", "version", "location", "console")}
    if board["verdict"] != Decision.GO:
        why = refusal(board)
        events.publish("GateFailed", {**about, "phase": None, "gates": board["closed"]})
        raise GateFailedError(f"{why}. The board: {told['console']}")
    events.publish("GoDecided", {**about, "personas": board["personas"]})
    return {"verdict": board["verdict"], "location": told["location"], "console": told["console"]}
