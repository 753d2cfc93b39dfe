"""Take back an update that did not end in time, or say what is to be done about a creation that did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cutover.ports import Layer

UPDATES = "UPDATE_IN_PROGRESS"


def give_up(*, layers: Sequence[Layer]) -> dict[str, Any]:
    """{status: cancelled | left | idle, told}: what was done about the stack that is still busy.

    An update is cancelled: CloudFormation takes the stack back to what it was before. A creation can't be; to
    delete the stack is a person's right.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-update-cancel.html
    """
    for layer in layers:
        stack = layer.stacks.stack()
        if stack is None or not stack.busy:
            continue
        name = layer.template.stack
        waits = layer.stacks.waits_for()
        about = f"the stack {name} was still {stack.status}" + (f": {waits}" if waits else "")
        if stack.status == UPDATES and layer.stacks.cancel_update():
            told = "Its update was cancelled: CloudFormation takes it back to what it was"
            return {"status": "cancelled", "told": f"{about}. {told}"}
        if stack.status == "CREATE_IN_PROGRESS":
            told = (
                "A creation can't be cancelled, so it goes on: deploy again when it has ended, or delete the "
                f"stack (`aws cloudformation delete-stack --stack-name {name}`)"
            )
            return {"status": "left", "told": f"{about}. {told}"}
        return {"status": "left", "told": f"{about}. It goes on by itself; deploy again when it has ended"}
    return {"status": "idle", "told": "no stack was busy any more"}
