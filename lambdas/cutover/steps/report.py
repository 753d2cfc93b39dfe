"""Make a report: what the journal and CloudWatch have of a time, as one document (F1, F3, F4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.errors import InvalidInputError
from cutover.domain.figures import colour_figures, environment_figures, period_of
from cutover.domain.input import Mode
from cutover.domain.measures import Limits
from cutover.domain.moves import spells_of
from cutover.domain.observed import LINES, observe
from cutover.domain.records import HISTORY, LIVE, Item, Live, deployment_key
from cutover.domain.report import SPANS, TRENDS, Facts, Kind, report_of
from cutover.domain.series import Span, floored
from cutover.ports import Clock, Configuration, Journal
from cutover.report_ports import ErrorLog, MetricHistory

#: A deployment a day for a quarter fits, and so do the words of a busy week.
MOST_DEPLOYMENTS, MOST_FEEDBACK = 100, 500
#: Where what users say is kept.
FEEDBACK = "FEEDBACK"
LONGEST = timedelta(days=60)


@dataclass(frozen=True)
class Wish:
    """What to report on. `until` None is now; `length` None is the kind's own. A checkpoint without `until`
    is of the first hour of the release that is live."""

    kind: Kind
    until: datetime | None = None
    length: timedelta | None = None
    lines: Sequence[str] = TRENDS

    def __post_init__(self) -> None:
        """Raises InvalidInputError for a line that is not known, and for a length out of bounds."""
        for name in self.lines:
            if name not in LINES:
                raise InvalidInputError(f"metrics: {name!r} is not known; choose of {', '.join(LINES)}")
        if self.length is not None and not timedelta(minutes=10) <= self.length <= LONGEST:
            asked = str(self.length).removesuffix(", 0:00:00")
            raise InvalidInputError(
                f"period: {asked} is not between 10 minutes and {LONGEST.days} days, which CloudWatch keeps "
                "fine enough"
            )


def make_report(
    wish: Wish,
    environment: str,
    *,
    journal: Journal,
    metrics: MetricHistory,
    configuration: Configuration,
    clock: Clock,
    error_log: ErrorLog | None = None,
) -> dict[str, Any]:
    """The document of `cutover.domain.report`."""
    settings, now = configuration.read(), clock.now()
    item = journal.read(LIVE)
    live = Live.read(item) if item else None
    span = _span(wish, live, now)
    period = period_of(*span)
    span = Span(floored(span.since, period), floored(span.until, period))
    if span.since >= span.until:
        raise InvalidInputError(
            "there is nothing to report on yet: the release has been live for less than a minute; "
            "ask again in a minute"
        )
    records = _records(journal)
    spells = spells_of(records, live, *span)
    colours: dict[Colour, Mapping[str, Any]] = {}
    whole: Mapping[str, Any] = {}
    if live is not None and spells:
        for colour in {spell.colour for spell in spells}:
            colours[colour] = metrics.read(colour_figures(environment, colour, live.targets), *span, period)
        whole = metrics.read(environment_figures(environment, live.targets), *span, period)
    facts = Facts(
        kind=wish.kind,
        environment=environment,
        zone=str((settings.get("window") or {}).get("zone") or "Asia/Seoul"),
        span=span,
        made_at=now,
        spells=spells,
        observed=observe(colours, whole, spells, period, now),
        records=records,
        live=item,
        feedback=_feedback(journal, span),
        limits=Limits.read(settings),
        asked=tuple(wish.lines),
        error_log=error_log.read(spells) if error_log is not None and spells else None,
    )
    return report_of(facts)


def _span(wish: Wish, live: Live | None, now: datetime) -> Span:
    length = wish.length or SPANS.get(wish.kind, SPANS[Kind.WEEKLY])
    if wish.kind is Kind.CHECKPOINT and wish.until is None and live is not None:
        since = datetime.fromisoformat(live.swapped_at)
        return Span(since, min(now, since + length))
    until = min(now, wish.until) if wish.until is not None else now
    return Span(until - length, until)


def _records(journal: Journal) -> list[Item]:
    """Of releases: what is given back after a drill that died is no rollback of one."""
    lines = journal.newest(HISTORY, MOST_DEPLOYMENTS)
    releases = (line for line in lines if line.get("mode") != Mode.DRILL)
    found = (journal.read(deployment_key(str(line["id"]))) for line in releases)
    return [record for record in found if record is not None]


def _feedback(journal: Journal, span: Span) -> list[Item]:
    said = journal.newest(FEEDBACK, MOST_FEEDBACK)
    return [
        each
        for each in said
        if each.get("at") and span.since <= datetime.fromisoformat(str(each["at"])) < span.until
    ]
