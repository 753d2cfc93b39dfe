"""What holds for a plan's digest whatever is in the plan."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cutover.domain.plan import changes_of, differences, fingerprint

values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
COVERED = (
    "environment",
    "version",
    "template",
    "migrations",
    "source",
    "weights",
    "live",
    "settings",
    "configuration",
)
plans = st.fixed_dictionaries(dict.fromkeys(COVERED, values))
RUN = ("deployment", "made_at", "window", "phases", "cost", "rollback", "location", "sha256")


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


@given(plans, st.sampled_from(COVERED), values)
def test_one_input_that_changes_is_the_one_that_is_named(plan: dict[str, Any], key: str, value: Any) -> None:
    changed = {**plan, key: value}
    if json.dumps(plan[key], sort_keys=True) == json.dumps(value, sort_keys=True):
        assert fingerprint(changed) == fingerprint(plan)
    else:
        name = "live release" if key == "live" else key
        assert [difference.name for difference in differences(plan, changed)] == [name]


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
    assert changes_of({"changes": shuffled}) == changes_of({"changes": changes})
