"""The 23 traps that other autoencoder libraries fell into: a test each, or why it cannot happen.

3   Documentation that differs from the network: the README, the examples and every docstring are
    run as tests (test_readme.py, test_examples.py, doctests), and docs/maths.md is compared with
    the code in maths/test_page.py.
4   Scaling row by row in Python: rows are encoded by whole matrices (data/columns.py, encode).
13  A contractive penalty that is not the Jacobian's norm: maths/test_penalties.py compares it with
    finite differences of the code.
"""

import inspect
import os
import re
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import xhat
from xhat import Autoencoder, auto
from xhat.engines.reference import ReferenceEngine
from xhat.errors import DataError, ParameterError, XhatError
from xhat.maths.corruption import Columns, Masking
from xhat.maths.penalties import KLSparsity


def table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return pd.DataFrame(
        {
            "a": a,
            "b": 2 * a + rng.normal(scale=0.1, size=n),
            "c": (a + rng.normal(scale=0.1, size=n)).astype(np.float32),
            "town": rng.choice(["x", "y", "z"], size=n),
        },
        index=[f"row{i}" for i in range(n)],
    )


def fitted(frame=None, **settings):
    defaults = {"n_components": 1, "max_iter": 5, "random_state": 0}
    return Autoencoder(**{**defaults, **settings}).fit(table() if frame is None else frame)


def test_1_no_global_seed_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002  the global one is the point
    hashes = os.environ.get("PYTHONHASHSEED")
    first, second = fitted(), fitted()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert os.environ.get("PYTHONHASHSEED") == hashes
    np.testing.assert_array_equal(first.transform(table()), second.transform(table()))
    refit = first.fit(table())
    np.testing.assert_array_equal(refit.transform(table()), second.transform(table()))


def test_2_the_last_short_batch_is_trained_on(monkeypatch):
    seen = []
    run = ReferenceEngine.run

    def spy(self, objective, optimizer, theta, state, part):
        seen.append(len(part.order))
        return run(self, objective, optimizer, theta, state, part)

    monkeypatch.setattr(ReferenceEngine, "run", spy)
    monkeypatch.setattr(auto, "filler", lambda *_: (None, ""))
    settings = {"engine": "reference", "batch_size": 64, "max_iter": 1, "validation_fraction": 0.0}
    fitted(table(150), **settings)
    assert sum(seen) == 150
    assert len(fitted(table(20), hidden=(4,), validation_fraction=0.0).loss_curve_) == 5


def test_5_the_reasons_are_the_models():
    frame = table()
    ae = fitted()
    parts, scores = ae.explain(frame), ae.anomaly_score(frame)
    np.testing.assert_allclose(parts.to_numpy().sum(axis=1), scores, rtol=1e-12)
    odd = frame.iloc[[0]].assign(a=1.0, b=-2.0)  # each usual, together strange
    assert ae.explain(odd)[["a", "b"]].to_numpy().max() > 10


@pytest.mark.parametrize(
    "dtype", ["int8", "int32", "uint16", "float32", "category", "Int16", "boolean", "string"]
)
def test_6_no_column_is_dropped_by_its_type(dtype):
    values = np.arange(400) % 2
    frame = table().assign(extra=pd.Series(values, index=table().index).astype(dtype))
    assert "extra" in fitted(frame).heads_


def test_7_a_missing_cell_is_no_cell():
    frame = table()
    frame.loc[frame.index[::3], "b"] = np.nan
    ae = fitted(frame)
    holed = frame["b"].isna().to_numpy()
    assert (ae.explain(frame).loc[holed, "b"] == 0).all()
    other = frame.copy()
    other["b"] = other["b"].astype(object).where(~holed, None)
    np.testing.assert_array_equal(
        ae.anomaly_score(other.astype({"b": float})), ae.anomaly_score(frame)
    )
    filled = ae.impute(frame)["b"]
    truth = table()["b"]
    assert np.abs(filled - truth)[holed].mean() < 0.5 * truth.std()


def test_8_constant_columns_and_single_categories():
    frame = table().assign(same=3.0, only="one")
    ae = fitted(frame)
    assert np.isfinite(ae.anomaly_score(frame)).all()
    rebuilt = ae.reconstruct(frame)
    np.testing.assert_allclose(rebuilt["same"], 3.0, rtol=1e-3)
    assert (rebuilt["only"] == "one").all()


