"""Peak resident memory of the command line on files larger than memory.

    python -m benchmarks.memory --folder DIR --sizes 0.2 4 --parquet 0.2 2 --set "hidden=(16,)"

Writes a CSV of each size in GB (20 columns: 14 correlated numbers with holes, 3 categories, a
count, a flag, a date) and a Parquet file, runs ``xhat fit`` and ``xhat score`` on each in a process
of its own, and prints their peak resident memory, CPU and wall time. The files are removed.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

#: Rows of a chunk, and how many chunks differ.
ROWS, CHUNKS = 50_000, 10


def chunk(rng: np.random.Generator) -> pa.Table:
    """Return ROWS rows."""
    factors = rng.normal(size=(ROWS, 4))
    mixing = np.random.default_rng(1).normal(size=(4, 14))
    numbers = np.round(factors @ mixing + rng.normal(scale=0.3, size=(ROWS, 14)), 5)
    columns: dict[str, pa.Array] = {}
    for j in range(14):
        hole = rng.random(ROWS) < (0.05 if j % 3 == 0 else 0)
        columns[f"number{j}"] = pa.array(numbers[:, j], mask=hole)
    for j, levels in enumerate((3, 12, 40)):
        place = np.clip((factors[:, j] + 3) / 6 * levels, 0, levels - 1).astype(int)
        columns[f"level{j}"] = pa.array([f"v{p}" for p in range(levels)]).take(pa.array(place))
    columns["count"] = pa.array(rng.poisson(np.exp(factors[:, 3] / 2 - 1)))
    columns["flag"] = pa.array(factors[:, 0] + factors[:, 1] > 0)
    day = np.datetime64("2015-01-01") + rng.integers(0, 3000, ROWS).astype("timedelta64[D]")
    columns["day"] = pa.array(day)
    return pa.table(columns)


def write_csv(path: Path, gigabytes: float) -> None:
    """Write CHUNKS different chunks over and over."""
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(CHUNKS):
        text = io.BytesIO()
        pyarrow.csv.write_csv(chunk(rng), text, pa.csv.WriteOptions(include_header=not parts))
        parts.append(text.getvalue())
    names, parts[0] = parts[0].split(b"\n", 1)
    with path.open("wb") as file:
        file.write(names + b"\n")
        for part in itertools.cycle(parts):
            file.write(part)
            if file.tell() >= gigabytes * 2**30:
                return


def write_parquet(path: Path, gigabytes: float) -> None:
    """Write CHUNKS different chunks over and over, in row groups of 500,000 rows."""
    rng = np.random.default_rng(0)
    table = pa.concat_tables([chunk(rng) for _ in range(CHUNKS)])
    with pq.ParquetWriter(path, table.schema, compression="snappy") as writer:
        while not path.exists() or path.stat().st_size < gigabytes * 2**30:
            writer.write_table(table, row_group_size=500_000)


def measure(command: list[str]) -> dict[str, float]:
    """Run a command; return its peak resident memory in MB, wall and CPU seconds."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "xhat", *command])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"xhat {' '.join(command)} failed")
    return {
        "peak_mb": round(usage.ru_maxrss / 1024),
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--sizes", type=float, nargs="*", default=[0.2, 1, 4])
    parser.add_argument("--parquet", type=float, nargs="*", default=[0.2, 2])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--set", dest="settings", nargs="*", default=[], help="handed to xhat fit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        for kind, sizes in (("csv", given.sizes), ("parquet", given.parquet)):
            for size in sizes:
                path = folder / f"table.{kind}"
                (write_csv if kind == "csv" else write_parquet)(path, size)
                model, scores = str(folder / "m.xhat"), str(folder / "scores.csv")
                fit = ["fit", str(path), "-o", model, "--epochs", str(given.epochs)]
                fit += [word for setting in given.settings for word in ("--set", setting)]
                found = {
                    "file": f"{path.stat().st_size / 2**30:.2f} GB {kind}",
                    "fit": measure([*fit, "--scratch", str(folder)]),
                    "score": measure(["score", model, str(path), "-o", scores]),
                }
                print(json.dumps(found), flush=True)
                path.unlink()
                Path(scores).unlink()


if __name__ == "__main__":
    main()
