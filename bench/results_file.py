"""Where a benchmark leaves its results: a table on stdout, and bench/results/NAME.json."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def is_quick() -> bool:
    """QUICK=1 asks for a run that ends within a minute."""
    return os.environ.get("QUICK", "") not in ("", "0")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown; the first row's keys are the columns."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([str(row[c]) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def keep(name: str, results: Mapping[str, Any]) -> Path:
    """Write bench/results/NAME.json, with when and on what it was measured."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    about = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": is_quick(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    path.write_text(json.dumps({**about, **results}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
