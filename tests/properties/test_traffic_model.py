"""Many hands on one environment (tests/properties/hands.py): at random, and exhaustively where it matters."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from cutover.domain.colours import Colour
from cutover.domain.records import LIVE
from tests.properties.hands import HANDS, Hands

TestHands = Hands.TestCase
TestHands.settings = settings(
    max_examples=int(os.environ.get("TRAFFIC_MODEL_EXAMPLES", "120")),
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("generation", [2, 3])
def test_another_hand_at_every_call_of_a_swap(generation: int, hand: str) -> None:
    """Exhaustively: the second and the third release, so that there is one to go back to and one there was."""
    for at in range(1, 10):
        hands = Hands()
        hands.begin()
        for number in range(2, generation + 1):
            hands.deploy()
            deployment = hands.released
            assert deployment is not None
            if number == generation:
                hands.interruption = (at, lambda hands=hands: hands._hand(hand))
            hands._attempt(lambda hands=hands, deployment=deployment: hands._swap(deployment))
            hands.world.executions.under_way.discard(f"arn:{deployment.id}")
        hands.traffic_was_only_ever_sent_where_somebody_is_healthy()
        hands.no_deployment_is_rolled_back_twice()
        hands.teardown()


@pytest.mark.parametrize("kill", range(24))
def test_a_rollback_that_is_killed_at_any_call_is_finished_by_its_second_delivery(kill: int) -> None:
    hands = Hands()
    hands.begin()
    hands.deploy()
    deployment = hands.released
    assert deployment is not None
    hands._attempt(lambda: hands._swap(deployment))
    hands._deliver(hands._event(Colour.GREEN), kill)
    hands.one_colour_has_all_the_traffic()
    hands.run_again()
    live = hands.live
    assert live is not None
    assert (live.deployment, live.rolled_back) == ("d1", True)
    assert hands.holder is None
    hands.no_deployment_is_rolled_back_twice()
    hands.teardown()


@pytest.mark.parametrize("release", ["the first", "the second", "the third"])
@pytest.mark.parametrize("kill", range(10))
def test_a_swap_and_its_execution_that_die_together_are_mended_by_the_next_deployment(
    kill: int, release: str
) -> None:
    hands = Hands()
    hands.begin()
    if release == "the first":
        del hands.world.journal.items[LIVE]
    if release == "the third":
        hands.deploy()
        before = hands.released
        assert before is not None
        hands._attempt(lambda: hands._swap(before))
        hands.finish()
    hands.deploy()
    deployment = hands.released
    assert deployment is not None
    hands._attempt(lambda: hands._swap(deployment), kill)
    hands.the_execution_dies()
    hands.deploy()
    following = hands.released
    assert following is not None
    hands._attempt(lambda: hands._swap(following))
    live = hands.live
    assert live is not None
    assert live.deployment == following.id
    assert live.previous_colour in (None, live.colour.other)
    hands.traffic_was_only_ever_sent_where_somebody_is_healthy()
    hands.no_deployment_is_rolled_back_twice()
    hands.teardown()
