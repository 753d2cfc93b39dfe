"""DORA's four keys from the journal, as the status page, the evidence and the metrics tell them."""

from __future__ import annotations

from datetime import datetime, timedelta

from cutover.domain.dora import Change, FourKeys, four_keys
from cutover.domain.records import HISTORY, deployment_key
from cutover.ports import Journal

#: They are of so long a time; where there were more deployments in it, of the time of the last ones.
PERIOD, MOST_DEPLOYMENTS = timedelta(days=30), 50


def dora(journal: Journal, now: datetime) -> FourKeys:
    """The four keys up to `now`."""
    lines = journal.newest(HISTORY, MOST_DEPLOYMENTS)
    records = [journal.read(deployment_key(str(line["id"]))) for line in lines]
    changes = [Change.read(record) for record in records if record and record.get("started")]
    since = now - PERIOD
    if changes and len(lines) == MOST_DEPLOYMENTS:
        since = max(since, min(change.started for change in changes))
    return four_keys(changes, since, now)
