"""The right to run documents on the environment's instances."""

from collections.abc import Sequence

from stacks.constructs.policy import Statement
from stacks.naming import Names


def send_command(names: Names, documents: Sequence[str]) -> list[Statement]:
    """Of these documents (ARNs), and no other."""
    return [
        Statement(["ssm:SendCommand"], list(documents)),
        # Only on this environment's instances: Auto Scaling passes the group's tag on to them.
        Statement(
            ["ssm:SendCommand"],
            [names.arn("ec2", "instance/*")],
            {"StringEquals": {"ssm:resourceTag/cutover-environment": [names.environment]}},
        ),
    ]
