"""What is measured on: config/sandbox.toml with one small instance per colour, at addresses of its own.

An instance is 90 % busy (D1) only when its processes get 90 % of its vCPUs. Two instances of two vCPUs are
four cores for each colour, more than many a machine has; one of one vCPU can really be busy on two.
"""

from __future__ import annotations

from config.model import Configuration, load
from config.notifications import Notifications

NAME = "sandbox"
INSTANCE_TYPE = "t2.micro"  # one vCPU and 1 GiB
#: Beside a sandbox that a developer runs meanwhile.
PORT, NETWORK = 4577, "127.77"
#: A bad release is taken back by its alarm; the deployment itself must not end before that.
BAKE_SECONDS = 60


def configuration() -> Configuration:
    whole = load(NAME)
    backend = {"instance_type": INSTANCE_TYPE, "instances_per_colour": 1}
    network = {
        "cidr": f"{NETWORK}.0.0/16",
        "public_subnets": (f"{NETWORK}.1.0/24", f"{NETWORK}.2.0/24"),
        "private_subnets": (f"{NETWORK}.10.0/24", f"{NETWORK}.11.0/24"),
    }
    return whole.model_copy(
        update={
            "network": whole.network.model_copy(update=network),
            "backend": whole.backend.model_copy(update=backend),
            # The sinks are at the sandbox's own addresses, and nobody is told of a measurement.
            "notifications": Notifications(),
            "watch": whole.watch.model_copy(update={"bake_seconds": BAKE_SECONDS}),
        }
    )
