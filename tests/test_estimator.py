"""The estimator's promises: textbook exactness, rows apart, weights, containers."""

import io
import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import scipy.special
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xhat import (
    Adam,
    Autoencoder,
    Binary,
    Contractive,
    DataError,
    Gaussian,
    KLSparsity,
    L1Code,
    Masking,
    OneCycle,
    ParameterError,
    Real,
    SaltAndPepper,
    auto,
    fitting,
    incremental,
    load,
    training,
)
from xhat.maths.params import Views
from xhat.persist import to_bytes

DIGITS = load_digits().data
WINE = load_wine(as_frame=True).data


def sigmoid(a):
    return scipy.special.expit(a)


def low_rank(n=300, d=12, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, k)) @ rng.normal(size=(k, d)) + rng.normal(size=d)


# -- the two equations ----------------------------------------------------------------------------


@pytest.mark.parametrize("heads", ["textbook", "std"])
def test_three_numpy_lines_are_the_textbook_model(heads):
    X = WINE.to_numpy()
    parameters = {} if heads == "textbook" else {"heads": Real("std")}
    ae = Autoencoder.textbook(4, random_state=0, max_iter=50, **parameters).fit(X)
    h = sigmoid(X @ ae.W_.T + ae.b_)
    x_hat = h @ ae.W_star_.T + ae.c_
    np.testing.assert_allclose(ae.transform(X), h, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ae.reconstruct(X), x_hat, rtol=1e-12, atol=1e-12 * np.abs(X).max())


def test_textbook_binary_model_is_the_logistic_form():
    X = (DIGITS > 7).astype(float)
    ae = Autoencoder.textbook(8, heads="binary", random_state=0, max_iter=5).fit(X)
    h = sigmoid(X @ ae.W_.T + ae.b_)
    np.testing.assert_allclose(ae.reconstruct(X), sigmoid(h @ ae.W_star_.T + ae.c_), atol=1e-12)


def five_columns(n=60):
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 5, size=(n, 5))
    rows[0] = [0.25, 0.5, 1.25, 3.5, 4.5]
    return rows


def test_trace_equals_the_formulas_computed_by_hand():
    X = five_columns()
    x = X[0]
    ae = Autoencoder.textbook(2, random_state=0, max_iter=40).fit(X)
    W, b, W_star, c = ae.W_, ae.b_, ae.W_star_, ae.c_
    t = ae.trace(x)
    a1 = W @ x + b
    h1 = sigmoid(a1)
    h2 = W_star @ h1 + c
    dL_dh2 = 2 * (h2 - x)
    dh1_da1 = h1 * (1 - h1)
    dL_da1 = (W_star.T @ dL_dh2) * dh1_da1
    expected = {
        "x": x,
        "a1": a1,
        "h1": h1,
        "a2": h2,
        "h2": h2,
        "loss": ((h2 - x) ** 2).sum(),
        "dL/dh2": dL_dh2,
        "dh2/da2": np.ones(5),
        "dL/da2": dL_dh2,
        "da2/dW*": h1,
        "da2/dh1": W_star,
        "dL/dh1": W_star.T @ dL_dh2,
        "dh1/da1": dh1_da1,
        "dL/da1": dL_da1,
        "da1/dW": x,
        "dL/dW": np.outer(dL_da1, x),
        "dL/db": dL_da1,
        "dL/dW_star": np.outer(dL_dh2, h1),
        "dL/dc": dL_dh2,
    }
    assert t.keys() == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(t[name], value, rtol=1e-10, atol=1e-12, err_msg=name)
        assert name in str(t)


@pytest.mark.parametrize(("f", "interval"), [("logistic", r"\[0, 1\]"), ("tanh", r"\[-1, 1\]")])
def test_a_decoder_that_cannot_reach_the_values_is_refused_with_the_reason(f, interval):
    message = rf"column 'x2', row \d+: [\d.]+ is outside {interval}, the range of f = {f}"
    X = np.zeros((10, 5))
    X[:] = [0.25, 0.5, 1.25, 3.5, 4.5]
    with pytest.raises(ValueError, match=message):
        Autoencoder.textbook(2, heads=Real(scale=None, f=f)).fit(X)
    with pytest.raises(ValueError, match=r"Real\(scale='std', f='logistic'\): scaled values leave"):
        Real(scale="std", f="logistic")


def test_trace_of_cross_entropy_shows_the_textbook_factors():
    X = (DIGITS > 7).astype(float)
    ae = Autoencoder.textbook(3, heads="binary", random_state=0, max_iter=3).fit(X)
    t = ae.trace(X[0])
    np.testing.assert_allclose(t["dL/dh2"] * t["dh2/da2"], t["h2"] - t["x"], atol=1e-12)
    np.testing.assert_allclose(t["dL/da2"], t["h2"] - t["x"], atol=1e-12)


