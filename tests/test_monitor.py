"""What is judged and kept of a fit while it runs."""

import numpy as np
import pytest

from xhat import Autoencoder
from xhat.train import loop
from xhat.train.monitor import EarlyStopping, Monitor


def test_the_mean_is_that_of_all_epochs_then_a_running_one():
    monitor = Monitor(EarlyStopping(5, averaging=3), np.zeros(1))
    path = [4.0, 2.0, 9.0, 1.0, 1.0]
    judged = [float(monitor.judged(i + 1, np.array([x]))[0]) for i, x in enumerate(path)]
    assert judged[:3] == pytest.approx([4, 3, 5])
    assert judged[3:] == pytest.approx([5 + (1 - 5) / 3, 11 / 3 + (1 - 11 / 3) / 3])


@pytest.mark.parametrize("stopping", [None, EarlyStopping(5), EarlyStopping(5, averaging=1)])
def test_without_it_the_parameters_themselves_are_judged(stopping):
    theta = np.ones(2)
    assert Monitor(stopping, np.zeros(2)).judged(7, theta) is theta


@pytest.mark.parametrize("averaging", [-1, np.inf, np.nan])
def test_impossible_averaging_is_refused(averaging):
    with pytest.raises(ValueError, match="averaging"):
        EarlyStopping(averaging=averaging)


def test_a_fit_keeps_the_mean_of_its_epochs(monkeypatch):
    """The kept parameters are the mean of the epochs' ends, and the held-out loss is theirs."""
    ends, epoch = [], loop._epoch

    def watched(plan, state):
        loss = epoch(plan, state)
        ends.append(state.theta.copy())
        return loss

    monkeypatch.setattr(loop, "_epoch", watched)
    t = np.random.default_rng(0).uniform(-1, 1, size=2000)
    X = np.column_stack([t, t**2, t**3, np.cos(3 * t), np.sin(3 * t), np.abs(t)])
    stopping = EarlyStopping(100, averaging=50)
    fit = {"hidden": (8,), "batch_size": 64, "stopping": stopping, "random_state": 0}
    ae = Autoencoder(1, max_iter=6, **fit).fit(X)
    kept = ae._fit.model.theta
    assert not ae.verdict_.is_pca
    assert len(ends) == 6
    np.testing.assert_allclose(kept, np.mean(ends[: ae.best_iter_], axis=0), rtol=1e-4, atol=1e-6)
