"""Labelled bad tables: exit 65, one line of at most 300 characters, the true row and column."""

import badtables
import numpy as np
import pyarrow as pa
import pytest

from xhat import Autoencoder
from xhat.__main__ import run
from xhat.data.stream import open_stream
from xhat.errors import DataError
from xhat.persist import to_bytes


@pytest.fixture(scope="module")
def model():
    import pandas as pd

    X = np.random.default_rng(0).normal(size=(60, len(badtables.NAMES)))
    frame = pd.DataFrame(X, columns=badtables.NAMES)
    return to_bytes(Autoencoder(2, hidden=(), max_iter=1, random_state=0).fit(frame))


@pytest.fixture
def folder(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.xhat").write_bytes(model)
    return tmp_path


def refuse(folder, capsys, form, kind, rng):
    """Score a bad table; return whether the error names the true place, and the error."""
    name, data, fault = badtables.make(form, kind, rng)
    (folder / name).write_bytes(data)
    capsys.readouterr()
    code = run(["score", "m.xhat", name, "-o", "s.csv", "--quiet"])
    err = capsys.readouterr().err
    assert code == 65, (form, kind, code, err)
    assert err.count("\n") == 1, (form, kind, err)
    assert len(err) <= 301
    assert err.startswith(name), (form, kind, err)
    assert not (folder / "s.csv").exists()
    # A matrix has no names: the model's stand for its columns.
    return fault.is_named(err), (form, kind, fault, err)


@pytest.mark.parametrize(("form", "kind"), badtables.kinds())
def test_bad_tables(folder, capsys, form, kind):
    rng = np.random.default_rng(len(kind))
    for _ in range(2):
        named, what = refuse(folder, capsys, form, kind, rng)
        assert named, what


def test_a_flipped_bit_of_a_parquet_file_changes_no_number(tmp_path):
    """Wherever it is, the file is refused or its numbers are what they were."""
    rng = np.random.default_rng(3)
    original = pa.table(badtables.columns_of(badtables.table(rng)))
    data, path, refused = badtables.to_parquet(original), tmp_path / "t.parquet", 0
    for _ in range(200):
        out = bytearray(data)
        out[int(rng.integers(len(out)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(out)
        try:
            found = open_stream(str(path)).whole().data
        except DataError:
            refused += 1
            continue
        for column, expected in zip(found.columns, original.columns, strict=True):
            assert column.equals(expected)
    assert refused > 100


def test_there_are_enough_kinds():
    assert len({kind for _, kind in badtables.kinds()}) >= 25
    assert len(badtables.kinds()) >= 80


@pytest.mark.nightly
def test_2000_bad_tables(folder, capsys, figures):
    rng, kinds = np.random.default_rng(7), badtables.kinds()
    named = 0
    for number in range(2000):
        named += refuse(folder, capsys, *kinds[number % len(kinds)], rng)[0]
    assert named >= 1960
    figures("bad tables", {"tables": 2000, "kinds": len({k for _, k in kinds}), "named": named})
