"""The audit of a source's Python packages as a gate (requirements C5c, E1), and the sandbox's own auditor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cutover.steps.dependency_scan import judge_dependencies, with_dependencies
from cutover.steps.scan import MOST_TOLD
from sandbox.compute.audit_cli import main
from tests.contract.fakes import FakeDocuments

SOURCE, KEY = f"sources/{'a' * 64}.zip", f"scans/dependencies/{'a' * 64}.json"


def package(name: str, version: str, *known: str) -> dict[str, Any]:
    """As pip-audit 2.10.1 wrote it with `-f json`."""
    vulns = [
        {"id": each, "fix_versions": ["9"], "aliases": ["GHSA-1"], "description": "bad"} for each in known
    ]
    return {"name": name, "version": version, "vulns": vulns}


def audit(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages) or [package("fastapi", "0.115.0")], "fixes": []}


def gate(report: object) -> dict[str, Any]:
    reports = FakeDocuments()
    if report is not None:
        reports.keep(KEY, report if isinstance(report, bytes) else json.dumps(report).encode())
    return judge_dependencies(SOURCE, reports=reports).as_json()


def test_packages_without_a_known_vulnerability_pass() -> None:
    found = gate(audit(package("a", "1"), package("b", "2")))
    assert (found["verdict"], found["found"], found["samples"]) == ("Pass", "0 known in 2 packages", 2)
    assert (found["measure"], found["link"]) == ("findings", f"s3://artifacts/{KEY}")


def test_each_vulnerability_fails_and_is_told_with_its_fix() -> None:
    found = gate(audit(package("a", "1"), package("urllib3", "1.24.1", "CVE-2019-11324")))
    assert found["verdict"] == "Fail"
    assert found["found"] == "1 known in 2 packages: urllib3 1.24.1 CVE-2019-11324, GHSA-1 (fixed in 9)"


def test_one_without_a_fix_fails_too() -> None:
    report = audit({"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]})
    assert gate(report)["found"].endswith("a 1 PYSEC-1 (no fixed version known)")


def test_many_are_cut_in_words_and_counted_whole() -> None:
    found = gate(audit(package("a", "1", *(f"CVE-{n}" for n in range(MOST_TOLD + 3)))))
    assert found["found"].endswith("and 3 more")
    assert found["evidence"]["value"] == MOST_TOLD + 3


def test_a_finding_closes_although_others_were_not_looked_into() -> None:
    report = audit(package("a", "1", "CVE-1"), {"name": "b", "skip_reason": "not on PyPI"})
    assert gate(report)["verdict"] == "Fail"


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (None, "has left no report"),
        (b"{", "can't be read"),
        (b"\xff", "can't be read"),
        ([], "no list `dependencies`"),
        ({"dependencies": {}}, "no list `dependencies`"),
        ({"dependencies": [{"name": "a"}]}, "can't be read"),
        ({"dependencies": ["a"]}, "can't be read"),
        ({"dependencies": []}, "there is no package"),
        (audit(package("a", "1"), {"name": "b", "skip_reason": "not on PyPI"}), "not looked into: b"),
    ],
)
def test_what_was_not_looked_into_is_inconclusive(report: object, said: str) -> None:
    found = gate(report)
    assert (found["verdict"], found["samples"], found["must"]) == ("Inconclusive", 0, True)
    assert said in found["found"]


def test_the_gate_joins_those_of_the_images_when_they_are_done() -> None:
    waiting = {"status": "waiting", "found": "the scan is PENDING"}
    assert with_dependencies(waiting, SOURCE, reports=FakeDocuments()) == waiting
    done = {"status": "done", "open": True, "gates": [{"name": "image"}]}
    look = with_dependencies(done, SOURCE, reports=FakeDocuments())
    assert (look["open"], len(look["gates"])) == (False, 2)


AUDIT = ["-s", "osv", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json"]


def audited(folder: Path, text: str, *more: str) -> tuple[int, dict[str, Any] | None]:
    requirements, report = folder / "requirements.txt", folder / "report.json"
    requirements.write_text(text)
    code = main([*AUDIT, "-r", str(requirements), "-o", str(report), *more])
    return code, json.loads(report.read_text()) if report.exists() else None


def test_the_sandboxes_auditor_finds_what_its_list_has(tmp_path: Path) -> None:
    text = "# comment\nurllib3==1.24.1 \\\n    --hash=sha256:00\nfastapi==0.115.0  # why\nuvicorn[standard]==0.30.0\n"
    code, report = audited(tmp_path, text)
    assert code == 1
    assert report is not None
    assert gate(report)["found"] == "1 known in 3 packages: urllib3 1.24.1 CVE-2019-11324 (fixed in 1.24.2)"


def test_the_sandboxes_auditor_leaves_out_what_it_is_told_to(tmp_path: Path) -> None:
    code, report = audited(tmp_path, "urllib3==1.24.1\n", "--ignore-vuln", "CVE-2019-11324")
    assert (code, report) == (0, audit({"name": "urllib3", "version": "1.24.1", "vulns": []}))


@pytest.mark.parametrize("text", ["urllib3\n", "urllib3>=1.24\n", "urllib3==1.24,!=1.25\n", "?\n"])
def test_the_sandboxes_auditor_leaves_no_report_of_what_is_not_pinned(tmp_path: Path, text: str) -> None:
    assert audited(tmp_path, text) == (1, None)


def test_the_sandboxes_auditor_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    assert audited(tmp_path, "urllib3==1.24.1\n", "--fix") == (2, None)
    assert main(["-r", str(tmp_path / "nothing.txt"), "-o", "x", *AUDIT]) == 1
