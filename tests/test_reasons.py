"""Reasons by hiding: the formula cell by cell, and whether the wrong cell is named."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_wine

from xhat import Autoencoder, Masking
from xhat.maths.objective import Batch

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


def told_without(ae, raw, j):
    """Return encoded rows and their mask without cell j, and what the filler says of them."""
    model = ae._fit.model
    ((_, tile),) = model.by_tile(raw, lambda _, tile: tile)
    place = np.flatnonzero(model.schema.group == j)
    X, mask = tile.X.copy(), np.ones_like(tile.X) if tile.mask is None else tile.mask.copy()
    X[:, place], mask[:, place] = model.schema.fill[place], 0
    return X, mask, model.filler.said(np.where(mask > 0, X, model.schema.fill)), place


def hidden_score(ae, raw, j):
    """Return the columns' score of rows without cell j, filled as a model reads a missing cell."""
    model, bare = ae._fit.model, raw.copy()
    bare[:, j] = np.nan
    if model.filler is not None:
        X, mask, said, place = told_without(ae, raw, j)
        X[:, place] = model.schema.likeliest(said)[:, place]
        return model.column_nats()(bare, Batch(X, None, mask)).sum(axis=1)
    if model.rounds == 1:
        return columns_score(model, bare)
    nats = model.column_nats()
    found = [nats(*pair) for _, pair in model.by_tile(bare, lambda r, t: (r, t), rounds=1)]
    return np.vstack(found).sum(axis=1)


def witness(ae, raw, j):
    """Return equations 62 and 63: how much likelier the cells are as draws from their column."""
    trust, schema = ae._fit.model.filling.witness, ae._fit.model.schema
    _, _, said, place = told_without(ae, raw, j)
    z, q, share = schema.encode(raw).X[:, place], schema.fill[place], trust.share[place]
    told = (1 - share) * q + share * schema.clip(said)[:, place]
    if len(place) > 1:
        level, p = z.argmax(axis=1), told / told.sum(axis=1, keepdims=True)
        chosen = p[np.arange(len(p)), level]
        return np.log(q[level]) - np.log((chosen + 0.02 * q[level]) / 1.02)
    chance = stats.t(4, q[0], trust.own[place[0]]).logpdf(z[:, 0])
    return chance - stats.t(4, told[:, 0], trust.spread[place[0]]).logpdf(z[:, 0])


def parts_by_hand(ae, X):
    """Return equations 57 to 59, row by row and cell by cell, with a filler 62 to 64."""
    model, d = ae._fit.model, X.shape[1]
    schema = model.schema
    clipped = schema.decode(schema.clip(schema.encode(X).X))
    clipped[np.isnan(X)] = np.nan
    own, inside = (model.nats(rows)[:, :d] for rows in (X, clipped))
    falls = np.column_stack([inside.sum(axis=1) - hidden_score(ae, clipped, j) for j in range(d)])
    if model.filler is not None:
        witnesses = np.column_stack([witness(ae, clipped, j) for j in range(d)])
        falls = np.maximum(falls, 0) + witnesses
    falls[np.isnan(X)] = 0
    found = np.empty_like(own)
    for i in range(len(X)):
        positive, common = np.maximum(falls[i], 0), np.minimum(own[i], inside[i])
        shared = common if positive.sum() == 0 else positive / positive.sum() * common.sum()
        found[i] = shared + np.maximum(own[i] - inside[i], 0)
    return found


@pytest.mark.parametrize("corruption", [None, Masking(0.2)], ids=["filler", "denoising"])
def test_parts_of_rows_with_missing_cells(frame, corruption):
    ae = Autoencoder(2, random_state=0, max_iter=5, corruption=corruption).fit(frame)
    rows = frame.iloc[:50].copy()
    rows.loc[rows.index[1::5], "c"] += 30
    assert (ae._fit.model.filler is None) == (corruption is not None)
    X, parts = ae._read(rows), ae.explain(rows).to_numpy()
    np.testing.assert_allclose(parts[:, :5], parts_by_hand(ae, X), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(parts[:, 5], ae._fit.model.nats(X)[:, 5])
    assert (parts[::7, 1] == 0).all()


def test_parts_of_a_model_that_never_learnt_to_fill():
    ae = Autoencoder(random_state=0, hidden=(), max_iter=40).fit(CANCER)
    assert ae._fit.model.rounds > 1
    assert ae._fit.model.filler is None
    X = CANCER[:40].copy()
    X[::3, 4] *= 10
    np.testing.assert_allclose(ae.explain(X)[:, :30], parts_by_hand(ae, X), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("far", [30, 1e3, 1e6])
def test_an_absurd_cell_does_not_hide_another_wrong_one(far):
    """Hiding any cell moves the reconstruction of the absurd one a little, times its residual."""
    ae = Autoencoder(random_state=0, max_iter=100).fit(CANCER)
    rng, i = np.random.default_rng(0), np.arange(100)
    which = rng.integers(0, len(CANCER), 100)
    columns = np.array([rng.choice(30, 2, replace=False) for _ in i])
    bad, std = CANCER[which].copy(), CANCER.std(axis=0)
    bad[i, columns[:, 0]] += far * std[columns[:, 0]]
    bad[i, columns[:, 1]] += 10 * std[columns[:, 1]]
    two = np.argsort(-ae.explain(bad)[:, :30], axis=1)[:, :2]
    assert (np.sort(two, axis=1) == np.sort(columns, axis=1)).all(axis=1).mean() > 0.97


def test_enormous_parts_are_numbers_and_come_without_a_warning():
    X = load_wine().data
    ae = Autoencoder(random_state=0, max_iter=5).fit(X)
    bad = X[:1].copy()
    bad[0, 2] = 1e300
    parts = ae.explain(bad)[0]  # warnings are errors in the tests
    assert 1e280 < parts[2] < 1e300
    assert (np.delete(parts, 2) < 1e6).all()


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


@pytest.mark.parametrize("corruption", [None, Masking(0.3)])
def test_how_many_cells_are_hidden_at_a_time_changes_no_bit(frame, corruption, monkeypatch):
    rows = frame.iloc[:60].assign(town=lambda t: t["town"].where(t.index % 5 > 0, "new"))
    ae = Autoencoder(2, corruption=corruption, random_state=0, max_iter=10).fit(frame)
    table, cells = ae.explain(rows), ae.explain(rows, detail=True)
    for most in (1, 500, 2**22):
        monkeypatch.setattr("xhat.reasons.HIDDEN_CELLS", most)
        pd.testing.assert_frame_equal(ae.explain(rows), table, check_exact=True)
        pd.testing.assert_frame_equal(ae.explain(rows, detail=True), cells, check_exact=True)
