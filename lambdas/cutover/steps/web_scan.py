"""The web scan's report as a gate: nothing critical or high (requirements C5c, E1).

Whichever scanner there was has left its report. One that is missing or can't be read, and a build that did
not end well, are Inconclusive: nothing is released that nobody looked into.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cutover.domain.failure import read_failure
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.web_reports import CLOSING, WebReport, read_report
from cutover.ports import Reports
from cutover.steps.scan import MEASURE, WANTED

SUBJECT = Subject("C5c, E1", Persona.SECURITY)
NAME = "The web scan finds nothing critical or high"
# That many findings are written out; all of them are in the report.
MOST_TOLD = 10


def judge_web_scan(deployment: str, failure: Mapping[str, Any] | None, *, reports: Reports) -> dict[str, Any]:
    """{gates}. `failure` is the error output of the build, if it failed: what an earlier one may have left
    then counts for nothing."""
    return {"gates": [_judged(deployment, failure, reports).as_json()]}


def _judged(deployment: str, failure: Mapping[str, Any] | None, reports: Reports) -> Gate:
    if failure:
        return _unknown(f"the scan failed: {read_failure(failure).message}")
    key = f"scans/{deployment}.json"
    content, link = reports.read(key), reports.location(key)
    if content is None:
        return _unknown(f"the scan has left no report at {link}")
    try:
        return judge(read_report(json.loads(content)), link)
    except (ValueError, TypeError) as error:
        return _unknown(f"the report can't be read: {error}", link)


def judge(report: WebReport, link: str) -> Gate:
    """A finding closes the gate however little was looked at; without one, everything must have been."""
    severities = (*CLOSING, *sorted(set(report.counts) - set(CLOSING)))
    told = ", ".join(f"{report.counts.get(each, 0)} {each}" for each in severities)
    found = f"{report.scanner}: {told}"
    if report.closing:
        more = f" and {len(report.closing) - MOST_TOLD} more" if len(report.closing) > MOST_TOLD else ""
        found = f"{found}: {'; '.join(report.closing[:MOST_TOLD])}{more}"
    elif report.trouble or report.looked_at < 1:
        return _unknown(f"{report.scanner}: {report.trouble or 'no operation was looked at'}", link)
    evidence = {"value": len(report.closing), "scanner": report.scanner, "counts": dict(report.counts)}
    return SUBJECT.judge(
        NAME,
        not report.closing,
        found=found,
        wanted=WANTED,
        samples=max(1, report.looked_at),
        measure=MEASURE,
        evidence=evidence,
        link=link,
    )


def _unknown(found: str, link: str = "") -> Gate:
    return SUBJECT.inconclusive(NAME, found=found, wanted=WANTED, measure=MEASURE, link=link)
