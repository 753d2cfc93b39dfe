"""Seeded faults and clean releases in a whole sandbox: `make bench-faults`."""
