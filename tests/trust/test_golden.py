"""Model files of every release load for ever and give the scores they gave."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xhat import load
from xhat.persist import MODEL

FOLDER = Path(__file__).parents[1] / "golden"
FILES = sorted(FOLDER.glob("*.xhat"))


def test_no_golden_file_was_lost():
    assert len(FILES) == 3  # a release adds its own and changes this number
    assert {f"format{n}" for n in range(1, MODEL.version + 1)} <= {
        p.name.split("-")[1] for p in FILES
    }


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_golden_files_give_their_scores(path):
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if record["columns"] is None:
        rows = np.array(record["rows"], dtype=record["dtype"])
    else:
        rows = pd.DataFrame(record["rows"], columns=record["columns"])
        rows["flag"] = rows["flag"].astype(bool)
    # Bits are promised per kind of processor and build, 1e-6 elsewhere; float32 has 7 digits.
    found = load(path).anomaly_score(rows)
    np.testing.assert_allclose(found, record["scores"], rtol=1e-5, atol=1e-6)
