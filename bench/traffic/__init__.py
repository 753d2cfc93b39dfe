"""Swaps, canaries and rollbacks in a whole sandbox under load: `make bench-traffic`."""
