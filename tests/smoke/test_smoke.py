"""The five items of requirement C7a, on a service that runs: the same checks as phase 7's.

SMOKE_EMAIL=… SMOKE_PASSWORD=… pytest tests/smoke --base-url https://api-staging.ai-model-mgmt.com
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cutover.domain.gates import Verdict, sentence
from cutover.steps.smoke import ITEMS


@pytest.mark.parametrize("item", ITEMS)
def test_it_works(item: str, gates: Mapping[str, Mapping[str, Any]]) -> None:
    closed = [sentence(gates[name]) for name in ITEMS[item] if gates[name]["verdict"] != Verdict.PASS]
    assert not closed, "; ".join(closed)
