"""Whether a rollback goes, stays away or calls a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Targets
from cutover.domain.health import Health
from cutover.domain.records import Candidate, Live
from cutover.domain.rollback import Action, Situation, Trigger, decide

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
LIVE = Live(
    deployment="d2",
    version="v2",
    image="sha256:2",
    colour=Colour.GREEN,
    previous_deployment="d1",
    previous_colour=Colour.BLUE,
    previous_version="v1",
    previous_image="sha256:1",
    swapped_at="2026-03-04T11:00:00.000Z",
    watch_until="2026-03-05T11:00:00.000Z",
    healthy_share=0.5,
    targets=Targets("l", "t", "b", "g"),
)
ALARM = Situation(
    trigger=Trigger.ALARM,
    failing=Colour.GREEN,
    live=LIVE,
    weights=Weights(0, 100),
    previous_health=Health(6, 6),
    now=NOW,
)


def test_an_alarm_of_the_live_colour_goes_back_to_a_sound_previous_one() -> None:
    decision = decide(ALARM)

    assert (decision.action, decision.to) == (Action.GO, Colour.BLUE)
    assert "6 of 6 healthy" in decision.reason


def test_an_alarm_of_the_idle_colour_is_ignored() -> None:
    decision = decide(replace(ALARM, failing=Colour.BLUE))

    assert decision.action is Action.IGNORE
    assert "blue is not live" in decision.reason


def test_the_listener_is_believed_before_the_journal() -> None:
    """The traffic is back on blue already: a rollback that was killed before it could write that down."""
    decision = decide(replace(ALARM, weights=Weights(100, 0)))

    assert (decision.action, decision.to) == (Action.SETTLE, Colour.BLUE)


def test_a_swap_that_is_just_being_written_down_is_not_taken_for_a_rollback() -> None:
    """d3 was released on blue and has the traffic now; the journal will know in a moment."""
    assert decide(replace(ALARM, weights=Weights(100, 0), standing="d3")).action is Action.IGNORE


@pytest.mark.parametrize("weights", [Weights(50, 50), Weights(0, 0), Weights(1, 999)])
@pytest.mark.parametrize("trigger", Trigger)
def test_weights_that_no_deployment_has_set_stay(weights: Weights, trigger: Trigger) -> None:
    decision = decide(replace(ALARM, trigger=trigger, weights=weights))

    assert decision.action is Action.REFUSE
    assert str(weights) in decision.reason


# d3 is being tried on green with up to a tenth of the traffic; d2 is live on blue.
SHIFTING = replace(
    ALARM,
    live=replace(LIVE, colour=Colour.BLUE, candidate=Candidate("d3", "v3", Colour.GREEN, 10)),
    weights=Weights(90, 10),
    standing="d2",
)


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("weights", [Weights(90, 10), Weights(95, 5), Weights(0, 100)])
def test_a_release_that_is_being_tried_goes_back_to_the_live_one(trigger: Trigger, weights: Weights) -> None:
    decision = decide(replace(SHIFTING, trigger=trigger, weights=weights))

    assert (decision.action, decision.to) == (Action.GO, Colour.BLUE)


def test_also_when_the_live_one_is_live_by_a_rollback_or_the_first() -> None:
    assert SHIFTING.live
    for live in (
        replace(SHIFTING.live, rolled_back=True),
        replace(SHIFTING.live, previous_deployment=None, previous_colour=None),
    ):
        assert decide(replace(SHIFTING, live=live)).action is Action.GO


def test_a_candidate_is_watched_although_the_watch_of_the_live_one_is_over() -> None:
    assert SHIFTING.live
    over = replace(SHIFTING.live, watch_until="2000-01-01T00:00:00.000Z")

    assert decide(replace(SHIFTING, live=over)).action is Action.GO


def test_a_split_that_fits_no_candidate_stays() -> None:
    assert decide(replace(SHIFTING, weights=Weights(50, 50))).action is Action.REFUSE


def test_a_candidate_whose_share_has_not_come_yet_is_taken_back_all_the_same() -> None:
    decision = decide(replace(SHIFTING, weights=Weights(100, 0)))

    assert (decision.action, decision.to) == (Action.SETTLE, Colour.BLUE)


def test_the_live_colour_never_fails_over_to_the_one_that_is_being_tried() -> None:
    decision = decide(replace(SHIFTING, failing=Colour.BLUE, standing="d3"))

    assert decision.action is Action.REFUSE


def test_without_the_journal_the_smaller_part_of_a_split_goes_back_and_the_larger_stays() -> None:
    blind = replace(SHIFTING, live=None, journal_readable=False)

    assert decide(blind).action is Action.GO
    assert decide(replace(blind, failing=Colour.BLUE)).action is Action.REFUSE
    assert decide(replace(blind, weights=Weights(50, 50))).action is Action.REFUSE


def test_a_listener_that_was_edited_by_hand_stays() -> None:
    decision = decide(replace(ALARM, weights=None, edited="listener l forwards to x as well"))

    assert decision.action is Action.REFUSE
    assert "forwards to x as well" in decision.reason


def test_it_never_goes_where_a_later_deployment_has_been_released() -> None:
    decision = decide(replace(ALARM, standing="d3"))

    assert decision.action is Action.REFUSE
    assert "--to d1" in decision.reason


def test_an_alarm_from_before_the_swap_is_about_an_older_deployment() -> None:
    decision = decide(replace(ALARM, raised_at=datetime(2026, 3, 4, 10, 59, tzinfo=UTC)))

    assert decision.action is Action.IGNORE
    assert "older deployment" in decision.reason


def test_without_the_journal_an_old_alarm_calls_a_person() -> None:
    blind = replace(ALARM, live=None, journal_readable=False)

    assert decide(replace(blind, raised_at=NOW - timedelta(minutes=16))).action is Action.REFUSE
    assert decide(replace(blind, raised_at=NOW - timedelta(minutes=14))).action is Action.GO


def test_it_never_goes_where_no_target_is_healthy() -> None:
    down = replace(ALARM, previous_health=Health(0, 6, "6 unhealthy"))
    assert decide(down).action is Action.REVIVE
    decision = decide(replace(down, revived=True))

    assert decision.action is Action.REFUSE
    assert "0 of 6 healthy" in decision.reason


def test_it_never_goes_where_nobody_can_say_how_it_is() -> None:
    assert decide(replace(ALARM, previous_health=None)).action is Action.REFUSE


@pytest.mark.parametrize(("healthy", "goes"), [(6, True), (3, True), (2, False)])
def test_it_goes_if_at_least_the_configured_share_is_healthy(healthy: int, goes: bool) -> None:
    decision = decide(replace(ALARM, previous_health=Health(healthy, 6), revived=True))

    assert decision.action is (Action.GO if goes else Action.REFUSE)


def test_a_colour_without_targets_can_not_be_revived() -> None:
    assert decide(replace(ALARM, previous_health=Health(0, 0))).action is Action.REFUSE


def test_it_never_goes_back_twice() -> None:
    back = replace(LIVE, colour=Colour.BLUE, previous_colour=Colour.GREEN, rolled_back=True)
    decision = decide(replace(ALARM, failing=Colour.BLUE, live=back, weights=Weights(100, 0)))

    assert decision.action is Action.REFUSE
    assert "rolled back" in decision.reason


def test_after_its_watch_an_alarm_rolls_nothing_back() -> None:
    assert decide(replace(ALARM, now=NOW + timedelta(days=2))).action is Action.IGNORE


@pytest.mark.parametrize("trigger", [Trigger.PERSON, Trigger.DEPLOYMENT])
def test_after_its_watch_a_person_still_may(trigger: Trigger) -> None:
    assert decide(replace(ALARM, trigger=trigger, now=NOW + timedelta(days=2))).action is Action.GO


def test_a_first_release_has_nothing_to_go_back_to() -> None:
    first = replace(LIVE, previous_deployment=None, previous_colour=None)

    assert decide(replace(ALARM, live=first)).action is Action.REFUSE


def test_an_alarm_before_any_release_is_about_nothing() -> None:
    assert decide(replace(ALARM, live=None)).action is Action.IGNORE


def test_without_the_journal_weights_and_health_decide() -> None:
    blind = replace(ALARM, live=None, journal_readable=False)

    assert decide(blind).action is Action.GO
    assert decide(replace(blind, weights=Weights(100, 0))).action is Action.IGNORE
    assert decide(replace(blind, previous_health=Health(0, 6), revived=True)).action is Action.REFUSE


def test_without_the_listener_the_journal_says_what_is_live() -> None:
    assert decide(replace(ALARM, weights=None)).action is Action.GO
    assert decide(replace(ALARM, weights=None, failing=Colour.BLUE)).action is Action.IGNORE


def test_a_swap_that_was_cut_short_before_the_journal_is_taken_back() -> None:
    """Traffic on green, the journal still at blue: the deployment that moved it fails."""
    before = replace(
        LIVE, colour=Colour.BLUE, deployment="d1", previous_colour=None, previous_deployment=None
    )

    assert decide(replace(ALARM, trigger=Trigger.DEPLOYMENT, live=before)).action is Action.GO
