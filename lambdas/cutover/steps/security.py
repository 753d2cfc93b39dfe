"""Phase 5's look at the running service from outside (requirements C5b, C5c)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.routes import routes
from cutover.ports import Clock, Http
from cutover.steps.accounts import Accounts
from cutover.steps.authentication import Guard
from cutover.steps.http_security import check_headers, check_tls
from cutover.steps.rate_limits import RateLimits

DOCUMENT = "/openapi.json"


def check_service(
    port: int,
    limits: Mapping[str, str],
    user: Mapping[str, str],
    secret: str,
    *,
    http: Http,
    clock: Clock,
) -> dict[str, Any]:
    """{gates}. `user` is the smoke tests', `secret` signs the service's tokens. Logins are
    counted, so that limit is exceeded right after them; what needs no wait is done while the limits recover.
    Raises NotReachableError when nothing answers at all."""
    with http.kept() as kept:
        every = routes(kept.request("GET", port, DOCUMENT).json())
        accounts = Accounts(port, http=kept, clock=clock)
        token, stranger = accounts.token(user), accounts.token_of_stranger(user)
        tried = RateLimits(port, limits, every, stranger, http=kept, clock=clock)
        tried.exceed_login(accounts.logins)
        guard = Guard(port, token, stranger, secret, http=kept, clock=clock)
        gates = guard.run()
        tried.exceed(guard.as_stranger)
        gates += check_headers(port, every, http=kept)
        gates += check_tls(port, http=http)
        gates += tried.judge()
    return {"gates": [gate.as_json() for gate in gates]}
