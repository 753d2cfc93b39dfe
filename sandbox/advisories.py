"""The sandbox's advisory list, which its registry's scans and its `pip-audit` compare packages with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from packaging.version import InvalidVersion, Version

ADVISORIES = Path(__file__).with_name("advisories.json")


@dataclass(frozen=True)
class Advisory:
    """Versions from `introduced` until before `fixed` have the vulnerability."""

    package: str
    id: str
    severity: str
    introduced: str
    fixed: str
    description: str
    uri: str

    def affects(self, version: str) -> bool:
        """Whether the version is in the range; one that can't be read is taken to be."""
        try:
            return Version(self.introduced) <= Version(version) < Version(self.fixed)
        except InvalidVersion:
            return True


@cache
def advisories() -> tuple[tuple[Advisory, ...], float]:
    """The list, and when it was last changed (seconds since 1970)."""
    document = json.loads(ADVISORIES.read_text(encoding="utf-8"))
    changed = datetime.fromisoformat(document["updated"]).replace(tzinfo=UTC)
    return tuple(Advisory(**each) for each in document["advisories"]), changed.timestamp()
