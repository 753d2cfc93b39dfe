"""A report's document as sections of words and tables, in a language; and those as HTML and as plain text."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutover.domain.figures import CPU, MEMORY, P50, P95, P99
from cutover.domain.observed import CACHE_HIT, ERROR_RATE, LINES, THROUGHPUT
from cutover.domain.report import Kind
from cutover.domain.report_words import Speech

#: Of gaps and error times, the first; a report is to be read.
MOST_LINES = 10
DATABASE = ("database_cpu", "database_connections", "database_hit", CACHE_HIT)


@dataclass(frozen=True)
class Section:
    """`table` begins with its heads; `pictures` are names of lines that are plotted."""

    title: str
    lines: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """`lead` is what is said first of all."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def pictures(self) -> list[str]:
        return [name for section in self.sections for name in section.pictures]


def page_of(document: Mapping[str, Any], speech: Speech) -> Page:
    """Of any report. One of a time in which nothing was live has no sections."""
    say = speech.say
    title = f"{say(document['kind'])} · {document['environment']}"
    lead = [f"{speech.when(document['since'])} – {speech.when(document['until'])}"]
    if not document["traffic"]:
        return Page(title, (*lead, say("nothing_live")), ())
    lead += [*_release(document, speech), *_coverage(document, speech)]
    match Kind(document["kind"]):
        case Kind.CHECKPOINT:
            sections = [
                _figures("latency", (P50, P95, P99), document, speech, trends=(P95,)),
                _traffic("traffic", document, speech),
                _figures("resources", (CPU, MEMORY), document, speech),
                _figures("database", DATABASE, document, speech),
            ]
        case Kind.DAILY:
            sections = [
                _figures("summary", tuple(LINES), document, speech, trends=(P95, THROUGHPUT, ERROR_RATE)),
                _traffic("error_analysis", document, speech),
                _feedback(document, speech),
                _improvements(document, speech),
                _readiness(document, speech),
            ]
        case Kind.WEEKLY:
            sections = [_line(name, document, speech) for name in document["trends"]]
            sections += [_traffic("traffic", document, speech), _dora(document, speech)]
        case Kind.TREND:
            sections = [_line(name, document, speech) for name in document["trends"]]
    return Page(title, tuple(lead), tuple(sections))


def _release(document: Mapping[str, Any], speech: Speech) -> list[str]:
    release = document["release"]
    if not release:
        return []
    key = "release_back" if release["rolled_back"] else "release"
    return [speech.say(key, version=release["version"], at=speech.when(release["swapped_at"]))]


def _coverage(document: Mapping[str, Any], speech: Speech) -> list[str]:
    coverage, seconds = document["coverage"], document["period_seconds"]
    wanted, seen, gaps = coverage["wanted"], coverage["seen"], coverage["gaps"]
    if not seen:
        return [speech.say("empty", wanted=wanted)]
    if not gaps:
        return [speech.say("complete", wanted=wanted, seconds=seconds)]
    told = [f"{speech.when(gap['since'])} – {speech.when(gap['until'])}" for gap in gaps[:MOST_LINES]]
    more = [speech.say("more_gaps", count=len(gaps) - MOST_LINES)] if len(gaps) > MOST_LINES else []
    return [speech.say("gaps", missing=wanted - seen, wanted=wanted, seconds=seconds), *told, *more]


def _figures(
    title: str, names: Sequence[str], document: Mapping[str, Any], speech: Speech, trends: Sequence[str] = ()
) -> Section:
    say = speech.say
    rows = [tuple(say(head) for head in ("what", "mean", "median", "worst", "when"))]
    for name in names:
        figure, unit = document["figures"][name], LINES[name].value
        if figure is None:
            rows.append((say(name), say("no_data"), "", "", ""))
            continue
        worst = "lowest" if name.endswith("_hit") else "highest"
        rows.append(
            (
                say(name),
                speech.amount(figure["mean"], unit),
                speech.amount(figure["median"], unit),
                speech.amount(figure[worst], unit),
                speech.when(figure[f"{worst}_at"]),
            )
        )
    lines = [line for name in trends for line in _slope(name, document, speech)]
    pictures = tuple(name for name in (trends or names) if document["figures"][name] is not None)
    return Section(say(title), tuple(lines), tuple(rows), pictures)


def _slope(name: str, document: Mapping[str, Any], speech: Speech) -> list[str]:
    trend = document["trends"].get(name)
    if trend is None or trend["slope"] is None:
        return [speech.say("no_slope", name=speech.say(name))]
    unit = trend["unit"]
    told = {
        "name": speech.say(name),
        "slope": speech.change(trend["slope"], unit),
        "per": speech.say("per_hour" if trend["per_seconds"] == 3600 else "per_day"),
        "blocks": trend["blocks"],
    }
    if trend["low"] is None:
        return [speech.say("slope_alone", **told)]
    return [
        speech.say(
            "slope",
            **told,
            confidence=f"{trend['confidence']:.0%}",
            low=speech.change(trend["low"], unit),
            high=speech.change(trend["high"], unit),
            direction=speech.say(trend["direction"]),
        )
    ]


