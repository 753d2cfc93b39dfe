"""Addresses of loopback for tests that run at the same time, in this process or beside it."""

import random
import socket

CLAIM_PORT = 45454
_claims: list[socket.socket] = []


def own_network() -> str:
    """Two octets, like "127.42", that no other running test has: its last address is held until this process
    ends."""
    for octet in random.sample(range(20, 251), 231):
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((f"127.{octet}.255.254", CLAIM_PORT))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return f"127.{octet}"
    raise RuntimeError("every network of loopback is claimed; end what still runs")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
