"""Draws of missing cells: as wide as what is open, together, within what a cell can be."""

import numpy as np
import pandas as pd
import pytest

from xhat import Autoencoder, load
from xhat.linear import RIDGE, Linear


def chain(n, seed):
    """x, y = 2 x and z = -x with some noise, and w, which is alone."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y, z = 2 * x + 0.2 * rng.normal(size=n), -x + 0.2 * rng.normal(size=n)
    return pd.DataFrame({"x": x, "y": y, "z": z, "w": rng.normal(size=n)})


@pytest.fixture(scope="module")
def ae():
    return Autoencoder(random_state=0, max_iter=30).fit(chain(3000, 0))


@pytest.mark.parametrize("hidden", [["y"], ["x", "y", "z"], ["x", "y", "z", "w"]])
def test_intervals_hold_the_truth_however_much_is_missing(ae, hidden):
    truth = chain(500, 1)
    holes = truth.assign(**dict.fromkeys(hidden, np.nan))
    draws = np.array([d["y"] for d in ae.impute(holes, draws=40)])
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    assert ((truth["y"] >= low) & (truth["y"] <= high)).mean() > 0.8
    assert draws.std(axis=0).mean() < (0.6 if hidden == ["y"] else 2.3)


@pytest.mark.parametrize("hidden", [["y", "z"], ["x", "y", "z"]])
def test_cells_of_one_row_are_drawn_together(ae, hidden):
    holes = chain(500, 1).assign(**dict.fromkeys(hidden, np.nan))
    drawn = ae.impute(holes, draws=2)[0]
    assert drawn["y"].corr(drawn["z"]) < -0.9


def test_draws_stay_in_the_training_range_and_keep_the_mean():
    rng, n = np.random.default_rng(0), 1500
    z = rng.normal(size=n)
    X = pd.DataFrame({"z": z, "long": np.exp(z + 0.5 * rng.normal(size=n))})
    X["stars"] = np.clip(np.rint(3 + z + 0.5 * rng.normal(size=n)), 1, 5).astype(int)
    ae = Autoencoder(random_state=0, max_iter=30).fit(X)
    holes = X.astype({"stars": "Int64"}).assign(long=np.nan, stars=pd.NA)
    holes["stars"] = holes["stars"].astype("Int64")
    guess = ae.impute(holes)["long"].mean()
    for drawn in ae.impute(holes, draws=3):
        assert drawn["long"].between(X["long"].min() - 1e-9, X["long"].max() + 1e-9).all()
        assert drawn["long"].nunique() > n - 5
        assert set(drawn["stars"]) <= set(range(1, 6))
        assert drawn["long"].mean() == pytest.approx(guess, rel=0.1)
        assert drawn["stars"].astype(float).std() == pytest.approx(X["stars"].std(), rel=0.15)


def test_binary_cells_go_with_the_numbers_drawn_beside_them():
    rng, n = np.random.default_rng(0), 2000
    z = rng.normal(size=(n, 2))
    x = z[:, 0] + 0.3 * rng.normal(size=n)
    X = pd.DataFrame({"x": x, "b": (z[:, 0] > 0).astype(int), "u": z[:, 1]})
    ae = Autoencoder(random_state=0, max_iter=30).fit(X)
    drawn = ae.impute(X.assign(x=np.nan, b=np.nan), draws=2)[0]
    assert 0.35 < drawn["b"].mean() < 0.65
    assert drawn["x"].corr(drawn["b"].astype(float)) > 0.4


def test_rare_levels_are_drawn_in_their_shares_and_the_commonest_is_the_best_guess(tmp_path):
    rng, n = np.random.default_rng(0), 1000
    rare = rng.random(n) < 0.25
    level = np.where(rare, [f"r{i}" for i in rng.integers(0, 80, n)], "A").astype(object)
    level[np.flatnonzero(rare)[0]] = "a first one"
    X = pd.DataFrame(
        {"level": level, "x": 6.0 * rare + rng.normal(size=n), "y": rng.normal(size=n)}
    )
    ae = Autoencoder(random_state=0, max_iter=20).fit(X)
    counts = X["level"][rare].value_counts()
    assert counts.max() < 10  # most are rare, some may have five rows
    holes = X.assign(level=X["level"].where(~rare))
    filled = ae.impute(holes)["level"][rare]
    place = ae._fit.model.schema.columns[0]
    names = np.array(ae._storage.stores[0].levels)[place.levels_of(place.width - 1)]
    among = counts[[name for name in names if name in counts.index]]
    assert counts[filled.mode()[0]] == among.max()
    drawn = ae.impute(holes, draws=2)[1]["level"][rare]
    assert drawn.nunique() > 30
    assert (drawn == "a first one").sum() < 10
    ae.save(tmp_path / "m.xhat")
    assert load(tmp_path / "m.xhat").impute(holes, draws=2)[1]["level"][rare].equals(drawn)


def test_what_a_gaussian_leaves_open_is_its_conditional_variance():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    linear = Linear(rng.normal(size=4), root @ root.T)
    seen = np.array([[1.0, 0, 1, 0], [0, 0, 0, 0], [1.0, 0, 1, 0]])
    o, h = [0, 2], [1, 3]
    C = linear.covariance
    inner = C[np.ix_(o, o)] + RIDGE * np.diag(np.diag(C)[o])
    left = C[np.ix_(h, h)] - C[np.ix_(h, o)] @ np.linalg.solve(inner, C[np.ix_(o, h)])
    found = linear.left(seen).variances()
    np.testing.assert_allclose(found[0, h], np.diag(left), rtol=0.01)
    assert not found[0, o].any()
    np.testing.assert_allclose(found[1], np.diag(C), rtol=0.01)
    np.testing.assert_array_equal(found[0], found[2])
    rows = np.tile(seen[0], (40_000, 1))
    off = linear.left(rows).drawn(rng)[:, h]
    np.testing.assert_allclose(np.cov(off.T), left, rtol=0.05, atol=0.02 * left.max())


@pytest.mark.parametrize("wide", [False, True])
def test_with_nothing_seen_draws_are_like_the_training_rows(wide):
    rng = np.random.default_rng(0)
    z = rng.normal(size=1000)
    X = pd.DataFrame({"a": z, "e": (z > 0.8).astype(int), "n": rng.poisson(np.exp(z))})
    X["g"] = np.where(z > 0.5, "u", np.where(z < -0.5, "v", "w"))
    if wide:  # no covariance is held
        more = z[:, None] + rng.normal(size=(1000, 130))
        X = X.join(pd.DataFrame(more, columns=[f"x{j}" for j in range(130)]))
    ae = Autoencoder(random_state=0, max_iter=20).fit(X)
    assert (ae._fit.model.filling.linear is None) == wide
    drawn = pd.concat(ae.impute(X[:300].map(lambda _: None), draws=4)).infer_objects()
    assert drawn["e"].astype(float).mean() == pytest.approx(X["e"].mean(), abs=0.08)
    assert drawn["a"].astype(float).std() == pytest.approx(1, abs=0.15)
    shares = drawn["g"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx(X["g"].value_counts(normalize=True).to_dict(), abs=0.1)


def test_whole_numbers_are_drawn_as_such():
    rng = np.random.default_rng(0)
    z = rng.normal(size=1000)
    X = pd.DataFrame({"n": rng.poisson(1.2 * np.exp(0.4 * z)).astype(float), "z": z})
    ae = Autoencoder(random_state=0, max_iter=20).fit(X)
    assert repr(ae.heads_["n"]).startswith("Real")
    drawn = pd.concat(ae.impute(X.assign(n=np.nan), draws=4))["n"]
    assert (drawn == drawn.round()).all()
    assert (drawn == 0).mean() == pytest.approx((X["n"] == 0).mean(), abs=0.12)
    assert drawn.between(0, X["n"].max()).all()
