"""What is deployed in: config/sandbox.toml with one small instance per colour, at addresses of its own."""

from __future__ import annotations

from typing import Any

from bench.sandbox import Place
from config.model import Configuration, load
from config.notifications import Notifications

NAME = "sandbox"
PLACE = Place(NAME, 4578, "127.78", "bench.faults.assembly")


def configuration() -> Configuration:
    whole, network = load(NAME), PLACE.network
    return whole.model_copy(
        update={
            "network": whole.network.model_copy(
                update={
                    "cidr": f"{network}.0.0/16",
                    "public_subnets": (f"{network}.1.0/24", f"{network}.2.0/24"),
                    "private_subnets": (f"{network}.10.0/24", f"{network}.11.0/24"),
                }
            ),
            "backend": whole.backend.model_copy(
                update={"instance_type": "t2.micro", "instances_per_colour": 1}
            ),
            # The sinks are at the sandbox's own addresses, and nobody is told of a measurement.
            "notifications": Notifications(),
        }
    )


def without_limits_and_scan(configuration: dict[str, Any]) -> None:
    """For the releases with a fault that is neither's to find: each takes ten seconds and more."""
    limits = configuration["security"]["rate_limits"]
    limits.update(dict.fromkeys(limits, "off"))
    configuration["security"]["web_scan"]["enabled"] = False
