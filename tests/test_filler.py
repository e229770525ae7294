"""The filler: rows with holes are read like whole ones; where there is none, it is said why."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import xhat
from xhat import Autoencoder, Masking, ModelFileError, auto
from xhat.maths.objective import Batch
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


@pytest.mark.parametrize("rows", [300, 1500], ids=["small", "large"])
def test_ctrl_c_while_it_trains_leaves_a_model(table, rows, monkeypatch):
    from xhat import fitting

    def interrupted(*given):
        return replace(train_filler(*given), interrupted=True)

    monkeypatch.setattr(fitting, "train_filler", interrupted)
    ae = Autoencoder(random_state=0, max_iter=5)
    with pytest.raises(KeyboardInterrupt):
        ae.fit(table.iloc[:rows])
    assert ae.n_iter_ == 1
    assert ae.history_["loss"] == []
    assert np.isfinite(ae.anomaly_score(table.iloc[:10])).all()
