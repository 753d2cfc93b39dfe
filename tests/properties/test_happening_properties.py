"""Two happenings never share an identity, and every publication of one has the same."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from cutover.domain.happenings import DISCRIMINATING, happening

SCALARS = st.none() | st.booleans() | st.integers(0, 100) | st.text(max_size=8)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=4), SCALARS, max_size=2)
KINDS = st.sampled_from(sorted(DISCRIMINATING))
NAMES = st.text("abc-1", min_size=1, max_size=6)
#: What a second try has otherwise: causes, timings, addresses.
INCIDENTAL = st.dictionaries(
    st.sampled_from(
        ["cause", "reason", "modified_at", "seconds", "location", "expires_at", "steps", "clock"]
    ),
    VALUES,
    max_size=4,
)


@st.composite
def happenings(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    first, *others = DISCRIMINATING[kind]
    return {
        "environment": draw(st.sampled_from(["staging", "production"])),
        first: draw(NAMES),
        **{name: draw(VALUES) for name in others},
    }


@given(st.data(), KINDS)
def test_what_differs_in_anything_that_tells_happenings_apart_shares_no_identity(
    data: st.DataObject, kind: str
) -> None:
    # Of two that are otherwise alike, one field alone makes the difference.
    one, name = (
        data.draw(happenings(kind)),
        data.draw(st.sampled_from(["environment", *DISCRIMINATING[kind]])),
    )
    value = data.draw(NAMES if name == DISCRIMINATING[kind][0] else VALUES)
    assume(json.dumps(one[name], sort_keys=True) != json.dumps(value, sort_keys=True))
    assert happening(kind, one) != happening(kind, {**one, name: value})


@given(st.data(), KINDS, KINDS)
def test_happenings_of_two_kinds_share_no_identity(data: st.DataObject, kind: str, another: str) -> None:
    assume(kind != another)
    one, other = data.draw(happenings(kind)), data.draw(happenings(another))
    assert happening(kind, {**other, **one}) != happening(another, {**one, **other})


@given(st.data(), KINDS, INCIDENTAL, INCIDENTAL)
def test_a_repeated_publication_has_the_identity_of_the_first(
    data: st.DataObject, kind: str, then: dict[str, Any], now: dict[str, Any]
) -> None:
    told = data.draw(happenings(kind))
    once = {**then, **told}
    again = dict(reversed({**now, **json.loads(json.dumps(told))}.items()))
    found = happening(kind, once)
    assert found == happening(kind, again)
    assert re.fullmatch(r"[A-Za-z]+-[0-9a-f]{32}", str(found))


@given(st.data(), KINDS)
def test_what_lacks_anything_that_tells_it_apart_has_no_identity(data: st.DataObject, kind: str) -> None:
    told = data.draw(happenings(kind))
    name = data.draw(st.sampled_from(DISCRIMINATING[kind]))
    assert happening(kind, {**told, DISCRIMINATING[kind][0]: None}) is None
    assert happening(kind, {key: value for key, value in told.items() if key != name}) is None
    assert happening("SomethingNew", told) is None
