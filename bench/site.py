"""A sandbox with a release live, as a benchmark works with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bench.sandbox import BenchError
from cli import journal
from cli.session import Environment
from sandbox import identities
from sandbox.settings import SandboxSettings

POLL_SECONDS = 0.1


@dataclass
class Site:
    """`patience` is how long it is waited for anything, in seconds."""

    patience: ClassVar[float] = 90.0
    settings: SandboxSettings
    environment: Environment
    _clients: dict[str, Any] = field(default_factory=dict, init=False)

    def root(self, service: str) -> Any:
        """A client of the account's root, for what no user of the product does."""
        if service not in self._clients:
            self._clients[service] = identities.root_session(self.settings).client(
                service,  # type: ignore[call-overload]
                endpoint_url=self.settings.endpoint_url,
            )
        return self._clients[service]

    @property
    def live(self) -> dict[str, Any]:
        live = journal.live(self.environment)
        if live is None:
            raise BenchError("nothing is live")
        return live

    @property
    def idle(self) -> str:
        return "green" if self.live["colour"] == "blue" else "blue"

    def until(self, what: str, look: Callable[[], Any], seconds: float | None = None) -> Any:
        """What `look` finds, once that is something.

        Raises BenchError after `seconds`, or what is this site's patience.
        """
        longest = self.patience if seconds is None else seconds
        deadline = time.monotonic() + longest
        while not (found := look()):
            if time.monotonic() > deadline:
                raise BenchError(f"{what} was not seen within {longest:.0f} s")
            time.sleep(POLL_SECONDS)
        return found
