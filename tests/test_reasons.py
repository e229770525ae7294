"""Reasons by hiding: the formula cell by cell, and whether the wrong cell is named."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_wine

from xhat import Autoencoder, Masking

CANCER = load_breast_cancer().data


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    t = rng.normal(size=(1500, 2))
    table = pd.DataFrame(t @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(1500, 4)))
    table.columns = list("abcd")
    table["town"] = np.array(["x", "y", "z"])[np.digitize(t[:, 0], [-0.5, 0.5])]
    table.loc[::7, "b"] = np.nan
    return table


def columns_score(model, X):
    """Return the columns' part of the score, without the code's."""
    return model.nats(X)[:, : len(model.schema.columns)].sum(axis=1)


@pytest.mark.parametrize("corruption", [None, Masking(0.2)], ids=["as found", "told"])
def test_parts_are_in_proportion_to_the_falls(frame, corruption):
    """A denoising model reads a hidden cell as it reads a missing one: the public formula."""
    ae = Autoencoder(2, random_state=0, max_iter=5, corruption=corruption).fit(frame)
    model, X = ae._fit.model, ae._read(frame.iloc[:50])
    assert model.rounds == 1
    whole, falls = columns_score(model, X), np.zeros((50, 5))
    for j in range(5):
        hidden = X.copy()
        hidden[:, j] = np.nan
        falls[:, j] = np.maximum(whole - columns_score(model, hidden), 0)
    falls[np.isnan(X)] = 0
    total = falls.sum(axis=1, keepdims=True)
    expected = np.where(total > 0, falls / np.where(total > 0, total, 1) * whole[:, None], 0)
    none = (total == 0)[:, 0]
    expected[none] = model.nats(X)[none, :5]
    assert none.sum() < 25
    parts = ae.explain(frame.iloc[:50]).to_numpy()
    np.testing.assert_allclose(parts[:, :5], expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(parts[:, 5], model.nats(X)[:, 5])
    assert (parts[:7:7, 1] == 0).all()


def test_expected_is_what_the_others_say(frame):
    ae = Autoencoder(2, random_state=0, max_iter=30).fit(frame)
    row = frame.iloc[[1]]
    wrong = row.assign(a=row["a"] + 50)
    for column in "abcd":
        pair = [
            table.loc[table["column"] == column, "expected"].iloc[0]
            for table in (ae.explain(row, detail=True), ae.explain(wrong, detail=True))
        ]
        # The wrong cell has no say about itself, and the others see it clipped to the range.
        assert abs(pair[1] - pair[0]) < (1e-3 if column == "a" else 10)
    assert ae.explain(wrong).iloc[0, :5].idxmax() == "a"


def swapped(X, n=300):
    rng = np.random.default_rng(1)
    which, column = rng.integers(0, len(X), n), rng.integers(0, X.shape[1], n)
    bad = X[which].copy()
    bad[np.arange(n), column] = X[rng.integers(0, len(X), n), column]
    return bad, column


def test_a_swapped_cell_is_named_more_often_than_by_its_own_term():
    ae = Autoencoder(random_state=0, max_iter=300).fit(CANCER)
    bad, column = swapped(CANCER)
    own = ae._fit.model.nats(bad)[:, :30].argmax(axis=1)
    named = ae.explain(bad)[:, :30].argmax(axis=1)
    assert (named == column).mean() > (own == column).mean() + 0.02
    assert (named == column).mean() > 0.4


def test_one_column_and_many_columns_have_their_own_terms():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 101)) + rng.normal(size=(60, 101))
    for X in (wide, load_wine().data[:, :1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # one column: a code can copy it
            ae = Autoencoder(1, hidden=(), linear_path=False, random_state=0, max_iter=3).fit(X)
        np.testing.assert_array_equal(ae.explain(X), ae._fit.model.nats(X))


def test_empty_and_perfect_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5))
    ae = Autoencoder(2, random_state=0).fit(X)
    parts = ae.explain(np.vstack([X[:3], np.full((1, 5), np.nan)]))
    assert np.isfinite(parts).all()
    assert (parts[3] == 0).all()
    assert (parts >= 0).all()
