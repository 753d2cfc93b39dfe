"""Where a load may go: to the environment's own balancer, by its own name, on its own listeners.

What a load is aimed at comes with the payload; what is allowed is written in the function's own environment
by the template that made it, so that no payload can turn it on somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass

from cutover.domain.errors import InvalidInputError


@dataclass(frozen=True)
class Aim:
    """A host, and the name under which it is asked (SNI, Host)."""

    host: str
    name: str


@dataclass(frozen=True)
class Allowed:
    """The one aim, and the ports of its listeners."""

    aim: Aim
    ports: frozenset[int]

    def check(self, aim: Aim, port: int) -> None:
        """Raises InvalidInputError, naming what is not the environment's own."""
        for what, wanted, own in (
            ("host", aim.host.lower(), self.aim.host.lower()),
            ("name", aim.name.lower(), self.aim.name.lower()),
        ):
            if wanted != own:
                raise InvalidInputError(
                    f"load: the {what} {wanted!r} is not this environment's; a load goes to {own} only"
                )
        if port not in self.ports:
            known = " and ".join(str(each) for each in sorted(self.ports))
            raise InvalidInputError(
                f"load: port {port} is no listener of this environment; a load goes to {known} only"
            )
