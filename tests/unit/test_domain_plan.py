"""A plan's fingerprint, and the inputs in which two plans differ."""

from __future__ import annotations

from cutover.domain.plan import canonical, differences, fingerprint


def test_one_content_has_one_spelling() -> None:
    assert (
        canonical({"b": [1, 2], "a": "é"})
        == canonical({"a": "é", "b": [1, 2]})
        == '{"a":"é","b":[1,2]}'.encode()
    )


def test_a_plans_fingerprint_covers_what_is_done_and_not_under_which_id() -> None:
    plan = {
        "deployment": "d1",
        "made_at": "now",
        "image": {"digest": "sha256:1", "tag": "d1"},
        "weights": {"backend": {"now": {"blue": 100}}},
    }
    again = {**plan, "deployment": "d2", "made_at": "then", "image": {"digest": "sha256:1", "tag": "d2"}}
    assert fingerprint(plan) == fingerprint(again)
    assert fingerprint(plan) != fingerprint({**plan, "image": {"digest": "sha256:2", "tag": "d1"}})
    assert fingerprint(plan) != fingerprint({**plan, "weights": {"backend": {"now": {"blue": 0}}}})


def test_a_long_difference_is_cut_short() -> None:
    (found,) = differences({"version": "v" * 500}, {"version": "v1"})
    assert str(found) == f"version: {'v' * 59}… → v1"


def test_each_template_is_an_input_of_its_own() -> None:
    plan = {
        "templates": {"network": "1", "data": "2"},
        "change_sets": [{"template": "network", "changes": []}],
    }
    again = {
        "templates": {"network": "1", "data": "3"},
        "change_sets": [
            {"template": "network", "changes": [{"logical_id": "Vpc", "kind": "replace"}]},
        ],
    }
    assert [str(found) for found in differences(plan, again)] == [
        "template data: 2 → 3",
        "changes network: nothing → replace Vpc",
    ]


def test_an_input_that_is_new_or_gone_is_a_difference() -> None:
    (found,) = differences({"templates": {"network": "1"}}, {"templates": {}})
    assert str(found) == "template network: 1 → nothing"
    assert fingerprint({"templates": {"network": None}}) != fingerprint({"templates": {}})


def test_an_estimate_of_the_migrations_and_a_scan_may_change_and_the_plan_still_holds() -> None:
    plan = {"migrations": {"digest": "m", "estimate": {"documents": 1}}, "image": {"scan": {"blocks": False}}}
    again = {"migrations": {"digest": "m", "estimate": {"documents": 2}}, "image": {"scan": {"blocks": True}}}
    assert fingerprint(plan) == fingerprint(again)
