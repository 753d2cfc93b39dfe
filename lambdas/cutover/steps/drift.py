"""Whether the environment is still what its template says; doors that somebody opened are closed (C5a).

Only one thing is put back by itself: a rule that lets the world in and that no template declares. The rest is
told, because who narrowed or widened something inside may have had a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.domain.declared import Declared, Rule, ingress
from cutover.domain.errors import StackFailedError
from cutover.domain.gates import Persona, Subject
from cutover.ports import Doors, DriftDetection, Layer
from cutover.steps.layers import declared_by

SUBJECT = Subject("C5a", Persona.SECURITY)
GATE = "Security groups are as the template declares them"


def look_for_drift(
    *, layers: Sequence[Layer], doors: Doors, restore: bool, detection: DriftDetection | None = None
) -> dict[str, Any]:
    """{status: none | drifted | restored, findings, cloudformation, gates}.

    `findings`: {group, rule, what: opened | unknown | missing, done: closed | left}. `restored` means that
    nothing is left of what was found. `detection` asks CloudFormation too; None leaves that out.
    """
    declared = declared_by(layers)
    wanted = ingress(declared)
    if not wanted:
        raise StackFailedError("the environment's stacks declare no security group; are they deployed?")
    names = _names(declared)
    live = doors.rules(sorted(wanted))
    findings = [
        {"group": names.get(group, group), "rule": str(rule), "what": what, "done": done}
        for group in sorted(wanted)
        for rule, what, done in _compared(group, wanted[group], live.get(group), doors, restore)
    ]
    left = [each for each in findings if each["done"] != "closed"]
    status = ("drifted" if left else "restored") if findings else "none"
    told = "; ".join(f"{f['group']}: {f['rule']} {f['what']}, {f['done']}" for f in findings)
    samples = sum(len(rules) for rules in wanted.values())
    gate = SUBJECT.judge(
        GATE,
        not findings,
        found=told or f"{samples} rules in {len(wanted)} groups, all as declared",
        wanted="no rule more, no rule less",
        samples=samples,
        must=False,  # what is open after this closes the gates of the look that follows
    )
    return {
        "status": status,
        "findings": findings,
        "cloudformation": detection.detect() if detection else None,
        "gates": [gate.as_json()],
    }


def _compared(
    group: str, wanted: frozenset[Rule], found: frozenset[Rule] | None, doors: Doors, restore: bool
) -> list[tuple[Rule, str, str]]:
    told = [(rule, "missing", "left") for rule in sorted(wanted - (found or frozenset()))]
    for rule in sorted((found or frozenset()) - wanted):
        if not rule.open_to_the_world:
            told.append((rule, "unknown", "left"))
            continue
        if restore:
            doors.close(group, rule)
        told.append((rule, "opened", "closed" if restore else "left"))
    return told


def _names(declared: Any) -> Mapping[str, str]:
    groups = (each for each in declared if each.type == "AWS::EC2::SecurityGroup")
    return {each.physical_id: _name(each) for each in groups}


def _name(group: Declared) -> str:
    return str(group.properties.get("GroupName") or group.logical_id)