@pytest.mark.parametrize("holes", [False, True], ids=["fitted whole", "fitted with holes"])
@pytest.mark.parametrize("textbook", [False, True], ids=["deep", "textbook"])
def test_trace_of_a_row_with_missing_cells(textbook, holes):
    X = WINE.to_numpy(copy=True)
    row = X[:1].copy()
    row[0, [2, 5]] = np.nan
    if holes:
        X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    make = Autoencoder.textbook if textbook else Autoencoder
    hidden = {} if textbook else {"hidden": (8,)}
    ae = make(3, random_state=0, max_iter=5, **hidden).fit(X)
    t = ae.trace(row)
    assert float(t["loss"]) == pytest.approx(-ae.score(row), rel=1e-10)
    code = next(name for name in reversed(t.keys()) if name.startswith("h1"))
    np.testing.assert_allclose(t[code], ae.transform(row)[0], rtol=1e-10)
    assert (t["dL/dc"][[2, 5]] == 0).all()
    assert t["dL/dc"].all(where=~np.isnan(row[0]))
    if textbook:
        np.testing.assert_allclose(t["dL/dh2"] * t["dh2/da2"], t["dL/da2"], atol=1e-12)
        np.testing.assert_allclose(t["dL/da2"], t["dL/dc"], atol=1e-12)


def test_trace_takes_one_row():
    ae = Autoencoder.textbook(3, random_state=0, max_iter=2).fit(WINE)
    with pytest.raises(DataError, match="trace takes one row, and these are 2: give one"):
        ae.trace(WINE.iloc[:2])


def test_check_gradients_is_small_for_every_parameter():
    ae = Autoencoder(3, hidden=(8,), random_state=0, max_iter=30).fit(WINE)
    errors = ae.check_gradients(WINE)
    assert set(errors) == {"W1", "b1", "W", "b", "W1_star", "c1", "W_star", "c", "P", "Q"}
    assert max(errors.values()) < 1e-5


# -- linear models and PCA ------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["lbfgs", "auto"])
def test_data_of_rank_k_is_rebuilt_with_k_linear_units(optimizer):
    X = low_rank()
    linear = {
        "hidden": (),
        "activation": "identity",
        "optimizer": "lbfgs",
        "validation_fraction": 0,
    }
    ae = Autoencoder(3, random_state=0, **(linear if optimizer == "lbfgs" else {})).fit(X)
    assert np.abs(ae.reconstruct(X) - X).max() < 1e-6 * np.abs(X).max()


def test_a_linear_model_spans_what_pca_spans_on_digits():
    ae = Autoencoder(
        8,
        hidden=(),
        activation="identity",
        heads=Real(scale=None),
        optimizer="lbfgs",
        validation_fraction=0,
        random_state=0,
    ).fit(DIGITS)
    comparison = ae.compare_pca(DIGITS)
    assert max(comparison.angles) < 0.05
    pca = PCA(8).fit(DIGITS)
    error = ((pca.inverse_transform(pca.transform(DIGITS)) - DIGITS) ** 2).sum(axis=1).mean()
    assert comparison.pca == pytest.approx(error, rel=1e-9)
    assert comparison.xhat == pytest.approx(error, rel=1e-3)
    squares = (pca.inverse_transform(pca.transform(DIGITS)) - DIGITS) ** 2
    mean, of_pca, of_xhat = np.array(comparison.by_column).T
    np.testing.assert_allclose(mean, DIGITS.var(axis=0), atol=1e-9)
    np.testing.assert_allclose(of_pca, squares.mean(axis=0), rtol=1e-6, atol=1e-9)
    squares = (ae.reconstruct(DIGITS) - DIGITS) ** 2
    np.testing.assert_allclose(of_xhat, squares.mean(axis=0), rtol=1e-6, atol=1e-9)


def test_a_stored_verdict_keeps_the_losses_of_every_column(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 6))
    ae = Autoencoder(2, max_iter=3, random_state=0).fit(X)  # cross-fitted: the folds' mean
    ae.save(tmp_path / "model.xhat")
    for verdict in (ae.verdict_, load(tmp_path / "model.xhat").verdict_):
        sums = np.sum(verdict.by_column, axis=0)
        np.testing.assert_allclose(sums, [verdict.mean, verdict.pca, verdict.xhat], rtol=1e-12)
        assert len(verdict.by_column) == 6


