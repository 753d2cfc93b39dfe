"""The example frontend: its server, and how it is delivered. It is built where its image is built."""

import json
import re
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "frontend"


def test_its_servers_own_tests_pass():
    done = subprocess.run(
        ["node", "--test", "server/"], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_dependency_is_pinned_and_comes_from_no_registry_by_name():
    package = json.loads((FOLDER / "package.json").read_text())
    lock = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    for name, version in {**package["dependencies"], **package["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
        assert lock[f"node_modules/{name}"]["version"] == version
    for name, entry in lock.items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name


def test_the_production_stage_runs_on_node_18_without_root_or_what_only_the_build_needs():
    text = (FOLDER / "Dockerfile").read_text()
    _, production = text.split("AS build\n", 1)[1].split("FROM ", 1)
    assert production.startswith("node:18-alpine AS production\n")
    assert re.search(r"^USER \d+$", production, re.MULTILINE)
    assert "npm" not in production
    assert "server/healthcheck.js" in production
