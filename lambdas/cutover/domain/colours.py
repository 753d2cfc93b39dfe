"""Blue and green, and the listener's weights, which alone say which of them is live."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Colour(StrEnum):
    """One of the two places where a release can stand."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


@dataclass(frozen=True)
class Weights:
    """How a listener splits its requests: 0 to 999 for each target group, as Elastic Load Balancing has it.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupTuple.html
    """

    blue: int
    green: int

    @classmethod
    def all_on(cls, colour: Colour) -> Weights:
        return cls.shared(colour, 100)

    @classmethod
    def shared(cls, colour: Colour, share: int) -> Weights:
        """`share` per cent on the colour, the rest on the other."""
        return cls(share, 100 - share) if colour is Colour.BLUE else cls(100 - share, share)

    def of(self, colour: Colour) -> int:
        return self.blue if colour is Colour.BLUE else self.green

    @property
    def only(self) -> Colour | None:
        """The one colour that gets every request; None while both or neither do."""
        for colour in Colour:
            if self.of(colour) > 0 and self.of(colour.other) == 0:
                return colour
        return None

    def __str__(self) -> str:
        return f"blue {self.blue}, green {self.green}"


@dataclass(frozen=True)
class ColourPlan:
    """Where the traffic is, and where the next release goes."""

    live: Colour | None
    idle: Colour
    reason: str


def plan_colours(weights: Weights, released: Colour | None) -> ColourPlan | None:
    """Where the next release goes; None when the listener was changed by hand: it splits its traffic, or
    sends it elsewhere than the journal knows, so that a release would go where nobody knows what stands.

    `released` is the colour that the journal has live, None before the first deployment. A first deployment
    also releases on the colour without weight: the listener sends its (failing) requests to the other one,
    and moving them is the same swap as ever.
    """
    carrying = weights.only
    if carrying is None or released not in (None, carrying):
        return None
    idle = carrying.other
    if released is None:
        return ColourPlan(None, idle, f"nothing is released yet; {idle} has no weight on the listener")
    return ColourPlan(carrying, idle, f"{carrying} has all the weight on the listener, so {idle} is idle")
