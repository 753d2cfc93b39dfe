"""The environment's stacks together: one look at each of them, and what all of them hand out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cutover.domain.declared import Declared
from cutover.domain.environment import Environment, snake_case
from cutover.domain.records import Deployment
from cutover.domain.stacks import ChangeSet, Decision, Stack, decide
from cutover.ports import Layer


@dataclass(frozen=True)
class Sight:
    """A layer as it was found. `inputs` are the parameters that the stacks before it give; None while one of
    them is missing."""

    layer: Layer
    stack: Stack | None
    change_set: ChangeSet | None
    inputs: Mapping[str, str] | None
    decision: Decision

    @property
    def new(self) -> bool:
        return self.stack is None or self.stack.only_in_review

    def __str__(self) -> str:
        return f"the stack {self.layer.template.stack} {self.decision.reason}"


def change_set_name(deployment: Deployment) -> str:
    return f"cutover-{deployment.id}"


def look(deployment: Deployment, layers: Sequence[Layer]) -> Iterator[Sight]:
    """One layer after the other: what is done about one may be seen by the next."""
    outputs: dict[str, str] = {}
    for layer in layers:
        stack = layer.stacks.stack()
        found = layer.change_sets.find(change_set_name(deployment)) if stack is not None else None
        inputs = _inputs(layer, outputs)
        yield Sight(layer, stack, found, inputs, decide(stack, found, inputs))
        outputs |= stack.outputs if stack is not None else {}


def _inputs(layer: Layer, outputs: Mapping[str, str]) -> Mapping[str, str] | None:
    if any(name not in outputs for name in layer.template.inputs):
        return None
    return {name: outputs[name] for name in layer.template.inputs}


def merged_outputs(layers: Sequence[Layer]) -> dict[str, str]:
    """The outputs of all the stacks that there are."""
    outputs: dict[str, str] = {}
    for layer in layers:
        stack = layer.stacks.stack()
        outputs |= stack.outputs if stack is not None else {}
    return outputs


def service_outputs(layers: Sequence[Layer]) -> dict[str, str]:
    """Those of the layer that divides traffic; none before it is there."""
    return merged_outputs([layer for layer in layers if layer.template.weights])


def environment_of(layers: Sequence[Layer]) -> Environment:
    """Raises MisconfiguredError naming an output that no stack has."""
    return Environment.read({snake_case(name): value for name, value in merged_outputs(layers).items()})


def declared_by(layers: Sequence[Layer]) -> list[Declared]:
    """Every resource of the deployed templates."""
    return [each for layer in layers for each in layer.stacks.declared()]
