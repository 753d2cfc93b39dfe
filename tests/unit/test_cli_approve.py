"""What people read after they have answered for a plan."""

from __future__ import annotations

import pytest

from cli.commands.approve import _show

ANSWER = {
    "deployment": "d2",
    "status": "APPROVED",
    "by": "arn:kim",
    "at": "2026-03-04T12:00:00.000Z",
    "reason": "read it [twice]",
    "plan": {"sha256": "a" * 64, "console": "https://console/a", "allow_destructive": []},
}


def test_an_answer_tells_who_why_and_for_which_plan(capsys: pytest.CaptureFixture[str]) -> None:
    _show(ANSWER, as_json=False)
    told = capsys.readouterr().out
    assert "approved: d2 by arn:kim at 2026-03-04T12:00:00.000Z: read it [twice]" in told
    assert f"plan {'a' * 64}, https://console/a" in told
    assert "destroy" not in told


def test_an_answer_tells_what_the_plan_may_destroy(capsys: pytest.CaptureFixture[str]) -> None:
    _show({**ANSWER, "plan": {**ANSWER["plan"], "allow_destructive": ["Database"]}}, as_json=False)  # type: ignore[dict-item]
    assert "it may destroy: Database" in capsys.readouterr().out
