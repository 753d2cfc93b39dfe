"""What holds for a rollback's decision whatever the situation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Targets
from cutover.domain.health import Health
from cutover.domain.records import Live
from cutover.domain.rollback import Action, Situation, Trigger, decide

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
colours = st.sampled_from(Colour)
healths = st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda n: Health(min(n), max(n)))
weights = st.none() | st.builds(Weights, st.sampled_from([0, 50, 100]), st.sampled_from([0, 50, 100]))


@st.composite
def lives(draw: st.DrawFn) -> Live:
    colour, first = draw(colours), draw(st.booleans())
    return Live(
        deployment="d2",
        version="v2",
        image="i",
        colour=colour,
        previous_deployment=None if first else "d1",
        previous_colour=None if first else colour.other,
        previous_version=None if first else "v1",
        previous_image=None if first else "i",
        swapped_at=NOW.isoformat(),
        watch_until=(NOW + timedelta(hours=draw(st.integers(-48, 48)))).isoformat(),
        healthy_share=draw(st.floats(0, 1)),
        targets=Targets("l", "t", "b", "g"),
        rolled_back=draw(st.booleans()),
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    readable = draw(st.booleans())
    return Situation(
        trigger=draw(st.sampled_from(Trigger)),
        failing=draw(colours),
        live=draw(st.none() | lives()) if readable else None,
        weights=draw(weights),
        previous_health=draw(healths),
        now=NOW,
        journal_readable=readable,
        raised_at=draw(st.none() | st.sampled_from([NOW - timedelta(hours=1), NOW])),
        edited=draw(st.sampled_from([None, None, "the listener redirects"])),
        standing=draw(st.sampled_from([None, "d1", "d3"])),
        revived=draw(st.booleans()),
    )


@given(situations())
def test_traffic_only_ever_goes_to_a_colour_with_a_healthy_target(situation: Situation) -> None:
    decision = decide(situation)
    if decision.action is Action.GO:
        assert situation.previous_health is not None
        assert situation.previous_health.healthy > 0
        share = situation.live.healthy_share if situation.live else situation.healthy_share
        assert situation.previous_health.share >= share
        assert decision.to is situation.failing.other


@given(situations())
def test_a_colour_that_all_traffic_has_left_is_never_left_again(situation: Situation) -> None:
    gone = situation.weights is not None and situation.weights.only is situation.failing.other
    if gone and not situation.edited:
        assert decide(situation).action in (Action.IGNORE, Action.SETTLE)


@given(situations())
def test_a_listener_that_no_deployment_has_set_is_never_touched(situation: Situation) -> None:
    split = situation.weights is not None and situation.weights.only is None
    if situation.edited or (split and situation.journal_readable):
        assert decide(situation).action is Action.REFUSE


@given(situations())
def test_nothing_moves_for_what_happened_before_the_release_that_is_live(situation: Situation) -> None:
    live, raised = situation.live, situation.raised_at
    if live is not None and raised is not None and raised < NOW and live.colour is situation.failing:
        assert decide(situation).action is not Action.GO or situation.trigger is not Trigger.ALARM


@given(situations())
def test_after_a_revival_there_is_no_other(situation: Situation) -> None:
    assert decide(replace(situation, revived=True)).action is not Action.REVIVE


@given(situations())
def test_a_release_that_is_live_by_a_rollback_is_never_left(situation: Situation) -> None:
    live = situation.live
    if live is not None and live.rolled_back and live.colour is situation.failing:
        assert decide(situation).action in (Action.IGNORE, Action.REFUSE)


@given(situations())
def test_a_decision_always_says_why_and_names_a_colour_only_when_it_goes(situation: Situation) -> None:
    decision = decide(situation)
    assert decision.reason
    assert (decision.to is not None) == (decision.action in (Action.GO, Action.SETTLE))
