"""Files whose every field has its type, and whose values no fit would write: one refusal each."""

import pickle
import threading

import mutants
import numpy as np
import pytest
from test_loader import changed
from test_model_file import rich_model

from xhat import Adam, Autoencoder, CheckpointError, ModelFileError, ParameterError, load
from xhat.__main__ import run
from xhat.container import pack, unpack
from xhat.errors import Stopped
from xhat.model import Model
from xhat.persist import to_bytes
from xhat.train import loop
from xhat.train.checkpoint import _ARRAYS, CHECKPOINT, Checkpoint
from xhat.train.optimizers import LBFGS

X = np.random.default_rng(0).normal(size=(400, 4))


@pytest.fixture(scope="module")
def rich():
    return mutants.split(to_bytes(rich_model()))


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


PARAMETERS = "its parameters are not what they must be: "


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("parameters", "heads"), nested(17), "the field 'parameters' of its header"),
        (("parameters", "heads"), nested(500), "the field 'parameters' of its header"),
        (("parameters", "heads"), nested(900), "the field 'parameters' of its header"),
        (("parameters", "heads"), {"map": nested(900)}, "the field 'parameters' of its header"),
        (("verdict", "mean"), 10**400, "the field 'verdict' of its header"),
        (("verdict", "pca"), 10**400, "the field 'verdict' of its header"),
        (("verdict", "angles"), [10**400], "the field 'verdict' of its header"),
        (("history", "loss"), [10**400], "the field 'history' of its header"),
        (("identity_score",), -(10**400), "the field 'identity_score' of its header"),
        (("parameters", "contamination"), "x", PARAMETERS + "contamination='x'"),
        (("parameters", "contamination"), 10**400, PARAMETERS + "contamination=a whole number of"),
        (("parameters", "random_state"), "x", PARAMETERS + "random_state='x'"),
        (("parameters", "random_state"), -1, PARAMETERS + "random_state=-1"),
        (("parameters", "random_state"), 1.5, PARAMETERS + "random_state=1.5"),
        (("parameters", "random_state"), 2**32, PARAMETERS + "random_state=4294967296"),
        (("parameters", "verbose"), "x", PARAMETERS + "verbose='x'"),
        (("parameters", "max_iter"), 10**300, PARAMETERS + "max_iter=a whole number of many"),
        (("parameters", "hidden"), [10**300], PARAMETERS + "hidden=("),
        (("parameters", "activation"), [[], []], PARAMETERS + "activation="),
        (("parameters", "engine"), ["auto"], PARAMETERS + "engine="),
        (("parameters", "learning_rate"), 10**400, PARAMETERS + "learning_rate="),
        (
            ("parameters", "optimizer"),
            {"class": "Adam", "beta1": 0.9, "beta2": 0.9, "eps": 10**300, "weight_decay": 0},
            "the model file is damaged (ParameterError: Adam(eps=a whole number of",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_refusal(rich, tmp_path, capsys, path, value, reason):
    outer, inner, arrays = rich
    file = tmp_path / "m.xhat"
    file.write_bytes(mutants.join(outer, changed(inner, path, value), arrays))
    with pytest.raises(ModelFileError) as error:
        load(file)
    assert str(error.value).startswith(f"{file}: {reason}")
    assert len(str(error.value)) < 500
    assert run(["info", str(file)]) == 65
    assert capsys.readouterr().err.count("\n") == 1


def test_values_at_the_edge_are_taken(rich, tmp_path):
    outer, inner, arrays = rich
    for path, value in (
        (("verdict", "mean"), 10**300),
        (("parameters", "random_state"), 2**32 - 1),
        (("parameters", "max_iter"), 2**40),
        (("parameters", "verbose"), 2),
    ):
        inner = changed(inner, path, value)
    (tmp_path / "m.xhat").write_bytes(mutants.join(outer, inner, arrays))
    ae = load(tmp_path / "m.xhat")
    assert "1.0000" not in str(ae.verdict_)
    assert ae.random_state == 2**32 - 1


def test_what_cannot_be_loaded_is_not_saved(tmp_path):
    ae = Autoencoder(2, max_iter=2, random_state=0).fit(X).set_params(contamination="x")
    with pytest.raises(ParameterError, match="contamination='x'"):
        ae.save(tmp_path / "m.xhat")
    assert not list(tmp_path.iterdir())


# -- parameters ------------------------------------------------------------------------------------


SEEDS = ["x", -1, 1.5, True, 2**32, 10**30, np.random.default_rng(0)]


@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_a_seed_that_is_none_is_named(seed, tmp_path):
    ae = Autoencoder(2, hidden=(), max_iter=1, random_state=0).fit(X)
    holes = X[:5].copy()
    holes[0, 0] = np.nan
    ae.set_params(random_state=seed)
    for use in (ae.fit, ae.partial_fit, lambda _: ae.impute(holes, draws=1)):
        with pytest.raises(ParameterError, match=r"random_state=.*a whole number from 0 to"):
            use(X)


def test_a_seed_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", X)
    assert run(["fit", "rows.npy", "-o", "m.xhat", "--seed", "-1"]) == 64
    assert capsys.readouterr().err.startswith("random_state=-1: expected")


def test_seeds_that_are_taken():
    for seed in (None, 3, np.int64(3), np.random.RandomState(3), np.random):
        Autoencoder(1, hidden=(), max_iter=1, random_state=seed).fit(X[:60])


def test_constants_are_finite_in_single_precision():
    for make in (
        lambda: Adam(eps=10**300),
        lambda: Adam(eps=10**400),
        lambda: Adam(weight_decay=1e300),
        lambda: LBFGS(memory=10**12),
    ):
        with pytest.raises(ValueError, match="must be"):
            make()


# -- checkpoints -----------------------------------------------------------------------------------

#: Of an epoch: 320 of the 400 rows are trained on, 64 at a time.
STEPS = 5


def model():
    return Autoencoder(
        2, hidden=(8,), max_iter=3, batch_size=64, random_state=0, optimizer=Adam(weight_decay=0.1)
    )


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """Header and arrays of a checkpoint within the second epoch of the model."""
    folder = tmp_path_factory.mktemp("halfway")
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == STEPS + 1 + 2  # the runs of an epoch, its end, two runs

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "RUN_SECONDS", 0)  # runs of one step
        with pytest.raises(Stopped):
            model().fit(X, checkpoint=Checkpoint(folder, stop=stop))
    (path,) = folder.iterdir()
    header, arrays = unpack(CHECKPOINT, path, _ARRAYS, optional="slot_")
    assert (header["epoch"], header["step"]) == (1, 2)
    return {name: header[name] for name in header if name not in ("format", "sha256")}, arrays


