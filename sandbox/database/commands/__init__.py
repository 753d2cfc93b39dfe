"""The commands, by subject; importing this package registers all of them."""

from sandbox.database.commands import (  # noqa: F401 - imported for the registration
    catalog,
    diagnostics,
    explaining,
    handshake,
    reading,
    statistics,
    users,
    writing,
)
from sandbox.database.commands.registry import run, steps

__all__ = ["run", "steps"]
