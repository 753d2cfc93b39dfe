"""The plan: everything that a deployment would do, in one document that a person can read and approve.

Its SHA-256 covers what would be done, not when or under which id, so that two plans of the same thing agree.
The inputs that it covers have names: a plan that no longer holds is refused by those that changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

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
UNKNOWN = "unknown"
MOST_SHOWN = 60


def inputs(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that matters for the execution, by the name under which a change of it is told.

    What depends on the moment stays out: times, costs, an image's scan (the gate judges it again, by what is
    known then), an estimate of the migrations, how CloudFormation was asked.
    """
    weights = plan.get("weights") or {}
    migrations = plan.get("migrations") or {}
    image, frontend = plan.get("image") or {}, plan.get("frontend") or {}
    return {
        "environment": plan.get("environment"),
        "version": plan.get("version"),
        **{f"template {name}": digest for name, digest in (plan.get("templates") or {}).items()},
        "code": plan.get("code"),
        **{f"changes {each['template']}": each["changes"] for each in plan.get("change_sets") or []},
        "destructive permission": plan.get("allow_destructive"),
        "migrations": {key: value for key, value in migrations.items() if key != "estimate"},
        # An image's tag is made from the deployment's id.
        "image": {"digest": image.get("digest"), "repository": image.get("repository")},
        "source": plan.get("source"),
        "frontend": {key: frontend.get(key) for key in ("digest", "repository", "source", "carried")},
        **{f"weights {service}": moved for service, moved in weights.items()},
        "live release": plan.get("live"),
        "settings": plan.get("settings"),
        "configuration": plan.get("configuration"),
    }


def canonical(document: object) -> bytes:
    """One spelling for one content: keys sorted, no blanks, UTF-8 (the essentials of RFC 8785)."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def fingerprint(plan: Mapping[str, Any]) -> str:
    """64 hex digits."""
    return hashlib.sha256(canonical(inputs(plan))).hexdigest()


def sealed(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan, "sha256": fingerprint(plan)}


@dataclass(frozen=True)
class Difference:
    """An input that is not what it was; `where` is the path inside it, the values are short."""

    name: str
    where: str
    before: str
    after: str

    def __str__(self) -> str:
        place = f"{self.name} ({self.where})" if self.where else self.name
        return f"{place}: {self.before} → {self.after}"


def differences(planned: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[Difference]:
    """The inputs in which two plans differ, in the order of `inputs`. Empty exactly when their fingerprints
    agree."""
    found, before, after = [], inputs(planned), inputs(fresh)
    for name in dict.fromkeys((*before, *after)):
        if name not in before or name not in after or canonical(before[name]) != canonical(after[name]):
            where, old, new = _innermost(before.get(name), after.get(name))
            found.append(Difference(name, where, _short(old), _short(new)))
    return found


def _innermost(before: Any, after: Any) -> tuple[str, Any, Any]:
    """Down to the one field that differs, as long as it is the only one."""
    path: list[str] = []
    while isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
        if len(keys) != 1:
            break
        path.append(str(keys[0]))
        before, after = before.get(keys[0]), after.get(keys[0])
    return ".".join(path), before, after


def _short(value: Any) -> str:
    text = _told(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def _told(value: Any) -> str:
    """A value as a person would say it."""
    match value:
        case {"logical_id": name}:
            return f"{value.get('kind')} {name}"
        case Mapping():
            parts = [
                f"{key} ({_told(inner)})" if isinstance(inner, Mapping) else f"{key} {_told(inner)}"
                for key, inner in sorted(value.items())
            ]
            return ", ".join(parts) or "nothing"
        case list():
            return ", ".join(_told(inner) for inner in value) or "nothing"
        case None:
            return "nothing"
        case str():
            return value
        case _:
            return canonical(value).decode()


def phases(past: Sequence[Mapping[int, float]] = ()) -> list[dict[str, Any]]:
    """The seven phases with their budgets. `past`: by deployment, seconds by a phase's number; their median
    is what to expect, and with none it is unknown."""
    told = []
    for number, (name, minutes) in enumerate(PHASES, start=1):
        taken = [seconds[number] for seconds in past if number in seconds]
        expected: float | str = round(median(taken), 1) if taken else UNKNOWN
        told.append(
            {
                "number": number,
                "name": name,
                "budget_minutes": minutes,
                "expected_seconds": expected,
                "measured_on": len(taken),
            }
        )
    return told


def rollback_of(live: Mapping[str, Any] | None, colours: tuple[str, str]) -> dict[str, Any]:
    """What taking this deployment back would do, before and after its swap. `colours`: now, then."""
    before = "nothing moves: the containers of the idle colour are stopped, the lock is released"
    if live is None:
        return {
            "before_the_swap": before,
            "after_the_swap": "there is no earlier release to go back to: traffic stays",
            "returns_to": None,
        }
    now, then = colours
    return {
        "before_the_swap": before,
        "after_the_swap": f"one change of the live listener: {now} 100, {then} 0; version {live['version']} "
        "still runs there, and the frontend's rule is changed beside it",
        "returns_to": dict(live),
    }