def _changes(name: str, document: Mapping[str, Any], speech: Speech) -> list[str]:
    changes, title, unit = document["changes"].get(name), speech.say(name), LINES[name].value
    if changes is None:
        return [speech.say("few_for_change", name=title)]
    if not changes:
        return [speech.say("no_change", name=title)]
    return [
        speech.say(
            "change",
            name=title,
            before=speech.amount(each["before"], unit),
            after=speech.amount(each["after"], unit),
            at=speech.when(each["at"]),
        )
        for each in changes
    ]


def _line(name: str, document: Mapping[str, Any], speech: Speech) -> Section:
    """One figure of F4: its values, its slope, its changes, its picture."""
    about = _figures("traffic", (name,), document, speech)
    lines = (*_slope(name, document, speech), *_changes(name, document, speech))
    return Section(speech.say(name), lines, about.table, about.pictures)


def _traffic(title: str, document: Mapping[str, Any], speech: Speech) -> Section:
    say, totals = speech.say, document["totals"]
    if totals["requests"] is None:
        return Section(say(title), (say("errors_unknown"), *_log(document, speech)))
    rows = (
        (say("what"), say("value")),
        (say("requests"), f"{totals['requests']:,}"),
        (say("error_count"), f"{totals['errors']:,}"),
        (say("balancer_errors"), f"{totals['balancer_errors']:,}"),
        (say("error_rate"), speech.amount(totals["error_rate"], "share")),
        (say("availability"), speech.amount(totals["availability"], "share")),
    )
    windows = document["errors"]
    lines = [
        say(
            "error_window",
            since=speech.when(each["since"]),
            until=speech.when(each["until"]),
            errors=f"{each['errors']:,}",
            requests=f"{each['requests']:,}",
            share=speech.amount(each["errors"] / each["requests"] if each["requests"] else None, "share"),
        )
        for each in windows[:MOST_LINES]
    ]
    if len(windows) > MOST_LINES:
        lines.append(say("more_windows", count=len(windows) - MOST_LINES))
    for each in document["rollbacks"]:
        about = {"version": each["version"], "at": speech.when(each["at"]), "cause": each["cause"]}
        lines.append(say("rolled_back", **about))
    lines = [*(lines or [say("no_errors")]), *_log(document, speech)]
    pictures = tuple(
        name for name in (THROUGHPUT, ERROR_RATE) if title == "traffic" and _drawn(name, document)
    )
    return Section(say(title), tuple(lines), rows, pictures)


def _log(document: Mapping[str, Any], speech: Speech) -> list[str]:
    """What the errors were, as the log has them."""
    log = document["error_log"]
    if log is None:
        return [speech.say("no_log")]
    problems = [speech.say("log_problem", why=each) for each in log.get("problems", [])]
    if log.get("asked") is not None and not log["answered"]:
        return [speech.say("log_unread"), *problems]
    counts = {name: log[name] for name in ("errors", "kinds", "unreadable")}
    if log.get("asked"):
        origin = speech.say("log_instances", asked=log["asked"], answered=log["answered"])
    else:
        origin = speech.say("log_file")
    return [
        speech.say("log_count", origin=origin, **counts),
        *problems,
        *(
            speech.say("log_kept", colour=each["colour"], since=speech.when(each["since"]))
            for each in log.get("kept", [])
        ),
        *(
            speech.say(
                "log_pattern",
                count=each["count"],
                pattern=each["pattern"],
                **{
                    name: speech.when(each[name]) if each[name] else speech.say("no_data")
                    for name in ("first", "last")
                },
            )
            for each in log["patterns"][:MOST_LINES]
        ),
    ]


def _drawn(name: str, document: Mapping[str, Any]) -> bool:
    """Whether this section has to draw it: in a weekly report it has a section of its own."""
    return document["figures"][name] is not None and document["kind"] == Kind.CHECKPOINT


def _feedback(document: Mapping[str, Any], speech: Speech) -> Section:
    feedback = document["feedback"]
    if not feedback["total"]:
        return Section(speech.say("user_feedback"), (speech.say("no_feedback"),))
    counts = {key: feedback[key] for key in ("total", "good", "bad")}
    said = [f"{speech.when(each['at'])} ({each['version']}): {each['text']}" for each in feedback["latest"]]
    return Section(speech.say("user_feedback"), (speech.say("feedback_count", **counts), *said))


