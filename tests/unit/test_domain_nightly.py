"""What the night is for."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.input import Mode, read_input
from cutover.domain.nightly import decide_night
from tests.contract.scenes import DIGEST, V1

SOURCE, OTHER = (f"sources/{letter * 64}.zip" for letter in "ab")
BUILT = {"input": {"source": SOURCE}}
NIGHT = {"environment": "sandbox", "version": "nightly", "mode": "nightly"}


@pytest.mark.parametrize(
    ("given", "live", "record", "mode", "words"),
    [
        ({}, V1, BUILT, Mode.VERIFY, "nothing is configured"),
        ({}, None, None, Mode.VERIFY, "nothing is configured"),
        ({"image": DIGEST}, None, None, Mode.DEPLOY, "nothing is live yet"),
        ({"image": DIGEST}, V1, BUILT, Mode.DEPLOY, "is not live: version v1 is"),
        ({"image": V1.image}, V1, BUILT, Mode.VERIFY, "is live already, as version v1"),
        ({"source": OTHER}, V1, BUILT, Mode.DEPLOY, "is not live"),
        ({"source": SOURCE}, V1, BUILT, Mode.VERIFY, "is live already"),
        # Without the record nobody knows what is live: deploying it again is the safe side.
        ({"source": SOURCE}, V1, None, Mode.DEPLOY, "is not live"),
    ],
)
def test_the_night_deploys_what_is_pending_and_else_looks(
    given: dict[str, Any], live: Any, record: Any, mode: Mode, words: str
) -> None:
    decision = decide_night(read_input({**NIGHT, **given}, "sandbox"), live, record)
    assert decision.mode is mode
    assert words in decision.reason
