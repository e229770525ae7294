"""The filler: rows with holes are read like whole ones; where there is none, it is said why."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import xhat
from xhat import Autoencoder, Masking, ModelFileError, auto
from xhat.maths.objective import Batch
from xhat.maths.params import Network
from xhat.training import train_filler


@pytest.fixture(scope="module")
def table():
    """Return numbers and levels that tell each other, with noise."""
    rng = np.random.default_rng(0)
    kind, size = rng.integers(3, size=1500), rng.normal(size=1500)
    frame = pd.DataFrame(
        {
            "length": 3.0 * kind + size,
            "width": 2.0 - kind + 0.5 * size,
            "weight": size**2 + kind,
            "town": np.array(["x", "y", "z"])[kind],
            "new": size > 0,
        }
    )
    noise = 0.1 * rng.normal(size=(1500, 3))
    return frame.assign(**{c: frame[c] + noise[:, j] for j, c in enumerate(frame.columns[:3])})


@pytest.fixture(scope="module")
def ae(table):
    return Autoencoder(random_state=0).fit(table)


def test_what_it_says_of_a_hidden_level_and_number(ae, table):
    """Each is known from the others: chance would be right in a third, and off by the spread."""
    rows = table.iloc[:300]
    filled = ae.impute(rows.assign(town=None))
    assert (filled["town"].to_numpy() == rows["town"].to_numpy()).mean() > 0.97
    filled = ae.impute(rows.assign(length=np.nan))
    error = filled["length"] - rows["length"]
    assert np.sqrt((error**2).mean()) < 0.2 * rows["length"].std()


def test_a_swapped_level_is_named(ae, table):
    rng = np.random.default_rng(1)
    rows = table.sample(200, random_state=0)
    others = [rng.choice(sorted({"x", "y", "z"} - {town})) for town in rows["town"]]
    parts = ae.explain(rows.assign(town=others))[list(table.columns)]
    assert (parts.idxmax(axis=1) == "town").mean() > 0.9


@pytest.mark.parametrize("column", ["length", "town", "new"])
def test_a_hole_is_not_strange(ae, table, column):
    """The scores of the other cells are those of the whole rows, but for the cell's own."""
    limit = np.quantile(ae.anomaly_score(table), 0.95)
    holes = table.assign(**{column: None})
    assert (ae.anomaly_score(holes) > limit).mean() < 0.08


def test_only_hidden_cells_change_and_categories_hold_one_level(ae, table):
    model = ae._fit.model
    schema, rng = model.schema, np.random.default_rng(0)
    raw = ae._read(table.iloc[:20])
    whole = schema.encode(raw)
    hidden = (rng.random(raw.shape) < 0.3)[:, schema.group]
    done = model.filler.completed(Batch(whole.X), hidden).X
    np.testing.assert_array_equal(done[~hidden], whole.X[~hidden])
    town = slice(schema.starts[3], schema.starts[3] + 3)
    assert set(np.unique(done[:, town])) == {0.0, 1.0}
    assert (done[:, town].sum(axis=1) == 1).all()
    alone = [model.filler.completed(Batch(whole.X[i : i + 1]), hidden[i : i + 1]).X for i in (0, 7)]
    np.testing.assert_array_equal(np.vstack(alone), done[[0, 7]])


def test_the_model_is_the_same_with_and_without_it(table, monkeypatch):
    """Where no cell is missing: its random numbers are its own."""
    with_it = Autoencoder(random_state=0, max_iter=3).fit(table)
    monkeypatch.setattr(auto, "filler", lambda *_: (None, "none"))
    without = Autoencoder(random_state=0, max_iter=3).fit(table)
    assert without._fit.model.filler is None
    np.testing.assert_array_equal(with_it._fit.model.theta, without._fit.model.theta)
    np.testing.assert_array_equal(with_it.anomaly_score(table), without.anomaly_score(table))


