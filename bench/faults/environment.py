"""What is deployed in: the small environment."""

from __future__ import annotations

from bench.environment import small
from bench.sandbox import Place
from config.model import Configuration

PLACE = Place(4578, "127.78", __name__)


def configuration() -> Configuration:
    return small(PLACE.network)
