"""What phase 5 holds the running service to."""

from typing import Annotated

from pydantic import Field, StringConstraints

from config.types import Table

#: COUNT/UNIT as the source document writes it, COUNT/10UNIT, or off.
RateLimit = Annotated[
    str, StringConstraints(pattern=r"^([1-9][0-9]{0,4}/([1-9][0-9]{0,3})?(second|minute|hour)|off)$")
]
Path = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9/_.-]*$")]


class WebScan(Table):
    """The scan of a release by OWASP ZAP or schemathesis (requirement C5c)."""

    # Off: nothing is scanned, and the board says so instead of a verdict.
    enabled: bool = True
    # A release is not scanned again for so long after the same image with the same settings was found clean.
    reuse_hours: int = Field(default=0, ge=0, le=168)


class Security(Table):
    """`rate_limits`: how often one client may call a route before it is refused (requirement C5b)."""

    rate_limits: dict[Path, RateLimit] = Field(
        default_factory=lambda: {
            "/api/auth/login": "5/minute",
            "/api/models": "100/minute",
            "/api/evaluations": "50/minute",
            "/api/files/upload": "10/minute",
        }
    )
    web_scan: WebScan = WebScan()
