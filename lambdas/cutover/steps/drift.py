"""Whether the environment is still what its template says; its security groups are put right (C5a).

Two things are put right by themselves: a rule that lets the world in and that no template declares is taken
away, and a rule that the template declares is put back. Any other rule too many is told and left: whoever
opened something inside may have had a reason, and no one outside profits from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.domain.declared import UNRESOLVED, Declared, Rule, rules
from cutover.domain.errors import StackFailedError
from cutover.domain.gates import Persona, Subject
from cutover.ports import Doors, DriftDetection, Layer
from cutover.steps.layers import declared_by

SUBJECT = Subject("C5a", Persona.SECURITY)
GATE = "Security groups are as the template declares them"


def look_for_drift(
    *,
    layers: Sequence[Layer],
    doors: Doors,
    restore: bool,
    detection: DriftDetection | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """{status: none | drifted | restored, findings, cloudformation, gates}.

    `findings`: {group, rule, what: opened | unknown | missing, done: closed | put back | left}. `restored`
    means that nothing is left of what was found. `detection` asks CloudFormation too; None leaves that out.
    `strict`: what is left closes the gate, for a look after which no other follows.
    """
    declared = declared_by(layers)
    wanted = rules(declared)
    if not wanted:
        raise StackFailedError("the environment's stacks declare no security group; are they deployed?")
    names = _names(declared)
    live = doors.rules(sorted(wanted))
    findings = [
        {"group": names.get(group, group), "rule": str(rule), "what": what, "done": done}
        for group in sorted(wanted)
        for rule, what, done in _compared(group, wanted[group], live.get(group), doors, restore)
    ]
    left = [each for each in findings if each["done"] == "left"]
    status = ("drifted" if left else "restored") if findings else "none"
    told = "; ".join(f"{f['group']}: {f['rule']} {f['what']}, {f['done']}" for f in findings)
    samples = sum(len(each) for each in wanted.values())
    gate = SUBJECT.judge(
        GATE,
        not findings,
        found=told or f"{samples} rules in {len(wanted)} groups, all as declared",
        wanted="no rule more, no rule less",
        samples=samples,
        # In a deployment what is open after this closes the gates of the look that follows.
        must=strict and bool(left),
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
    told = []
    for rule in sorted(wanted - (found or frozenset())):
        # Nothing can be put back into a group that is gone, or for a peer that nobody knows.
        possible = restore and found is not None and UNRESOLVED not in rule.peer
        if possible:
            doors.put_back(group, rule)
        told.append((rule, "missing", "put back" if possible else "left"))
    for rule in sorted((found or frozenset()) - wanted):
        if not rule.lets_the_world_in:
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
