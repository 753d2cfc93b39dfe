"""Work that is done in steps, so that a long command doesn't keep all other clients waiting."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

# Each step yields the seconds to wait before the next one; the result is what the generator returns.
Steps = Generator[float, None, T]


def finish(steps: Steps[T]) -> T:
    """Do all the steps at once, without waiting: for callers that have no other clients."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
