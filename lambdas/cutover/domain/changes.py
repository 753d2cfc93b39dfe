"""What would happen to the environment's resources, in a few kinds that people know: told by CloudFormation's
change sets, or, for a stack that CloudFormation can't be asked about yet, foreseen from the templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cutover.domain.destruction import destruction

# What the changes of a stack are known from (`basis`).
CHANGE_SET, TEMPLATE = "change_set", "template"
SECURITY_GROUPS = "AWS::EC2::SecurityGroup"
# One that CloudFormation has not decided yet stands for whatever it decides, also for none.
UNDECIDED, UNDECIDED_ARE = "perhaps replace", frozenset({"change", "replace", "perhaps replace", None})

Template = Mapping[str, Any]
Change = dict[str, Any]


def kind_of(change: Mapping[str, Any]) -> str:
    """create, change, replace, perhaps replace, or delete; CloudFormation's own word for anything else.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
    """
    match change.get("action"), change.get("replacement"):
        case "Add", _:
            return "create"
        case "Remove", _:
            return "delete"
        case "Modify", "True":
            return "replace"
        case "Modify", "Conditional":
            return "perhaps replace"
        case "Modify", _:
            return "change"
        case action, _:
            return str(action).lower()


def change_sets_of(
    change_sets: Iterable[Mapping[str, Any]],
    wanted: Mapping[str, Template],
    live: Mapping[str, Template | None],
) -> list[dict[str, Any]]:
    """What each stack's change set would do: its changes with their kinds, in one order, since CloudFormation
    promises none. Where there is no change set yet (`basis` is "template"), they are foreseen."""
    told = []
    for each in change_sets:
        name = str(each["template"])
        by_template = each["basis"] == TEMPLATE
        changes = list(foreseen(wanted[name], live.get(name))) if by_template else each["changes"]
        told.append({**each, "empty": not changes, "changes": in_order(changes)})
    return told


def in_order(changes: Iterable[Mapping[str, Any]]) -> list[Change]:
    """The changes by their logical ids, each with its kind."""
    told = [{**change, "kind": kind_of(change)} for change in changes]
    return sorted(told, key=lambda change: (str(change.get("logical_id")), str(change["kind"])))


def foreseen(wanted: Template, live: Template | None) -> Iterator[Change]:
    """The changes between two templates, worded as a change set's. Whether a changed resource would be
    replaced only CloudFormation knows, so that it is left open."""
    before: Mapping[str, Any] = (live or {}).get("Resources") or {}
    after: Mapping[str, Any] = wanted.get("Resources") or {}
    for logical_id in dict.fromkeys((*after, *before)):
        old: Any = before.get(logical_id)
        new: Any = after.get(logical_id)
        if old is None:
            yield _change("Add", logical_id, new["Type"])
        elif new is None:
            yield _change("Remove", logical_id, old["Type"])
        elif properties := _different(old, new):
            yield _change("Modify", logical_id, new["Type"], properties)


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = old.get("Properties") or {}, new.get("Properties") or {}
    return sorted(
        name
        for name in {*before, *after}
        if (name in before, before.get(name)) != (name in after, after.get(name))
    )


def _change(action: str, logical_id: str, kind: str, properties: Iterable[str] = ()) -> Change:
    names = list(properties)
    change: Change = {
        "action": action,
        "logical_id": logical_id,
        "type": kind,
        "replacement": "Conditional" if action == "Modify" else "False",
        "scope": ["Properties"] if names else [],
        "properties": names,
        "causes": [
            {"property": name, "recreation": "Conditionally", "cause": "DirectModification"} for name in names
        ],
    }
    lost = destruction(change)
    return {**change, "destructive": lost.reason if lost else None}


def unplanned(planned: Iterable[Mapping[str, Any]], found: Iterable[Mapping[str, Any]]) -> list[str]:
    """In which resources a stack's changes are not those that were planned, in words; empty when they are."""
    before, after = (
        {(str(each["logical_id"]), str(each["type"])): kind_of(each) for each in changes}
        for changes in (planned, found)
    )
    return [
        f"{logical_id} ({kind}): planned {_told(before.get(key))}, now {_told(after.get(key))}"
        for key in sorted({*before, *after})
        for logical_id, kind in (key,)
        if not _covers(before.get(key), after.get(key))
    ]


def _covers(planned: str | None, found: str | None) -> bool:
    return found in UNDECIDED_ARE if planned == UNDECIDED else planned == found


def _told(kind: str | None) -> str:
    return f"to {kind}" if kind else "nothing"


def security_group_changes(change_sets: Iterable[Mapping[str, Any]]) -> list[Change]:
    """Those of the changes that touch who may come in or go out."""
    return [
        {"template": each["template"], **{key: change[key] for key in ("logical_id", "type", "kind")}}
        for each in change_sets
        for change in each["changes"]
        if str(change.get("type", "")).startswith(SECURITY_GROUPS)
    ]
