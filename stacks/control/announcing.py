"""The function by which people announce a release to users (requirement A4), and withdraw it."""

from constructs import Construct

from stacks.constructs.function import Code, Function, FunctionSpec, make_function
from stacks.constructs.policy import Statement
from stacks.naming import Names


def announcing(scope: Construct, names: Names, code: Code) -> Function:
    """Make it. It may write the announcement, and nothing else."""
    spec = FunctionSpec(
        name="announce",
        purpose="Tells users of a release before it comes, and that it will not",
        timeout_seconds=30,
        memory_mb=512,
        statements=[
            Statement(
                ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
                [names.arn("dynamodb", f"table/{names.journal}")],
                {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["ANNOUNCED"]}},
            ),
            Statement(["events:PutEvents"], [names.arn("events", f"event-bus/{names.bus}")]),
            Statement(["ssm:GetParameter"], [names.arn("ssm", f"parameter{names.parameter}")]),
        ],
        environment={"CONFIGURATION_PARAMETER": names.parameter},
    )
    return make_function(scope, names, spec, code)
