"""What is said during a fit: bar, lines, callbacks."""

import io
import sys

import numpy as np
import pytest

from xhat import Autoencoder
from xhat.callbacks import CallbackSupportMixin

X = np.random.default_rng(0).normal(size=(60, 3)) @ np.ones((3, 4))
NOISE = np.random.default_rng(1).normal(size=(60, 4))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_off_terminals(capsys):
    Autoencoder(2, max_iter=6, stopping=None, verbose=1, random_state=0).fit(X)
    lines = capsys.readouterr().err.splitlines()
    filler = ["filler, epoch 1", "filler, epoch 2"]  # a quarter of the epochs
    told = [line.split(":")[0] for line in lines]
    assert told == ["epoch 1", "epoch 2", "epoch 5", *filler]
    Autoencoder(2, max_iter=3, stopping=None, verbose=2, random_state=0).fit(X)
    assert len(capsys.readouterr().err.splitlines()) == 1 + 3
    assert "1: a line at the epochs 1, 2, 5, 10, 20, 50" in Autoencoder.__doc__


def test_bar_on_terminals(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "140")
    Autoencoder(2, max_iter=40, stopping=None, verbose=1, random_state=0).fit(X)
    text = terminal.getvalue()
    assert "40/40" in text
    assert "filler, epoch" in text
    assert "10/10" in text
    assert "rows/s" in text
    assert "held-out" in text


def test_lines_without_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    Autoencoder(2, max_iter=2, stopping=None, verbose=1, random_state=0).fit(X)
    lines = terminal.getvalue().splitlines()
    assert [line[: line.index(":")] for line in lines] == ["epoch 1", "epoch 2", "filler, epoch 1"]


class Recorder:
    """A callback that keeps what it sees, and stops at the end of an epoch, if one is given."""

    def __init__(self, stop=None):
        self.seen, self.ends, self.stop = [], [], stop

    def setup(self, estimator, context):
        self.seen.append("setup")

    def teardown(self, estimator, context):
        self.seen.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.seen.append(f"begin {context.task_name}")

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        self.seen.append(f"end {context.task_name}")
        self.ends.append((context.task_name, X, y, metadata, fitted_estimator))
        return self.stop is not None and self.epochs == self.stop

    @property
    def epochs(self):
        assert self.seen.count("begin epoch") == self.seen.count("end epoch")
        return self.seen.count("end epoch")


of_scikit_learn = pytest.mark.skipif(
    not hasattr(CallbackSupportMixin, "set_callbacks"), reason="scikit-learn before 1.9"
)


@of_scikit_learn
def test_callbacks_are_told_of_every_epoch_that_ran():
    recorder, wish = Recorder(), {"max_iter": 4, "stopping": None, "random_state": 0}
    ae = Autoencoder(2, **wish).set_callbacks(recorder).fit(X)
    epochs = 4 * ["begin epoch", "end epoch"]
    assert recorder.seen == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    plain = Autoencoder(2, **wish).fit(X)
    np.testing.assert_array_equal(plain.transform(X), ae.transform(X))
    assert "_callback_data" not in vars(ae)


@of_scikit_learn
@pytest.mark.parametrize("n", [20, 60], ids=["PCA by rule", "PCA by its loss"])
def test_a_model_that_is_pca_has_no_epochs(n):
    recorder = Recorder()
    ae = Autoencoder(1, random_state=0).set_callbacks(recorder).fit(X[:n])
    assert ae.verdict_.is_pca
    assert recorder.seen == ["setup", "begin fit", "end fit", "teardown"]


@of_scikit_learn
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_callback_stops_the_fit(optimizer):
    recorder = Recorder(stop=3)
    ae = Autoencoder(2, hidden=(8,), max_iter=20, stopping=None, optimizer=optimizer)
    ae.set_callbacks(recorder).fit(NOISE)
    assert ae.n_iter_ == recorder.epochs == 3


@of_scikit_learn
def test_a_callback_stops_the_last_training_of_a_small_table():
    curved = np.column_stack([X[:, :1], X[:, 1:2] ** 2, np.sin(3 * X[:, :1]), X[:, :1] ** 2])
    whole = Autoencoder(1, hidden=(16,), max_iter=40, random_state=0).fit(curved)
    assert whole.best_iter_ > 3  # cross-fitted
    recorder = Recorder(stop=3)
    ae = Autoencoder(1, hidden=(16,), max_iter=40, random_state=0).set_callbacks(recorder)
    ae.fit(curved)
    assert ae.best_iter_ == ae.n_iter_ == recorder.epochs == 3


@of_scikit_learn
def test_hooks_are_given_the_data_and_the_model_of_the_moment():
    recorder, y, weight = Recorder(), np.zeros(60), np.ones(60)
    wish = {"linear_path": False, "learning_rate": 1e-3, "validation_fraction": 0}
    ae = Autoencoder(2, hidden=(8,), max_iter=3, random_state=0, **wish)
    ae.set_callbacks(recorder).fit(NOISE, y, sample_weight=weight)
    assert [end[0] for end in recorder.ends] == ["epoch", "epoch", "epoch", "fit"]
    for _, given, target, metadata, fitted in recorder.ends:
        assert given is NOISE
        assert target is y
        assert metadata["sample_weight"] is weight
        assert fitted is not ae
    models = [end[-1] for end in recorder.ends]
    assert len({model.score(NOISE) for model in models[:3]}) == 3
    np.testing.assert_array_equal(models[2].transform(NOISE), ae.transform(NOISE))
    assert (models[0].predict(NOISE) == 1).all()  # no threshold yet
    assert models[0].n_iter_ == 1


@of_scikit_learn
def test_a_scoring_monitor_scores_every_epoch():
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=lambda ae, X, y: {"score": ae.score(X)})
    ae = Autoencoder(2, hidden=(8,), max_iter=3, stopping=None, validation_fraction=0)
    ae.set_callbacks(monitor).fit(X, np.zeros(60))
    log = monitor.get_logs().data
    scores = [entry["score"] for entry in log if entry["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == pytest.approx(ae.score(X))


@of_scikit_learn
def test_a_resumed_fit_tells_of_the_epochs_that_were_left(tmp_path):
    wish = {"hidden": (8,), "max_iter": 3, "stopping": None, "random_state": 0}
    Autoencoder(2, **wish).fit(X, checkpoint=tmp_path)
    recorder = Recorder()
    Autoencoder(2, **wish).set_callbacks(recorder).fit(X, checkpoint=tmp_path)
    assert recorder.epochs == 0
