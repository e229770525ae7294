"""What is judged and kept of a fit while it runs."""

import numpy as np
import pytest

from xhat import Autoencoder, Masking, auto, fitting, training
from xhat.foldruns import FoldRuns
from xhat.persist import to_bytes
from xhat.train import loop
from xhat.train.monitor import EarlyStopping, Monitor


def curved(n):
    t = np.random.default_rng(0).uniform(-1, 1, size=n)
    return np.column_stack([t, t**2, t**3, np.cos(3 * t), np.sin(3 * t), np.abs(t)])


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
    monkeypatch.setattr(auto, "filler", lambda *_: (None, ""))
    X = curved(2000)
    stopping = EarlyStopping(100, averaging=50)
    fit = {"hidden": (8,), "batch_size": 64, "stopping": stopping, "random_state": 0}
    ae = Autoencoder(1, max_iter=6, **fit).fit(X)
    kept = ae._fit.model.theta
    assert not ae.verdict_.is_pca
    assert len(ends) == 6
    np.testing.assert_allclose(kept, np.mean(ends[: ae.best_iter_], axis=0), rtol=1e-4, atol=1e-6)


def test_so_does_a_small_table_in_its_folds_and_in_the_last_training(monkeypatch):
    """Models of folds lose what the curve says at their epoch; the last is the mean of its ends."""
    ends, epoch, folds, after = [], loop._epoch, [], FoldRuns.model_after

    def watched(plan, state):
        loss = epoch(plan, state)
        ends.append(state.theta.copy())
        return loss

    def compared(self, split, epochs):
        curve = list(self._at[int(split.held_out[0])].monitor.held_out)
        found = after(self, split, epochs)
        folds.append((curve[epochs], found[1].xhat))
        return found

    monkeypatch.setattr(loop, "_epoch", watched)
    monkeypatch.setattr(FoldRuns, "model_after", compared)
    monkeypatch.setattr(auto, "filler", lambda *_: (None, ""))
    # 30 to 40 epochs are averaged over 1.2 at most: the averaging is made longer
    monkeypatch.setattr(auto, "stopping", lambda *a, **k: (EarlyStopping(99, averaging=30), ""))
    ae = Autoencoder(1, max_iter=40, random_state=0).fit(curved(150))
    assert not ae.verdict_.is_pca
    assert ae.best_iter_ == ae.n_iter_ >= 10
    mean, count = 0.0, ae.n_iter_
    for e, end in enumerate(ends[-count:], 1):
        mean = mean + (end - mean) / min(e, 30)
    np.testing.assert_allclose(ae._fit.model.theta, mean, rtol=1e-9, atol=1e-12)
    assert np.abs(ends[-1] - mean).max() > 1e-4
    assert len(folds) == 5
    np.testing.assert_allclose(*np.transpose(folds), rtol=1e-9)


@pytest.mark.parametrize("rows", [150, 250])
def test_a_small_fit_that_is_stopped_has_a_verdict_of_its_own(rows, monkeypatch):
    """It was that of the folds at their chosen epoch, much later."""
    began, X = [], curved(rows)
    train = fitting.train_network

    def last(ready, *args, **kwargs):
        began.append(ready.held_out is None)
        return train(ready, *args, **kwargs)

    epoch = loop._epoch

    def breaking(plan, state):
        if began[-1] and state.epoch == 3:
            raise KeyboardInterrupt
        return epoch(plan, state)

    for module in (fitting, training):
        monkeypatch.setattr(module, "train_network", last)
    monkeypatch.setattr(loop, "_epoch", breaking)
    monkeypatch.setattr(auto, "filler", lambda *_: (None, ""))
    ae = Autoencoder(1, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        ae.fit(X)
    assert ae.n_iter_ == ae.best_iter_ == 3
    assert ae.choices_["selection"].startswith("stopped in epoch 3 of ")
    judged = "training rows" if rows < 200 else "rows used neither"
    assert ae.verdict_.rows.startswith(judged)
    assert 0.5 < ae.verdict_.ratio <= 1.001  # of the finished fit it is below 0.1
    assert np.isfinite(ae.anomaly_score(X)).all()


def test_runs_of_steps_grow_to_whole_epochs_and_change_nothing(monkeypatch):
    """Returns to Python between a small table's steps cost more than the steps."""
    X = np.random.default_rng(0).normal(size=(400, 4))
    run, made, runs = loop._run, set(), []

    def counted(plan, state, *rest):
        runs[-1][state.epoch] = runs[-1].get(state.epoch, 0) + 1
        return run(plan, state, *rest)

    monkeypatch.setattr(loop, "_run", counted)
    for seconds in (0, 1e9):
        monkeypatch.setattr(loop, "RUN_SECONDS", seconds)
        runs.append({})
        ae = Autoencoder(2, hidden=(8,), batch_size=30, max_iter=8, random_state=0, heads="real")
        made.add(to_bytes(ae.set_params(corruption=Masking(0.2)).fit(X)))
    assert len(made) == 1
    steps = runs[0][0]
    assert steps == -(-320 // 30)
    assert set(runs[0].values()) == {steps}
    assert [runs[1][epoch] for epoch in range(3, 8)] == [1] * 5
