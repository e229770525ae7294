"""Fits that survive: resumed ones end with the same bytes, whatever stopped them and when."""

import signal
import time

import fits
import numpy as np
import pytest

from xhat import Autoencoder, CheckpointError, DataError, Masking, ParameterError
from xhat.errors import Stopped
from xhat.persist import to_bytes
from xhat.train import checkpoint as module
from xhat.train import loop
from xhat.train.checkpoint import Checkpoint

X = np.random.default_rng(0).normal(size=(400, 6)) @ np.random.default_rng(1).normal(size=(6, 6))


#: The same with missing cells, so that the filler is trained first.
HOLES = np.where(np.random.default_rng(2).random(X.shape) < 0.03, np.nan, X)


def model(**more):
    given = {"hidden": (8,), "max_iter": 6, "batch_size": 32, "random_state": 0, **more}
    return Autoencoder(2, **given)


class StopAt:
    """Asks to stop at the n-th run of steps."""

    def __init__(self, n):
        self.n = n

    def __call__(self):
        self.n -= 1
        return self.n == 0


def cases():
    from xhat import L2, SGD, Adam, Cosine, EarlyStopping, Masking

    return {
        "adam": {},
        "folds, float64": {"batch_size": "auto", "max_iter": 40},
        "decay, schedule": {"optimizer": Adam(weight_decay=0.01), "learning_rate": Cosine(1e-2)},
        "clipped": {"optimizer": Adam(clip=1.1)},
        "sgd": {"optimizer": SGD(), "learning_rate": 1e-3},
        "corruption, penalty": {"corruption": Masking(0.2), "penalty": L2()},
        "early stopping": {"stopping": EarlyStopping(2), "max_iter": 30},
        "averaging": {"stopping": EarlyStopping(9, averaging=3)},
        "nothing held out": {"validation_fraction": 0},
        "reference engine": {"engine": "reference"},
        "no seed": {"random_state": None},
        "missing cells": {"holes": True},
        "missing cells, no seed": {"holes": True, "random_state": None},
        "pca by rule": {"hidden": "auto", "batch_size": "auto"},
        "lbfgs": {"optimizer": "lbfgs", "batch_size": "auto"},
    }


@pytest.mark.parametrize("name", cases())
def test_a_resumed_fit_ends_with_the_same_bytes(tmp_path, name, monkeypatch):
    given = cases()[name]
    rows = HOLES if given.pop("holes", False) else X
    random = given.get("random_state", 0)
    if random is None:
        np.random.seed(7)  # noqa: NPY002  (what random_state=None draws from)
    whole = to_bytes(model(**given).fit(rows))
    for n in (1, 2, 5, 9, 10, 13, 17, 10_000):
        if random is None:
            np.random.seed(7)  # noqa: NPY002
        folder = tmp_path / str(n)
        try:
            model(**given).fit(rows, checkpoint=Checkpoint(folder, stop=StopAt(n)))
        except Stopped:
            assert n < 10_000
        resumed = model(**given).fit(rows, checkpoint=folder)
        assert to_bytes(resumed) == whole


@pytest.mark.parametrize("seed", [0, None], ids=["seed", "no seed"])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_resumed_stream_ends_with_the_same_bytes(tmp_path, monkeypatch, seed, where):
    """Rows on disk are written anew; without a seed, the first run's rows are held out."""
    import pyarrow as pa

    from xhat.data import scratch, spool

    rows = np.random.default_rng(0).normal(size=(3000, 6)) @ np.diag(range(1, 7))
    monkeypatch.setattr(spool, "IN_MEMORY", {"memory": 2**30, "disk": 2**14}[where])
    monkeypatch.setattr(scratch, "POOL", 5 * 256 * 8 * 6)

    def fit(checkpoint=None):
        table = pa.table({f"x{j}": rows[:, j] for j in range(6)})
        reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(500))
        given = {"random_state": seed, "max_iter": 3, "stopping": None}
        return to_bytes(model(**given).fit(reader, checkpoint=checkpoint))

    whole = None
    for n in (1, 2, 3, 10_000):
        if seed is None:
            np.random.seed(7)  # noqa: NPY002  (the first run draws from this)
        whole = whole or fit()
        if seed is None:
            np.random.seed(7)  # noqa: NPY002
        stopped = False
        try:
            fit(Checkpoint(tmp_path / str(n), stop=StopAt(n)))
        except Stopped:
            stopped = True
        assert stopped == (n < 10_000)
        assert fit(tmp_path / str(n)) == whole


def epochs_of(monkeypatch):
    """Return a list that grows with every epoch: whether it was the filler's."""
    epoch, hiding = loop._epoch, []

    def watched(plan, state):
        hiding.append(isinstance(plan.objective.corruption, Masking))
        return epoch(plan, state)

    monkeypatch.setattr(loop, "_epoch", watched)
    return hiding


