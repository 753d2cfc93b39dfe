"""What a whole sandbox is measured on: config/sandbox.toml with one small instance for each colour, at its
own addresses.

An instance is 90 % busy (D1) only when its processes get 90 % of its vCPUs. Two instances of two vCPUs are
four cores for each colour, more than many a machine has; one of one vCPU can really be busy on two.
"""

from __future__ import annotations

from config.model import Configuration, load
from config.notifications import Notifications

NAME = "sandbox"
INSTANCE_TYPE = "t2.micro"  # one vCPU and 1 GiB


def small(network: str) -> Configuration:
    """`network` is the first two bytes of its addresses."""
    whole = load(NAME)
    backend = {"instance_type": INSTANCE_TYPE, "instances_per_colour": 1}
    addresses = {
        "cidr": f"{network}.0.0/16",
        "public_subnets": (f"{network}.1.0/24", f"{network}.2.0/24"),
        "private_subnets": (f"{network}.10.0/24", f"{network}.11.0/24"),
    }
    return whole.model_copy(
        update={
            "network": whole.network.model_copy(update=addresses),
            "backend": whole.backend.model_copy(update=backend),
            # The sinks are at the sandbox's own addresses, and nobody is told of a measurement.
            "notifications": Notifications(),
        }
    )
