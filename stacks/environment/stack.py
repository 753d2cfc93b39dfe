"""What the environment's four stacks share: how one is handed what an earlier one has made.

Each is a template without assets, which the provision step makes a change set of. What crosses from one to
the next are values that the provision step carries over: a parameter is the output of the same name of an
earlier stack, except the code's three and the weights. (CloudFormation's own exports can't change while they
are used.)
"""

from collections.abc import Callable, Mapping

import aws_cdk as cdk
from constructs import Construct

from config.model import Configuration
from stacks.constructs.function import Code
from stacks.naming import Names, TemplateName

#: Where a function's code and libraries lie; known to the control plane, and made by no stack of these.
CODE_PARAMETERS = {
    "CodeBucket": "Where the functions' code lies",
    "CodeKey": "The code's object key",
    "LayerArn": "The layer with the functions' libraries",
}
#: Answers with an earlier stack's output, by its name.
Given = Callable[[str], str]


class EnvironmentStack(cdk.Stack):
    """One of the four; its `build` makes the resources."""

    template: TemplateName

    def __init__(self, scope: Construct, names: Names, configuration: Configuration) -> None:
        name = names.stack(self.template)
        super().__init__(
            scope,
            name,
            stack_name=name,
            description=f"The {self.template} of the environment {names.environment} that Cutover deploys to",
            env=cdk.Environment(account=names.account, region=names.region),
            synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
            analytics_reporting=False,
            tags={"cutover-environment": names.environment},
        )
        self._given: dict[str, str] = {}
        self.build(names, configuration)

    def build(self, names: Names, configuration: Configuration) -> None:
        """Make the stack's resources, parameters and outputs."""
        raise NotImplementedError

    def given(self, name: str) -> str:
        """The output `name` of an earlier stack: a parameter, declared when it is first asked for."""
        return self._text(name, "An earlier stack's output of this name")

    def given_subnets(self, kind: str) -> list[str]:
        """The subnets of a kind (Public or Private), one of each zone."""
        return [self.given(f"{kind}Subnet{index}") for index in (1, 2)]

    def code(self) -> Code:
        """Where the functions' code lies."""
        return Code(*(self._text(name, meaning) for name, meaning in CODE_PARAMETERS.items()))

    def weight(self, name: str, default: int) -> str:
        """A weight's parameter; its name, because a listener takes it as a number by reference."""
        cdk.CfnParameter(
            self,
            name,
            type="Number",
            default=default,
            min_value=0,
            max_value=999,
            description="Set by the deployments, which read it from the listener",
        )
        return name

    def hand_on(self, outputs: Mapping[str, str]) -> None:
        """Declare the outputs: for the later stacks, and for the functions."""
        for name, value in outputs.items():
            # The outputs' scope is their own, so that a name may also be a construct's.
            output = cdk.CfnOutput(self, f"Output{name}", value=value)
            output.override_logical_id(name)

    def _text(self, name: str, description: str) -> str:
        if name not in self._given:
            parameter = cdk.CfnParameter(self, name, type="String", description=description)
            self._given[name] = parameter.value_as_string
        return self._given[name]
