"""Where measurements are kept, and whether they are to be quick."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
QUICK = bool(os.environ.get("QUICK"))


def write(name: str, found: dict[str, Any]) -> None:
    """bench/results/NAME.json: what was found, when and on how many CPUs."""
    RESULTS.mkdir(exist_ok=True)
    about = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "quick": QUICK,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps({**about, **found}, indent=2) + "\n")
