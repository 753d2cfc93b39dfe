"""What people see of the board, the evidence and the checklists."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from cli.board import show_board
from cli.commands import evidence as command
from cli.errors import ExitCode, UserError
from cli.evidence import Bundle
from cutover.domain.evidence import Chain
from tests.unit.test_checklist import board


def bundle(*names: str) -> Bundle:
    chain, objects = Chain("d2"), dict[str, bytes]()
    for number, name in enumerate(names, 1):
        body = chain.entry(name, {"of": name})
        objects[chain.key(number)] = body
        chain = chain.with_entry(body)
    return Bundle(chain, objects)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Bundle:
    made = bundle("input", "phase 1 Provision", "outcome FAILED", "outcome ROLLED_BACK")
    environment = SimpleNamespace(artifacts_bucket="artifacts")
    monkeypatch.setattr(command, "_read", lambda *_: (environment, made))
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command.evidence, [*arguments], catch_exceptions=True)


def test_the_board_shows_personas_rows_reasons_and_where_it_is_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = {"location": "s3://artifacts/boards/d2.json", "console": "https://console/boards/d2.json"}
    show_board({**board(p95=812.0), **address})
    told = capsys.readouterr().out
    assert "Go or no go? No-Go" in told
    for words in ("reliability", "p95 latency", "812 ms", "< 500 ms", "must", "should", *address.values()):
        assert words in told
    assert "closed, performance: “p95 latency” (C6a, E1) failed" in told


def test_whole_evidence_is_told_so_and_exits_0(kept: Bundle) -> None:
    done = run("verify", "sandbox", "d2", "--json")
    assert done.exit_code == ExitCode.OK
    assert '"whole": true' in done.output


def test_evidence_that_is_not_whole_names_the_entry_and_exits_1(kept: Bundle) -> None:
    kept.objects["evidence/d2/0002.json"] += b" "
    done = run("verify", "sandbox", "d2")
    assert isinstance(done.exception, UserError)
    assert done.exception.code == ExitCode.FAILED
    assert "evidence/d2/0002.json (phase 1 Provision): altered" in str(done.exception)
    assert run("verify", "sandbox", "d2", "--json").exit_code == ExitCode.FAILED


def test_no_evidence_at_all_is_not_whole(kept: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_read", lambda *_: (None, Bundle(Chain("d2"), {})))
    assert run("verify", "sandbox", "d2", "--json").exit_code == ExitCode.FAILED


def test_entries_are_listed_and_one_is_printed_whole(kept: Bundle) -> None:
    assert "phase 1 Provision" in run("show", "sandbox", "d2").output
    assert '"of": "input"' in run("show", "sandbox", "d2", "--entry", "1").output
    done = run("show", "sandbox", "d2", "--entry", "9")
    assert "--entry 9: there is none; entries go from 1 to 4" in str(done.exception)


def test_the_last_entry_of_a_name_is_what_counts(kept: Bundle) -> None:
    assert kept.content("outcome") == {"of": "outcome ROLLED_BACK"}
    assert kept.content("board") is None