def _improvements(document: Mapping[str, Any], speech: Speech) -> Section:
    say = speech.say
    lines = []
    for each in document["improvements"]:
        name = say(each["measure"])
        match each["code"]:
            case "missed":
                lines.append(say("missed", name=name, advice=say(f"advice_{each['measure']}")))
            case "unseen":
                advice = {"seen": "advice_seen", "findings": "advice_unscanned"}
                told = say(advice.get(each["measure"], "advice_unseen"))
                lines.append(say("unseen", name=name, advice=told))
            case "changed":
                lines.append(say("changed", name=name, at=speech.when(each["at"])))
            case "rising":
                lines.append(say("rising_advice", name=name))
            case code:
                lines.append(say(code))
    return Section(say("improvement"), tuple(lines or [say("no_improvement")]))


def _readiness(document: Mapping[str, Any], speech: Speech) -> Section:
    say, readiness = speech.say, document["readiness"]
    rows = [tuple(say(head) for head in ("what", "found", "wanted", "verdict", "must"))]
    for each in readiness["reasons"]:
        rows.append(
            (
                say(each["measure"]),
                speech.amount(each["value"], each["unit"]),
                f"{each['comparison']} {speech.amount(each['limit'], each['unit'])}",
                say(each["verdict"]),
                say("must" if each["must"] else "should"),
            )
        )
    return Section(say("production"), (say(readiness["verdict"]),), tuple(rows))


def _dora(document: Mapping[str, Any], speech: Speech) -> Section:
    say, keys = speech.say, document["dora"]

    def time(value: float | None) -> str:
        if value is None:
            return say("no_data")
        return say("seconds", value=f"{value:,.0f}" if value >= 10 else f"{value:.1f}")

    rate = keys["failure_rate"]
    rows = (
        (say("what"), say("value"), say("rests_on")),
        (say("frequency"), say("per_day_count", value=f"{keys['per_day']:.2f}"), str(keys["deployments"])),
        (say("lead"), time(keys["lead_seconds"]), str(keys["lead_times"])),
        (
            say("failure"),
            say("no_data") if rate is None else f"{rate:.0%}",
            say("of", count=keys["failures"], all=keys["deployments"]),
        ),
        (
            say("restore"),
            time(keys["restore_seconds"]),
            say("restores_from", all=keys["restores"], count=keys["restores_from_first_bad"]),
        ),
    )
    return Section(say("delivery"), (), rows)


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.8em 0}"
    "th,td{text-align:left;padding:.25em 1em .25em 0;border-bottom:1px solid #ddd}"
    "td+td,th+th{white-space:nowrap}img{max-width:100%;height:auto}h2{margin-top:1.6em;font-size:1.15em}"
)


def as_html(
    page: Page, locale: str, source_of: Callable[[str], str | None], title_of: Callable[[str], str]
) -> str:
    """One HTML document. `source_of` gives a picture's address, or None where there is no picture; `title_of`
    what it shows, in words. Every text is escaped: some of it was written by strangers."""
    e = html.escape
    parts = [
        f'<!doctype html><html lang="{e(locale)}"><head><meta charset="utf-8">',
        f"<title>{e(page.title)}</title><style>{_STYLE}</style></head><body><h1>{e(page.title)}</h1>",
        *(f"<p>{e(line)}</p>" for line in page.lead),
    ]
    for section in page.sections:
        parts.append(f"<h2>{e(section.title)}</h2>")
        if section.lines:
            parts.append("<ul>" + "".join(f"<li>{e(line)}</li>" for line in section.lines) + "</ul>")
        if section.table:
            head, *rows = section.table
            parts.append(
                "<table><tr>" + "".join(f'<th scope="col">{e(cell)}</th>' for cell in head) + "</tr>"
            )
            parts += ["<tr>" + "".join(f"<td>{e(cell)}</td>" for cell in row) + "</tr>" for row in rows]
            parts.append("</table>")
        for name in section.pictures:
            if source := source_of(name):
                parts.append(
                    f'<p><img src="{e(source)}" width="640" height="200" alt="{e(title_of(name))}"></p>'
                )
    return "".join([*parts, "</body></html>\n"])


def as_text(page: Page) -> str:
    """For a terminal and for a mail's plain part."""
    parts = [page.title, "", *page.lead]
    for section in page.sections:
        parts += ["", section.title, "", *(f"  {line}" for line in section.lines)]
        if section.table:
            parts += ["  " + "  ".join(cells).rstrip() for cells in _aligned(section.table)]
    return "\n".join(parts) + "\n"


def _aligned(table: Sequence[Sequence[str]]) -> list[list[str]]:
    widths = [max(_width(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        for row in table
    ]


def _width(text: str) -> int:
    """Columns in a terminal: Hangul takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
