"""What is measured on: the small environment, with a watch in which a bad release is taken back."""

from __future__ import annotations

from bench.environment import small
from bench.sandbox import Place
from config.model import Configuration

#: Beside a sandbox that a developer runs meanwhile.
PLACE = Place(4577, "127.77", __name__)
#: A bad release is taken back by its alarm; the deployment itself must not end before that.
BAKE_SECONDS = 60


def configuration() -> Configuration:
    whole = small(PLACE.network)
    return whole.model_copy(update={"watch": whole.watch.model_copy(update={"bake_seconds": BAKE_SECONDS})})