def test_9_and_18_columns_weigh_the_same_however_many_levels_they_have():
    rng = np.random.default_rng(0)
    frame = table(2000).assign(many=rng.choice([f"v{i}" for i in range(60)], 2000))
    ae = fitted(frame)
    weights = [column.weight for column in ae._fit.model.schema.columns]
    by_name = dict(zip(frame.columns, weights, strict=True))
    assert by_name["many"] < by_name["a"]  # a loss of 4 nats at the mean, against 1
    ratio = ae._fit.model.losses(ae._read(frame)).mean(axis=0)
    assert ratio.max() < 1.6
    sums = ae.explain(frame).to_numpy().sum(axis=1)
    np.testing.assert_allclose(sums, ae.anomaly_score(frame), rtol=1e-12)


def test_10_memory_does_not_grow_with_the_rows_scored(monkeypatch):
    ae = fitted()
    largest = []
    engine = type(ae._fit.model.engine)
    cells = engine.cells

    def spy(self, net, theta, batch, wanted, codes=None):
        largest.append(batch.X.size)
        return cells(self, net, theta, batch, wanted, codes)

    monkeypatch.setattr(engine, "cells", spy)
    ae.anomaly_score(pd.concat([table()] * 3000))
    assert len(largest) > 1
    assert max(largest) <= 500_000  # cells of one tile, however many rows there are


def test_11_the_constructor_stores_and_nothing_else():
    heads = {"town": "categorical"}
    ae = Autoencoder(heads=heads, hidden=(8,))
    assert ae.heads is heads
    assert clone(ae).get_params() == ae.get_params()
    with pytest.raises(NotFittedError):
        ae.transform(table())
    defaults = inspect.signature(Autoencoder.__init__).parameters.values()
    assert not any(isinstance(p.default, (list, dict, set)) for p in defaults)


def test_12_codes_are_as_sparse_as_the_penalty_asks():
    X = table(600).drop(columns="town").to_numpy(float)
    shape = {"hidden": (), "linear_path": False, "activation": "sigmoid"}
    # Held-out rows would choose by the loss alone.
    shape |= {"optimizer": "lbfgs", "max_iter": 200, "validation_fraction": 0}
    plain = fitted(X, n_components=2, **shape).transform(X)
    sparse = fitted(X, n_components=2, penalty=KLSparsity(0.05, 10.0), **shape).transform(X)
    # The codes users get are the ones that the penalty is about.
    assert np.abs(sparse.mean(axis=0) - 0.05).max() < 0.03
    assert plain.mean(axis=0).min() > 0.1
    with pytest.raises(ParameterError, match="KLSparsity needs a code in"):
        fitted(X, penalty=KLSparsity(), hidden=(4,))


def test_12_held_out_rows_are_used_and_their_loss_is_the_clean_one():
    held_out = table(150, seed=1)  # too few to set some apart for the verdict
    ae = Autoencoder(1, hidden=(8,), linear_path=False, random_state=0, max_iter=8, stopping=3)
    ae.set_params(corruption=Masking(0.3)).fit(table(1500), X_val=held_out)
    losses = ae.history_["held_out_loss"]
    assert 0 < ae.best_iter_ == int(np.argmin(losses))
    np.testing.assert_allclose(min(losses), -ae.score(held_out), rtol=1e-4)


def test_14_masking_hides_the_share_it_says():
    X = np.ones((4000, 5))
    columns = Columns(np.zeros(5), np.ones(5), np.full(5, -7.0), np.arange(5))
    noisy = Masking(0.25).apply(X, 3, np.arange(4000, dtype=np.uint64), columns)
    assert abs((noisy != X).mean() - 0.25) < 0.02


def test_15_rows_and_columns_stay_aligned():
    frame = table()
    frame.iloc[5, 1] = np.nan
    ae = fitted(frame)
    for result in (ae.impute(frame), ae.reconstruct(frame), ae.explain(frame)):
        assert (result.index == frame.index).all()
        more = ["(code)"] if "(code)" in result.columns else []
        assert list(result.columns) == [*frame.columns, *more]
    assert list(ae.explain(frame).columns)[-1] == "(code)"
    with pytest.raises(ValueError, match="order"):
        ae.transform(frame[["b", "a", "c", "town"]])