def test_a_finished_fit_is_not_trained_again_and_gives_the_same_model(tmp_path, monkeypatch):
    first = to_bytes(model().fit(X, checkpoint=tmp_path))
    hiding = epochs_of(monkeypatch)
    assert to_bytes(model().fit(X, checkpoint=tmp_path)) == first
    assert not hiding


@pytest.mark.parametrize("seed", [0, None], ids=["seed", "no seed"])
@pytest.mark.parametrize("missing", [True, False], ids=["before the model", "after it"])
def test_a_filler_goes_on_where_it_was_stopped(tmp_path, monkeypatch, seed, missing):
    """Without a seed nothing but its checkpoint knows which rows were held out."""
    given = {"max_iter": 40, "random_state": seed}
    rows = HOLES if missing else X
    np.random.seed(7)  # noqa: NPY002  (what random_state=None draws from)
    hiding = epochs_of(monkeypatch)
    whole = to_bytes(model(**given).fit(rows))
    of_filler = sum(hiding)
    assert of_filler > 2
    np.random.seed(7)  # noqa: NPY002
    hiding.clear()
    at_work = []

    class AfterTwo:
        def __call__(self):
            at_work.append(checkpoint.running)
            return sum(hiding) > 2

    checkpoint = Checkpoint(tmp_path, stop=AfterTwo())
    with pytest.raises(Stopped):
        model(**given).fit(rows, checkpoint=checkpoint)
    assert sum(hiding) == 3
    assert all(at_work)
    kept = {path.name.split("-")[0] for path in tmp_path.iterdir()}
    assert kept == {"filler"} | ({"checkpoint"} if not missing else set())
    hiding.clear()
    assert to_bytes(model(**given).fit(rows, checkpoint=tmp_path)) == whole
    assert 0 < sum(hiding) <= of_filler - 2
    assert missing or all(hiding)  # the model was finished


def test_a_checkpoint_is_of_use_again_after_ctrl_c_in_the_filler(tmp_path, monkeypatch):
    given = {"max_iter": 40, "random_state": None}
    np.random.seed(7)  # noqa: NPY002
    whole = to_bytes(model(**given).fit(HOLES))
    monkeypatch.setattr(module, "EVERY", 0)
    monkeypatch.setattr(module, "PATIENCE", 0)
    epoch, left = loop._epoch, [3]

    def broken(plan, state):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return epoch(plan, state)

    np.random.seed(7)  # noqa: NPY002
    checkpoint = Checkpoint(tmp_path)
    monkeypatch.setattr(loop, "_epoch", broken)
    with pytest.raises(KeyboardInterrupt):
        model(**given).fit(HOLES, checkpoint=checkpoint)
    assert to_bytes(model(**given).fit(HOLES, checkpoint=checkpoint)) == whole


def test_a_checkpoint_is_of_use_again_after_a_refusal(tmp_path):
    """Without a seed it holds where that fit began which is resumed, not the refused one."""
    given = {"max_iter": 6, "random_state": None}
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(DataError):
        model(**given).fit(np.where(np.arange(6) == 2, np.inf, X), checkpoint=checkpoint)
    with pytest.raises(DataError):
        model(heads={"x1": "binary"}, **given).fit(X, checkpoint=checkpoint)
    whole = to_bytes(model(**given).fit(X, checkpoint=checkpoint))
    assert to_bytes(model(**given).fit(X, checkpoint=checkpoint)) == whole
    assert to_bytes(model(**given).fit(X, checkpoint=tmp_path)) == whole


def test_two_checkpoints_are_kept_and_the_older_stands_in(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0)
    monkeypatch.setattr(module, "PATIENCE", 0)
    whole = to_bytes(model().fit(X, checkpoint=tmp_path))
    for name in ("checkpoint", "filler"):
        paths = list(tmp_path.glob(f"{name}-*"))
        assert len(paths) == 2
        newest = max(paths, key=lambda path: int(path.stem.split("-")[1]))
        data = bytearray(newest.read_bytes())
        data[-1] ^= 1
        newest.write_bytes(data)
    assert len(list(tmp_path.iterdir())) == 4
    (tmp_path / ".left.xhat-tmp").write_bytes(b"half")
    assert to_bytes(model().fit(X, checkpoint=tmp_path)) == whole
    assert not (tmp_path / ".left.xhat-tmp").exists()
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"cut off or added to; to start anew"):
        model().fit(X, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda f: model().fit(X + 1e-12, checkpoint=f), "data"),
        (lambda f: model().fit(X, sample_weight=np.arange(1, 401), checkpoint=f), "data"),
        (lambda f: model().fit(X, X_val=X[:50], checkpoint=f), "data"),
        (lambda f: model(max_iter=7).fit(X, checkpoint=f), "parameters"),
        (lambda f: model(engine="reference").fit(X, checkpoint=f), "parameters"),
        (lambda f: model(random_state=1).fit(X, checkpoint=f), "seed"),
        (lambda f: model(random_state=np.int64(1)).fit(X, checkpoint=Checkpoint(f)), "seed"),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused_in_one_line(tmp_path, other, what):
    model().fit(X, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=rf"another fit \(other {what}\)"):
        other(tmp_path)


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_stream_is_not_resumed_with_another_seed(tmp_path, monkeypatch, where):
    import pyarrow as pa

    from xhat.data import spool

    monkeypatch.setattr(spool, "IN_MEMORY", {"memory": 2**30, "disk": 2**10}[where])

    def fit(seed):
        reader = pa.table({f"x{j}": X[:, j] for j in range(6)}).to_reader(100)
        return to_bytes(model(random_state=seed).fit(reader, checkpoint=tmp_path))

    whole = fit(0)
    with pytest.raises(CheckpointError, match=r"another fit \(other seed\)"):
        fit(1)
    assert fit(0) == whole


