"""What the configuration asks for and AWS does not have: told before anything is changed, field by field.

What AWS answers comes in as plain values; each function says what is wrong with it and the way out, or None.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

# A plan that names more of them helps nobody.
MOST_NEAR = 3


@dataclass(frozen=True)
class Problem:
    """A field of config/ENV.toml, its value, and why AWS would refuse it, with the way out."""

    field: str
    value: str
    what: str

    def __str__(self) -> str:
        return f"{self.field} = {self.value!r}: {self.what}"


class BucketState(StrEnum):
    """Whose a bucket's name is; names are shared by all accounts of a partition.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """

    FREE = "free"
    OURS = "ours"
    TAKEN = "taken"


@dataclass(frozen=True)
class Certificate:
    """A certificate as ACM has it; `status` is ACM's word."""

    status: str
    names: Sequence[str]


@dataclass(frozen=True)
class HostedZone:
    """A zone as Route 53 has it; `name` without the last dot."""

    name: str
    private: bool


def unfit_type(
    field: str, wanted: str, zones: Sequence[str], offered: Collection[str], known: Sequence[str]
) -> Problem | None:
    """An instance type that not all of `zones` offer; `known` are the region's types of its kind, and matter
    only when none does."""
    missing = [zone for zone in zones if zone not in offered]
    if not missing:
        return None
    if offered:
        return Problem(
            field,
            wanted,
            f"it is not offered in {', '.join(missing)}, only in {', '.join(sorted(offered))}; choose "
            "another type, or other availability_zones",
        )
    near = difflib.get_close_matches(wanted, known, MOST_NEAR, 0.5)
    region = zones[0][:-1]
    told = f"; near it: {', '.join(near)}" if near else "; see `aws ec2 describe-instance-type-offerings`"
    return Problem(field, wanted, f"{region} offers no such type{told}")


def unfit_class(field: str, wanted: str, zones: Sequence[str], offered: Collection[str]) -> Problem | None:
    """A DocumentDB instance class that none of `zones` offers: one is enough, the cluster chooses among
    them."""
    if set(zones) & set(offered):
        return None
    where = f", only {', '.join(sorted(offered))}" if offered else " and no other zone of the region"
    return Problem(
        field,
        wanted,
        f"DocumentDB has no such instance class in {', '.join(zones)}{where}; choose one that "
        "`aws docdb describe-orderable-db-instance-options --engine docdb` lists",
    )


def unfit_bucket(name: str, state: BucketState, *, of_the_environment: bool) -> Problem | None:
    """A bucket that the template can't create. Its name is made of the environment's and the account's."""
    if state is BucketState.TAKEN:
        return Problem(
            "environment",
            name,
            "another account has the bucket of this name, and bucket names are global; rename the "
            "environment (the field and its file)",
        )
    if state is BucketState.OURS and not of_the_environment:
        return Problem(
            "environment",
            name,
            "this account has a bucket of this name that is not the environment's (an earlier one's data, "
            "kept when its stack was deleted?); copy what you need and delete it, or rename the environment",
        )
    return None


def unfit_certificate(
    arn: str, found: Certificate | None, domains: Sequence[str], field: str = "backend.certificate_arn"
) -> Problem | None:
    """A certificate that a listener can't present for every one of `domains`."""
    if found is None:
        return Problem(
            field, arn, "ACM has no such certificate in this region and account; correct it or leave it out"
        )
    if found.status != "ISSUED":
        way_out = (
            "add the DNS record that ACM shows for it, and deploy again when it is ISSUED"
            if found.status == "PENDING_VALIDATION"
            else "request a new one"
        )
        return Problem(field, arn, f"it is {found.status} and can't be presented; {way_out}")
    missing = [domain for domain in domains if not any(_covers(name, domain) for name in found.names)]
    if missing:
        return Problem(
            field,
            arn,
            f"it is for {', '.join(found.names)} and not for {', '.join(missing)}; choose one that covers it",
        )
    return None


def unfit_zone(
    identifier: str,
    found: HostedZone | None,
    domains: Sequence[str],
    field: str = "backend.hosted_zone_id",
) -> Problem | None:
    """A zone in which the records of `domains` can't stand, so that no certificate would be validated."""
    if found is None:
        return Problem(
            field, identifier, "Route 53 has no such hosted zone in this account; correct it or leave it out"
        )
    if found.private:
        return Problem(
            field,
            identifier,
            f"{found.name} is a private zone, where ACM does not look; give the public one",
        )
    outside = [name for name in domains if name != found.name and not name.endswith(f".{found.name}")]
    if outside:
        return Problem(
            field,
            identifier,
            f"it is the zone of {found.name}, which {', '.join(outside)} is not in; give the domain's own",
        )
    return None


def _covers(name: str, domain: str) -> bool:
    """A wildcard stands for one label: https://docs.aws.amazon.com/acm/latest/userguide/acm-certificate.html"""
    return name == domain or (name.startswith("*.") and domain.partition(".")[2] == name[2:])
