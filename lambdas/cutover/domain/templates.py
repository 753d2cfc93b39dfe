"""The environment's templates, in the order in which their stacks are made. Synthesis tells the functions."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cutover.domain.errors import MisconfiguredError

VARIABLE = "TEMPLATES"
#: Parameters that say where the functions' code lies; the control plane knows them.
CODE = frozenset({"CodeBucket", "CodeKey", "LayerArn"})


@dataclass(frozen=True)
class EnvironmentTemplate:
    """One template with its stack. `parameters` are those that it takes."""

    name: str
    stack: str
    url: str
    parameters: tuple[str, ...]

    @property
    def weights(self) -> tuple[str, ...]:
        """The parameters that divide traffic; they belong to the deployments."""
        return tuple(name for name in self.parameters if name.endswith("Weight"))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The parameters that are the outputs of the same name of earlier stacks."""
        return tuple(name for name in self.parameters if name not in CODE and name not in self.weights)


def read_templates(text: str) -> tuple[EnvironmentTemplate, ...]:
    """Raises MisconfiguredError, which names the variable, for anything but a list of them."""
    try:
        templates = tuple(
            EnvironmentTemplate(
                str(each["name"]), str(each["stack"]), str(each["url"]), tuple(map(str, each["parameters"]))
            )
            for each in json.loads(text)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MisconfiguredError(
            f"{VARIABLE}: no list of templates with name, stack, url and parameters "
            f"({type(error).__name__}: {error}); deploy the control plane's stack again"
        ) from error
    if not templates:
        raise MisconfiguredError(f"{VARIABLE}: it names no template; deploy the control plane's stack again")
    return templates
