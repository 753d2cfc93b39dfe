"""Whatever is done to a bundle's objects is found, and named by its entry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cutover.domain.evidence import Chain, canonical, problems

CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def bundle(contents: list[Any]) -> tuple[Chain, dict[str, bytes]]:
    chain, objects = Chain("d2"), dict[str, bytes]()
    for number, content in enumerate(contents, 1):
        body = chain.entry(f"entry {number}", content)
        objects[chain.key(number)] = body
        chain = chain.with_entry(body)
    return chain, objects


BUNDLES = st.lists(CONTENT, min_size=1, max_size=6).map(bundle)


@given(BUNDLES)
def test_a_bundle_as_it_was_written_is_whole(made: tuple[Chain, dict[str, bytes]]) -> None:
    chain, objects = made
    assert problems(chain, objects) == []
    assert Chain.read("d2", chain.item()) == chain


@given(BUNDLES, st.data())
def test_any_altered_byte_of_any_object_is_found_and_its_entry_named(
    made: tuple[Chain, dict[str, bytes]], data: st.DataObject
) -> None:
    chain, objects = made
    key = data.draw(st.sampled_from(sorted(objects)))
    at = data.draw(st.integers(0, len(objects[key]) - 1))
    flipped = objects[key][at] ^ data.draw(st.integers(1, 255))
    altered = objects[key][:at] + bytes([flipped]) + objects[key][at + 1 :]
    found = problems(chain, {**objects, key: altered})
    assert len(found) == 1
    assert found[0].startswith(f"{key} (")
    assert "altered" in found[0]


@given(BUNDLES, st.data())
def test_any_byte_more_or_less_is_found(made: tuple[Chain, dict[str, bytes]], data: st.DataObject) -> None:
    chain, objects = made
    key = data.draw(st.sampled_from(sorted(objects)))
    at = data.draw(st.integers(0, len(objects[key]) - 1))
    body = objects[key]
    for changed in (body[:at] + body[at + 1 :], body[:at] + b" " + body[at:], body + b"\n"):
        assert [each.split(" ")[0] for each in problems(chain, {**objects, key: changed})] == [key]


@given(BUNDLES, st.data())
def test_a_removed_entry_is_found(made: tuple[Chain, dict[str, bytes]], data: st.DataObject) -> None:
    chain, objects = made
    key = data.draw(st.sampled_from(sorted(objects)))
    rest = {name: body for name, body in objects.items() if name != key}
    (found,) = problems(chain, rest)
    assert found.startswith(f"{key} (")
    assert "removed" in found


@given(BUNDLES, st.data())
def test_two_entries_in_each_others_place_are_found(
    made: tuple[Chain, dict[str, bytes]], data: st.DataObject
) -> None:
    chain, objects = made
    assume(len(objects) > 1)
    one, other = data.draw(st.lists(st.sampled_from(sorted(objects)), min_size=2, max_size=2, unique=True))
    found = problems(chain, {**objects, one: objects[other], other: objects[one]})
    assert len(found) == 2
    assert all("moved" in each for each in found)


@given(BUNDLES, CONTENT)
def test_an_added_entry_is_found_though_it_follows_rightly(
    made: tuple[Chain, dict[str, bytes]], content: Any
) -> None:
    chain, objects = made
    key = chain.key(len(chain.entries) + 1)
    (found,) = problems(chain, {**objects, key: chain.entry("forged", content)})
    assert found == f"{key}: added; the journal knows of no such entry"


@given(BUNDLES, CONTENT, st.data())
def test_a_whole_chain_that_was_rewritten_is_found_by_the_journal(
    made: tuple[Chain, dict[str, bytes]], content: Any, data: st.DataObject
) -> None:
    """Whoever alters an entry and then makes all that follow right again still can't reach the journal."""
    chain, objects = made
    at = data.draw(st.integers(1, len(objects)))
    forged, rewritten = Chain("d2"), dict[str, bytes]()
    for number, key in enumerate(sorted(objects), 1):
        body = objects[key]
        if number >= at:
            import json

            old = json.loads(body)
            body = forged.entry(old["name"], {"forged": content} if number == at else old["content"])
        rewritten[key] = body
        forged = forged.with_entry(body)
    assume(rewritten != objects)
    assert problems(chain, rewritten)


def test_what_is_no_number_of_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"p95": float("nan")})
