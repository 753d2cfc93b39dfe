"""The manual rollback that brings a former release back (requirement D3): what is asked for, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.errors import InvalidInputError, NothingToRollBackError, WrongEnvironmentError
from cutover.domain.health import Health
from cutover.domain.records import Live
from cutover.domain.services import Service

FIELDS = ("environment", "reason", "by", "to")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,79}")


@dataclass(frozen=True)
class Wish:
    """`to` is a deployment's id; None for the release before the one that is live."""

    reason: str
    by: str
    to: str | None


def read_wish(raw: object, environment: str) -> Wish:
    """Raises InvalidInputError or WrongEnvironmentError: field, value, way out."""
    if not isinstance(raw, Mapping):
        raise InvalidInputError(f"input: {raw!r} is not a JSON object; wanted one with {', '.join(FIELDS)}")
    unknown = sorted(str(name) for name in raw if name not in FIELDS)
    if unknown:
        raise InvalidInputError(f"{unknown[0]}: not a field of a rollback; known are {', '.join(FIELDS)}")
    texts = {}
    for name in ("environment", "reason", "by"):
        value = raw.get(name)
        if not isinstance(value, str) or not value.strip():
            raise InvalidInputError(
                f"{name}: {value!r} says nothing; a rollback needs {', '.join(FIELDS[:3])}"
            )
        texts[name] = value.strip()
    if texts["environment"] != environment:
        raise WrongEnvironmentError(
            f"environment: {texts['environment']!r} is not served here; write {environment!r}"
        )
    to = raw.get("to")
    if to is not None and not (isinstance(to, str) and _ID.fullmatch(to)):
        raise InvalidInputError(
            f"to: {to!r} is no deployment's id; `cutover history {environment}` shows them"
        )
    return Wish(texts["reason"], texts["by"], to)


@dataclass(frozen=True)
class Former:
    """A release that has been live once: what it takes to bring it back."""

    deployment: str
    version: str
    image: str
    image_uri: str
    settings: Mapping[str, str]
    frontend_image: str | None = None
    frontend_image_uri: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "deployment": self.deployment,
            "version": self.version,
            "image": self.image,
            "image_uri": self.image_uri,
            "settings": dict(self.settings),
            "frontend_image": self.frontend_image,
            "frontend_image_uri": self.frontend_image_uri,
        }


def wanted_deployment(wish: Wish, live: Live | None, environment: str) -> str:
    """Raises NothingToRollBackError."""
    if live is None:
        raise NothingToRollBackError(f"nothing has been released on {environment} yet")
    if live.contracted_at is not None:
        raise NothingToRollBackError(
            f"since {live.contracted_at} the schema may lack what releases before {live.version} need; "
            "go forward: deploy a version that mends it"
        )
    if wish.to == live.deployment:
        raise NothingToRollBackError(f"deployment {wish.to} (version {live.version}) is live already")
    if wish.to is not None:
        return wish.to
    if live.rolled_back:
        raise NothingToRollBackError(
            f"version {live.version} is live by a rollback, and the one before it in the journal is the one "
            f"that failed; name another with --to (`cutover history {environment}` shows them)"
        )
    if live.previous_deployment is None:
        raise NothingToRollBackError(
            f"version {live.version} is the first release on {environment}: there is nothing to go back to; "
            "deploy a version that mends it"
        )
    return live.previous_deployment


def former(deployment: str, record: Mapping[str, Any] | None) -> Former:
    """Raises InvalidInputError for a deployment that never brought an image to an instance."""
    if record is None:
        raise InvalidInputError(f"to: there is no deployment {deployment}; `cutover history` shows them")
    if not record.get("image") or not record.get("swap"):
        raise InvalidInputError(
            f"to: deployment {deployment} never had the traffic ({record.get('status')}), so nothing is "
            "known of how it serves; choose one that had"
        )
    given, frontend = record.get("input") or {}, record.get(Service.FRONTEND) or {}
    return Former(
        deployment=deployment,
        version=str(record["version"]),
        image=str(record["image"]),
        image_uri=str(record["image_uri"]),
        settings=given.get("settings") or {},
        frontend_image=frontend.get("image"),
        frontend_image_uri=frontend.get("image_uri"),
    )


class Gate(StrEnum):
    """What happens to the traffic while the former release comes up."""

    MOVE = "move"
    BLOCK = "block"


@dataclass(frozen=True)
class GateDecision:
    gate: Gate
    reason: str


def decide_gate(live: Live, standing: str | None, other: Health) -> GateDecision:
    """Users are sent to the other colour where the release before stands, if enough of it is healthy; else
    they are answered 503: what is live is what somebody wants gone, and there is no third.
    """
    colour: Colour = live.colour.other
    back = live.previous_deployment
    if live.rolled_back or back is None:
        return GateDecision(Gate.BLOCK, f"no sound release stands on {colour}")
    if standing not in (None, back):
        return GateDecision(Gate.BLOCK, f"deployment {standing} stands on {colour}, and it was not proved")
    if other.healthy == 0 or other.share < live.healthy_share:
        return GateDecision(Gate.BLOCK, f"{colour} can't take the traffic: {other}")
    return GateDecision(Gate.MOVE, f"deployment {back} stands on {colour} ({other})")