def test_16_nothing_is_written_where_one_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ae = fitted()
    ae.impute(table())
    assert list(tmp_path.iterdir()) == []


def test_17_every_public_method_runs():
    frame = table().drop(columns="town").to_numpy(float)
    ae = fitted(frame)
    codes = ae.transform(frame)
    calls = {
        "inverse_transform": codes,
        "trace": frame[0],
        "set_output": None,
        "get_feature_names_out": None,
        "threshold": 0.1,
    }
    own = [name for name, _ in inspect.getmembers(Autoencoder, inspect.isfunction)]
    own = [name for name in own if not name.startswith(("_", "set_", "get_"))]
    tried = 0
    for name in own:
        if name in ("save", "textbook"):
            continue
        if name == "threshold":
            assert np.isfinite(ae.threshold(0.1))
        elif name in ("fit", "partial_fit"):
            getattr(clone(ae), name)(frame)
        else:
            getattr(ae, name)(calls.get(name, frame))
        tried += 1
    assert tried >= 15


def test_19_the_threshold_is_calibrated_and_refused_before_a_fit():
    with pytest.raises(NotFittedError):
        Autoencoder().predict(table())
    ae = fitted(table(3000), max_iter=10)
    fresh = table(3000, seed=1)
    share = (ae.anomaly_score(fresh) > ae.threshold(0.05)).mean()
    assert 0.02 < share < 0.1
    with pytest.raises(ParameterError, match="held-out rows"):
        ae.threshold(1e-6)
    clean = fitted(contamination=0)
    assert (clean.predict(table()) == 1).all()


def test_20_the_best_epoch_is_kept():
    ae = fitted(table(2000), max_iter=30, learning_rate=0.05)
    held_out = ae.history_["held_out_loss"]
    assert held_out[ae.best_iter_] == min(held_out)


def test_21_a_model_file_is_whole_or_refused(tmp_path):
    ae = fitted()
    ae.save(tmp_path / "m.xhat")
    np.testing.assert_array_equal(
        xhat.load(tmp_path / "m.xhat").anomaly_score(table()), ae.anomaly_score(table())
    )
    data = bytearray((tmp_path / "m.xhat").read_bytes())
    data[-10] ^= 1
    (tmp_path / "bad.xhat").write_bytes(data)
    with pytest.raises(XhatError):
        xhat.load(tmp_path / "bad.xhat")


def test_22_any_sparse_matrix_new_rows_and_no_graphics_card():
    X = (np.random.default_rng(0).random((300, 20)) < 0.2).astype(float)
    for kind in (scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.coo_array):
        ae = Autoencoder(2, max_iter=2, random_state=0).fit(kind(X))
        assert ae.transform(kind(1 - X)).shape == (300, 2)
    assert "torch" not in sys.modules


def test_23_few_dependencies_and_a_free_licence():
    from importlib.metadata import metadata, requires

    needed = [line for line in requires("xhat") or [] if "extra ==" not in line]
    names = {re.match(r"[a-z-]+", line.lower()).group() for line in needed}
    assert names <= {
        "numpy", "scipy", "scikit-learn", "narwhals", "safetensors", "click", "threadpoolctl"
    }  # fmt: skip
    assert not any("==" in line or "<" in line for line in needed)
    assert metadata("xhat")["License-Expression"] == "BSD-3-Clause"


def test_partial_fit_goes_on_with_mixed_tables():
    ae = Autoencoder(2, random_state=0)
    for seed in range(4):
        frame = table(seed=seed)
        frame.loc[frame.index[::5], "b"] = np.nan
        ae.partial_fit(frame)
    assert len(ae.loss_curve_) == 4
    assert ae.loss_curve_[-1] < ae.loss_curve_[0]
    new = table(seed=9).assign(town="never seen")
    assert (ae.explain(new)["town"] > 5).all()
    with pytest.raises((DataError, ValueError)):
        ae.partial_fit(table().drop(columns="b"))