def test_the_folds_of_a_wide_table_train_equally_long(monkeypatch):
    monkeypatch.setattr("xhat.auto.FULL_BATCH_WORK", 300_000_000)
    monkeypatch.setattr("xhat.auto.MANY_WEIGHTS", 0)
    X = np.random.default_rng(0).normal(size=(101, 30))  # folds of 18 and 19 rows
    ae = Autoencoder(5, random_state=0).fit(X)
    epochs, rule = ae.choices_["max_iter"].split(maxsplit=1)
    assert 200 < int(epochs) < 1500
    assert rule == "(full-batch steps)"
    assert len(ae.history_["held_out_loss"]) - 1 < int(epochs) / 2  # noise: soon PCA's


def test_folds_stop_where_nothing_beats_pca(monkeypatch):
    """Noise is PCA's after two folds; the residuals, scores and the verdict come from all five."""
    trained, train = [], fitting.train_network

    def counted(ready, rng, on_epoch, stop_after=None, *rest, **more):
        trained.append(stop_after)
        return train(ready, rng, on_epoch, stop_after, *rest, **more)

    for module in (fitting, training):
        monkeypatch.setattr(module, "train_network", counted)
    monkeypatch.setattr(auto, "filler", lambda *_: (None, ""))
    X = np.random.default_rng(0).normal(size=(150, 8))
    ae = Autoencoder(2, max_iter=40, random_state=0).fit(X)
    assert trained[-6:] == [0] * 6
    assert trained[:-6:2] == trained[1:-6:2]  # two folds in step
    assert len(set(trained[:-6])) > 1  # more and more, while nothing is clear
    assert ae.choices_["selection"].endswith("nothing beat it in the first 2 of 5 folds")
    assert ae.verdict_.is_pca
    assert ae.verdict_.n_rows == len(ae._fit.held_out_scores) == 150
    t = np.random.default_rng(0).uniform(-3, 3, 150)
    curved = np.column_stack([np.cos(t), np.sin(t), t, t * t])
    trained.clear()
    ae = Autoencoder(1, max_iter=40, learning_rate=OneCycle(2e-2), random_state=0).fit(curved)
    *_, stop = sorted(set(trained) - {ae.best_iter_})  # all folds up to the same epoch
    assert trained[-9:-6] == [stop] * 3
    assert trained[-6:] == [ae.best_iter_] * 6
    assert len(ae.history_["held_out_loss"]) == stop + 1 <= 41


def test_folds_taken_up_again_are_folds_trained_anew(monkeypatch):
    """The states kept of a fold save time and change no byte."""
    t = np.random.default_rng(0).uniform(-3, 3, 200)
    X = np.column_stack([np.cos(t), np.sin(t), np.cos(2 * t), np.sin(2 * t), t, t * t])
    found = set()
    for every in (7, 10**9):
        monkeypatch.setattr("xhat.foldruns.KEEP", every)
        ae = Autoencoder(2, max_iter=60, learning_rate=OneCycle(2e-2), random_state=0).fit(X)
        assert ae.best_iter_ > 7
        found.add(to_bytes(ae))
    assert len(found) == 1


