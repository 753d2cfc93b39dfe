"""Private addresses of instances, out of their subnet."""

import ipaddress

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
