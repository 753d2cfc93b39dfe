"""A function's environment variables, parsed once into a frozen type that fails by the variable's name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from cutover.domain.errors import MisconfiguredError

Kind = TypeVar("Kind", bound="Variables")


@dataclass(frozen=True, kw_only=True)
class Variables:
    """What every function has. A field is the variable of the same name in capitals."""

    cutover_environment: str


@dataclass(frozen=True, kw_only=True)
class Journalling(Variables):
    """Functions that write the journal and tell the bus."""

    journal_table: str
    event_bus: str


def read_variables(kind: type[Kind], environment: Mapping[str, str] = os.environ) -> Kind:
    """Raises MisconfiguredError for the first variable that is missing, empty or not the wanted number."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        name = field.name.upper()
        text = environment.get(name, "")
        if not text:
            raise MisconfiguredError(f"{name}: the function's environment lacks it; deploy the stacks again")
        try:
            values[field.name] = int(text) if field.type == "int" else text
        except ValueError as error:
            raise MisconfiguredError(f"{name}: {text!r} is not a whole number") from error
    return kind(**values)
