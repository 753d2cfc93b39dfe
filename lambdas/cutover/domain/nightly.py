"""What the night is for: the release that is configured for it while it is not live yet, else a look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cutover.domain.input import Input, Mode
from cutover.domain.records import Live


@dataclass(frozen=True)
class Decision:
    """The mode in which the night's execution goes on, and why."""

    mode: Mode
    reason: str


def decide_night(wanted: Input, live: Live | None, record: Mapping[str, Any] | None) -> Decision:
    """`record` is the journal's of the live deployment: its input tells the source that it was built from."""
    if wanted.image is None and wanted.source is None:
        return Decision(Mode.VERIFY, "nothing is configured to be deployed at night")
    if live is None:
        return Decision(Mode.DEPLOY, "nothing is live yet")
    if wanted.image is not None and wanted.image == live.image:
        return Decision(Mode.VERIFY, f"{wanted.image} is live already, as version {live.version}")
    built_from = ((record or {}).get("input") or {}).get("source")
    if wanted.source is not None and wanted.source == built_from:
        return Decision(Mode.VERIFY, f"{wanted.source} is live already, as version {live.version}")
    return Decision(Mode.DEPLOY, f"what is configured is not live: version {live.version} is")