def resumed(folder, header, arrays):
    (folder / "checkpoint-1.xhatc").write_bytes(pack(CHECKPOINT, header, arrays))
    return model().fit(X, checkpoint=folder)


def test_the_checkpoint_itself_is_taken(halfway, tmp_path):
    assert to_bytes(resumed(tmp_path, *halfway)) == to_bytes(model().fit(X))


BAD = {
    "fingerprint": [None, [], "x", {"data": 3}],
    "best_loss": [10**400, None, "x", float("nan"), 1],
    "generator": [None, {}, "x"],
    "seed_generator": [None, {}, {"bit_generator": "PCG64"}],
    "epoch_generator": [True, {}, "x", [], {"bit_generator": "PCG64", "state": {"inc": -1}}],
    "epoch": [-1, None, 2, 2**63, 1.0, True],
    "step": [-1, None, 0, 2**31, 2**63, "x"],
    "optimizer_step": [-1, 2**53, 2**63, 10**400, None],
    "best_epoch": [-1, 2, 2**63, "x"],
    "stopped": [0, None, "x"],
    "slots": [None, [], ["mu"], 3],
}


@pytest.mark.parametrize("field", BAD)
def test_a_forged_field_of_a_checkpoint(halfway, tmp_path, field):
    header, arrays = halfway
    for value in BAD[field]:
        with pytest.raises(CheckpointError) as error:
            resumed(tmp_path, {**header, field: value}, arrays)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("has_uint32",), 2**63), (("has_uint32",), None), (("uinteger",), -1),
        (("state", "inc"), []), (("state", "inc"), "x"), (("state", "state"), 2**128),
        (("bit_generator",), "MT19937"), (("state",), [1, 2]), (("state",), 1.5),
    ],
    ids=str,
)  # fmt: skip
def test_a_forged_generator_of_a_checkpoint(halfway, tmp_path, path, value):
    header, arrays = halfway
    for name in ("epoch_generator", "generator", "seed_generator"):
        with pytest.raises(CheckpointError, match=f"the field '{name}' of its header"):
            resumed(tmp_path, changed(header, (name, *path), value), arrays)


@pytest.mark.parametrize("name", ["loss", "held_out", "losses", "decay", "theta", "average"])
@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.reshape(-1, 1), lambda v: np.concatenate([v, np.ones(2, v.dtype)]),
        lambda _: np.zeros((2, 2)), lambda _: np.zeros((3, 0)),
    ],
)  # fmt: skip
def test_forged_arrays_of_a_checkpoint(halfway, tmp_path, name, change):
    header, arrays = halfway
    if name == "average" and not len(change(arrays[name])):
        return  # none was kept
    with pytest.raises(CheckpointError):
        resumed(tmp_path, header, {**arrays, name: change(arrays[name])})


def test_a_step_beyond_the_epoch(halfway, tmp_path):
    header, arrays = halfway
    with pytest.raises(CheckpointError, match=r"step 500 of an epoch of \d steps"):
        resumed(tmp_path, {**header, "step": 500}, {**arrays, "losses": np.ones(500)})


# -- stored codes ----------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "m.xhat"
    Autoencoder(2, max_iter=2, random_state=0).fit(X).save(path)
    return path


def test_stored_codes_are_decoded_at_the_first_score(stored, monkeypatch):
    """A small file of many levels took a gigabyte to look at."""
    scores = load(stored).anomaly_score(X)
    asked, decoded = [], Model.decoded

    def counted(self, H):
        asked.append(len(H))
        return decoded(self, H)

    monkeypatch.setattr(Model, "decoded", counted)
    ae = load(stored)
    assert run(["info", str(stored)]) == 0
    ae.transform(X)
    assert asked == []
    found = []
    threads = [threading.Thread(target=lambda: found.append(ae.anomaly_score(X))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    assert all((each == scores).all() for each in found)
    assert len(found) == 4


def test_decoded_rows_are_not_pickled(stored):
    used = load(stored)
    scores = used.anomaly_score(X)
    again = pickle.loads(pickle.dumps(used))
    assert "_rows" not in again._fit.model.code.__dict__
    assert (again.anomaly_score(X) == scores).all()
    assert again._fit.model.code.decoded.__self__ is again._fit.model
