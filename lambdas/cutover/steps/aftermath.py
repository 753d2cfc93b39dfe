"""What a rollback is about, and what it may need of the world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from cutover.domain.errors import CutoverError

if TYPE_CHECKING:
    from cutover.domain.colours import Colour
    from cutover.domain.records import Deployment
    from cutover.domain.rollback import Trigger
    from cutover.domain.services import Service
    from cutover.ports import (
        Clock,
        Contractions,
        Events,
        Executions,
        Journal,
        LoadBalancer,
        Measurements,
        RunCommand,
        Visitor,
    )

Value = TypeVar("Value")


class World(Protocol):
    """All that a rollback may need. Each is made when it is first asked for: the way to the listener waits
    for none of the others."""

    @property
    def journal(self) -> Journal: ...
    @property
    def balancer(self) -> LoadBalancer: ...
    @property
    def executions(self) -> Executions: ...
    @property
    def commands(self) -> RunCommand: ...
    @property
    def contractions(self) -> Contractions: ...
    @property
    def events(self) -> Events: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def measurements(self) -> Measurements: ...
    @property
    def visitor(self) -> Visitor: ...
    @property
    def documents(self) -> Mapping[Service, str]:
        """The release documents' names."""


@dataclass(frozen=True)
class Aftermath:
    """Why, for whom and from where. `deployment` is set when it is the deployment's own failure."""

    trigger: Trigger
    name: str
    cause: str
    asked_at: datetime
    failing: Colour
    environment: str
    deployment: Deployment | None = None


def attempt(what: str, problems: list[str], do: Callable[[], Value]) -> Value | None:
    """What `do` returns; None, with a line in `problems`, when it fails."""
    try:
        return do()
    except CutoverError as error:
        problems.append(f"could not {what}: {type(error).__name__}: {error}")
        return None
