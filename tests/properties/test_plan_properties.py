"""What holds for a plan's digest whatever is in the plan."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cutover.domain.changes import foreseen, in_order, kind_of
from cutover.domain.plan import differences, fingerprint

plain = st.none() | st.integers(-9, 9) | st.text(max_size=3)
values = plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(max_size=2), plain, max_size=2)
names = st.sampled_from(("network", "data", "service", "monitoring"))
# Each with the name under which a change of it is told.
COVERED = {
    "environment": "environment",
    "version": "version",
    "code": "code",
    "allow_destructive": "destructive permission",
    "source": "source",
    "live": "live release",
    "settings": "settings",
    "configuration": "configuration",
}
plans = st.fixed_dictionaries(
    {
        **dict.fromkeys(COVERED, values),
        "templates": st.dictionaries(names, values),
        "change_sets": st.lists(
            st.fixed_dictionaries({"template": names, "changes": st.lists(values, max_size=2)}),
            unique_by=lambda each: each["template"],
        ),
        "weights": st.dictionaries(st.sampled_from(("backend", "frontend")), values),
        "migrations": st.dictionaries(st.text(max_size=3), values),
    }
)
RUN = ("deployment", "made_at", "window", "phases", "cost", "rollback", "location", "console", "sha256")


@given(plans, st.fixed_dictionaries(dict.fromkeys(RUN, values)))
def test_what_only_tells_of_the_run_never_counts(plan: dict[str, Any], run: dict[str, Any]) -> None:
    assert fingerprint({**plan, **run}) == fingerprint(plan)


@given(plans, st.randoms(use_true_random=False))
def test_the_order_of_keys_never_counts(plan: dict[str, Any], random: Any) -> None:
    keys = list(plan)
    random.shuffle(keys)
    assert fingerprint({key: plan[key] for key in keys}) == fingerprint(plan)


@given(plans, plans)
def test_two_plans_differ_by_name_exactly_when_their_digests_do(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert bool(differences(one, other)) == (fingerprint(one) != fingerprint(other))


@given(plans, st.sampled_from(sorted(COVERED)), values)
def test_one_input_that_changes_is_the_one_that_is_named(plan: dict[str, Any], key: str, value: Any) -> None:
    changed = {**plan, key: value}
    if json.dumps(plan[key], sort_keys=True) == json.dumps(value, sort_keys=True):
        assert fingerprint(changed) == fingerprint(plan)
    else:
        assert [difference.name for difference in differences(plan, changed)] == [COVERED[key]]


@given(plans, names, values)
def test_one_template_that_changes_is_the_one_that_is_named(
    plan: dict[str, Any], template: str, value: Any
) -> None:
    changed = {**plan, "templates": {**plan["templates"], template: value}}
    same = template in plan["templates"] and json.dumps(
        plan["templates"][template], sort_keys=True
    ) == json.dumps(value, sort_keys=True)
    told = [] if same else [f"template {template}"]
    assert [difference.name for difference in differences(plan, changed)] == told


@given(
    st.lists(
        st.fixed_dictionaries({"logical_id": st.text(max_size=3), "action": st.just("Add")}),
        unique_by=lambda c: c["logical_id"],
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_cloudformation_tells_changes_never_counts(
    changes: list[dict[str, Any]], random: Any
) -> None:
    shuffled = list(changes)
    random.shuffle(shuffled)
    assert in_order(shuffled) == in_order(changes)


resources = st.dictionaries(
    st.text(max_size=3),
    st.fixed_dictionaries(
        {"Type": st.just("AWS::X"), "Properties": st.dictionaries(st.text(max_size=2), values, max_size=2)}
    ),
    max_size=4,
)


@given(resources, resources)
def test_what_is_foreseen_between_two_templates_is_what_differs(
    wanted: dict[str, Any], live: dict[str, Any]
) -> None:
    told = {c["logical_id"]: kind_of(c) for c in foreseen({"Resources": wanted}, {"Resources": live})}

    assert {id for id, kind in told.items() if kind == "create"} == wanted.keys() - live.keys()
    assert {id for id, kind in told.items() if kind == "delete"} == live.keys() - wanted.keys()
    differing = {id for id in wanted.keys() & live.keys() if wanted[id] != live[id]}
    assert {id for id, kind in told.items() if kind == "perhaps replace"} == differing
