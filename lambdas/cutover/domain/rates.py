"""How many requests a client may make (requirement C5b), as configurations write it."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNITS = {"second": 1, "minute": 60, "hour": 3600}
OFF = "off"
# Written as the `limits` library and the source document's section 5.2 write it, without spaces.
_RATE = re.compile(rf"(\d+)/(\d*)({'|'.join(UNITS)})", re.ASCII)


@dataclass(frozen=True)
class Rate:
    """`limit` requests in `seconds`."""

    limit: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.limit} in {self.seconds} s"


def read_rate(text: str) -> Rate | None:
    """Read "5/minute" or "5/10second"; None for "off". Raises ValueError for anything else."""
    if text == OFF:
        return None
    found = _RATE.fullmatch(text)
    rate = Rate(int(found[1]), int(found[2] or 1) * UNITS[found[3]]) if found else Rate(0, 0)
    if rate.limit < 1 or rate.seconds < 1:
        raise ValueError(f"{text!r}: write COUNT/UNIT with a unit of {', '.join(UNITS)}, or {OFF}")
    return rate
