"""What ELBv2 refuses of a listener, a rule or a registration, before anything changes.

Errors by action: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyListener.html#API_ModifyListener_Errors
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any

from ministack.services import acm, alb

from sandbox.balancer import translation

# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
_GROUPS_PER_ACTION = 5
_HEAVIEST = 999
# How long the balancer may take to let go of a deleted listener's port, in seconds.
_RELEASE_SECONDS = 1.0


class Refusal(ValueError):
    """The request is refused with this code and message; in CloudFormation the resource fails with it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} (Service: ElasticLoadBalancingV2, Status Code: 400, Error Code: {code})")
        self.code = code
        self.message = message


def check_listener(
    *,
    arn: str | None,
    balancer_arn: str,
    port: int,
    protocol: str,
    policy: str | None,
    certificates: Sequence[str],
    actions: Sequence[dict[str, Any]],
) -> None:
    """Raises Refusal for a listener that AWS would not create or, with `arn`, not change into this."""
    if balancer_arn not in alb._lbs:
        return  # ministack answers ListenerNotFound or LoadBalancerNotFound
    if protocol not in ("HTTP", "HTTPS"):
        raise Refusal(
            "UnsupportedProtocol", f"Protocol '{protocol}' is not supported by application load balancers"
        )
    if not 1 <= port <= 65535:
        raise Refusal("ValidationError", f"Port '{port}' is not valid; it must be between 1 and 65535")
    for other, listener in alb._listeners.items():
        if other != arn and listener["LoadBalancerArn"] == balancer_arn and listener["Port"] == port:
            raise Refusal(
                "DuplicateListener",
                f"A listener already exists on this port for this load balancer '{balancer_arn}'",
            )
    if protocol == "HTTPS":
        _check_tls(policy, certificates)
    check_targets(actions, balancer_arn)


def _check_tls(policy: str | None, certificates: Sequence[str]) -> None:
    if not certificates:
        raise Refusal("ValidationError", "A certificate must be specified for HTTPS listeners")
    for arn in certificates:
        if arn not in acm._certificates:
            raise Refusal("CertificateNotFound", f"Certificate '{arn}' not found")
        if acm._certificates[arn]["Status"] != "ISSUED":
            raise Refusal(
                "UnsupportedCertificate",
                f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
                "and a supported key size.",
            )
    if policy is not None and translation.tls_versions(policy) is None:
        raise Refusal("SSLPolicyNotFound", f"The specified SSL policy '{policy}' does not exist")


def check_targets(actions: Sequence[dict[str, Any]], balancer_arn: str) -> None:
    """Raises Refusal for actions that this load balancer could not carry out."""
    for action in actions:
        kind = str(action.get("Type", "")).lower()
        if kind not in ("forward", "fixed-response", "redirect"):
            raise Refusal(
                "ValidationError", f"Action type '{action.get('Type')}' is not offered by the sandbox"
            )
        groups = translation.weights(action)
        if kind == "forward" and not groups:
            raise Refusal("ValidationError", "A target group ARN must be specified")
        if len(groups) > _GROUPS_PER_ACTION:
            raise Refusal(
                "TooManyUniqueTargetGroupsPerLoadBalancer",
                f"An action can forward to at most {_GROUPS_PER_ACTION} target groups",
            )
        if len({arn for arn, _weight in groups}) < len(groups):
            raise Refusal("ValidationError", "Target groups in a forward action must be unique")
        if ((action.get("ForwardConfig") or {}).get("TargetGroupStickinessConfig") or {}).get("Enabled"):
            raise Refusal("ValidationError", "Target group stickiness is not offered by the sandbox")
        for arn, weight in groups:
            _check_group(arn, weight, balancer_arn)


def _check_group(arn: str, weight: int, balancer_arn: str) -> None:
    if not 0 <= weight <= _HEAVIEST:
        raise Refusal("ValidationError", f"Weight '{weight}' must be between 0 and {_HEAVIEST} inclusive")
    group = alb._tgs.get(arn)
    if group is None:
        raise Refusal("TargetGroupNotFound", f"Target groups '{arn}' not found")
    if any(other != balancer_arn for other in group.get("LoadBalancerArns", [])):
        raise Refusal(
            "TargetGroupAssociationLimit",
            f"The following target groups cannot be associated with more than one load balancer: {arn}",
        )


def require_free_port(balancer_arn: str, port: int, current: dict[str, Any]) -> None:
    """On AWS the address is the load balancer's alone; here another program may hold the port."""
    balancer = alb._lbs.get(balancer_arn)
    if balancer is None or port == current.get("Port"):
        return
    deadline = time.monotonic() + _RELEASE_SECONDS
    while not _is_free(balancer["DNSName"], port):
        if time.monotonic() > deadline:
            raise Refusal(
                "ValidationError",
                f"Port {port} of {balancer['DNSName']} is taken by another program on this machine; end it, "
                "or start the sandbox with another --network",
            )
        time.sleep(0.05)


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
