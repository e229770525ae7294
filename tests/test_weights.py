"""Row weights: a constant factor changes nothing, and every quantile and decision follows them."""

import numpy as np
import pandas as pd
import pytest

from xhat import Autoencoder, ParameterError
from xhat.maths.quantiles import repeated, weighted_quantile


def table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(n, 5))


@pytest.mark.parametrize("factor", [1e-3, 0.3, 7.5, 1e300])
@pytest.mark.parametrize("n", [150, 1200])
def test_a_constant_factor_on_the_weights_changes_nothing(n, factor):
    X = table(n)
    plain = Autoencoder(random_state=0, max_iter=5).fit(X)
    weighted = Autoencoder(random_state=0, max_iter=5).fit(X, sample_weight=np.full(n, factor))
    for a, b in (
        (plain.anomaly_score(X), weighted.anomaly_score(X)),
        (plain.offset_, weighted.offset_),
        (plain.threshold(0.05), weighted.threshold(0.05)),
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert (weighted.predict(X) == plain.predict(X)).all()


def test_rows_that_hardly_count_do_not_decide_for_pca():
    rng = np.random.default_rng(0)
    t = rng.normal(size=1500)
    curved = np.c_[t, t**2 - 1, t**3 / 3, np.sin(2 * t)] + 0.05 * rng.normal(size=(1500, 4))
    order = rng.permutation(3000)
    X = np.vstack([curved, 30 * rng.normal(size=(1500, 4))])[order]
    weight = np.r_[np.ones(1500), np.full(1500, 1e-7)][order]
    ae = Autoencoder(1, random_state=0, max_iter=40).fit(X, sample_weight=weight)
    assert not ae.verdict_.is_pca
    assert ae.verdict_.ratio < 0.1


def test_thresholds_count_copies():
    """Equal rows are merged up to 1,000 rows: how often they occur comes back in the quantile."""
    rng = np.random.default_rng(0)
    rows = rng.choice(6, size=(800, 3), p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
    X = pd.DataFrame(rows, columns=list("xyz")).map("abcdef".__getitem__)
    ae = Autoencoder(random_state=0, max_iter=20).fit(X)
    held = ae._fit.held_out_scores
    assert len(held) > 700  # not the 200 different rows
    rates = [(ae.anomaly_score(X) > ae.threshold(rate)).mean() for rate in (0.05, 0.2)]
    assert 0.02 < rates[0] < 0.08
    assert 0.12 < rates[1] < 0.28


def test_weights_of_larger_tables_move_the_threshold():
    rng = np.random.default_rng(1)
    calm, wild = rng.normal(size=(2000, 4)), 3 * rng.normal(size=(2000, 4))
    X, weight = np.vstack([calm, wild]), np.repeat([9.0, 1.0], 2000)
    ae = Autoencoder(random_state=0, max_iter=5).fit(X, sample_weight=weight)
    rng = np.random.default_rng(2)
    fresh = np.vstack([rng.normal(size=(9000, 4)), 3 * rng.normal(size=(1000, 4))])
    assert 0.03 < (ae.anomaly_score(fresh) > ae.threshold(0.05)).mean() < 0.07


def test_repeated_values_are_copies():
    values, weight = np.array([3.0, 1.0, 2.0]), np.array([1.0, 0.0, 2.0])
    np.testing.assert_array_equal(repeated(values, weight), [2, 2, 3])
    np.testing.assert_array_equal(repeated(values, None), [1, 2, 3])
    half = repeated(np.arange(1000.0), np.repeat([1.5, 0.4], 500))
    assert len(half) == 1000
    assert (half < 500).sum() == round(1000 * 1.5 / 1.9)


@pytest.mark.parametrize(
    ("weight", "rows"),
    [
        (np.linspace(0, 2, 100), 99),  # one row has the weight 0
        (np.arange(1, 101) / 2, 100),
        (np.arange(1.0, 101), 5050),
        (np.full(100, 0.1), 100),
    ],
)
def test_only_whole_numbers_are_copies(weight, rows):
    """A hundred rows whose weights have a common measure are no thousands of rows."""
    ae = Autoencoder(2, random_state=0, max_iter=2).fit(table(100), sample_weight=weight)
    assert ae.verdict_.n_rows == len(ae._fit.held_out_scores) == rows
    assert f"on {rows} rows" in ae.verdict_.sentence
    if rows < 1000:
        with pytest.raises(ParameterError, match="at least 1000 held-out rows"):
            ae.threshold(0.001)


def test_quantiles_of_tiny_weights_are_those_of_equal_ones():
    x = np.random.default_rng(0).normal(size=101)
    for q in (0.0, 0.25, 0.9, 1.0):
        assert weighted_quantile(x, np.full(101, 1e-9), q) == pytest.approx(
            np.quantile(x, q), abs=1e-12
        )


def test_a_threshold_holds_its_rate_with_few_held_out_rows():
    """By exchangeability; the plain quantile of 100 scores at 1 % is exceeded by 2 %."""
    rates = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(3, 8))
        rows, fresh = (rng.normal(size=(n, 3)) @ X + rng.normal(size=(n, 8)) for n in (1001, 4000))
        ae = Autoencoder(random_state=0, max_iter=2).fit(rows)
        rates.append((ae.anomaly_score(fresh) > ae.threshold(0.01)).mean())
    assert 0.005 < np.mean(rates) < 0.0145
