"""Make the golden files of a release: ``python tests/golden/make.py``; never overwrites one.

Each is a model file with the rows and scores it gave on the day it was written. Every later xhat
must load it and give these scores (tests/trust/test_golden.py).
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from xhat import Autoencoder, Masking, OneCycle, __version__

FOLDER = Path(__file__).parent
ROWS = 12


def tables():
    """Return (name, estimator, table) of each golden file."""
    rng = np.random.default_rng(42)
    matrix = rng.normal(size=(240, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(240, 5))
    mixed = pd.DataFrame(
        {
            "size": matrix[:, 0],
            "flag": matrix[:, 1] > 0,
            "kind": np.array(["x", "y", "z"])[rng.integers(0, 3, 240)],
            "count": np.where(matrix[:, 2] > 0, 0, rng.integers(1, 9, 240)),
        }
    )
    mixed.loc[::17, "size"] = np.nan
    deep = Autoencoder(
        2, hidden=(6,), batch_size=32, max_iter=5, corruption=Masking(0.1),
        learning_rate=OneCycle(2e-3), random_state=0,
    )  # fmt: skip
    return [
        ("textbook", Autoencoder.textbook(2, max_iter=20, random_state=0), matrix.round(3)),
        ("mixed", Autoencoder(2, hidden=(6,), max_iter=20, random_state=0), mixed.round(3)),
        ("deep", deep, matrix.round(3).astype(np.float32)),
    ]


def main():
    for name, ae, table in tables():
        path = FOLDER / f"{name}-format1-{__version__}.xhat"
        if path.exists():
            continue
        ae.fit(table).save(path)
        rows = table[:ROWS]
        cells = rows.to_numpy().tolist() if hasattr(rows, "columns") else rows.tolist()
        record = {
            "columns": list(rows.columns) if hasattr(rows, "columns") else None,
            "dtype": None if hasattr(rows, "columns") else str(rows.dtype),
            "rows": [[None if v != v else v for v in row] for row in cells],  # noqa: PLR0124
            "scores": ae.anomaly_score(rows).tolist(),
        }
        path.with_suffix(".json").write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
