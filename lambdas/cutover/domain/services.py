"""The services of an environment. They move in lockstep: one colour is live for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Service(StrEnum):
    """The backend leads: a release always has one. The frontend follows it."""

    BACKEND = "backend"
    FRONTEND = "frontend"


#: What every release has.
BACKEND = frozenset({Service.BACKEND})


def read_images(payload: Mapping[str, Any]) -> dict[Service, str]:
    """The digests that a payload of the state machine releases, the backend's first; there may be no frontend
    among them."""
    pages = payload.get("frontend_image")
    return {Service.BACKEND: str(payload["image"]), **({Service.FRONTEND: str(pages)} if pages else {})}
