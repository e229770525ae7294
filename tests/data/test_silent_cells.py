"""Cells that say nothing, missing or of a level never seen, do not make the others look strange."""

import numpy as np
import pandas as pd
import pytest

from xhat import Autoencoder, Masking


@pytest.fixture(scope="module")
def table():
    """Return three numbers and a level, each nearly known from the others."""
    rng = np.random.default_rng(0)
    level = rng.integers(3, size=2000)
    t = 3 * level + rng.normal(size=2000)
    numbers = t[:, None] * [1.0, -0.5, 2.0] + 0.01 * rng.normal(size=(2000, 3))
    frame = pd.DataFrame(numbers, columns=["a", "b", "c"])
    return frame.assign(level=np.array(["low", "middle", "high"])[level])


@pytest.fixture(scope="module")
def ae(table):
    return Autoencoder(2, random_state=0, max_iter=60).fit(table)


def test_a_level_never_seen_is_blamed_itself(ae, table):
    """In 95 % of the rows of each of three fits."""
    rows = table.iloc[:300].assign(level="new")
    blamed = []
    for seed in range(3):
        fit = Autoencoder(2, random_state=seed, max_iter=60).fit(table) if seed else ae
        parts = fit.explain(rows)[list(table.columns)]
        blamed.append((parts.idxmax(axis=1) == "level").mean())
        own = fit._fit.model.nats(fit._read(rows))[:, list(table.columns).index("level")]
        assert np.median(own) == pytest.approx(2 * np.log(len(table) * 0.8 + 1))
    assert min(blamed) > 0.95


def test_a_missing_cell_leaves_the_others_as_they_are(ae, table):
    """The mean in its place is far from most rows: their other cells would not fit to it."""
    limit = np.quantile(ae.anomaly_score(table), 0.99)
    holes = table.assign(a=np.nan)
    assert (ae.anomaly_score(holes) > limit).mean() < 0.1
    assert ae.explain(holes)["a"].eq(0).all()
    far = np.abs(ae.reconstruct(holes)["a"] - table["a"])
    assert np.median(far) < 0.2 * table["a"].std()


def test_filled_rows_stand_alone(ae, table):
    holes = table.iloc[:40].copy()
    holes.loc[::3, "b"] = np.nan
    holes.loc[1::3, "level"] = "new"
    whole = ae.explain(holes).to_numpy()
    alone = [ae.explain(holes.iloc[i : i + 1]).to_numpy() for i in range(len(holes))]
    np.testing.assert_array_equal(np.vstack(alone), whole)
    np.testing.assert_allclose(whole.sum(axis=1), ae.anomaly_score(holes), rtol=1e-12)


def test_a_denoising_model_is_shown_what_it_was_trained_on(table):
    holes = table.copy()
    holes.loc[::7, "a"] = np.nan
    ae = Autoencoder(2, corruption=Masking(0.1), random_state=0, max_iter=3).fit(holes)
    model = ae._fit.model
    assert model.rounds == 1
    raw = np.array([[np.nan, 0.0, 0.0, 0.0]])
    ((_, seen),) = model.by_tile(raw, lambda _, tile: tile.X)
    np.testing.assert_array_equal(seen, model.schema.encode(raw).X)


def test_a_level_never_seen_says_as_little_as_a_missing_cell(ae, table):
    """Of the others nothing changes; its own cell costs two log(rows + 1) and no more."""
    rows = table.iloc[:200].copy()
    rows.loc[::4, "a"] = np.nan
    new = ae.explain(rows.assign(level="new"), detail=True)
    missing = ae.explain(rows.assign(level=None), detail=True)
    others = new["column"] != "level"
    for name in ("expected", "nats"):
        assert list(new[name][others]) == list(missing[name][others])
    own = new["nats"][~others]
    np.testing.assert_allclose(own, 2 * np.log(len(table) * 0.8 + 1), rtol=1e-12)
    codes = ae.transform(rows.assign(level="new")), ae.transform(rows.assign(level=None))
    np.testing.assert_array_equal(*codes)
