"""The release's declared Python packages, held against what is known of them (requirements C5c, E1).

The build audits its source's requirements.txt by pip-audit and leaves the report under the source's name,
where it is found again when the image is promoted. pip-audit tells no severity, so that each vulnerability
counts as the worst. A report that is missing or can't be read is Inconclusive.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject, Verdict
from cutover.ports import Reports
from cutover.steps.scan import MEASURE, MOST_TOLD

SUBJECT = Subject("C5c", Persona.SECURITY)
NAME = "The Python packages have no known vulnerability"
WANTED = "none known, of any severity"


def with_dependencies(look: Mapping[str, Any], source: str, *, reports: Reports) -> dict[str, Any]:
    """A look at the images' scans, with this gate too as soon as they are done."""
    if look["status"] != "done":
        return dict(look)
    gate = judge_dependencies(source, reports=reports)
    return {
        **look,
        "open": look["open"] and gate.verdict is Verdict.PASS,
        "gates": [*look["gates"], gate.as_json()],
    }


def judge_dependencies(source: str, *, reports: Reports) -> Gate:
    """`source` is the key of the source that the image was built from: sources/SHA256.zip."""
    key = f"scans/dependencies/{PurePosixPath(source).stem}.json"
    content, link = reports.read(key), reports.location(key)
    if content is None:
        why = (
            "the build of this source has left no report: it wants a requirements.txt with every line pinned"
        )
        return _unknown(f"{why}; its log says more", link)
    try:
        return _judged(_dependencies(json.loads(content)), link)
    except (ValueError, TypeError, KeyError) as error:
        return _unknown(f"the report can't be read: {error!r}", link)


def _dependencies(report: object) -> Sequence[Mapping[str, Any]]:
    """https://github.com/pypa/pip-audit#json-output"""
    found = report.get("dependencies") if isinstance(report, Mapping) else None
    if not isinstance(found, list):
        raise ValueError("it has no list `dependencies`")
    return found


def _judged(dependencies: Sequence[Mapping[str, Any]], link: str) -> Gate:
    skipped = [str(each["name"]) for each in dependencies if "skip_reason" in each]
    looked_at = [each for each in dependencies if "skip_reason" not in each]
    told = [_told(each, known) for each in looked_at for known in each["vulns"]]
    if not told and (skipped or not looked_at):
        return _unknown(f"not looked into: {', '.join(skipped) or 'there is no package'}", link)
    found = f"{len(told)} known in {len(looked_at)} packages"
    if told:
        more = [f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
        found = f"{found}: {'; '.join([*told[:MOST_TOLD], *more])}"
    return SUBJECT.judge(
        NAME,
        not told,
        found=found,
        wanted=WANTED,
        samples=len(looked_at),
        measure=MEASURE,
        evidence={"value": len(told), "packages": len(looked_at)},
        link=link,
    )


def _told(package: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    names = ", ".join([str(known["id"]), *map(str, known.get("aliases") or [])])
    fixed = ", ".join(map(str, known.get("fix_versions") or []))
    fix = f"fixed in {fixed}" if fixed else "no fixed version known"
    return f"{package['name']} {package['version']} {names} ({fix})"


def _unknown(found: str, link: str) -> Gate:
    return SUBJECT.inconclusive(NAME, found=found, wanted=WANTED, measure=MEASURE, link=link)
