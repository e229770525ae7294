"""Machine, commit and Markdown tables for every benchmark's figures."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"


def provenance() -> dict[str, str]:
    """Return processor, system, versions and commit, as they stand in every results file."""
    cpu = platform.processor() or platform.machine()
    for line in (
        Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    ):
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
    return {
        "cpu": cpu,
        "cores": str(len_affinity()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "commit": COMMIT,
    }


def commit() -> str:
    """Return the commit that is checked out, with "-dirty" where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


#: When the benchmark began: hours later another one may be.
COMMIT = commit()


def len_affinity() -> int:
    """Return how many processors this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write(name: str, rows: Sequence[dict[str, object]]) -> None:
    """Print rows as a Markdown table and write them with their provenance to results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    where = provenance()
    (RESULTS / f"{name}.json").write_text(
        json.dumps({"where": where, "rows": list(rows)}, indent=1) + "\n"
    )
    print(table(rows))
    print("(" + ", ".join(f"{key} {value}" for key, value in where.items()) + ")")


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return rows as a Markdown table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name, "")) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
