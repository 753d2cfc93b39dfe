"""The plan of a schema, whatever is wanted and whatever is there."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from cutover.domain.indexes import Drop, Index
from cutover.domain.schema import Action, Do, Phase, Present, Schema, Validator, plan_schema

COLLECTIONS, NAMES = ("a", "b"), ("one", "two", "three")
KEYS = [tuple((f, d) for f, d in zip(fs, (1, -1), strict=False)) for fs in permutations("xyz", 2)] + [
    (("x", 1),)
]
VALIDATORS = ("", '{"required":["p"]}', '{"required":["p","q"]}')

indexes = st.builds(
    Index,
    st.sampled_from(COLLECTIONS),
    st.sampled_from(KEYS),
    st.booleans(),
    st.sampled_from(NAMES),
    sparse=st.booleans(),
    expire_after_seconds=st.sampled_from([None, 60, 3600]),
    rebuild=st.booleans(),
)


def distinct(found: list[Index]) -> list[Index]:
    """As no server has two of one name, and no release declares two with the same keys."""
    names: set[object] = set()
    kept = []
    for index in found:
        marks = {(index.collection, index.name), (index.collection, index.keys)}
        if not names & marks:
            names |= marks
            kept.append(index)
    return kept


index_sets = st.lists(indexes, max_size=6).map(distinct)
validators = st.dictionaries(st.sampled_from(COLLECTIONS), st.sampled_from(VALIDATORS)).map(
    lambda found: tuple(Validator(collection, schema) for collection, schema in found.items())
)


@st.composite
def wanted_schemas(draw: st.DrawFn) -> Schema:
    wanted = draw(index_sets)
    taken = {(index.collection, index.name) for index in wanted}
    places = [(c, n) for c in COLLECTIONS for n in NAMES if (c, n) not in taken]
    drops = [Drop(*place) for place in places if draw(st.booleans())]
    return Schema(tuple(wanted), tuple(drops), draw(validators))


presents = st.builds(
    Present,
    index_sets.map(lambda found: tuple(replace(index, rebuild=False) for index in found)),
    validators,
    st.dictionaries(st.sampled_from(COLLECTIONS), st.integers(0, 9)),
)


def applied(action: Action, present: Present) -> Present:
    """What a server has after an action."""
    if action.do is Do.VALIDATE:
        rest = [each for each in present.validators if each.collection != action.collection]
        return replace(present, validators=(*rest, action.validator))  # type: ignore[arg-type]
    gone = {action.name, *action.replaces}
    kept = [i for i in present.indexes if i.collection != action.collection or i.name not in gone]
    if action.do is not Do.DROP and action.index is not None:
        kept.append(action.index)
    return replace(present, indexes=tuple(kept))


@given(wanted_schemas(), presents)
def test_applying_the_first_action_until_none_is_left_brings_what_is_wanted(
    wanted: Schema, present: Present
) -> None:
    for _ in range(40):
        actions = plan_schema(wanted, present)
        if not actions:
            break
        present = applied(actions[0], present)
    assert plan_schema(wanted, present) == ()
    there = {(index.collection, index.name): index for index in present.indexes}
    assert all(there[index.collection, index.name] == index for index in wanted.indexes)
    assert all((drop.collection, drop.name) not in there for drop in wanted.drops)
    found = {each.collection: each.schema for each in present.validators}
    assert all(found.get(each.collection, "") == each.schema for each in wanted.validators)


@given(wanted_schemas(), presents)
def test_what_nobody_declares_survives(wanted: Schema, present: Present) -> None:
    names = {(each.collection, each.name) for each in (*wanted.indexes, *wanted.drops)}
    keys = {(index.collection, index.keys) for index in wanted.indexes}
    strangers = {
        index
        for index in present.indexes
        if (index.collection, index.name) not in names and (index.collection, index.keys) not in keys
    }
    while actions := plan_schema(wanted, present):
        present = applied(actions[0], present)
    assert strangers <= set(present.indexes)


@given(wanted_schemas(), presents)
def test_expand_never_takes_anything_away_from_documents_unasked(wanted: Schema, present: Present) -> None:
    for action in plan_schema(wanted, present):
        if action.phase is Phase.EXPAND and present.documents.get(action.collection):
            assert action.do is not Do.DROP
            assert action.do is not Do.REBUILD or action.blocked or (action.index and action.index.rebuild)


@given(wanted_schemas(), presents)
def test_every_action_says_why_and_how_risky_it_is(wanted: Schema, present: Present) -> None:
    for action in plan_schema(wanted, present):
        assert action.reason
        assert action.risk in ("none", "low", "high")
        assert action.as_json()["what"] == str(action)
