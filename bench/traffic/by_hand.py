"""Rollbacks that a person asks for: the instant one, and any former release by its image in four steps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bench.environment import NAME
from bench.traffic.site import Site
from sandbox.demo.users import Users

RATE = 300
REASON = "a person wants it back"


def instant(site: Site, number: int) -> dict[str, Any]:
    """A release goes live; within its watch `cutover rollback` takes it back.

    The traffic is back when the rule is modified; the command ends when all else is done and written down.
    """
    site.release(f"hand-{number:02}")
    answer = site.cutover("rollback", NAME, "--reason", REASON)
    clock = answer["clock"]
    asked, modified = (datetime.fromisoformat(clock[name]) for name in ("asked_at", "modified_at"))
    return {
        "part": "by hand",
        "kind": "within the watch",
        "start_to_modified_s": round(modified.timestamp() - answer["began_at"], 2),
        "asked_to_modified_ms": round((modified - asked).total_seconds() * 1000),
        "command_seconds": round(answer["command_seconds"], 2),
    }


def full(site: Site, users: Users, number: int) -> list[dict[str, Any]]:
    """`cutover rollback --to` a release that stands nowhere any more: its image is deployed again. Twice.

    First the release before the live one stands soundly on the other colour, and users wait there. Then what
    is live is so by a rollback, users can't be moved, and are answered 503 until the image is deployed
    (requirement D3).
    """
    wanted, _, left = (site.release(f"{name}-{number:02}") for name in ("wanted", "between", "left"))
    return [
        _by_image(site, users, wanted, f"wanted-{number:02}", "users moved"),
        _by_image(site, users, left, f"left-{number:02}", "users blocked"),
    ]


def _by_image(site: Site, users: Users, to: str, version: str, kind: str) -> dict[str, Any]:
    before = users.report()
    answer = site.cutover("rollback", NAME, "--to", to, "--reason", REASON)
    site.standing[site.live["colour"]] = version
    after = users.report()
    return {
        "part": "by hand",
        "kind": kind,
        "steps": {step["name"]: round(float(step["seconds"]), 2) for step in answer["steps"]},
        "budgets": {step["name"]: int(step["budget_seconds"]) for step in answer["steps"]},
        "command_seconds": round(answer["command_seconds"], 2),
        "requests": after["answers"] - before["answers"],
        "failed": after["failed"] - before["failed"],
    }