def sparse():
    return scipy.sparse.random_array((1200, 8), density=0.3, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("X", "parameters", "reason"),
    [
        (np.random.default_rng(0).normal(size=(60, 1)), {"hidden": (4,)}, "one column"),
        (np.random.default_rng(0).normal(size=(40, 3)), {}, "without hidden layers"),
        (np.random.default_rng(0).normal(size=(90, 5)), {"hidden": ()}, "without hidden layers"),
        (np.random.default_rng(0).normal(size=(90, 5)), {"corruption": Masking()}, "itself"),
        (np.random.default_rng(0).normal(size=(90, 101)), {}, "explain hides none of 101"),
        (sparse().tocsr(), {}, "sparse"),
    ],
    ids=["one column", "few rows", "shallow", "denoising", "wide", "sparse"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_where_there_is_none_it_is_said_why(X, parameters, reason):
    ae = Autoencoder(1, random_state=0, max_iter=2, **parameters).fit(X)
    assert ae._fit.model.filler is None
    assert ae.choices_["filler"].startswith("None")
    assert reason in ae.choices_["filler"]


def test_its_layers_are_as_wide_as_the_models(table):
    ae = Autoencoder(hidden=(7,), random_state=0, max_iter=2).fit(table)
    assert ae._fit.model.filler.net.hidden == (7,)
    missing = table.assign(length=table["length"].where(table["length"] < 4))
    holes = Autoencoder(hidden=(), random_state=0, max_iter=2).fit(missing)
    assert holes._fit.model.filler.net.hidden == (128, 128)


def test_many_missing_cells_take_all_epochs_and_their_own_share():
    little, much = (auto.filler(2000, 10, 30, missing)[0] for missing in (0.02, 0.2))
    assert (little.share, much.share) == (0.25, 1.0)
    assert (little.corruption.p, much.corruption.p) == (0.2, 0.2)
    assert auto.filler(2000, 10, 30, 0.6)[0].corruption.p == 0.3
    assert auto.filler(2000, 200, 200, 0.02)[0] is not None


def test_a_file_keeps_it(ae, table, tmp_path):
    ae.save(tmp_path / "a.xhat")
    loaded = xhat.load(tmp_path / "a.xhat")
    holes = table.iloc[:50].mask(np.random.default_rng(0).random((50, 5)) < 0.3)
    pd.testing.assert_frame_equal(loaded.impute(holes), ae.impute(holes))
    pd.testing.assert_frame_equal(loaded.explain(holes), ae.explain(holes))
    np.testing.assert_array_equal(loaded.anomaly_score(holes), ae.anomaly_score(holes))
    loaded.save(tmp_path / "b.xhat")
    assert (tmp_path / "a.xhat").read_bytes() == (tmp_path / "b.xhat").read_bytes()


@pytest.mark.parametrize("without", ["filler_theta", "filling_own", "shape"])
def test_a_file_with_a_part_of_it_is_refused(ae, tmp_path, without, monkeypatch):
    from xhat import persist

    packed = persist.pack

    def forged(form, header, tensors):
        if without == "shape":
            del header["network"]["filler"]
        else:
            del tensors[without]
        return packed(form, header, tensors)

    monkeypatch.setattr(persist, "pack", forged)
    ae.save(tmp_path / "a.xhat")
    with pytest.raises(ModelFileError, match="cells"):
        xhat.load(tmp_path / "a.xhat")


@pytest.mark.parametrize(
    ("rows", "holes", "epochs"),
    [(300, False, 0), (1500, False, 5), (1500, True, 0)],
    ids=["small", "large", "large, missing cells"],
)
def test_ctrl_c_while_it_trains_leaves_a_model(table, rows, holes, epochs, monkeypatch):
    """Where no cell is missing it is trained after the model, which is then whole."""
    from xhat import fitting

    def interrupted(*given):
        return replace(train_filler(*given), interrupted=True)

    monkeypatch.setattr(fitting, "train_filler", interrupted)
    ae, given = Autoencoder(random_state=0, max_iter=5), table.iloc[:rows].copy()
    if holes:
        given.iloc[::40, 0] = None
    with pytest.raises(KeyboardInterrupt):
        ae.fit(given)
    assert ae.n_iter_ == max(1, epochs)
    assert len(ae.history_["loss"]) == epochs
    assert np.isfinite(ae.anomaly_score(table.iloc[:10])).all()


@pytest.mark.parametrize("fraction", [0.0, 0.1], ids=["no row held out", "folds"])
def test_ctrl_c_in_its_folds_leaves_a_model(table, fraction, monkeypatch):
    from xhat import training

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "cross_fit", stopped)
    ae = Autoencoder(random_state=0, max_iter=5, validation_fraction=fraction)
    with pytest.raises(KeyboardInterrupt):
        ae.fit(table.iloc[:300])
    assert ae.choices_["filler"] == "None (interrupted)"
    assert np.isfinite(ae.anomaly_score(table.iloc[:10])).all()


def test_partial_fit_alone_has_none(table):
    ae = Autoencoder(random_state=0).partial_fit(table)
    assert ae.choices_["filler"] == "None (partial_fit alone)"
    fitted = Autoencoder(random_state=0, max_iter=3).fit(table)
    filler = fitted._fit.model.filler
    assert fitted.partial_fit(table)._fit.model.filler is filler


def test_a_forged_one_of_many_layers_is_no_danger(ae, table, tmp_path, monkeypatch):
    """More than the compiled engine knows, beside a model that it knows."""
    from xhat import persist

    schema, packed = ae._fit.model.schema, persist.pack
    shape = {"k": 1, "hidden": [1] * 40, "linear_path": False}
    net = Network(schema.d, blocks=schema.blocks, **{**shape, "hidden": (1,) * 40})

    def forged(form, header, tensors):
        header["network"]["filler"] = shape
        tensors["filler_theta"] = np.zeros(net.size)
        return packed(form, header, tensors)

    monkeypatch.setattr(persist, "pack", forged)
    ae.save(tmp_path / "a.xhat")
    rows = table.iloc[:20].assign(length=np.nan)
    assert np.isfinite(xhat.load(tmp_path / "a.xhat").anomaly_score(rows)).all()


def test_a_cell_has_no_say_about_itself_through_cells_that_were_completed():
    """What stands in a missing cell was said by looking at its twin."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=1500)
    X = np.column_stack([a, a + 0.05 * rng.normal(size=1500), rng.normal(size=(1500, 3))])
    X[rng.random(X.shape) < 0.1] = np.nan
    ae = Autoencoder(random_state=0, max_iter=100).fit(X)
    rows = rng.normal(size=(200, 5))
    rows[:, 1] = np.nan
    told = ae.explain(rows, detail=True)
    expected = np.array(told["expected"], float).reshape(200, 6)[:, 0]  # and the code
    assert abs(np.corrcoef(expected, rows[:, 0])[0, 1]) < 0.2


def test_rows_on_disk_that_are_few_are_not_cut_into_folds(tmp_path, monkeypatch):
    import pyarrow as pa

    from xhat.data import scratch, spool

    monkeypatch.setattr(spool, "IN_MEMORY", 1000)
    monkeypatch.setattr(scratch, "POOL", 2**16)
    X = np.random.default_rng(0).normal(size=(120, 8))
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    reader = pa.table({f"x{j}": X[:, j] for j in range(8)}).to_reader(max_chunksize=30)
    ae = Autoencoder(validation_fraction=0, max_iter=3, random_state=0).fit(reader)
    assert "epoch" in ae.choices_["filler"]


def test_completed_rows_do_not_change_the_code_size():
    """The rank of rows that are completed may be another one."""
    rng = np.random.default_rng(1)
    X = np.outer(rng.normal(size=400), np.arange(1, 10))
    X[rng.random(400) < 0.2, :6] = np.nan
    ae = Autoencoder(random_state=0, max_iter=3, batch_size=16).fit(X)
    assert ae.choices_["n_components"].startswith(f"{ae.n_components_} (")
