"""Read the environment back after CloudFormation has settled: every resource, and what it does (requirement
C1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cutover.domain.declared import KINDS, Declared, wanted
from cutover.domain.environment import Targets
from cutover.domain.errors import CutoverError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.ports import Instances, Inventory, Layer, LiveResources, LoadBalancer
from cutover.steps.layers import declared_by, environment_of

SUBJECT = Subject("C1", Persona.RELIABILITY)
AVAILABLE = "available"
#: Rules that were changed by hand are told here; phase 5 puts them right and judges them (requirement C5a).
PUT_RIGHT_LATER = frozenset({"AWS::EC2::SecurityGroup"})
EVERY_KIND = "Every kind of resource of section B is declared"


def verify_resources(
    name: str,
    *,
    layers: Sequence[Layer],
    balancer: LoadBalancer,
    instances: Instances,
    inventory: Inventory,
    resources: LiveResources,
) -> dict[str, Any]:
    """{environment: the outputs, gates}. `name` is the cluster's and the cache's: cutover-ENVIRONMENT.

    What can't be read is Inconclusive, and closes the phase as a failure would.
    """
    environment = environment_of(layers)
    backend, frontend = environment.targets, environment.frontend_targets
    forks = (
        ("listener", backend.listener_arn, backend),
        ("test listener", backend.test_listener_arn, backend),
        ("frontend's rule", frontend.listener_arn, frontend),
        ("frontend's test rule", frontend.test_listener_arn, frontend),
    )
    gates = [
        *(
            _reading(
                f"Every resource of the {layer.template.name} stack is complete",
                "all complete",
                lambda layer=layer: _resources(layer),  # type: ignore[misc]
            )
            for layer in layers
        ),
        *(
            _reading(
                f"The {what} forwards to both colours",
                "blue and green, all weight on one",
                lambda arn=arn, targets=targets: _fork(arn, targets, balancer),  # type: ignore[misc]
            )
            for what, arn, targets in forks
        ),
        *(
            _reading(
                f"The {what} group has its instances",
                "as many in service as desired, at least 1",
                lambda group=group: _group(group, instances),  # type: ignore[misc]
            )
            for what, group in environment.groups.items()
        ),
        _reading("The database is available", AVAILABLE, lambda: _state(inventory.database(name))),
        _reading("The cache is available", AVAILABLE, lambda: _state(inventory.cache(name))),
        *_table(layers, resources),
    ]
    return {"environment": environment.as_json(), "gates": [gate.as_json() for gate in gates]}


def _table(layers: Sequence[Layer], resources: LiveResources) -> list[Gate]:
    """One gate for each resource of section B: what the deployed templates declare against the live API."""
    try:
        declared = declared_by(layers)
    except CutoverError as error:
        return [SUBJECT.inconclusive(EVERY_KIND, found=f"it can't be read: {error}", wanted="all of them")]
    there = {each.type for each in declared}
    required = {name for name, kind in KINDS.items() if kind.required}
    missing = sorted(required - there)
    first = SUBJECT.judge(
        EVERY_KIND,
        not missing,
        found=f"missing: {', '.join(missing)}" if missing else f"all {len(required)} of them",
        wanted="all of them",
        samples=len(declared),
    )
    rows = [_row(each, declared, resources) for each in declared if each.type in KINDS]
    return [first, *sorted(rows, key=lambda gate: (gate.requirement, gate.name))]


def _row(one: Declared, every: Sequence[Declared], resources: LiveResources) -> Gate:
    subject, name = KINDS[one.type].subject, f"{one.type.removeprefix('AWS::')} {one.logical_id}"
    facts = wanted(one, every)
    told = _told(facts)
    try:
        found = resources.look(one)
    except CutoverError as error:
        return subject.inconclusive(name, found=f"it can't be read: {error}", wanted=told)
    if found is None:
        return subject.judge(
            name, False, found=f"there is no {one.physical_id or 'such resource'}", wanted=told
        )
    must = one.type not in PUT_RIGHT_LATER
    return subject.judge(name, dict(found) == dict(facts), found=_told(found), wanted=told, must=must)


def _told(facts: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


Finding = tuple[bool, str, int]


def _reading(name: str, wanted: str, look: Callable[[], Finding]) -> Gate:
    try:
        passed, found, samples = look()
    except CutoverError as error:
        return SUBJECT.inconclusive(name, found=f"it can't be read: {error}", wanted=wanted)
    return SUBJECT.judge(name, passed, found=found, wanted=wanted, samples=samples)


def _resources(layer: Layer) -> Finding:
    resources = layer.stacks.resources()
    open_ends = [r for r in resources if not r.status.endswith("_COMPLETE") or r.status.startswith("DELETE")]
    shown = ", ".join(f"{r.logical_id} {r.status}" for r in open_ends[:5])
    return not open_ends, shown or f"{len(resources)} complete", len(resources)


def _fork(arn: str, targets: Targets, balancer: LoadBalancer) -> Finding:
    weights = balancer.weights(arn, targets)
    return weights.only is not None, str(weights), 1


def _group(name: str, instances: Instances) -> Finding:
    group = instances.group(name)
    if group is None:
        return False, f"there is no group {name}", 1
    there = len(group.instances)
    return there >= max(1, group.desired), f"{there} of {group.desired} in service", 1


def _state(state: str | None) -> Finding:
    return state == AVAILABLE, state or "there is none", 1
