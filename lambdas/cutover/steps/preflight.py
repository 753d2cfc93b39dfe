"""Ask AWS, before anything is changed, for what it would else refuse minutes into a deployment.

A configuration that no AWS account could fulfil never comes this far: config/model.py refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cutover.domain.errors import UnfitConfigurationError
from cutover.domain.preflight import (
    BucketState,
    Problem,
    unfit_bucket,
    unfit_certificate,
    unfit_class,
    unfit_type,
    unfit_zone,
)
from cutover.ports import Layer, Offers
from cutover.steps.layers import declared_by

# The tables of the configuration that name a kind of EC2 instance.
TIERS = ("backend", "frontend", "monitoring")
# The tables that name a host.
SERVICES = ("backend", "frontend")


def preflight(
    configuration: Mapping[str, Any],
    buckets: Sequence[str],
    *,
    offers: Offers,
    layers: Sequence[Layer],
) -> dict[str, Any]:
    """{status: possible}; raises UnfitConfigurationError with every field that AWS would refuse.

    `buckets` are the names of those that the template creates. An ElastiCache node type is not asked for, as
    no API lists them: the stack's own failure tells (`cutover.domain.refusals`).
    """
    problems = [
        *_types(configuration, offers),
        *_buckets(buckets, offers, layers),
        *_front_door(configuration, offers),
    ]
    if problems:
        told = "; ".join(str(problem) for problem in problems)
        raise UnfitConfigurationError(
            f"{told}. Nothing was changed. Correct config/{configuration['environment']}.toml and install "
            "the control plane again (`cdk deploy`)"
        )
    return {"status": "possible"}


def _types(configuration: Mapping[str, Any], offers: Offers) -> Iterator[Problem]:
    zones = configuration["availability_zones"]
    for tier in TIERS:
        wanted = (configuration.get(tier) or {}).get("instance_type")
        if wanted:
            offered = offers.zones_of_type(wanted)
            known = [] if offered else offers.types()
            if problem := unfit_type(f"{tier}.instance_type", wanted, zones, offered, known):
                yield problem
    wanted = configuration["database"]["instance_class"]
    if problem := unfit_class("database.instance_class", wanted, zones, offers.zones_of_class(wanted)):
        yield problem


def _buckets(buckets: Sequence[str], offers: Offers, layers: Sequence[Layer]) -> Iterator[Problem]:
    states = {name: offers.bucket(name) for name in buckets}
    own = _physical_ids(layers) if BucketState.OURS in states.values() else frozenset()
    for name, state in states.items():
        if problem := unfit_bucket(name, state, of_the_environment=name in own):
            yield problem


def _front_door(configuration: Mapping[str, Any], offers: Offers) -> Iterator[Problem]:
    backend = configuration["backend"]
    domains = [table["domain"] for name in SERVICES if (table := configuration.get(name) or {}).get("domain")]
    if arn := backend.get("certificate_arn"):
        problem = unfit_certificate(arn, offers.certificate(arn), domains)
        if problem:
            yield problem
    if zone := backend.get("hosted_zone_id"):
        problem = unfit_zone(zone, offers.hosted_zone(zone), domains)
        if problem:
            yield problem


def _physical_ids(layers: Sequence[Layer]) -> frozenset[str]:
    there = [layer for layer in layers if (stack := layer.stacks.stack()) and not stack.only_in_review]
    return frozenset(each.physical_id for each in declared_by(there))
