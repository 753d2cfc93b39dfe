"""What starting the rollback function costs: `make bench-imports`.

Each pair is two fresh processes of the same interpreter, one after the other, in turns: one imports boto3 and
makes an elbv2 client, the other imports the function as Lambda does. The ratio is of each pair's CPU time, so
that a noisy neighbour hurts neither side; its median must stay at or under 1.15.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.results_file import is_quick, keep

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 8 if is_quick() else 40
LIMIT = 1.15
LEAST = "import boto3; boto3.client('elbv2')"
FUNCTION = "import cutover.handlers.rollback"
#: The same with the garbage collector left on, which the function stops while it starts.
COLLECTING = f"import gc; gc.disable = gc.enable; {FUNCTION}"
VARIABLES = {
    "AWS_DEFAULT_REGION": "ap-northeast-2",
    "AWS_LAMBDA_FUNCTION_NAME": "cutover-sandbox-rollback",
    "CUTOVER_ENVIRONMENT": "sandbox",
    "JOURNAL_TABLE": "journal",
    "EVENT_BUS": "events",
    "RELEASE_DOCUMENT": "release",
    "STATE_MACHINE_ARN": "machine",
    "PROBE_FUNCTION": "probe",
    "CONTRACTION_GROUP": "contractions",
    "REPOSITORY": "backend",
    "REPOSITORY_URI": "registry/backend",
}
#: Lambda gives one whole virtual CPU at 1769 MB, and in proportion below.
#: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
WHOLE_CPU_MB = 1769


def run(script: str, python: Path) -> tuple[float, float]:
    """Seconds on the wall, and of CPU, of a fresh process."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "lambdas"), **VARIABLES}
    before, began = os.times(), time.perf_counter()
    subprocess.run([python, "-c", script], env=environment, check=True)
    wall, after = time.perf_counter() - began, os.times()
    cpu = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return wall, cpu


def measure(python: Path, pairs: int) -> dict[str, Any]:
    run(LEAST, python), run(FUNCTION, python)  # the first run of each compiles
    least, function, collecting = (list[tuple[float, float]]() for _ in range(3))
    for turn in range(pairs):
        order = [(LEAST, least), (FUNCTION, function), (COLLECTING, collecting)]
        for script, found in order if turn % 2 else reversed(order):
            found.append(run(script, python))
    pairs_found = list(zip(least, function, strict=True))
    cpu = statistics.median(cpu for _, cpu in function)
    return {
        "pairs": pairs,
        "least_ms": round(statistics.median(wall for wall, _ in least) * 1000),
        "function_ms": round(statistics.median(wall for wall, _ in function) * 1000),
        "ratio": round(statistics.median(ours[1] / theirs[1] for theirs, ours in pairs_found), 3),
        "ratio_on_the_wall": round(statistics.median(ours[0] / theirs[0] for theirs, ours in pairs_found), 3),
        "limit": LIMIT,
        "function_cpu_ms": round(cpu * 1000),
        "collecting_cpu_ms": round(statistics.median(cpu for _, cpu in collecting) * 1000),
        "start_ms_by_memory_mb": {
            memory: round(cpu * 1000 * max(1.0, WHOLE_CPU_MB / memory))
            for memory in (256, 512, 1024, WHOLE_CPU_MB, 3008)
        },
    }


def main() -> int:
    lambda_python = ROOT / ".venv-lambda" / "bin" / "python"
    found = measure(lambda_python, PAIRS)
    for name, value in found.items():
        print(f"{name:24} {value}")
    keep("imports", found)
    return 0 if found["ratio"] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
