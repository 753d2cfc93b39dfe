"""Secrets Manager's four steps of a rotation, for the application's database account.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
Each may be called again with the same token, and then finds its own work done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cutover.database_ports import Accounts, RotatingSecret
from cutover.domain.errors import MisconfiguredError, RotationRefusedError
from cutover.domain.records import deployment_key
from cutover.domain.rotation import Served, alternate, decide_turn
from cutover.ports import Journal
from cutover.steps.records import read_live

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


def create(token: str, *, secret: RotatingSecret, journal: Journal) -> None:
    """The other user's name with a new password, pending. Raises RotationRefusedError while a release that
    may serve still needs the password that would be replaced."""
    if secret.read(PENDING, token) is not None:
        return
    current = secret.read(CURRENT)
    if not current or not current.get("username"):
        raise MisconfiguredError(f"the secret {secret.name} has no current value with a 'username'")
    turn = decide_turn(secret.since(), _served(journal))
    if not turn.allowed:
        raise RotationRefusedError(f"the secret {secret.name} stays as it is: {turn.reason}")
    fresh = {**current, "username": alternate(current["username"]), "password": secret.random_password()}
    secret.write(token, PENDING, fresh)


def set_password(token: str, *, secret: RotatingSecret, accounts: Accounts) -> None:
    pending = _pending(token, secret)
    accounts.ensure_user(pending["username"], pending["password"])


def try_out(token: str, *, secret: RotatingSecret, accounts: Accounts) -> None:
    """Raises AccessDeniedError when the new account can't log in."""
    pending = _pending(token, secret)
    accounts.log_in(pending["username"], pending["password"])


def finish(token: str, *, secret: RotatingSecret) -> None:
    """From here on releases log in as the other user."""
    secret.promote(token)


def _pending(token: str, secret: RotatingSecret) -> Mapping[str, str]:
    # Asked again after its end, the version is the current one.
    pending = secret.read(PENDING, token) or secret.read(CURRENT, token)
    if pending is None:
        raise MisconfiguredError(f"the secret {secret.name} has no pending version {token}; rotate it again")
    return pending


def _served(journal: Journal) -> list[Served]:
    """What is live, and what can be gone back to: nobody goes back behind a contracted schema."""
    live = read_live(journal)
    if live is None:
        return []
    found = [(live.version, live.deployment)]
    if live.previous_deployment is not None and live.contracted_at is None and not live.rolled_back:
        found.append((str(live.previous_version), live.previous_deployment))
    served = []
    for version, deployment in found:
        record = journal.read(deployment_key(deployment)) or {}
        # Its containers read the secret from then on; a first deployment begins before there is a secret.
        started = record.get("command_sent") or record.get("started")
        served.append(Served(version, datetime.fromisoformat(str(started or live.swapped_at))))
    return served
