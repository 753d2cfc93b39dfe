"""The web scan's report as a gate: nothing critical or high (requirements C5c, E1).

Whichever scanner there was has left its report. One that is missing or can't be read, and a build that did
not end well, are Inconclusive: nothing is released that nobody looked into.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cutover.domain.failure import read_failure
from cutover.domain.gates import Gate, Persona, Subject, Verdict
from cutover.domain.records import Deployment
from cutover.domain.web_reports import CLOSING, WebReport, read_report
from cutover.ports import Clock, Reports
from cutover.steps.scan import MEASURE, WANTED

SUBJECT = Subject("C5c, E1", Persona.SECURITY)
NAME = "The web scan finds nothing critical or high"
# That many findings are written out; all of them are in the report.
MOST_TOLD = 10


def look_at_web_scan(
    deployment: Deployment,
    image: str,
    configuration: Mapping[str, Any],
    ended: Mapping[str, Any] | None,
    *,
    reports: Reports,
    clock: Clock,
) -> dict[str, Any]:
    """{status: wanted} while the release is to be scanned, else {status: done, gates}.

    `ended` is {failure}, once the build of this deployment has ended: the error output of one that failed,
    whose report, if there is any, counts for nothing. Before that, the same image with the same settings may
    have been found clean within [security.web_scan] reuse_hours. Where the scan is not enabled, the gate says
    so, and closes nothing.
    """
    settings = configuration["security"]["web_scan"]
    if not settings["enabled"]:
        found = "not run: [security.web_scan] enabled is false"
        gate = SUBJECT.inconclusive(NAME, found=found, wanted=WANTED, must=False)
        return {"status": "done", "gates": [gate.as_json()]}
    release = _release_key(image, {**configuration["release"]["settings"], **(deployment.settings or {})})
    hours = float(settings["reuse_hours"])
    if ended is None:
        earlier = _earlier(release, clock.now() - timedelta(hours=hours), reports) if hours else None
        return {"status": "done", "gates": [earlier.as_json()]} if earlier else {"status": "wanted"}
    gate = _judged(deployment.id, ended["failure"], reports)
    if hours and gate.verdict is Verdict.PASS:
        clean = {"deployment": deployment.id, "at": clock.now().isoformat(timespec="seconds")}
        reports.keep(release, json.dumps(clean).encode())
    return {"status": "done", "gates": [gate.as_json()]}


def _release_key(image: str, settings: Mapping[str, str]) -> str:
    """Where it stands which deployment's scan found this release clean."""
    release = json.dumps([image, dict(settings)], sort_keys=True)
    return f"scans/releases/{hashlib.sha256(release.encode()).hexdigest()}.json"


def _earlier(release: str, since: datetime, reports: Reports) -> Gate | None:
    """The gate of an earlier deployment's scan, if it is no older than `since` and still passes."""
    try:
        clean = json.loads(reports.read(release) or b"{}")
        deployment, at = str(clean["deployment"]), str(clean["at"])
        if datetime.fromisoformat(at) < since:
            return None
    except (ValueError, TypeError, KeyError):
        return None
    gate = _judged(deployment, None, reports)
    found = f"{gate.found}; scanned for {deployment} at {at}, the same image with the same settings"
    return replace(gate, found=found) if gate.verdict is Verdict.PASS else None


def _judged(deployment: str, failure: Mapping[str, Any] | None, reports: Reports) -> Gate:
    if failure:
        return _unknown(f"the scan failed: {read_failure(failure).message}")
    key = f"scans/web/{deployment}.json"
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
