"""Where requests go now: the weights of every listener and rule that divides them between the colours.

They belong to the deployments and never to the template: an update gets those that are live as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Targets
from cutover.ports import LoadBalancer

#: What a first environment starts with: requests to blue, tests to green.
FIRST_LIVE, FIRST_TEST = Weights.all_on(Colour.BLUE), Weights.all_on(Colour.GREEN)


@dataclass(frozen=True)
class Fork:
    """A place where requests are divided: the head of its parameters' names, and the outputs that name the
    listener or rule and the two target groups."""

    parameters: str
    arn: str
    blue: str
    green: str
    first: Weights


FORKS: Mapping[str, Fork] = {
    "backend": Fork("", "ListenerArn", "BlueTargetGroupArn", "GreenTargetGroupArn", FIRST_LIVE),
    "backend test": Fork("Test", "TestListenerArn", "BlueTargetGroupArn", "GreenTargetGroupArn", FIRST_TEST),
    "frontend": Fork(
        "Frontend",
        "FrontendRuleArn",
        "FrontendBlueTargetGroupArn",
        "FrontendGreenTargetGroupArn",
        FIRST_LIVE,
    ),
    "frontend test": Fork(
        "FrontendTest",
        "FrontendTestRuleArn",
        "FrontendBlueTargetGroupArn",
        "FrontendGreenTargetGroupArn",
        FIRST_TEST,
    ),
}


def live_weights(outputs: Mapping[str, str], balancer: LoadBalancer) -> dict[str, Weights]:
    """By the names in FORKS. `outputs` are the stacks'; a listener or rule that they do not name is not there
    yet, and has the weights that it will begin with."""
    return {
        name: _weights(fork, outputs, balancer) if fork.arn in outputs else fork.first
        for name, fork in FORKS.items()
    }


def _weights(fork: Fork, outputs: Mapping[str, str], balancer: LoadBalancer) -> Weights:
    arn = outputs[fork.arn]
    return balancer.weights(arn, Targets(arn, arn, outputs[fork.blue], outputs[fork.green]))


def as_parameters(weights: Mapping[str, Weights]) -> dict[str, str]:
    """As the service template takes them: BlueWeight, FrontendTestGreenWeight …"""
    return {
        f"{FORKS[name].parameters}{colour.capitalize()}Weight": str(found.of(colour))
        for name, found in weights.items()
        for colour in Colour
    }


def told(parameters: Mapping[str, str]) -> str:
    """The weights among the parameters, for people: `backend blue 100, green 0; …`."""
    shares = {
        name: [parameters.get(f"{fork.parameters}{colour.capitalize()}Weight") for colour in Colour]
        for name, fork in FORKS.items()
    }
    return "; ".join(
        f"{name} blue {blue}, green {green}" for name, (blue, green) in shares.items() if blue is not None
    )
