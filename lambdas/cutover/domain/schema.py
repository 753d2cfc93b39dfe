"""The schema of a release against the one that is there: what has to be done, when, how risky, and why.

Pure: applying the first action again and again until none is left brings what is there to what is wanted.
What nobody declares is left alone; nothing is dropped that was not declared to be dropped.

Expand (before the release) only adds and loosens. What the version that still runs could stumble over waits
for contract (after the watch): tighter validators, earlier expiry, drops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from cutover.domain import documentdb
from cutover.domain.errors import MisconfiguredError
from cutover.domain.indexes import Drop, Index, canonical, read_declared_indexes
from cutover.domain.queries import NamedQuery
from cutover.domain.tightening import tighter

VALIDATOR_SHAPE = "{collection: {schema: {…}, level?: strict|moderate, action?: error|warn} or null}"


class Phase(StrEnum):
    EXPAND = "expand"
    CONTRACT = "contract"


class Do(StrEnum):
    """What is done about one difference; `expire` and `validate` are collMod's."""

    CREATE = "create"
    REBUILD = "rebuild"
    DROP = "drop"
    EXPIRE = "expire"
    VALIDATE = "validate"


@dataclass(frozen=True)
class Validator:
    """`schema` is the JSON schema as canonical JSON; empty for a collection that shall have none."""

    collection: str
    schema: str
    level: str = "strict"
    action: str = "error"


@dataclass(frozen=True)
class Schema:
    """What a release wants."""

    indexes: tuple[Index, ...] = ()
    drops: tuple[Drop, ...] = ()
    validators: tuple[Validator, ...] = ()

    @property
    def collections(self) -> tuple[str, ...]:
        named = [each.collection for each in self.indexes]
        named += [each.collection for each in self.drops] + [each.collection for each in self.validators]
        return tuple(sorted(set(named)))


@dataclass(frozen=True)
class Present:
    """What is there, in the wanted collections. `documents`: about how many, 0 for no such collection.
    `uses`: how often each index (collection, name) was used since the server counts. `building`: the indexes
    that are being built, and are not in `indexes` yet."""

    indexes: tuple[Index, ...] = ()
    validators: tuple[Validator, ...] = ()
    documents: Mapping[str, int] = field(default_factory=dict, hash=False)
    uses: Mapping[tuple[str, str], int] = field(default_factory=dict, hash=False)
    building: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Action:
    """`replaces`: names of indexes that go first. `risk` is none, low or high. `blocked`: why it must not be
    done, and the way out; empty when it may."""

    do: Do
    phase: Phase
    collection: str
    name: str
    risk: str
    reason: str
    replaces: tuple[str, ...] = ()
    blocked: str = ""
    index: Index | None = None
    validator: Validator | None = None

    def __str__(self) -> str:
        if self.do is Do.VALIDATE:
            wanted = self.validator is not None and self.validator.schema
            return f"{'validate' if wanted else 'unvalidate'} {self.collection}"
        return f"{self.do} {self.collection}.{self.name}"

    def as_json(self) -> dict[str, Any]:
        told = {k: v for k, v in asdict(self).items() if k not in ("index", "validator", "replaces")}
        return told | {"what": str(self), "replaces": list(self.replaces), "index": str(self.index or "")}


def read_schema(indexes: object, validators: object) -> Schema:
    """Raises MisconfiguredError; see `read_declared_indexes` for the indexes."""
    declared = read_declared_indexes(indexes)
    return Schema(
        tuple(each for each in declared if isinstance(each, Index)),
        tuple(each for each in declared if isinstance(each, Drop)),
        _read_validators(validators),
    )


def _read_validators(raw: object) -> tuple[Validator, ...]:
    if not isinstance(raw, Mapping):
        raise MisconfiguredError(f"validators: {raw!r} does not fit; wanted {VALIDATOR_SHAPE}")
    found = []
    for collection, entry in raw.items():
        if entry is None:
            found.append(Validator(str(collection), ""))
            continue
        known = isinstance(entry, Mapping) and set(entry) <= {"schema", "level", "action"}
        if not known or not isinstance(entry.get("schema"), Mapping):
            raise MisconfiguredError(
                f"validators: {collection}: {entry!r} does not fit; wanted {VALIDATOR_SHAPE}"
            )
        level, action = entry.get("level", "strict"), entry.get("action", "error")
        if level not in ("strict", "moderate") or action not in ("error", "warn"):
            raise MisconfiguredError(
                f"validators: {collection}: level {level!r} and action {action!r}; "
                "there are strict, moderate and error, warn"
            )
        refused = list(documentdb.validator_refusals(str(collection), entry["schema"]))
        if refused:
            raise MisconfiguredError(f"validators: {'; '.join(refused)}")
        found.append(Validator(str(collection), canonical(entry["schema"]), level, action))
    return tuple(found)


def plan_schema(wanted: Schema, present: Present, queries: Sequence[NamedQuery] = ()) -> tuple[Action, ...]:
    """In the order in which they are to be done. `queries` are those of the release: an index that one of
    them needs is not dropped. Duplicates and violating documents are for the caller to find (`Action.index`,
    `Action.validator`); it sets `blocked`."""
    actions = [
        *_index_actions(wanted, present),
        *_drops(wanted, present, queries),
        *_validators(wanted, present),
    ]
    return tuple(sorted(actions, key=_order))


_RANK = {Do.VALIDATE: 0, Do.CREATE: 1, Do.REBUILD: 2, Do.EXPIRE: 3, Do.DROP: 4}


