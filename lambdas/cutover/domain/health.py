"""Target health, as the balancer sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

HEALTHY = "healthy"
# A draining target serves out what it has and takes nothing new: it is neither sick nor any use. The targets
# of an instance that was terminated stay registered for a while; the balancer sends them nothing.
GONE = frozenset({"draining"})
TERMINATED = "Target.InvalidState"


@dataclass(frozen=True)
class Target:
    """One registered target. `state` is Elastic Load Balancing's word, `reason` its reason code.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """

    instance: str
    port: int
    state: str
    reason: str = ""


@dataclass(frozen=True)
class Health:
    """How many of the targets that a group counts on are healthy."""

    healthy: int
    total: int
    detail: str = ""

    @property
    def share(self) -> float:
        return self.healthy / self.total if self.total else 0.0

    def __str__(self) -> str:
        return f"{self.healthy} of {self.total} healthy" + (f" ({self.detail})" if self.detail else "")


def health_of(targets: Sequence[Target]) -> Health:
    counted = [target for target in targets if target.state not in GONE and target.reason != TERMINATED]
    sick = Counter(
        f"{target.state}: {target.reason}" if target.reason else target.state
        for target in counted
        if target.state != HEALTHY
    )
    detail = ", ".join(f"{count} {what}" for what, count in sorted(sick.items()))
    return Health(sum(target.state == HEALTHY for target in counted), len(counted), detail)


def instances_of(targets: Sequence[Target]) -> tuple[str, ...]:
    """The instances behind the targets, each once."""
    return tuple(sorted({target.instance for target in targets}))
