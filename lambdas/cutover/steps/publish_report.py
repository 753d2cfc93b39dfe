"""Reports by themselves: asked for when a release has come to stay, made when their time has passed, kept,
and told to the bus. What is done with them there, no deployment waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from cutover.domain.records import LIVE, Live
from cutover.domain.report import SPANS, Kind
from cutover.domain.report_page import as_text, page_of
from cutover.domain.report_words import LOCALES, Speech
from cutover.domain.times import text
from cutover.ports import Clock, Documents, Events, EvidenceStore, Journal
from cutover.report_ports import Plots, Schedules
from cutover.steps.render_report import DOCUMENT, files_of

#: CloudWatch shows metrics some minutes late.
LATER = timedelta(minutes=5)
#: A moment that has passed can't be scheduled for any more.
SOON = timedelta(minutes=1)
#: Of the text that goes over the bus, in characters: an event holds 256 KB, and there are two languages.
LONGEST_TEXT = 20_000


class Shelf(Documents, EvidenceStore, Protocol):
    """Where reports are kept."""


def schedule_reports(
    deployment: str, *, journal: Journal, schedules: Schedules, clock: Clock
) -> dict[str, Any]:
    """{scheduled: {kind: moment}}: the first hour's and the first day's report of the release that the
    deployment brought, as long as it is live. Told of it twice, it changes nothing."""
    item = journal.read(LIVE)
    live = Live.read(item) if item else None
    if live is None or live.deployment != deployment or live.rolled_back:
        return {"scheduled": {}}
    swapped, scheduled = datetime.fromisoformat(live.swapped_at), {}
    for kind in (Kind.CHECKPOINT, Kind.DAILY):
        until = swapped + SPANS[kind]
        at = max(until + LATER, clock.now() + SOON)
        # A schedule's name holds 64 characters: the last ones are those that tell deployments apart.
        name = f"{deployment[-50:]}-{kind.value}"
        schedules.once(name, at, {"action": "make", "kind": kind.value, "until": text(until)})
        scheduled[kind.value] = text(at)
    return {"scheduled": scheduled}


def publish_report(
    document: Mapping[str, Any], *, documents: Shelf, plots: Plots, events: Events
) -> dict[str, Any]:
    """{report, location, status: published | nothing}. Kept under reports/; the document itself is kept last,
    when the bus has been told: one that is there was told of, and a killed publication is done again."""
    identity = f"{document['until'][:16].replace(':', '')}Z-{document['kind']}"
    folder = f"reports/{identity}"
    told = {"report": identity, "location": documents.location(f"{folder}/")}
    if documents.read(f"{folder}/{DOCUMENT}") is not None:
        return {**told, "status": "nothing"}
    files = files_of(document, plots)
    for name, file in files.items():
        if name != DOCUMENT:
            documents.keep(f"{folder}/{name}", file.body, file.media_type)
    pages = {locale: page_of(document, Speech(locale, document["zone"])) for locale in LOCALES}
    events.publish(
        "ReportReady",
        {
            **told,
            "kind": document["kind"],
            "since": document["since"],
            "until": document["until"],
            "deployment": (document["release"] or {}).get("deployment"),
            "version": (document["release"] or {}).get("version"),
            "readiness": document["readiness"]["verdict"],
            "files": {name: f"{folder}/{name}" for name in files},
            "title": {locale: page.title for locale, page in pages.items()},
            "text": {locale: as_text(page)[:LONGEST_TEXT] for locale, page in pages.items()},
        },
    )
    documents.keep(f"{folder}/{DOCUMENT}", files[DOCUMENT].body, files[DOCUMENT].media_type)
    return {**told, "status": "published"}
