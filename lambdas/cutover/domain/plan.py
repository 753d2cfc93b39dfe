"""The plan: everything that a deployment would do, in one document that a person can read and approve.

Its SHA-256 covers what would be done, not when or under which id, so that two plans of the same thing agree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# What identifies one run rather than what it does.
UNHASHED = frozenset({"deployment", "made_at", "sha256", "window"})
# Minutes, from the source document's seven phases (requirement C). The state machine holds them to these.
PHASES = (
    ("Provision", 60),
    ("Migrate", 45),
    ("Release", 90),
    ("Monitor", 30),
    ("Secure", 45),
    ("Perform", 60),
    ("Verify", 45),
)


def phases() -> list[dict[str, Any]]:
    return [
        {"number": number, "name": name, "budget_minutes": minutes}
        for number, (name, minutes) in enumerate(PHASES, start=1)
    ]


def canonical(document: Mapping[str, Any]) -> bytes:
    """One spelling for one content: keys sorted, no blanks, UTF-8 (the essentials of RFC 8785)."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def fingerprint(plan: Mapping[str, Any]) -> str:
    """64 hex digits. An image's tag is made from the deployment's id, so it is left out too."""
    content = {key: value for key, value in plan.items() if key not in UNHASHED}
    image = content.get("image")
    if isinstance(image, Mapping):
        content["image"] = {key: value for key, value in image.items() if key != "tag"}
    change_set = content.get("change_set")
    if isinstance(change_set, Mapping):
        content["change_set"] = {key: value for key, value in change_set.items() if key != "name"}
    return hashlib.sha256(canonical(content)).hexdigest()


def sealed(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan, "sha256": fingerprint(plan)}
