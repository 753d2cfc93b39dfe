"""What telling people needs of the world, beside the journal and the clock."""

from __future__ import annotations

from typing import Protocol

from cutover.domain.notices import Notice


class Messenger(Protocol):
    """One channel's way to people."""

    def deliver(self, notice: Notice, text: str, place: str | None) -> str | None:
        """Returns when the other side has taken it.

        `place` is where the thread's live message stands (None when there is none yet), and the answer where
        it stands from now on. Raises NotReachableError or ServiceRefusedError when it was not taken.
        """
