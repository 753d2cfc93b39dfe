"""Whatever reaches the rollback function instead of a whole event: refused by field, and the traffic untouched."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import CutoverError
from cutover.domain.records import LIVE
from cutover.handlers import rollback
from tests.contract.fakes import TARGETS, FakeWorld
from tests.contract.scenes import V2, alarm_event

JUNK = st.sampled_from([None, "", " ", 7, [], {}, "nonsense", {"value": "ALARM"}, True])
#: What moves no traffic elsewhere when it is gone: it is only told.
TOLD = {
    "detail-type",
    "time",
    "detail.state.reason",
    "detail.configuration.description.meaning",
    "detail.configuration.description.service",
}
#: A frontend that no one names stays where it is, and an alarm of an older template has none.
WITHOUT = {"detail.configuration.description.frontend"}


def paths(event: Any, before: str = "") -> Iterator[str]:
    if isinstance(event, Mapping):
        for name, value in event.items():
            path = f"{before}{name}"
            yield path
            yield from paths(json.loads(value) if name == "description" else value, f"{path}.")


def changed(path: str, value: Any = ...) -> dict[str, Any]:
    """The event without that field, or with another value of it."""
    event = copy.deepcopy(alarm_event())
    event["detail"]["configuration"]["description"] = json.loads(
        event["detail"]["configuration"]["description"]
    )
    *way, last = path.split(".")
    at: Any = event
    for name in way:
        at = at[name]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    configuration = (event.get("detail") or {}) if isinstance(event.get("detail"), dict) else {}
    configuration = configuration.get("configuration")
    if isinstance(configuration, dict) and isinstance(configuration.get("description"), dict):
        configuration["description"] = json.dumps(configuration["description"])
    return event


class House:
    """v2 is live on green, and v1 stands soundly on blue: a whole event would roll back."""

    def __init__(self) -> None:
        self.world = FakeWorld()
        self.world.journal.items[LIVE] = V2.item()
        self.world.balancer.of[TARGETS.listener_arn] = Weights.all_on(Colour.GREEN)
        for colour in Colour:
            self.world.balancer.populate(colour, healthy=6)
        self.world.variables = type("Variables", (), {"cutover_environment": "sandbox"})

    def handle(self, event: Any) -> Mapping[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rollback, "wiring", lambda: self.world)
            return rollback.handler(event, None)


PATHS = list(paths(alarm_event()))


def test_the_whole_event_rolls_back() -> None:
    assert House().handle(alarm_event())["action"] == "rolled_back"


@pytest.mark.parametrize("path", [path for path in PATHS if path not in TOLD | WITHOUT])
def test_an_event_that_lacks_a_field_is_refused_by_name_and_moves_nothing(path: str) -> None:
    house = House()
    with pytest.raises(CutoverError) as refused:
        house.handle(changed(path))
    last = path.rsplit(".", 1)[-1]
    assert any(word in str(refused.value) for word in (path, last, "source", "description"))
    assert house.world.balancer.moves == []


@given(path=st.sampled_from(PATHS), value=JUNK)
def test_an_event_with_anything_in_a_field_is_refused_or_understood_and_never_breaks(
    path: str, value: Any
) -> None:
    house = House()
    try:
        answer = house.handle(changed(path, value))
    except CutoverError:
        assert house.world.balancer.moves == []
    else:
        assert answer["action"] in ("rolled_back", "refused", "ignored")
        assert house.world.balancer.of[TARGETS.listener_arn].only is not None