def test_no_verdict_is_divided_by_a_loss_that_is_rounding():
    """PCA with as many units as columns copies the rows: nothing can beat it, by any factor."""
    X = np.random.default_rng(0).normal(size=(120, 3))
    for k, of in ((3, X), (1, X[:, :1])):
        ae = Autoencoder(k, max_iter=5, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the code can copy the row
            verdict = ae.fit(of).verdict_
        assert verdict.pca < 1e-20
        assert verdict.sentence.startswith("PCA rebuilds the rows without loss, so that nothing")
        assert verdict.sentence.endswith(
            f"leaves {verdict.xhat / verdict.mean:.3g} of the mean's loss."
        )


def test_verdict_is_taken_on_rows_used_for_nothing_else_and_says_who_wins():
    ae = Autoencoder(random_state=0).fit(DIGITS)
    verdict = ae.compare_pca()
    assert verdict is ae.verdict_
    assert verdict.n_rows == 180
    assert "neither for training nor for stopping" in verdict.rows
    assert verdict.xhat < verdict.pca < verdict.mean
    assert "xhat wins" in str(verdict)
    shallow = Autoencoder.textbook(8, random_state=0, max_iter=2).fit(DIGITS)
    assert "PCA wins" in shallow.verdict_.sentence


def test_the_verdict_on_a_model_that_fills_cells_says_what_it_judges():
    """Such a model copies worse than PCA where PCA copies nearly without loss."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 3)) @ rng.normal(size=(3, 9)) + 0.01 * rng.normal(size=(1500, 9))
    X[rng.random(X.shape) < 0.2] = np.nan
    verdict = (
        Autoencoder(8, corruption=Masking(0.2, 0.2), random_state=0, max_iter=3).fit(X).verdict_
    )
    assert verdict.fills
    assert verdict.ratio > 1.005
    assert verdict.sentence.endswith(
        "times PCA's on cells that are seen; it learnt to fill those that are not."
    )


def test_when_pca_wins_the_model_is_pca_on_all_training_rows():
    rng = np.random.default_rng(0)
    # Independent columns, too few rows to learn how best to squeeze them
    X = rng.normal(size=(100, 10)) * np.linspace(1, 3, 10)
    ae = Autoencoder(3, random_state=0, max_iter=200).fit(X)
    assert ae.verdict_.is_pca
    assert ae.verdict_.ratio == 1.0
    assert ae.hidden_ == ()
    assert "PCA" in ae.choices_["selection"]
    # Orthonormal rows in the scaled space: exactly PCA, not something near it
    W = ae.W_star_ / X.std(axis=0)[:, None]
    gram = W.T @ W
    np.testing.assert_allclose(gram, np.eye(3), atol=0.15)
    angles = ae.compare_pca(X).angles
    assert max(angles) < 1e-6


def test_linear_path_starts_at_pca():
    for heads, activation in (("real", "auto"), ("auto", "sigmoid"), ("auto", "tanh")):
        X = (DIGITS > 7).astype(float) if heads == "auto" else DIGITS
        ae = Autoencoder(
            5,
            hidden=(9,),
            linear_path=True,
            activation=activation,
            heads=heads,
            max_iter=1,
            learning_rate=1e-12,
            random_state=0,
            batch_size=10_000,
            validation_fraction=0,
        ).fit(X)
        comparison = ae.compare_pca(X)
        assert comparison.xhat == pytest.approx(comparison.pca, rel=1e-5)


def test_hidden_biases_start_spread_in_mini_batches_and_at_0_in_small_tables():
    common = {"hidden": (16, 9), "max_iter": 1, "random_state": 0, "validation_fraction": 0}
    common["learning_rate"] = 1e-12
    ae = Autoencoder(5, batch_size=64, **common).fit(DIGITS)
    views = Views(ae._fit.model.net, ae._fit.model.theta)
    for name, inputs in (("b1", 64), ("b2", 16), ("c1", 5), ("c2", 9)):
        spread = np.abs(views[name]) * np.sqrt(inputs)
        assert spread.max() <= 3.001
        assert spread.max() > 1.5
        assert np.unique(views[name]).size == views[name].size
    assert "3 / sqrt(inputs)" in ae.choices_["hidden biases"]
    small = Autoencoder(5, **common).fit(DIGITS[:500])
    views = Views(small._fit.model.net, small._fit.model.theta)
    assert max(np.abs(views[name]).max() for name in ("b1", "b2", "c1", "c2")) < 1e-10
    assert small.choices_["hidden biases"] == "0.0 (all 0 at the start)"


# -- overcomplete ---------------------------------------------------------------------------------


def test_overcomplete_without_remedy_warns_and_remedies_lower_the_identity_score():
    X = DIGITS[:800] / 16
    common = {
        "heads": Real(scale=None),
        "random_state": 0,
        "max_iter": 60,
        "batch_size": 32,
        "learning_rate": OneCycle(0.02),
    }
    with pytest.warns(UserWarning, match="n_components=80 >= 64 columns: the code can copy"):
        copying = Autoencoder.textbook(80, **common).fit(X).identity_score_
    assert copying > 0.9
    remedies = {
        "masking": {"corruption": Masking(0.3)},
        "gaussian": {"corruption": Gaussian(0.3)},
        "salt": {"corruption": SaltAndPepper(0.3)},
        "contractive": {"penalty": Contractive(1.0)},
        "kl": {"penalty": KLSparsity(0.02, 1.0)},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, remedy in remedies.items():
            score = Autoencoder.textbook(80, **common, **remedy).fit(X).identity_score_
            assert score < 0.8 * copying, (name, score, copying)


def test_penalties_and_corruptions_work_with_layers():
    for remedy in (
        {"penalty": L1Code(0.01)},
        {"penalty": (Contractive(0.01),)},
        {"corruption": Masking(0.2)},
    ):
        ae = Autoencoder(3, hidden=(8,), random_state=0, max_iter=20, **remedy).fit(WINE)
        assert np.isfinite(ae.score(WINE))
    with pytest.raises(ValueError, match="KLSparsity needs a code in"):
        Autoencoder(3, hidden=(8,), penalty=KLSparsity()).fit(WINE)


# -- a row depends on itself alone ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["deep", "textbook", "binary"])
def test_rows_are_bit_identical_in_any_batch(dtype, kind):
    X = ((DIGITS > 7) if kind == "binary" else DIGITS).astype(dtype)
    make = Autoencoder.textbook if kind == "textbook" else Autoencoder
    ae = make(7, random_state=0, max_iter=3).fit(X)
    X = X[:1000]
    order = np.random.default_rng(0).permutation(len(X))
    for method in (ae.transform, ae.anomaly_score, ae.explain, ae.reconstruct):
        whole = method(X)
        assert (method(X[order]) == whole[order]).all()
        for size in (1, 7):
            parts = [method(X[i : i + size]) for i in range(0, 140, size)]
            assert (np.concatenate(parts) == whole[:140]).all(), (method.__name__, size)
    assert ae.transform(X).dtype == dtype
    assert ae.reconstruct(X).dtype == dtype
    assert ae.explain(X).dtype == np.float64


def test_explanations_sum_to_the_score_and_perfect_rows_score_zero():
    ae = Autoencoder(random_state=0).fit(WINE.to_numpy())
    X = WINE.to_numpy()
    np.testing.assert_allclose(ae.explain(X).sum(axis=1), ae.anomaly_score(X), rtol=1e-12)
    exact = Autoencoder(3, random_state=0).fit(low_rank())
    assert exact.anomaly_score(low_rank()).max() < 1e-6


def test_an_absurd_cell_is_explained_by_its_column():
    rng = np.random.default_rng(0)
    ae = Autoencoder(random_state=0).fit(DIGITS)
    rows, columns = rng.integers(0, len(DIGITS), 100), rng.integers(0, 64, 100)
    std = DIGITS.std(axis=0)
    columns = np.where(std[columns] > 0, columns, 20)
    X = DIGITS[rows].copy()
    X[np.arange(100), columns] += 8 * std[columns]
    assert (ae.explain(X)[:, :64].argmax(axis=1) == columns).mean() >= 0.95


# -- weights, repeatability, incremental ----------------------------------------------------------


def test_weights_equal_copies_exactly_on_small_tables():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 5))
    weight = rng.integers(0, 4, 120)
    weighted = Autoencoder(2, random_state=0).fit(X, sample_weight=weight)
    copied = Autoencoder(2, random_state=0).fit(np.repeat(X, weight, axis=0))
    assert (weighted.transform(X) == copied.transform(X)).all()
    np.testing.assert_allclose(
        weighted.decision_function(X), copied.decision_function(X), rtol=1e-12
    )


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    files = []
    for number, seed in enumerate([3, 3, 4]):
        path = tmp_path / f"{number}.xhat"
        Autoencoder(5, random_state=seed, max_iter=3).fit(DIGITS).save(path)
        files.append(path.read_bytes())
    assert files[0] == files[1] != files[2]


def test_refit_and_contamination_follow_the_outlier_contract():
    ae = Autoencoder(random_state=0, contamination=0.1).fit(WINE)
    assert (ae.predict(WINE) == -1).sum() == pytest.approx(17.8, abs=1)
    np.testing.assert_array_equal(ae.decision_function(WINE), ae.score_samples(WINE) - ae.offset_)


def test_predict_goes_by_rows_that_were_not_trained_on():
    """A wide table is learnt by heart: above 5 % of its own rows' scores lie most of new ones'."""
    X = np.random.default_rng(0).normal(size=(1060, 200))
    ae = Autoencoder(random_state=0, max_iter=20).fit(X[:60])
    assert ae.offset_ == -ae.threshold(0.05)
    assert 0 < (ae.predict(X[60:]) == -1).mean() < 0.15
    scores = -ae.anomaly_score(X[60:])
    assert (
        scores < Autoencoder(contamination=0.05, random_state=0, max_iter=20).fit(X[:60]).offset_
    ).mean() > 0.5
    few = Autoencoder(2, random_state=0, max_iter=2).fit(X[:12, :5])  # nothing to go by but these
    assert (few.predict(X[:12, :5]) == -1).sum() == 1


def test_threshold_needs_enough_held_out_rows():
    ae = Autoencoder(random_state=0).fit(DIGITS)
    rate = (ae.anomaly_score(DIGITS) > ae.threshold(0.05)).mean()
    assert 0 < rate < 0.15
    with pytest.raises(ValueError, match="needs at least 1000 held-out rows, there are 360"):
        ae.threshold(0.001)
    for rate in ("a", None, 1, np.nan, True):
        with pytest.raises(ParameterError, match=r"false_alarm_rate=.* must lie in \(0, 1\)"):
            ae.threshold(rate)
    for draws in ("3", 1.5, 0, -1, np.nan, True, [2]):
        with pytest.raises(ParameterError, match=r"draws=.*: expected None or a whole number >= 1"):
            ae.impute(DIGITS, draws=draws)


def test_partial_fit_of_a_model_that_fills_cells_hides_cells(monkeypatch):
    """What the rule says of the rows at hand: a model file does not hold the corruption."""
    seen, plan = [], incremental.Plan

    def record(engine, objective, *more):
        seen.append(objective.corruption)
        return plan(engine, objective, *more)

    monkeypatch.setattr(incremental, "Plan", record)
    X = np.random.default_rng(0).normal(size=(200, 5))
    whole = Autoencoder(2, random_state=0).partial_fit(X)
    X[::2, 0] = np.nan
    holes = Autoencoder(2, random_state=0).partial_fit(X).partial_fit(X[1::2])
    assert whole._fit.model.rounds == 3
    assert holes._fit.model.rounds == 1
    assert seen == [None, Masking(0.1, 0.5), Masking(0.05, 0.5)]


def test_partial_fit_improves_on_its_start_and_continues_a_fit():
    ae = Autoencoder(8, hidden=(32,), heads="real", random_state=0)
    losses = []
    for _ in range(5):
        for start in range(0, 1500, 500):
            ae.partial_fit(DIGITS[start : start + 500])
        losses.append(-ae.score(DIGITS[1500:]))
    assert losses[-1] < losses[0]
    fitted = Autoencoder(8, random_state=0, max_iter=5).fit(DIGITS)
    before = fitted.score(DIGITS)
    fitted.partial_fit(DIGITS)
    assert fitted.score(DIGITS) > before - 1


def test_copies_count_as_the_rows_they_are():
    X = np.repeat([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], [40, 50, 60], axis=0)
    assert Autoencoder(1, max_iter=2).fit(X).verdict_.n_rows == 150
    weighted = Autoencoder(1, max_iter=2).fit(X[[0, 40, 90]], sample_weight=[40, 50, 60])
    assert weighted.verdict_.n_rows == 150


def test_own_validation_rows_without_a_cell_are_refused():
    empty = np.full_like(DIGITS[:250], np.nan)
    with pytest.raises(DataError, match="no cell of the 250 held-out rows is observed"):
        Autoencoder(5, max_iter=2).fit(DIGITS, X_val=empty)
    empty[3] = DIGITS[3]  # one row to judge by, none to measure the spread of residuals on
    ae = Autoencoder(5, random_state=0, max_iter=2).fit(DIGITS, X_val=empty)
    assert np.isfinite(ae.anomaly_score(DIGITS)).all()


def test_own_validation_rows_choose_the_epoch():
    ae = Autoencoder(5, random_state=0, max_iter=10).fit(DIGITS[:1200], X_val=DIGITS[1200:])
    assert ae.verdict_.n_rows in (298, 299)
    assert ae.best_iter_ >= 1


def test_no_validation_keeps_the_last_epoch_and_says_the_verdict_is_optimistic():
    ae = Autoencoder(5, random_state=0, max_iter=3, validation_fraction=0).fit(DIGITS)
    assert ae.best_iter_ == ae.n_iter_ == 3
    assert "optimistic" in ae.verdict_.rows
    with pytest.raises(ValueError, match="needs at least 100 held-out rows, there are 0"):
        ae.threshold(0.01)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs"])
def test_every_optimizer_lowers_the_loss(optimizer):
    rate = {"learning_rate": 1e-3} if optimizer == "sgd" else {}
    ae = Autoencoder(
        3,
        hidden=(16,),
        optimizer=optimizer,
        random_state=0,
        max_iter=60,
        validation_fraction=0,
        **rate,
    ).fit(WINE)
    assert ae.loss_curve_[-1] < ae.loss_curve_[0]


def test_a_diverging_fit_names_epoch_batch_and_column():
    X = DIGITS.copy()
    with (
        pytest.raises(ArithmeticError, match=r"stopped being finite in epoch \d+, batch \d+; .*'x"),
        np.errstate(all="ignore"),
    ):
        Autoencoder(8, optimizer="sgd", learning_rate=1e6, random_state=0).fit(X)


# -- containers -----------------------------------------------------------------------------------


def test_frames_go_in_and_come_out_as_they_were():
    pandas = WINE.set_index(pd.Index([f"r{i}" for i in range(len(WINE))]))
    ae = Autoencoder(4, random_state=0).fit(pandas)
    back = ae.reconstruct(pandas)
    assert isinstance(back, pd.DataFrame)
    assert list(back.columns) == list(WINE.columns)
    assert (back.index == pandas.index).all()
    for frame in (pl.from_pandas(WINE), pa.Table.from_pandas(WINE)):
        other = Autoencoder(4, random_state=0).fit(frame)
        assert type(other.explain(frame)) is type(frame)
        np.testing.assert_array_equal(
            np.asarray(other.transform(frame)), np.asarray(ae.transform(pandas))
        )
    codes = ae.set_output(transform="pandas").transform(pandas)
    assert list(codes.columns) == [f"autoencoder{i}" for i in range(4)]
    assert list(ae.inverse_transform(codes).columns) == list(WINE.columns)


def test_sparse_memory_mapped_and_fortran_rows_give_the_dense_model(tmp_path):
    X = DIGITS
    np.save(tmp_path / "x.npy", X)
    variants = {
        "csr": scipy.sparse.csr_matrix(X),
        "csr array": scipy.sparse.csr_array(X),
        "memmap": np.load(tmp_path / "x.npy", mmap_mode="r"),
        "fortran": np.asfortranarray(X),
    }
    dense = Autoencoder(5, random_state=0, max_iter=3).fit(X)
    for name, variant in variants.items():
        ae = Autoencoder(5, random_state=0, max_iter=3).fit(variant)
        np.testing.assert_allclose(
            ae.transform(variant), dense.transform(X), rtol=1e-9, atol=1e-9, err_msg=name
        )


def test_column_kinds_are_found_and_can_be_overridden():
    X = np.column_stack([np.tile([0, 1], 100), np.linspace(0, 1, 200), np.full(200, 3.0)])
    ae = Autoencoder(1, random_state=0, max_iter=2).fit(X)
    assert list(ae.heads_.values()) == [Binary(), Real("std"), Real("std")]
    frame = pd.DataFrame(X, columns=["yes", "share", "three"])
    ae = Autoencoder(
        1, heads={"share": "binary", "three": Real("robust")}, random_state=0, max_iter=2
    )
    assert list(ae.fit(frame).heads_.values()) == [Binary(), Binary(), Real("robust")]
    assert np.isfinite(ae.anomaly_score(frame)).all()
    with pytest.raises(ValueError, match="heads names a column that is not there: 'age'"):
        Autoencoder(heads={"age": "real"}).fit(frame)


def test_it_works_in_pipelines_and_grid_searches():
    pipeline = make_pipeline(StandardScaler(), Autoencoder(max_iter=3, random_state=0))
    search = GridSearchCV(pipeline, {"autoencoder__n_components": [1, 4]}, cv=2).fit(WINE)
    assert search.best_params_ == {"autoencoder__n_components": 4}


def test_float32_stays_float32():
    X = DIGITS.astype(np.float32)
    ae = Autoencoder(5, random_state=0, max_iter=3).fit(X)
    assert ae.choices_["training dtype"] == "float32"
    assert ae.transform(X).dtype == np.float32
    assert ae.inverse_transform(ae.transform(X)).dtype == np.float32
    assert ae.anomaly_score(X).dtype == np.float64


def test_fits_that_fill_cells_have_a_larger_code_and_weight_decay():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(1500, 3)), columns=list("abc"))
    frame["town"] = rng.choice([f"t{i}" for i in range(15)], 1500)
    holes = frame.mask(rng.random(frame.shape) < 0.2)
    hides = {"random_state": 0, "max_iter": 2, "corruption": Masking(0.2)}
    filling = Autoencoder(**hides).fit(holes)
    assert filling.n_components_ == 6  # a third of 3 numbers and 15 levels
    assert filling.choices_["weight decay"].startswith("0.15 (")
    whole = Autoencoder(random_state=0, max_iter=2).fit(frame)
    assert whole.n_components_ == 1
    assert whole.choices_["weight decay"].startswith("0.0 (")
    # What the user asks for by an object is taken as it is, and the rule changes the fit.
    asked = Autoencoder(**hides, optimizer=Adam()).fit(holes)
    assert "weight decay" not in asked.choices_
    assert abs(asked._fit.model.theta).sum() > abs(filling._fit.model.theta).sum()
    again = Autoencoder(**hides, optimizer=Adam(weight_decay=0.15))
    np.testing.assert_array_equal(again.fit(holes)._fit.model.theta, filling._fit.model.theta)


def test_larger_tables_are_trained_with_clipped_gradients():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6500, 3)) @ rng.normal(size=(3, 6)) + rng.standard_t(2, size=(6500, 6))
    fits = {n: Autoencoder(2, random_state=0, max_iter=2).fit(X[:n]) for n in (5500, 6500)}
    assert fits[5500].choices_["clip"] == "0.0 (4400 training rows)"  # a fifth is held out
    assert fits[6500].choices_["clip"].startswith("2.0 (")
    theta = fits[6500]._fit.model.theta
    for clip, same in ((2.0, True), (0.0, False)):
        ae = Autoencoder(2, random_state=0, max_iter=2, optimizer=Adam(clip=clip)).fit(X)
        assert np.array_equal(ae._fit.model.theta, theta) == same


@pytest.mark.parametrize("seed", range(4))
def test_pca_of_all_rows_has_its_own_residuals(seed):
    # The three held-out rows may lie by chance in the span of another PCA, along some column.
    X = np.random.default_rng(seed).normal(size=(31, 3))
    ae = Autoencoder(2, random_state=0).fit(X)
    left = ((ae.reconstruct(X) - X) ** 2).mean(axis=0)
    spread = ae._fit.model.residual * [column.spread for column in ae._fit.model.schema.columns]
    assert (spread**2 >= left * (1 - 1e-9)).all()


def test_tables_near_the_largest_number_are_saved(tmp_path):
    X = 1e300 * np.random.default_rng(0).normal(size=(300, 4))
    ae = Autoencoder(2, random_state=0, max_iter=5).fit(X)
    ae.save(tmp_path / "m.xhat")
    np.testing.assert_array_equal(load(tmp_path / "m.xhat").anomaly_score(X), ae.anomaly_score(X))


@pytest.mark.parametrize("path", [io.BytesIO(), None, b"m.xhat", 3])
def test_a_model_file_has_a_name(path):
    for use in (load, Autoencoder(1, max_iter=1).fit(WINE).save):
        with pytest.raises(ParameterError, match=r"^a model file is given by its name, such as "):
            use(path)


def test_codes_are_finite():
    ae = Autoencoder(2, max_iter=1, random_state=0).fit(WINE)
    codes = ae.transform(WINE)
    codes[3, 1] = np.inf
    for wrong, said in ((codes, "code 1 in row 3 is inf"), (codes * np.nan, "code 0 in row 0 is")):
        with pytest.raises(DataError, match=f"^{said}.*: codes must be finite numbers, as trans"):
            ae.inverse_transform(wrong)


def test_a_refused_refit_leaves_the_model_as_it_was():
    """Names, storage and model belong together: a table that is refused at the end changes none."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=60), "g": ["m", "w"] * 30})
    ae = Autoencoder(1, random_state=0).fit(table)
    scores, rebuilt = ae.anomaly_score(table), ae.reconstruct(table)
    with pytest.raises(DataError):
        ae.fit(table.assign(g="w", b=np.inf))
    assert np.array_equal(ae.anomaly_score(table), scores)
    assert ae.reconstruct(table).equals(rebuilt)
    assert list(ae.feature_names_in_) == ["a", "g"]
    fresh = Autoencoder(1)
    with pytest.raises(DataError):
        fresh.fit(table.assign(b=np.inf))
    assert set(vars(fresh)) == set(vars(Autoencoder(1)))


def test_a_penalty_that_is_a_mean_over_the_batch_gets_all_of_few_rows():
    X = np.random.default_rng(0).normal(size=(1500, 5))
    sizes = []
    for penalty in (None, KLSparsity()):
        for n in (60, 1500):
            ae = Autoencoder(3, hidden=(), activation="sigmoid", penalty=penalty, max_iter=1)
            sizes.append(ae.fit(X[:n]).choices_["batch_size"].split()[0])
    assert sizes == ["8", "16", "54", "64"]


def test_a_verdict_on_nothing_but_constants_says_so():
    verdict = Autoencoder(1, max_iter=1, random_state=0).fit(np.ones((300, 3))).verdict_
    assert verdict.mean == 0
    assert verdict.sentence.startswith("The model is PCA: the mean leaves no loss on 30 ")
    assert verdict.sentence.endswith("so that there is nothing to compare.")


def test_a_verdict_on_cells_without_a_square_says_so():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5))
    ae = Autoencoder(1, random_state=0, max_iter=2).fit(X)
    X[3, 0] = 1e300
    found = ae.compare_pca(X)
    assert "a cell is so far out that losses overflow on 300 rows given" in found.sentence
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["pca"] is None


def test_a_column_that_counts_the_rows_is_named():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"))
    X.insert(1, "number", range(7, 67))
    with pytest.warns(UserWarning, match=r"column 'number' counts the rows \(7, 8, \.\.\.\)"):
        Autoencoder(1, random_state=0, max_iter=2).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("real", "ignore"):
            Autoencoder(1, heads={"number": kind}, random_state=0, max_iter=2).fit(X)
        Autoencoder(1, random_state=0, max_iter=2).fit(X[:40])
