"""Who may change an environment: one deployment at a time, each with a fencing token higher than the last."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Lock:
    """What a writer presents: it must still be the holder, with this very token."""

    holder: str
    fence: int


@dataclass(frozen=True)
class LockRecord:
    """The lock as the journal has it. `holder` is None while it is free; the fence never goes back."""

    holder: str | None
    fence: int
    since: str
    execution_arn: str | None


class Claim(StrEnum):
    """What a deployment that asks for the lock does about it."""

    TAKE = "take"
    KEEP = "keep"
    TAKE_OVER = "take over"
    REFUSE = "refuse"


@dataclass(frozen=True)
class ClaimDecision:
    claim: Claim
    reason: str


def decide_claim(lock: LockRecord | None, deployment: str, holder_runs: bool) -> ClaimDecision:
    """`holder_runs`: does the holder's execution still run? Asked only when somebody else holds the lock."""
    if lock is None or lock.holder is None:
        return ClaimDecision(Claim.TAKE, "the lock is free")
    if lock.holder == deployment:
        return ClaimDecision(Claim.KEEP, "this deployment holds the lock already")
    if holder_runs:
        return ClaimDecision(Claim.REFUSE, f"deployment {lock.holder} holds the lock and runs")
    return ClaimDecision(
        Claim.TAKE_OVER, f"the execution of deployment {lock.holder} ended without unlocking"
    )
