"""Another configuration for the functions of an environment in the sandbox, for as long as it is needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Changes what the functions read as their configuration, in place.
Change = Callable[[dict[str, Any]], None]


@contextmanager
def configured(ssm: Any, parameter: str, *changes: Change) -> Iterator[None]:
    """While it is open, the configuration in `parameter` is changed. `ssm` is the account root's client."""
    before = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
    changed = json.loads(before)
    for change in changes:
        change(changed)
    ssm.put_parameter(Name=parameter, Value=json.dumps(changed), Type="String", Overwrite=True)
    try:
        yield
    finally:
        ssm.put_parameter(Name=parameter, Value=before, Type="String", Overwrite=True)


def without_limits_and_scan(configuration: dict[str, Any]) -> None:
    """No rate limit is tried, and nothing scanned: each takes ten seconds and more of a release."""
    limits = configuration["security"]["rate_limits"]
    limits.update(dict.fromkeys(limits, "off"))
    configuration["security"]["web_scan"]["enabled"] = False
