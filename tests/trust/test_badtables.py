"""Labelled bad tables: exit 65, one line of at most 300 characters, the true row and column."""

import badtables
import numpy as np
import pytest

from xhat import Autoencoder
from xhat.__main__ import run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    import pandas as pd

    monkeypatch.chdir(tmp_path)
    X = np.random.default_rng(0).normal(size=(60, len(badtables.NAMES)))
    Autoencoder(2, random_state=0).fit(pd.DataFrame(X, columns=badtables.NAMES)).save("m.xhat")
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
