"""Private addresses of instances, out of their subnet."""

import ipaddress
import socket

# AWS keeps the first four addresses of a subnet and its last one:
# https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
RESERVED_ADDRESSES = 4
# Load balancers and databases take the low addresses of their subnets, instances these and up.
FIRST_HOST = 100


def free_address(cidr: str, taken: set[str]) -> str:
    """The first free address of a subnet for an instance. Raises ValueError when there is none."""
    network = ipaddress.ip_network(cidr)
    hosts = list(range(RESERVED_ADDRESSES, network.num_addresses - 1))
    preferred = [n for n in hosts if n >= FIRST_HOST] + [n for n in hosts if n < FIRST_HOST]
    for number in preferred:
        address = str(network[number])
        if address not in taken:
            return address
    raise ValueError(f"subnet {cidr} has no free address")


def bindable(address: str, port: int) -> bool:
    """Whether an instance could listen there: another sandbox on this machine may hold the address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
