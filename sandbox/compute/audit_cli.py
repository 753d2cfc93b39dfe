"""The sandbox's `pip-audit`: the real one asks a database on the Internet, this one sandbox/advisories.json.

Flags, report and exit codes are those of pip-audit 2.10.1, as far as a build asks for them:
https://github.com/pypa/pip-audit#usage . What it does not know is an error. Requirements that pass here have
not been shown to be safe.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sandbox.advisories import advisories
from sandbox.compute.cli_arguments import Arguments
from sandbox.compute.errors import DockerError

VALUES = {
    "-s": "service",
    "-r": "requirements",
    "-f": "format",
    "-o": "output",
    "--progress-spinner": "spinner",
    "--ignore-vuln": "ignored",
}
#: Without these the real one would resolve the requirements by pip, which this one can't.
NEEDED = ("--no-deps", "--disable-pip")
CLEAN, FOUND, WRONG = 0, 1, 2


class AuditError(Exception):
    """The requirements can't be audited; the message is the tool's own."""


def main(words: list[str]) -> int:
    """0 when nothing is found, 1 when something is or the audit failed (then there is no report)."""
    try:
        flags = Arguments(words, "pip-audit", VALUES, {*NEEDED})
        missing = [name for name in NEEDED if not flags.on(name)]
        given, output = flags.one("requirements"), flags.one("output")
        if missing or flags.one("format") != "json" or not given or not output or flags.rest:
            raise AuditError(
                f"the sandbox's pip-audit wants -r FILE, -f json, -o FILE and {' '.join(NEEDED)}"
            )
        found = list(audited(Path(given).read_text(encoding="utf-8"), flags.values.get("ignored", [])))
    except (AuditError, DockerError, OSError) as error:
        print(f"ERROR:pip_audit._cli:{error}", file=sys.stderr)
        return WRONG if isinstance(error, DockerError) else FOUND
    Path(output).write_text(json.dumps({"dependencies": found, "fixes": []}), encoding="utf-8")
    count = sum(len(each["vulns"]) for each in found)
    print(
        f"Found {count} known vulnerabilities" if count else "No known vulnerabilities found", file=sys.stderr
    )
    return FOUND if count else CLEAN


def audited(text: str, ignored: Collection[str]) -> Iterator[dict[str, Any]]:
    """Each requirement with what is known of it. Raises AuditError for one that is not pinned."""
    for name, version in pinned(text):
        known = [each for each in advisories()[0] if each.package == name and each.affects(version)]
        yield {
            "name": name,
            "version": version,
            "vulns": [
                {
                    "id": each.id,
                    "fix_versions": [each.fixed],
                    "aliases": [],
                    "description": each.description,
                }
                for each in known
                if each.id not in ignored
            ],
        }


def pinned(text: str) -> Iterator[tuple[str, str]]:
    """Name and version of each line. https://pip.pypa.io/en/stable/reference/requirements-file-format/"""
    for line in text.replace("\\\n", " ").splitlines():
        written = line.partition(" #")[0].partition(" --")[0].strip()
        if not written or written.startswith("#"):
            continue
        try:
            requirement = Requirement(written)
        except InvalidRequirement as error:
            raise AuditError(f"requirement {written} can't be read: {error}") from error
        versions = [each.version for each in requirement.specifier if each.operator == "=="]
        if len(requirement.specifier) != 1 or not versions:
            raise AuditError(f"requirement {requirement.name} is not pinned: {written}")
        yield canonicalize_name(requirement.name), versions[0]
