"""What missing cells are filled with: the mean where nothing tells, draws as wide as errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xhat import Autoencoder, ModelFileError, load
from xhat.hidden import Hidden, settle
from xhat.linear import RIDGE, Linear, fit_linear


def factors(n, seed, noise=0.5):
    rng = np.random.default_rng(seed)
    W = np.random.default_rng(99).normal(size=(3, 8))
    return rng.normal(size=(n, 3)) @ W + noise * rng.normal(size=(n, 8))


@pytest.mark.parametrize(("n", "holes"), [(500, True), (500, False), (2000, True)])
def test_draws_are_as_wide_as_what_they_miss(n, holes):
    """80 % of hidden cells lie between the 10 % and 90 % quantiles of their draws."""
    X, new = factors(n, 0), factors(800, 1)
    hidden = np.random.default_rng(2).random(new.shape) < 0.15
    if holes:
        X[np.random.default_rng(3).random(X.shape) < 0.15] = np.nan
    ae = Autoencoder(random_state=0, max_iter=20).fit(X)
    draws = np.array(ae.impute(np.where(hidden, np.nan, new), draws=40))
    low, high = np.quantile(draws, [0.1, 0.9], axis=0)
    assert 0.7 < ((new >= low) & (new <= high))[hidden].mean() < 0.9


def test_counts_are_drawn_with_their_own_variance():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"n": rng.negative_binomial(0.7, 0.3, 3000), "x": rng.normal(size=3000)})
    ae = Autoencoder(heads={"n": "count"}, random_state=0, max_iter=5).fit(X)
    holes = X.astype({"n": "Int64"})
    holes.loc[::2, "n"] = pd.NA
    drawn = np.concatenate([d["n"][::2] for d in ae.impute(holes, draws=5)]).astype(float)
    assert drawn.var() / X["n"].var() == pytest.approx(1, abs=0.35)
    assert np.quantile(drawn, 0.95) == pytest.approx(np.quantile(X["n"], 0.95), abs=1)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_category_that_nothing_tells_is_filled_with_its_commonest_level(seed):
    rng, n = np.random.default_rng(seed), 2000
    X = pd.DataFrame(
        {
            "a": rng.choice(list("xyz"), n, p=[0.6, 0.3, 0.1]),
            "b": rng.choice(list("uv"), n, p=[0.8, 0.2]),
            "d": rng.normal(size=n),
        }
    )
    hidden = rng.random(n) < 0.15
    holes = X.copy()
    holes.loc[hidden, "a"] = None
    filled = Autoencoder(random_state=0, max_iter=40).fit(holes).impute(holes)
    assert (filled["a"][hidden] == X["a"][hidden]).mean() > 0.53


def model_of(n=300):
    X = factors(n, 0)
    X[::7, 0] = np.nan
    return X, Autoencoder(random_state=0, max_iter=3).fit(X)


def test_a_loaded_model_fills_as_the_fitted_one(tmp_path):
    X, ae = model_of()
    ae.save(tmp_path / "m.xhat")
    np.testing.assert_array_equal(load(tmp_path / "m.xhat").impute(X), ae.impute(X))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"share": 1.5}, "'filling_share' is no share"),
        ({"linear_share": -0.1}, "'filling_linear_share' is no share"),
        ({"spread": 0.0}, "'filling_spread' holds a spread that is not > 0"),
    ],
)
def test_a_file_whose_filling_is_damaged_is_refused(tmp_path, change, reason):
    _, ae = model_of()
    values = {name: np.full(8, value) for name, value in change.items()}
    ae._fit.model.filling = replace(ae._fit.model.filling, **values)
    ae.save(tmp_path / "m.xhat")
    with pytest.raises(ModelFileError, match=reason):
        load(tmp_path / "m.xhat")


@pytest.mark.parametrize("kind", ["not symmetric", "negative"])
def test_a_file_whose_covariance_is_none_is_refused(tmp_path, kind):
    _, ae = model_of()
    linear = ae._fit.model.filling.linear
    covariance = linear.covariance.copy()
    if kind == "negative":
        covariance[range(8), range(8)] = -1.0
    else:
        covariance[0, 1] += 1.0
    linear = replace(linear, covariance=covariance)
    ae._fit.model.filling = replace(ae._fit.model.filling, linear=linear)
    ae.save(tmp_path / "m.xhat")
    with pytest.raises(ModelFileError, match="'filling_covariance' is no covariance"):
        load(tmp_path / "m.xhat")


def test_a_file_with_a_wider_covariance_than_xhat_writes_is_refused(tmp_path):
    """Its eigenvalues, which are looked at, would take minutes."""
    ae = Autoencoder(1, random_state=0, max_iter=1).fit(np.random.default_rng(0).random((40, 129)))
    assert ae._fit.model.filling.linear is None
    linear = Linear(np.zeros(129), np.eye(129))
    ae._fit.model.filling = replace(ae._fit.model.filling, linear=linear)
    ae.save(tmp_path / "m.xhat")
    with pytest.raises(ModelFileError, match="'filling_covariance' has more than 128 columns"):
        load(tmp_path / "m.xhat")


def schema_of_three():
    """Two levels and a number: encoded columns 0 and 1, and 2."""
    X = pd.DataFrame({"a": list("xy") * 40, "d": np.linspace(0, 1, 80)})
    return Autoencoder(random_state=0, max_iter=1).fit(X)._fit.model.schema


def test_shares_by_hand():
    """Least squares on both sorts of rows alike, beside 30 cells that trust the model alone."""
    schema, rng = schema_of_three(), np.random.default_rng(0)
    own, said, linear = (rng.normal(size=(200, 3)) for _ in range(3))
    own = 0.5 * said + 0.3 * linear + 0.1 * own
    hidden = Hidden(*Hidden.of(np.ones((200, 3)), own, said, linear))
    filling = settle([hidden], hidden, schema, np.full(3, 1e-4), None)
    for columns in ([0, 1], [2]):
        pair = np.stack([said[:, columns].ravel(), linear[:, columns].ravel()], axis=1)
        best, other = np.linalg.lstsq(pair, own[:, columns].ravel(), rcond=None)[0]
        np.testing.assert_allclose(filling.share[columns], (200 * best + 30) / 230)
        np.testing.assert_allclose(filling.linear_share[columns], 200 * other / 230)
    left = own - filling.share * said - filling.linear_share * linear
    np.testing.assert_allclose(filling.spread, np.sqrt((left**2).mean(axis=0)))


def test_rows_that_were_trained_on_count_as_much_as_held_out_ones():
    schema, one = schema_of_three(), np.ones((10, 3))
    told = Hidden(*Hidden.of(one, one, one, 0 * one))
    not_told = Hidden(*Hidden.of(np.tile(one, (30, 1)), *(np.tile(p, (300, 3)) for p in (0, 1, 0))))
    filling = settle([told], not_told, schema, np.full(3, 1e-4), None)
    np.testing.assert_allclose(filling.share, (10 * 0.5 + 30) / 40)


def test_what_a_gaussian_expects_is_its_conditional_mean():
    """By the formula of the inverse covariance, with nothing of xhat's."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(5, 5))
    linear = Linear(rng.normal(size=5), A @ A.T)
    Z, seen = rng.normal(size=(40, 5)), (rng.random((40, 5)) < 0.6).astype(float)
    found = linear.expected(Z, seen)
    S = linear.covariance + RIDGE * np.diag(np.diag(linear.covariance))
    for z, o, f in zip(Z, seen > 0, found, strict=True):
        precision = np.linalg.inv(S)
        hidden = ~o
        if hidden.any() and o.any():
            by_hand = linear.mean[hidden] - np.linalg.solve(
                precision[np.ix_(hidden, hidden)],
                precision[np.ix_(hidden, o)] @ (z - linear.mean)[o],
            )
            np.testing.assert_allclose(f[hidden], by_hand, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_a_row_is_filled_alike_whatever_stands_beside_it(rows):
    X = factors(400, 0)
    X[np.random.default_rng(6).random(X.shape) < 0.3] = np.nan
    ae = Autoencoder(random_state=0, max_iter=3).fit(X)
    parts = [ae.impute(X[first : first + rows]) for first in range(0, 400, rows)]
    np.testing.assert_array_equal(np.vstack(parts), ae.impute(X))


def test_em_finds_the_covariance_of_a_gaussian_with_holes():
    rng = np.random.default_rng(1)
    W = rng.normal(size=(2, 4))
    Z = rng.normal(size=(4000, 2)) @ W + 0.5 * rng.normal(size=(4000, 4))
    seen = (rng.random(Z.shape) > 0.3).astype(float)
    linear = fit_linear(np.where(seen > 0, Z, 0.0), seen, None)
    true = W.T @ W + 0.25 * np.eye(4)
    assert np.abs(linear.covariance - true).max() < 0.15 * true.max()
    naive = np.cov(np.where(seen > 0, Z, 0.0).T)
    assert np.abs(naive - true).max() > 0.25 * true.max()


def test_linear_tables_are_filled_as_linear_regression_would():
    X = factors(1500, 0)
    hidden = np.random.default_rng(5).random(X.shape) < 0.2
    holes = np.where(hidden, np.nan, X)
    filled = Autoencoder(random_state=0, max_iter=20).fit(holes).impute(holes)
    W = np.random.default_rng(99).normal(size=(3, 8))
    best = Linear(np.zeros(8), W.T @ W + 0.25 * np.eye(8))  # what made the table
    ideal = best.expected(np.where(hidden, 0, X), 1.0 - hidden)
    error, least = (((A - X)[hidden] ** 2).mean() for A in (filled, ideal))
    assert error < 1.06 * least
