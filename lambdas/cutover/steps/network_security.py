"""No door is open that was not declared (requirements B2, C5a)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cutover.domain.environment import Environment
from cutover.domain.gates import Gate, Persona, Subject
from cutover.ports import IngressRule, Network

SUBJECT = Subject("C5a", Persona.SECURITY)
WORLD = frozenset({"0.0.0.0/0", "::/0"})
SSH = 22


def check_network(environment: Environment, *, network: Network) -> dict[str, Any]:
    """{gates}. Every ingress rule of every security group in the environment's VPC is looked at."""
    rules = network.ingress(environment.listener_arn)
    outside = [rule for rule in rules if WORLD.intersection(rule.sources)]
    inside = [rule for rule in rules if not WORLD.intersection(rule.sources)]
    public, private = public_ports(environment), private_ports(environment)
    gates = [
        _judge(
            "No SSH from anywhere",
            rules,
            [r for r in outside if _covers(r, SSH)],
            "port 22 closed to the world",
        ),
        _judge(
            "Only the service's ports are open to the world",
            rules,
            [rule for rule in outside if not _within(rule, public)],
            f"only {_shown(public)}",
        ),
        _judge(
            "Only the declared ports are open inside",
            rules,
            [rule for rule in inside if not _within(rule, public | private)],
            f"only {_shown(public | private)}",
        ),
    ]
    return {"gates": [gate.as_json() for gate in gates]}


def public_ports(environment: Environment) -> set[int]:
    """HTTP is there to be sent on to HTTPS."""
    return {80, 443, environment.listener_port}


def private_ports(environment: Environment) -> set[int]:
    """The containers, the data stores, the test listener (open to the probes only), and the monitoring
    tier."""
    containers = (
        (environment.first_port, environment.containers_per_instance),
        (environment.frontend_first_port, environment.frontend_containers_per_instance),
    )
    return {
        *(port for first, count in containers for port in range(first, first + count)),
        environment.database_port,
        environment.redis_port,
        environment.test_listener_port,
        3000,
        5044,
        9090,
        9100,
    }


def _covers(rule: IngressRule, port: int) -> bool:
    if rule.protocol == "-1":
        return True
    return rule.protocol == "tcp" and rule.first_port <= port <= rule.last_port


def _within(rule: IngressRule, ports: set[int]) -> bool:
    if rule.protocol != "tcp" or rule.last_port < rule.first_port:
        return False
    # A range counts as declared only if each of its ports is.
    span = rule.last_port - rule.first_port + 1
    return span <= len(ports) and ports.issuperset(range(rule.first_port, rule.last_port + 1))


def _judge(name: str, rules: Sequence[IngressRule], wrong: Sequence[IngressRule], wanted: str) -> Gate:
    found = "; ".join(_told(rule) for rule in wrong[:5]) or f"{len(rules)} rules, none of them wrong"
    return SUBJECT.judge(
        name, not wrong, found=found if rules else "no rules", wanted=wanted, samples=len(rules)
    )


def _told(rule: IngressRule) -> str:
    ports = "all" if rule.protocol == "-1" else f"{rule.protocol} {rule.first_port}-{rule.last_port}"
    return f"{rule.group} opens {ports} to {', '.join(rule.sources)}"


def _shown(ports: Iterable[int]) -> str:
    return ", ".join(str(port) for port in sorted(ports))
