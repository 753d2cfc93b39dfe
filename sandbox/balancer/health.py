"""What the API says of a target's health, from what the proxy knows of it. Pure.

States, reason codes and descriptions:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/check-target-health.html#target-health-reason-codes
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.balancer.proxy import HostHealth


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """One target's state as DescribeTargetHealth answers it."""

    state: str
    reason: str = ""
    description: str = ""


def judge(host: HostHealth | None, *, unhealthy_threshold: int) -> TargetHealth:
    """What the API says of a target, by what the balancer knows of it; None is one it does not know yet."""
    if host is None:
        return TargetHealth("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
    if host.healthy and not host.pending:
        return TargetHealth("healthy")
    if host.pending or (not host.proven and host.failures < unhealthy_threshold):
        return TargetHealth("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
    if host.failure == "NETWORK_TIMEOUT":
        return TargetHealth("unhealthy", "Target.Timeout", "Request timed out")
    if host.failure == "ACTIVE":
        return TargetHealth(
            "unhealthy",
            "Target.ResponseCodeMismatch",
            f"Health checks failed with these codes: [{host.status}]",
        )
    return TargetHealth("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
