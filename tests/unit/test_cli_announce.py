"""What `cutover announce` and `cutover withdraw` ask the function for, and what people read after it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from cli.commands import announce as commands
from cli.session import Environment
from cutover.handlers import announce as handler
from tests.contract.fakes import FakeClock, FakeEvents, FakeJournal


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> FakeEvents:
    """The command calls the function's handler itself, over a journal in memory."""
    wired = SimpleNamespace(
        journal=FakeJournal(),
        events=FakeEvents(),
        clock=FakeClock(),
        configuration=SimpleNamespace(
            read=lambda: {"window": {"start": "02:00", "end": "04:00", "zone": "Asia/Seoul"}}
        ),
    )

    def call(_environment: object, function: str, event: dict[str, Any], _refusals: object) -> Any:
        assert function == "cutover-staging-announce"
        return handler.handler(event, None)

    monkeypatch.setattr(handler, "wiring", lambda: wired)
    monkeypatch.setattr(commands, "invoke", call)
    monkeypatch.setattr(Environment, "caller", lambda _self: "kim")
    return wired.events


def run(command: Any, *arguments: str) -> str:
    result = CliRunner().invoke(command, ["staging", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_release_is_announced_once_and_withdrawn(events: FakeEvents) -> None:
    assert "announced: v2 for 2026-03-05T17:00" in run(commands.announce, "--version", "v2")
    assert "already announced: v2" in run(commands.announce, "--version", "v2")
    assert "withdrawn: v2" in run(commands.withdraw, "--reason", "not ready")
    assert "no release announced" in run(commands.withdraw, "--reason", "not ready")
    assert events.kinds == ["ReleaseAnnounced", "ReleaseWithdrawn"]
    assert events.published[1][1]["by"] == "kim"
