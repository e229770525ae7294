"""What missing cells are filled with: the mean where nothing tells, draws as wide as errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xhat import Autoencoder, ModelFileError, load
from xhat.hidden import Hidden, settle


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


def test_a_file_whose_filling_is_damaged_is_refused(tmp_path):
    _, ae = model_of()
    filling = ae._fit.model.filling
    for share, spread in ((1.5, 1.0), (-0.1, 1.0), (0.5, 0.0)):
        ae._fit.model.filling = replace(filling, share=np.full(8, share), spread=np.full(8, spread))
        ae.save(tmp_path / "m.xhat")
        with pytest.raises(ModelFileError, match="'filling_share' or 'filling_spread'"):
            load(tmp_path / "m.xhat")


def test_shares_by_hand():
    """Of category cells as least squares says, beside 30 cells of trust; of numbers half as far."""
    X = pd.DataFrame({"a": list("xy") * 40, "d": np.linspace(0, 1, 80)})
    schema = Autoencoder(random_state=0, max_iter=1).fit(X)._fit.model.schema
    ones, residual = np.ones(3), np.full(3, 1e-4)
    hidden = Hidden(60 * ones, own=60 * ones, both=15 * ones, said=30 * ones)
    filling = settle([hidden, hidden], schema, residual)
    pulled = (120 * 0.5 + 30) / 150
    np.testing.assert_allclose(filling.share, [pulled, pulled, (1 + pulled) / 2])
    s = filling.share
    np.testing.assert_allclose(filling.spread, np.sqrt((120 - 2 * s * 30 + s**2 * 60) / 120))