def test_a_fillers_checkpoint_is_of_one_seed_and_may_be_resumed_without(tmp_path):
    with pytest.raises(Stopped):
        model().fit(HOLES, checkpoint=Checkpoint(tmp_path, stop=StopAt(1)))
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {"filler"}
    with pytest.raises(CheckpointError, match=r"other seed\): give another folder, or the same"):
        model(random_state=1).fit(HOLES, checkpoint=tmp_path)
    resumed = model(random_state=None).fit(HOLES, checkpoint=tmp_path)
    whole = model().fit(HOLES)
    assert (resumed._fit.model.theta == whole._fit.model.theta).all()


def test_a_folder_in_use_is_refused_without_resume(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ParameterError, match="is not empty: give --resume"):
        model().fit(X, checkpoint=Checkpoint(tmp_path, resume=False))
    model().fit(X, checkpoint=Checkpoint(tmp_path / "new", resume=False))
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", [3, b"folder", ["folder"], True, "", "a\0b"])
def test_a_checkpoint_is_the_name_of_a_folder(name):
    with pytest.raises(ParameterError, match=r"checkpoint=.*: expected the name of a folder"):
        model().fit(X, checkpoint=name)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "there").touch()
    with pytest.raises(ParameterError, match="there is a file: give the name of a folder"):
        model().fit(X, checkpoint=tmp_path / "there")


def test_keyboard_interrupt_leaves_the_best_so_far(tmp_path):
    ae = model(max_iter=50, stopping=None)

    def progress(state):
        if state.epoch == 4:
            raise KeyboardInterrupt

    import xhat.estimator as home

    class Breaking(home.Progress):
        def __call__(self, state):
            progress(state)

    before, home.Progress = home.Progress, Breaking
    try:
        with pytest.raises(KeyboardInterrupt):
            ae.fit(X)
    finally:
        home.Progress = before
    assert ae.n_iter_ == 4
    assert np.isfinite(ae.anomaly_score(X)).all()
    ae.save(tmp_path / "m.xhat")


# -- processes that are killed ---------------------------------------------------------------------


def test_kill_9_and_resume_gives_the_same_bytes(tmp_path):
    assert fits.killer("fit", tmp_path, 20, 0) == {"killed": 20, "same": 20}


@pytest.mark.nightly
def test_200_kills(tmp_path, figures):
    found = fits.killer("fit", tmp_path, 200, 1)
    assert found == {"killed": 200, "same": 200}
    figures("kills", found)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_write_a_checkpoint_and_say_how_to_go_on(tmp_path, number, code):
    fits.make_table(tmp_path)
    words = fits.fit_words("--checkpoint", "c", epochs=100_000)
    process = fits.start(tmp_path, words)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("c/checkpoint-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    found, err, seconds = fits.kill_after(process, 0.1, number)
    assert (found, err.count("\n")) == (code, 1)
    assert err.startswith("interrupted; resume with: xhat fit rows.npy")
    assert err.endswith("--checkpoint c --resume\n")
    assert seconds < 2
    assert not (tmp_path / "m.xhat").exists()
    code, err = fits.call(tmp_path, fits.fit_words("--checkpoint", "c"))
    assert (code, err.strip()) == (64, "c is not empty: give --resume, or another folder")


def check_signals(found, count):
    assert found["problems"] == []
    assert (found["stopped"], found["same afterwards"]) == (count, count)


def test_signals_at_random_moments(tmp_path):
    check_signals(fits.killer("signals", tmp_path, 10, 0), 10)


@pytest.mark.nightly
def test_100_signals(tmp_path, figures):
    found = fits.killer("signals", tmp_path, 100, 1)
    check_signals(found, 100)
    figures("signals", {**found, "problems": len(found["problems"])})


def test_without_a_checkpoint_nothing_was_saved(tmp_path):
    fits.make_table(tmp_path, rows=30_000)
    for wait in (3, 10, 40):  # until the signal reaches the fit, not the start of Python
        process = fits.start(tmp_path, fits.fit_words(epochs=100_000))
        code, err, seconds = fits.kill_after(process, wait, signal.SIGINT)
        assert (code, err.count("\n")) == (130, 1)
        assert seconds < 2
        assert not (tmp_path / "m.xhat").exists()
        if err != "interrupted\n":
            break
    assert err.startswith("interrupted; nothing was saved: --checkpoint DIR keeps")
