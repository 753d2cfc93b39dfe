"""Access tokens (JWT, HS256 by JWT_SECRET) and who a request comes from."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN_SECONDS = 3600
_ISSUER = "ai-model-backend"
_BEARER = b"bearer "


@dataclass(frozen=True)
class User:
    id: str
    role: str


class Tokens:
    """Issues and checks tokens; every instance with the same secret accepts them."""

    def __init__(
        self, secret: str, clock: Callable[[], float] = time.time, accepts: str | None = None
    ) -> None:
        """`accepts` is what a release that is bad on purpose lets in: `unsigned` or `expired` tokens, or
        (`open`) whoever brings none."""
        self._secret = secret
        self._clock = clock
        self._accepts = accepts

    def issue(self, user: User) -> str:
        now = int(self._clock())
        claims = {"sub": user.id, "role": user.role, "iss": _ISSUER, "iat": now, "exp": now + TOKEN_SECONDS}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def without_token(self) -> User | None:
        """Who a request without a token comes from: nobody."""
        return User("nobody", "user") if self._accepts == "open" else None

    def user(self, token: str) -> User | None:
        """None for a token that is forged, expired, or of another issuer."""
        try:
            unsigned = self._accepts == "unsigned" and jwt.get_unverified_header(token)["alg"] == "none"
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                issuer=_ISSUER,
                options={
                    "require": ["exp", "iat", "sub"],
                    "verify_signature": not unsigned,
                    "verify_exp": not unsigned and self._accepts != "expired",
                },
            )
        except jwt.InvalidTokenError:
            return None
        return User(claims["sub"], str(claims.get("role", "user")))


class IdentityMiddleware:
    """Puts the token's user, or None, at scope["user"], once for the rate limits and the routes."""

    def __init__(self, app: "ASGIApp", tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http":
            scope["user"] = self._tokens.without_token()
            for name, value in scope["headers"]:
                if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
                    scope["user"] = self._tokens.user(value[len(_BEARER) :].decode("latin-1").strip())
        await self._app(scope, receive, send)


def client_identity(scope: "Scope") -> str:
    """Whose requests are counted together: the user's, else those of the address before the balancer.

    Only the last hop of X-Forwarded-For was written by the load balancer; a client may send the others.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
    """
    user: User | None = scope.get("user")
    if user is not None:
        return f"user:{user.id}"
    hops = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    if hops:
        last = hops[-1].decode("latin-1").rsplit(",", 1)[-1].strip()
        if last:
            return f"address:{_without_port(last)}"
    client = scope.get("client")
    return f"address:{client[0] if client else 'unknown'}"


def _without_port(hop: str) -> str:
    """`203.0.113.7:51234` and `[2001:db8::1]:51234` as well: a balancer may be told to add the port."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    address, colon, _ = hop.partition(":")
    return address if colon and hop.count(":") == 1 else hop
