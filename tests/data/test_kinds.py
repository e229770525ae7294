"""The rule of "auto", one line of it at a time; and what heads users may ask for."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from xhat import Autoencoder, load
from xhat.data.kinds import (
    Auto,
    Binary,
    Categorical,
    Count,
    Real,
    check_names,
    resolve_kinds,
    storage_wish,
)
from xhat.data.statistics import column_statistics
from xhat.errors import CellError, ParameterError


def kind_of(values, form, heads="auto"):
    X = np.array(values, dtype=float)[:, None]
    statistics = column_statistics(lambda: iter([(X, None)]), 1)
    return resolve_kinds(["c"], heads, statistics, [form])[0]


ZEROS = [0] * 5


@pytest.mark.parametrize(
    ("values", "form", "kind"),
    [
        ([0, 1, 2], "level", Categorical()),
        ([1, 1, 1], "bool", Binary()),
        ([0, 1, np.nan], "number", Binary()),
        ([1, 1, 1], "number", Real("std")),  # constant: not "0 and 1 both occur"
        ([0, 0, 0], "integer", Real("std")),
        ([0, 1, 0.5], "number", Real("std")),
        ([0, 86400.0], "time", Real("std")),
        ([*ZEROS, 1, 2, 3], "integer", Count()),
        ([*ZEROS, 1, 2, 3], "number", Real("std")),  # its type allows fractions
        ([*ZEROS, 1, 2, 2], "integer", Real("std")),  # does not reach 3
        ([*ZEROS, 1000], "integer", Count()),
        ([*ZEROS, 1001], "integer", Real("std")),
        ([0, 0, 1, 3], "integer", Count()),  # half are 0
        ([0, 0, 1, 3, 4], "integer", Real("std")),  # fewer than half
        ([-1, *ZEROS, 3], "integer", Real("std")),
        ([0, 0, np.nan, np.nan, 1, 3], "integer", Count()),  # of the observed cells
    ],
)
def test_auto_takes_the_first_rule_that_fits(values, form, kind):
    assert kind_of(values, form) == kind


def test_a_head_for_one_column_and_auto_for_the_others():
    X = np.array([[0.0, 5.0], [1.0, 6.0]])
    statistics = column_statistics(lambda: iter([(X, None)]), 2)
    heads = {"b": Real("robust")}
    kinds = resolve_kinds(["a", "b"], heads, statistics, ["number", "number"])
    assert kinds == [Binary(), Real("robust")]


def test_a_scale_of_auto_is_std_unless_f_is_bounded():
    assert kind_of([1, 2], "number", Real()) == Real("std")
    assert kind_of([0, 2], "number", Real(f="logistic")) == Real(None, "logistic")
    assert kind_of([1, 2], "number", Auto(scale=None)) == Real(None)


@pytest.mark.parametrize(
    ("heads", "wish"),
    [
        ("auto", None),
        ({"other": "real"}, None),
        ({"c": "ignore"}, "ignore"),
        ({"c": Categorical(max_levels=3)}, "categorical"),
        ("count", "number"),
        ("binary", "number"),
    ],
)
def test_what_a_head_asks_of_the_storage(heads, wish):
    assert storage_wish(heads, "c") == wish


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: kind_of([1, 2], "number", "reel"), "heads='reel' is not known"),
        (lambda: Real("log"), "Real\\(scale='log'\\)"),
        (lambda: Real(f="exp"), "Real\\(f='exp'\\)"),
        (lambda: Real("std", "tanh"), "leave \\[-1, 1\\]"),
        (lambda: Categorical(max_levels=0), "must be a whole number >= 1"),
        (lambda: Categorical(min_rows=0), "must be a whole number >= 1"),
        (
            lambda: check_names({"x": "real"}, ["a", "b"]),
            "not there: 'x'; the columns are 'a', 'b'",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, words):
    with pytest.raises(ParameterError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_what_auto_did_not_expect_is_strange_and_no_error(tmp_path):
    """Nobody said that the column is binary: 2 is scored as a level never seen in training."""
    rng = np.random.default_rng(0)
    flag, count = rng.integers(0, 2, 300), rng.poisson(0.5, 300)
    table = pd.DataFrame({"x": rng.normal(size=300) + flag, "flag": flag, "count": count})
    new = table[:4].assign(flag=[0, 1, 2, 1], count=[0, -1, 1, 2])
    usual = new.assign(flag=[0, 1, 1, 1], count=[0, 0, 1, 2])
    ae = Autoencoder(2, max_iter=30, random_state=0).fit(table)
    assert ae.heads_["flag"] == Binary()
    assert ae.heads_["count"] == Count()
    ae.save(tmp_path / "m.xhat")
    for model in (ae, load(tmp_path / "m.xhat")):
        scores, others = model.anomaly_score(new), model.anomaly_score(usual)
        assert np.array_equal(scores[[0, 3]], others[[0, 3]])
        assert all(scores[[1, 2]] > 2 * np.log(270))
        assert np.allclose(model.explain(new).sum(axis=1), scores)
        assert model.explain(new)[1:3].idxmax(axis=1).tolist() == ["count", "flag"]
        assert model.impute(new).equals(new)
        assert np.isfinite(model.transform(new)).all()
    asked = Autoencoder(2, max_iter=3, heads=ae.heads_).fit(table)
    for method in (asked.anomaly_score, asked.transform, ae.partial_fit):
        with pytest.raises(CellError, match=r"outside \[0, (1|inf)\]"):
            method(new)
    wide = np.tile(flag[:, None], (1, 3)) * [1.0, 0, 1] + rng.integers(0, 2, (300, 3)) * [0, 1, 0]
    ae = Autoencoder(1, max_iter=3, random_state=0).fit(wide)  # all columns binary
    assert ae.anomaly_score([[1, 0, 2]]) > ae.anomaly_score([[1, 0, 1]]) + 5


def test_strange_numbers_of_sparse_rows_are_those_of_dense_ones():
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(1500, 3)) @ rng.normal(size=(3, 10)) > 0.8).astype(float)
    ae = Autoencoder(2, hidden=(8,), max_iter=5, random_state=0).fit(X)
    new = X[:200].copy()
    new[::3, 0] = 7
    sparse = scipy.sparse.csr_array(new)
    assert ae.compare_pca(sparse).xhat == pytest.approx(ae.compare_pca(new).xhat, rel=1e-9)
    assert np.array_equal(ae.anomaly_score(sparse), ae.anomaly_score(new))
    hidden = np.where(new == 7, np.nan, new)  # it says nothing of the others
    np.testing.assert_allclose(ae.transform(new), ae.transform(hidden), atol=1e-6)
