"""What the API says of a target.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/check-target-health.html#target-health-reason-codes
"""

from __future__ import annotations

import pytest

from sandbox.balancer.health import judge
from sandbox.balancer.proxy import HostHealth


@pytest.mark.parametrize(
    ("host", "state", "reason"),
    [
        (None, "initial", "Elb.RegistrationInProgress"),
        (HostHealth(healthy=False, pending=True), "initial", "Elb.InitialHealthChecking"),
        (HostHealth(healthy=True, pending=True), "initial", "Elb.InitialHealthChecking"),
        (HostHealth(healthy=True, pending=False), "healthy", ""),
        (HostHealth(healthy=True, pending=False, failures=9, failure="ACTIVE"), "healthy", ""),
        (
            HostHealth(healthy=False, pending=False, failures=1, failure="NETWORK"),
            "initial",
            "Elb.InitialHealthChecking",
        ),
        (
            HostHealth(healthy=False, pending=False, failures=2, failure="NETWORK"),
            "unhealthy",
            "Target.FailedHealthChecks",
        ),
        (
            HostHealth(healthy=False, pending=False, proven=True, failures=1, failure="NETWORK"),
            "unhealthy",
            "Target.FailedHealthChecks",
        ),
        (
            HostHealth(healthy=False, pending=False, failures=2, failure="NETWORK_TIMEOUT"),
            "unhealthy",
            "Target.Timeout",
        ),
        (
            HostHealth(healthy=False, pending=False, failures=5, failure="ACTIVE", status=503),
            "unhealthy",
            "Target.ResponseCodeMismatch",
        ),
    ],
)
def test_a_targets_state_and_reason(host: HostHealth | None, state: str, reason: str) -> None:
    found = judge(host, unhealthy_threshold=2)
    assert (found.state, found.reason) == (state, reason)


def test_a_wrong_answer_is_named_by_its_code() -> None:
    host = HostHealth(healthy=False, pending=False, failures=2, failure="ACTIVE", status=503)
    assert judge(host, unhealthy_threshold=2).description == "Health checks failed with these codes: [503]"
