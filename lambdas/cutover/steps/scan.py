"""The image's vulnerability scan as a gate: Critical and High must be 0 (requirements C5c and E1).

A scan that is missing, failed or not to be had is Inconclusive, which closes the gate: nothing is released
that nobody looked into. An image that is promoted by its digest is judged like one that was just built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject, Verdict
from cutover.domain.services import Service
from cutover.ports import Clock, Finding, ImageScan, Registry

SUBJECT = Subject("C5c", Persona.SECURITY)
NAME = "The image has no critical or high vulnerability"
WANTED = "0 critical, 0 high"
# The line of the Go/No-Go board that every scanner answers.
MEASURE = "findings"
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
CLOSING = frozenset({"CRITICAL", "HIGH"})
# COMPLETE is basic scanning's last word; ACTIVE is enhanced scanning's, which goes on looking.
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanStatus.html
JUDGED = frozenset({"COMPLETE", "ACTIVE"})
UNFINISHED = frozenset({"IN_PROGRESS", "PENDING"})
# A scan on push is there within seconds of the push; basic scanning takes a minute or two.
APPEARS_WITHIN_SECONDS = 30
ENDS_WITHIN_SECONDS = 900
# That many findings are written out; a gate's text travels through events and the execution's Cause.
MOST_TOLD = 40


def look_at_scans(
    images: Mapping[Service, str], since: str, *, registries: Mapping[Service, Registry], clock: Clock
) -> dict[str, Any]:
    """Of each service's image: {status: waiting, found} or {status: done, open, gates}."""
    looks = [
        look_at_scan(image, since, registry=registries[service], clock=clock, service=service)
        for service, image in images.items()
    ]
    waiting = [look["found"] for look in looks if look["status"] == "waiting"]
    if waiting:
        return {"status": "waiting", "found": "; ".join(waiting)}
    return {
        "status": "done",
        "open": all(look["open"] for look in looks),
        "gates": [gate for look in looks for gate in look["gates"]],
    }


def look_at_scan(
    image: str,
    since: str,
    *,
    registry: Registry,
    clock: Clock,
    service: Service = Service.BACKEND,
) -> dict[str, Any]:
    """{status: waiting, found} or {status: done, open, gates}.

    `since` is when the waiting began (ISO 8601): it ends with an Inconclusive gate, never with a time-out.
    """
    waited = (clock.now() - datetime.fromisoformat(since)).total_seconds()
    scan = registry.scan(image)
    if scan is None and waited < APPEARS_WITHIN_SECONDS:
        return {"status": "waiting", "found": "the registry knows of no scan yet"}
    if scan is not None and scan.status in UNFINISHED and waited < ENDS_WITHIN_SECONDS:
        return {"status": "waiting", "found": f"the scan is {scan.status}"}
    gate = judge(scan, service)
    return {"status": "done", "open": gate.verdict is Verdict.PASS, "gates": [gate.as_json()]}


def judge(scan: ImageScan | None, service: Service = Service.BACKEND) -> Gate:
    """One gate, whatever the scan has to say."""
    name = NAME if service is Service.BACKEND else NAME.replace("The", f"The {service}'s")
    if scan is None:
        found = (
            "the registry has no scan of this image: start one (aws ecr start-image-scan), then deploy again"
        )
        return SUBJECT.inconclusive(name, found=found, wanted=WANTED, measure=MEASURE)
    if scan.status not in JUDGED:
        why = f": {scan.reason}" if scan.reason else ""
        unjudged = f"the scan is {scan.status}{why}"
        return SUBJECT.inconclusive(name, found=unjudged, wanted=WANTED, measure=MEASURE)
    counts = {each: _count(each, scan) for each in SEVERITIES}
    closing = [finding for finding in scan.findings if finding.severity in CLOSING]
    told = ", ".join(
        f"{counts[each]} {each.lower()}" for each in SEVERITIES if counts[each] or each in CLOSING
    )
    found = f"{told}: {_listed(closing)}" if closing else told
    passed = all(counts[each] == 0 for each in CLOSING)
    severe = sum(counts[each] for each in CLOSING)
    evidence = {"value": severe, "counts": {each: count for each, count in counts.items() if count}}
    return SUBJECT.judge(name, passed, found=found, wanted=WANTED, measure=MEASURE, evidence=evidence)


def outlook(image: str | None, registry: Registry) -> dict[str, Any]:
    """What a plan can say of the scan before the gate judges: {blocks, verdict, found, counts, findings,
    left_out}. `blocks` is None for an image that is not built yet; `findings` are the worst ones, of which
    `left_out` are not told."""
    if image is None:
        found = "unknown until the image is built: the registry scans it when it is pushed"
        return {
            "blocks": None,
            "verdict": None,
            "found": found,
            "counts": {},
            "findings": [],
            "left_out": 0,
        }
    scan = registry.scan(image)
    gate = judge(scan)
    findings = _worst_first(scan.findings if scan else ())
    return {
        "blocks": gate.verdict is not Verdict.PASS,
        "verdict": gate.verdict.value,
        "found": gate.found,
        "counts": {each: count for each in SEVERITIES if scan and (count := _count(each, scan))},
        "findings": [asdict(finding) for finding in findings[:MOST_TOLD]],
        "left_out": max(0, len(findings) - MOST_TOLD),
    }


def _count(severity: str, scan: ImageScan) -> int:
    """The registry's own count or what it lists, whichever is more."""
    listed = sum(finding.severity == severity for finding in scan.findings)
    return max(listed, scan.counts.get(severity, 0))


def _listed(findings: Iterable[Finding]) -> str:
    worst = _worst_first(findings)
    told = [_told(finding) for finding in worst[:MOST_TOLD]]
    if len(worst) > MOST_TOLD:
        told.append(f"and {len(worst) - MOST_TOLD} more")
    return "; ".join(told)


def _worst_first(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), each.package, each.id))


def _told(finding: Finding) -> str:
    fix = f"fixed in {finding.fixed}" if finding.fixed else "no fixed version known to the registry"
    return f"{finding.package} {finding.version} {finding.id} ({finding.severity}, {fix})"