def _order(action: Action) -> tuple[int, int, bool, str, str]:
    """Loosened validators first; unique indexes, which may be refused, after the others; drops last."""
    unique = action.index is not None and action.index.unique
    return (action.phase is Phase.CONTRACT, _RANK[action.do], unique, action.collection, action.name)


def _index_actions(wanted: Schema, present: Present) -> Iterator[Action]:
    for index in wanted.indexes:
        there = [each for each in present.indexes if each.collection == index.collection]
        named = next((each for each in there if each.name == index.name), None)
        if named == index:
            continue
        if named and named.same_but_expiry(index) and None not in _expiries(named, index):
            yield _expire(index, named)
            continue
        in_the_way = [each for each in there if each.name == index.name or each.keys == index.keys]
        yield _rebuild(index, in_the_way, present) if in_the_way else _create(index, present)


def _expiries(*indexes: Index) -> list[int | None]:
    return [index.expire_after_seconds for index in indexes]


def _create(index: Index, present: Present) -> Action:
    documents = present.documents.get(index.collection, 0)
    if not documents:
        risk, reason = "none", "not there; the collection is empty"
    elif index.unique:
        risk = "high"
        reason = (
            f"not there; built in the background over {documents} documents, and from then on the running "
            "version's duplicates are refused"
        )
    else:
        risk, reason = "low", f"not there; built in the background over {documents} documents"
    return Action(Do.CREATE, Phase.EXPAND, index.collection, index.name, risk, reason, index=index)


def _rebuild(index: Index, in_the_way: Sequence[Index], present: Present) -> Action:
    documents = present.documents.get(index.collection, 0)
    found = " and ".join(f"{each} is there as {each.name!r}" for each in in_the_way)
    reason = f"{found}; wanted is {index} as {index.name!r}"
    blocked = ""
    if documents and not index.rebuild:
        blocked = (
            f"{index.label}: {reason}. It would be dropped and built again, and queries would scan "
            f'{documents} documents meanwhile. Declare it as it is, or allow that with "rebuild": true'
        )
    return Action(
        Do.REBUILD,
        Phase.EXPAND,
        index.collection,
        index.name,
        "high" if documents else "none",
        reason,
        tuple(each.name for each in in_the_way),
        blocked,
        index,
    )


def _expire(index: Index, named: Index) -> Action:
    before, after = named.expire_after_seconds or 0, index.expire_after_seconds or 0
    sooner = after < before
    reason = f"documents expire after {after} s instead of {before} s"
    reason += ": the older ones are deleted at once" if sooner else ""
    phase = Phase.CONTRACT if sooner else Phase.EXPAND
    risk = "high" if sooner else "low"
    return Action(Do.EXPIRE, phase, index.collection, index.name, risk, reason, index=index)


def _drops(wanted: Schema, present: Present, queries: Sequence[NamedQuery]) -> Iterator[Action]:
    for drop in wanted.drops:
        index = next(
            (i for i in present.indexes if (i.collection, i.name) == (drop.collection, drop.name)), None
        )
        if index is None:
            continue
        rest = [i for i in wanted.indexes if i.collection == index.collection]
        covered = any(i.keys[: len(index.keys)] == index.keys and i.partial is None for i in rest)
        user = next((q for q in queries if _needs(q, index, rest)), None)
        uses = present.uses.get((drop.collection, drop.name), 0)
        blocked = ""
        if user is not None:
            blocked = (
                f"{index.label}: the query “{user.name}” of this release would have no index left. Keep the "
                "index, or declare another one that serves the query"
            )
        elif uses and not covered:
            blocked = (
                f"{index.label}: it was used {uses} times since the server counts, and no wanted index "
                "begins with its fields. Find who uses it (explain, $indexStats) and name that query in "
                "queries.json, or declare an index that serves it"
            )
        reason = f"the release declares that it goes; used {uses} times since the server counts"
        yield Action(
            Do.DROP, Phase.CONTRACT, index.collection, index.name, "low", reason, blocked=blocked, index=index
        )


def _needs(query: NamedQuery, index: Index, rest: Sequence[Index]) -> bool:
    if query.collection != index.collection or not query.could_use(index.keys):
        return False
    return not any(query.could_use(other.keys) and other.partial is None for other in rest)


def _validators(wanted: Schema, present: Present) -> Iterator[Action]:
    there = {each.collection: each for each in present.validators if each.schema}
    for validator in wanted.validators:
        before = there.get(validator.collection)
        if before == validator or (before is None and not validator.schema):
            continue
        documents = present.documents.get(validator.collection, 0)
        stricter = _stricter(before, validator)
        waits = bool(stricter) and documents > 0
        reason = "; ".join(stricter) or ("loosened" if before else "new")
        yield Action(
            Do.VALIDATE,
            Phase.CONTRACT if waits else Phase.EXPAND,
            validator.collection,
            "validator",
            "high" if waits else "low" if documents else "none",
            f"{reason}; {documents} documents",
            validator=validator,
        )


def _stricter(before: Validator | None, after: Validator) -> list[str]:
    if not after.schema:
        return []
    found = tighter(json.loads(before.schema) if before else {}, json.loads(after.schema))
    if before and before.level == "moderate" and after.level == "strict":
        found.append("old documents are checked too")
    if before and before.action == "warn" and after.action == "error":
        found.append("a violation is an error")
    return found


def blocked(action: Action, why: str) -> Action:
    """The action with one more reason not to do it."""
    return replace(action, blocked="; ".join(filter(None, [action.blocked, why])))
