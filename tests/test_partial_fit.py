"""partial_fit in pieces of any size: scores are measured on all rows seen, not the last piece."""

import numpy as np
import pytest
import scipy.sparse

from xhat import SGD, Autoencoder, Contractive, KLSparsity, ParameterError, TrainingError, load
from xhat.engines import available
from xhat.sample import ROWS, Sample


def rows(n, seed):
    W = np.random.default_rng(9).normal(size=(3, 8))
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) @ W + 0.3 * rng.normal(size=(n, 8))


def flagged(ae):
    return (ae.predict(rows(2000, 1)) == -1).mean()


@pytest.mark.parametrize("last", [1, 10, 16, 300])
def test_the_size_of_the_last_piece_decides_nothing(last):
    X = rows(1500, 0)
    ae = Autoencoder(random_state=0).partial_fit(X[:-last]).partial_fit(X[-last:])
    assert 0.02 < flagged(ae) < 0.11
    assert ae.explain(X[:3]).shape == (3, 9)


def test_many_small_pieces():
    X, ae = rows(600, 0), Autoencoder(random_state=0)
    for first in range(0, 600, 10):
        ae.partial_fit(X[first : first + 10])
    assert 0.02 < flagged(ae) < 0.13
    assert ae.explain(X[:3]).shape == (3, 9)


def test_a_fitted_model_keeps_its_scale_until_enough_rows_were_seen(tmp_path):
    X = rows(1500, 0)
    ae = Autoencoder(random_state=0, max_iter=10).fit(X)
    offset, residual = ae.offset_, ae._fit.model.residual
    for _ in range(3):
        ae.partial_fit(X[:20])
    assert ae.offset_ == offset
    assert ae._fit.model.residual is residual
    assert 0.02 < flagged(ae) < 0.1
    ae.partial_fit(rows(300, 2))
    assert ae.offset_ != offset
    ae.save(tmp_path / "m.xhat")
    again = load(tmp_path / "m.xhat").partial_fit(X[:20])
    assert again.offset_ == ae.offset_


def test_a_threshold_of_before_is_not_given():
    X = rows(1500, 0)
    ae = Autoencoder(random_state=0, max_iter=3).fit(X)
    ae.threshold(0.05)
    ae.partial_fit(3 * X + 5)
    with pytest.raises(ParameterError, match="partial_fit holds no rows out"):
        ae.threshold(0.05)


def test_sparse_pieces_are_as_dense_ones():
    X = scipy.sparse.random(500, 30, 0.2, "csr", random_state=0)
    sparse = Autoencoder(3, random_state=0).partial_fit(X[:300]).partial_fit(X[300:])
    dense = Autoencoder(3, random_state=0)
    for part in (X[:300], X[300:]):
        dense.partial_fit(part.toarray())
    np.testing.assert_allclose(sparse.anomaly_score(X), dense.anomaly_score(X), rtol=1e-9)


def test_a_sample_takes_every_row_with_the_same_probability():
    sample, n = None, 20 * ROWS
    for first in range(0, n, 512):
        piece = np.arange(first, first + 512.0)[:, None]
        sample = Sample.of(piece) if sample is None else sample.with_more(piece)
    kept = sample.X[:, 0]
    assert len(np.unique(kept)) == ROWS
    assert sample.seen == n
    parts = np.histogram(kept, 4, (0, n))[0]
    assert np.abs(parts - ROWS / 4).max() < 5 * np.sqrt(ROWS / 4)


def deep(**parameters):
    parameters = {"hidden": (6,), "linear_path": False, "random_state": 0, **parameters}
    return Autoencoder(3, max_iter=2, stopping=None, **parameters).fit(rows(300, 0))


def test_a_loaded_model_goes_on_with_the_engine_that_knows_its_penalty(tmp_path):
    X, ae = rows(300, 0), deep(penalty=Contractive(0.1))
    ae.save(tmp_path / "m.xhat")
    again = load(tmp_path / "m.xhat").partial_fit(X)
    assert again.choices_["engine"].startswith("reference")
    np.testing.assert_array_equal(again.transform(X), ae.partial_fit(X).transform(X))


def test_parameters_given_since_the_last_call_choose_the_engine():
    X, ae = rows(300, 0), deep()
    ae.set_params(penalty=Contractive(0.1)).partial_fit(X)
    assert ae.choices_["engine"].startswith("reference")
    ae.set_params(penalty=None, engine="reference").partial_fit(X)
    assert ae.choices_["engine"] == "reference (as asked)"
    ae.set_params(penalty=KLSparsity())
    with pytest.raises(ParameterError, match=r"KLSparsity needs a code in \(0, 1\)"):
        ae.partial_fit(X)


@pytest.mark.skipif(isinstance(available()["compiled"], str), reason="no compiled engine")
def test_an_engine_that_does_not_know_the_penalty_is_refused():
    ae = deep().set_params(penalty=Contractive(0.1), engine="compiled")
    with pytest.raises(ParameterError, match="engine='compiled' cannot be used"):
        ae.partial_fit(rows(300, 0))


def test_another_optimizer_starts_afresh():
    X = rows(300, 0)
    for before, after in (("adam", "sgd"), ("sgd", "adam"), ("adam", SGD(0.5))):
        ae = deep(engine="reference", learning_rate=1e-3).set_params(optimizer=before)
        ae.partial_fit(X).set_params(optimizer=after).partial_fit(X)
        slots = {"v"} if after != "adam" else {"mu", "nu"}
        assert set(ae._fit.state.optimizer.slots) == slots
        assert np.isfinite(ae.loss_curve_).all()


def test_a_call_that_diverges_leaves_the_model_to_go_on_from():
    X = np.random.default_rng(0).normal(size=(300, 4))
    ae = Autoencoder(2, optimizer="sgd", learning_rate=1e-3, heads="real", random_state=0)
    scores = ae.partial_fit(X).anomaly_score(X)
    with pytest.raises(TrainingError):
        ae.set_params(learning_rate=1e6).partial_fit(X)
    assert np.array_equal(ae.anomaly_score(X), scores)
    assert np.isfinite(ae.set_params(learning_rate=1e-3).partial_fit(X).anomaly_score(X)).all()


@pytest.mark.parametrize("stop", [MemoryError, KeyboardInterrupt])
def test_a_call_that_is_cut_short_leaves_all_as_it_was(monkeypatch, stop):
    """Its model, its optimiser and the sample that scores are measured on."""
    X = np.random.default_rng(0).normal(size=(900, 4))
    broken, whole = (Autoencoder(2, random_state=0, max_iter=3).fit(X) for _ in range(2))
    for ae in (broken, whole):
        ae.partial_fit(X[:300])
    scores, curve = broken.anomaly_score(X), list(broken.loss_curve_)

    def fails(*_):
        raise stop

    with monkeypatch.context() as patched:
        patched.setattr("xhat.incremental.settle", fails)
        with pytest.raises(stop):
            broken.partial_fit(X[300:600])
    assert np.array_equal(broken.anomaly_score(X), scores)
    assert broken.loss_curve_ == curve
    again, expected = (ae.partial_fit(X[600:]).anomaly_score(X) for ae in (broken, whole))
    assert np.array_equal(again, expected)


def test_rows_without_a_cell_measure_nothing():
    X = np.random.default_rng(0).normal(size=(300, 4))
    ae = Autoencoder(2, random_state=0, max_iter=3).fit(X)
    scores = ae.anomaly_score(X)
    assert np.array_equal(ae.partial_fit(np.full((300, 4), np.nan)).anomaly_score(X), scores)
