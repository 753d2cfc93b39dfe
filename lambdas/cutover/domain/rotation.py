"""Whether the application's database account may change hands now: an action and a reason.

Two users take turns: the next one gets a new password and becomes the secret's current value, the other keeps
its own, and whoever is connected with it stays connected. AWS calls it the alternating users strategy:
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotation-strategy.html#rotating-secrets-two-users
Containers read the secret when their release starts. So a turn is due again only when every release that may
serve was started after the last one: else the new password would lock one out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

CLONE = "_clone"


def alternate(username: str) -> str:
    """`app_user` and `app_user_clone` take turns."""
    return username.removesuffix(CLONE) if username.endswith(CLONE) else username + CLONE


@dataclass(frozen=True)
class Served:
    """A release whose containers run, or can be gone back to, and when it was started."""

    version: str
    started: datetime


@dataclass(frozen=True)
class Turn:
    allowed: bool
    reason: str


def decide_turn(current_since: datetime, served: Iterable[Served]) -> Turn:
    """`current_since`: since when the secret has had its current value."""
    old = " and version ".join(release.version for release in served if release.started < current_since)
    if old:
        return Turn(
            False,
            f"version {old} was started before {current_since:%Y-%m-%d %H:%M} UTC, when the secret last "
            "changed, and logs in with the password that would be replaced now; deploy first (twice, where "
            "the version before is to stay one to go back to)",
        )
    return Turn(True, "every release that may serve logs in with the current password")
