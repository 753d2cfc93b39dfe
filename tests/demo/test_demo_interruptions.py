"""Ctrl-C at moments of the demo: it ends, says so, and nothing survives.

DEMO_MOMENTS=all interrupts it at all five; by default at the three in which the most is running.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sandbox import processes

REPOSITORY = Path(__file__).resolve().parents[2]
# What the demo's output says just before the interruption, and how long it may take to get there.
MOMENTS = {
    "while the sandbox starts": (None, 1.5),
    "during cdk bootstrap": (r"cdk synth|sandbox up", 90),
    "during cdk deploy": (r"cdk bootstrap", 120),
    "while v1 is provisioned": (r"v1: 1 Provision", 180),
    "while v1 is released": (r"v1: 3 Release", 300),
}
SELDOM = {"during cdk bootstrap", "while v1 is provisioned"}
TRIED = [moment for moment in MOMENTS if os.environ.get("DEMO_MOMENTS") == "all" or moment not in SELDOM]


@pytest.mark.timeout(420)
@pytest.mark.parametrize("moment", TRIED)
def test_nothing_survives_ctrl_c(moment):
    pattern, seconds = MOMENTS[moment]
    root = Path(tempfile.mkdtemp(prefix="cutover-ctrl-c-")).resolve()
    output = root.with_suffix(".out")
    with output.open("wb") as target:
        demo = subprocess.Popen(
            [sys.executable, "-u", "-m", "sandbox.demo"],
            stdout=target,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=REPOSITORY,
            env=os.environ | {"CUTOVER_SANDBOX_DIR": str(root)},
        )
    try:
        deadline = time.monotonic() + seconds
        while pattern and not re.search(pattern, output.read_text(errors="replace")):
            assert demo.poll() is None, output.read_text(errors="replace")
            assert time.monotonic() < deadline, output.read_text(errors="replace")
            time.sleep(0.1)
        if pattern is None:
            time.sleep(seconds)
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
        assert demo.wait(90) == 130, output.read_text(errors="replace")
        assert processes.marked(root) == []
    finally:
        if demo.poll() is None:
            processes.end_tree(demo.pid)
        left = processes.marked(root)
        for pid in left:
            processes.end_tree(pid)
        shutil.rmtree(root, ignore_errors=True)
        output.unlink(missing_ok=True)
