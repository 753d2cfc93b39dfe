"""What a report needs of the world besides the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from cutover.domain.figures import Figure
from cutover.domain.moves import Spell
from cutover.domain.observed import Points


class MetricHistory(Protocol):
    """What CloudWatch has kept."""

    def read(
        self, figures: Mapping[str, Figure], since: datetime, until: datetime, period: timedelta
    ) -> Mapping[str, Points]:
        """By the figures' names, oldest first, in our units; empty for what there is no data of."""


class ErrorLog(Protocol):
    """What the backends' log has of errors."""

    def read(self, spells: Sequence[Spell]) -> Mapping[str, Any]:
        """Those of users' time: {errors, unreadable, kinds, patterns} of `cutover.domain.log_patterns`, and
        where instances were asked {asked, answered: how many, problems: why one did not answer, kept:
        [{colour, since}] where a log does not reach back to the colour's first spell}. Raises nothing: a
        report is made without its log, and says so."""


class Schedules(Protocol):
    """One-time schedules of reports to come."""

    def once(self, name: str, at: datetime, asked: Mapping[str, Any]) -> None:
        """Ask for a report at that moment. Does nothing where there is a schedule of this name already."""


class Plots(Protocol):
    """Draws."""

    def draw(
        self, points: Sequence[Sequence[Any]], unit: str, zone: str, limit: float | None
    ) -> bytes | None:
        """A PNG of [moment (ISO 8601), value or None]; what is None is a gap in the line. `limit` is drawn
        across. None where there is no value at all."""
