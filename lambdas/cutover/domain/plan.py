"""The plan: everything that a deployment would do, in one document that a person can read and approve.

Its SHA-256 covers what would be done, not when or under which id, so that two plans of the same thing agree.
The inputs that it covers have names: a plan that no longer holds is refused by those that changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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
SECURITY_GROUPS = "AWS::EC2::SecurityGroup"
MOST_SHOWN = 60


def _part(plan: Mapping[str, Any], key: str, *fields: str) -> dict[str, Any] | None:
    part = plan.get(key)
    return {field: part.get(field) for field in fields} if isinstance(part, Mapping) else None


# Everything that matters for the execution, by the name under which a change of it is told.
INPUTS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "environment": lambda plan: plan.get("environment"),
    "version": lambda plan: plan.get("version"),
    "template": lambda plan: plan.get("template"),
    "changes": lambda plan: _part(plan, "change_set", "empty", "changes"),
    "migrations": lambda plan: plan.get("migrations"),
    # An image's tag is made from the deployment's id.
    "image": lambda plan: _part(plan, "image", "digest", "repository"),
    "source": lambda plan: plan.get("source"),
    "weights": lambda plan: {"weights": plan.get("weights"), "idle_colour": plan.get("idle_colour")},
    "live release": lambda plan: plan.get("live"),
    "settings": lambda plan: plan.get("settings"),
    "configuration": lambda plan: plan.get("configuration"),
}


def canonical(document: object) -> bytes:
    """One spelling for one content: keys sorted, no blanks, UTF-8 (the essentials of RFC 8785)."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def fingerprint(plan: Mapping[str, Any]) -> str:
    """64 hex digits."""
    return hashlib.sha256(canonical({name: read(plan) for name, read in INPUTS.items()})).hexdigest()


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
    """The inputs in which two plans differ, in the order of INPUTS. Empty exactly when their fingerprints
    agree."""
    found = []
    for name, read in INPUTS.items():
        before, after = read(planned), read(fresh)
        if canonical(before) != canonical(after):
            where, old, new = _innermost(before, after)
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
    text = value if isinstance(value, str) else canonical(value).decode()
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def kind_of(change: Mapping[str, Any]) -> str:
    """create, change, replace, perhaps replace, or delete; CloudFormation's own word for anything else.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
    """
    match change.get("action"), change.get("replacement"):
        case "Add", _:
            return "create"
        case "Remove", _:
            return "delete"
        case "Modify", "True":
            return "replace"
        case "Modify", "Conditional":
            return "perhaps replace"
        case "Modify", _:
            return "change"
        case action, _:
            return str(action).lower()


def changes_of(change_set: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A change set's changes in one order, each with its kind: CloudFormation promises none."""
    changes = (change_set or {}).get("changes") or []
    told = [{**change, "kind": kind_of(change)} for change in changes]
    return sorted(told, key=lambda change: (str(change.get("logical_id")), str(change["kind"])))


def security_group_changes(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """The logical ids of changes that touch who may come in or go out."""
    return [str(c["logical_id"]) for c in changes if str(c.get("type", "")).startswith(SECURITY_GROUPS)]


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
        "still runs there",
        "returns_to": dict(live),
    }
