"""What a parameter holds for the functions: JSON that keeps within a standard parameter."""

import json
from collections.abc import Mapping
from typing import Any

#: Characters of a standard parameter, of which CloudFormation makes no advanced one by itself.
#: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
MOST = 4096


def compact(table: Mapping[str, Any]) -> str:
    """JSON with its keys in order and no blanks: the same table gives the same text."""
    return json.dumps(table, sort_keys=True, separators=(",", ":"))
