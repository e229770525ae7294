"""The asinh scale: there and back, its tangents, and what a heavy-tailed table gains by it."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from xhat import Autoencoder, Real, load
from xhat.data.statistics import quartiles
from xhat.errors import DataError, ModelFileError
from xhat.header import check_header
from xhat.maths.bend import Bend
from xhat.persist import read_header, to_bytes

NAN = np.nan


@pytest.fixture(scope="module")
def incomes():
    """Return lognormal columns of two factors: errors are a share of the value."""
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(1500, 2)) @ rng.normal(size=(2, 5))
    X = np.exp(1.2 * logs + 0.1 * rng.normal(size=logs.shape))
    X[::9, 2] = NAN
    return X


@pytest.fixture(scope="module")
def fitted(incomes):
    return Autoencoder(2, heads="asinh", random_state=0, max_iter=60).fit(incomes)


def test_bent_cell_by_cell():
    scale, low, high = Bend(3.0, 0.5), math.asinh(-4.0), math.asinh(20.0)
    for x in (-40.0, 1.0, 2.9, 3.0, 3.1, 13.0, 13.1, 1e6):
        u = (x - 3.0) / 0.5
        end = min(max(u, -4.0), 20.0)
        expected = math.log(end + math.sqrt(1 + end * end)) + (u - end) / math.sqrt(1 + end * end)
        assert scale.bent(x, low, high) == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_the_way_back_is_exact_and_the_slope_has_no_step():
    scale, low, high = Bend(3.0, 0.5), -2.0, 7.0
    x = np.concatenate([np.linspace(-1e4, 1e4, 2001), [1e12, -1e12]])
    t = scale.bent(x, low, high)
    assert (np.diff(t[:2001]) > 0).all()
    np.testing.assert_allclose(scale.straight(t, low, high), x, rtol=1e-12, atol=1e-10)
    for end in (low, high):
        before, at, after = scale.straight([end - 1e-5, end, end + 1e-5], low, high)
        assert at - before == pytest.approx(after - at, rel=1e-4)


def test_encoded_columns_are_standardised_asinh(incomes, fitted):
    schema = fitted._fit.model.schema
    Z = schema.encode(incomes).X
    low, middle, high = np.nanpercentile(incomes, [25, 50, 75], axis=0)
    t = np.arcsinh((incomes - middle) / ((high - low) / 1.349))
    seen = ~np.isnan(incomes)
    for j in range(5):  # the schema's scales are those of the training rows, 80 % of these
        slope, _ = np.polyfit(t[seen[:, j], j], Z[seen[:, j], j], 1)
        assert np.corrcoef(t[seen[:, j], j], Z[seen[:, j], j])[0, 1] > 0.999
        assert slope == pytest.approx(1 / np.nanstd(t[:, j]), rel=0.05)
    np.testing.assert_allclose(schema.decode(Z)[seen], incomes[seen], rtol=1e-10)
    far = 100 * np.nanmax(incomes, axis=0, keepdims=True)
    np.testing.assert_allclose(schema.decode(schema.encode(far).X), far, rtol=1e-10)
    low, high = np.nanmin(incomes, axis=0), np.nanmax(incomes, axis=0)
    for j, column in enumerate(schema.columns):
        assert low[j] * 0.999 <= column.training_range[0] < column.training_range[1]
        assert column.training_range[1] <= high[j] * 1.001


def test_small_values_are_rebuilt_as_well_as_large_ones(incomes, fitted):
    straight = Autoencoder(2, heads="real", random_state=0, max_iter=60).fit(incomes)
    models = (fitted, straight)
    share = [np.nanmedian(np.abs(ae.reconstruct(incomes) / incomes - 1)) for ae in models]
    assert share[0] < 0.7 * share[1]
    assert "asinh" in str(fitted.verdict_)
    assert set(fitted.heads_.values()) == {Real("asinh")}


def test_absurd_cells_stay_absurd(incomes, fitted):
    rows = np.nan_to_num(incomes[:200], nan=1.0)
    for j in range(5):
        bad = rows.copy()
        bad[:, j] = 10 * np.nanmax(incomes[:, j])
        parts = fitted.explain(bad)[:, :5]
        assert (parts.argmax(axis=1) == j).mean() > 0.95
        worse = bad.copy()
        worse[:, j] *= 10  # ten times as far, a hundred times the nats
        ratio = fitted.explain(worse)[:, j] / parts[:, j]
        assert np.median(ratio) > 50


def test_holes_are_filled_in_the_table_s_units(incomes, fitted):
    frame = pd.DataFrame(incomes, columns=list("abcde"))
    filled = Autoencoder(2, heads="asinh", random_state=0, max_iter=60).fit(frame).impute(frame)
    hole = frame["c"].isna()
    low, high = (1 - 1e-9) * frame["c"].min(), (1 + 1e-9) * frame["c"].max()
    assert filled["c"][hole].between(low, high).all()
    pd.testing.assert_frame_equal(filled[~hole], frame[~hole])


def test_a_saved_model_is_the_same(incomes, fitted, tmp_path):
    path = tmp_path / "model.xhat"
    fitted.save(path)
    again = load(path)
    assert again._fit.model.schema == fitted._fit.model.schema
    np.testing.assert_array_equal(again.anomaly_score(incomes), fitted.anomaly_score(incomes))


@pytest.mark.parametrize(
    "forged", ["[NaN,1.0]", "[Infinity,1.0]", "[1.0]", "[1.0,0.0]", "[1.0,-2.0]", '["a",1.0]', "7"]
)
def test_a_forged_bend_is_refused(fitted, tmp_path, forged):
    path = tmp_path / "model.xhat"
    path.write_bytes(to_bytes(fitted))
    header = read_header(path)
    check_header(header)
    header["columns"][0]["bend"] = json.loads(forged)
    with pytest.raises(ModelFileError, match="columns"):
        check_header(header)


def test_a_forged_bend_of_another_scale_is_refused(fitted, tmp_path):
    path = tmp_path / "model.xhat"
    path.write_bytes(to_bytes(fitted))
    header = read_header(path)
    header["columns"][0]["kind"]["scale"] = "std"
    with pytest.raises(ModelFileError, match="no asinh scale"):
        check_header(header)


def test_quartiles_that_are_one_leave_the_scale_straight():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.where(rng.random(300) < 0.9, 0.0, rng.lognormal(size=300))] * 3)
    X += 1e-3 * rng.normal(size=X.shape) * (X > 0)
    ae = Autoencoder(1, heads=Real("asinh"), random_state=0, max_iter=5).fit(X)
    assert all(column.bend is None for column in ae._fit.model.schema.columns)


@pytest.mark.parametrize("scale", ["robust", "asinh"])
def test_copies_count_in_the_quartiles(scale):
    rng = np.random.default_rng(1)
    distinct, copies = rng.lognormal(size=(60, 3)), rng.integers(1, 9, 60)
    one, other = (
        Autoencoder(1, heads=Real(scale), random_state=0, max_iter=3, validation_fraction=0)
        for _ in range(2)
    )
    one.fit(np.repeat(distinct, copies, axis=0))
    other.fit(distinct, sample_weight=copies)
    for j, (mine, theirs) in enumerate(
        zip(one._fit.model.schema.columns, other._fit.model.schema.columns, strict=True)
    ):
        assert mine == theirs
        low, middle, high = np.percentile(np.repeat(distinct[:, j], copies), [25, 50, 75])
        found = mine.bend or (mine.center, mine.spread)
        assert found == pytest.approx((middle, (high - low) / 1.349))


@pytest.mark.parametrize("scale", ["robust", "asinh"])
@pytest.mark.parametrize("factor", [1 / 1500, 1e-6, 0.3])
def test_weights_below_one_are_copies_all_the_same(incomes, scale, factor):
    weight = np.random.default_rng(0).integers(1, 4, len(incomes))
    schemas = [
        Autoencoder(1, heads=Real(scale), random_state=0, max_iter=1)
        .fit(incomes, sample_weight=w)
        ._fit.model.schema.columns
        for w in (weight, weight * factor)
    ]
    for a, b in zip(*schemas, strict=True):
        assert (a.center, a.spread) == pytest.approx((b.center, b.spread), rel=1e-6)
        assert (a.bend or ()) == pytest.approx(b.bend or (), rel=1e-6)


def test_astronomical_cells_leave_the_scale_straight():
    X = np.random.default_rng(0).normal(size=(1200, 3))
    X[:, 0] *= 1e-20
    X[7, 0] = 1e300
    ae = Autoencoder(2, heads="asinh", random_state=0, max_iter=2).fit(X)
    assert [column.bend is None for column in ae._fit.model.schema.columns] == [True, False, False]
    assert np.isfinite(ae.anomaly_score(X)).all()


def test_folds_whose_quartiles_tie_do_not_silence_the_column():
    """Each fold of a small table has a bend of its own, or none: their residuals must agree."""
    rng = np.random.default_rng(0)
    t = rng.normal(size=400)
    rare = np.where(np.argsort(np.argsort(t)) < 0.745 * 400, 0.0, 1e4 * np.exp(t))
    noise = 0.1 * rng.normal(size=(400, 2))
    X = np.column_stack([t, t + noise[:, 0], t - noise[:, 1], rare])
    model = Autoencoder(1, heads={"x3": "asinh"}, random_state=0, max_iter=60).fit(X)._fit.model
    assert model.residual[3] < 2
    absurd = X[:1].copy()
    absurd[0, 3] = 1e6
    assert model.nats(absurd)[0, 3] > 50


@pytest.mark.parametrize("head", ["real", "asinh"])
def test_dates_stay_dates(head):
    days = pd.date_range("2026-01-01", periods=300, freq="D")
    frame = pd.DataFrame(
        {"day": days, "x": np.arange(300.0) + np.random.default_rng(0).normal(size=300)}
    )
    ae = Autoencoder(1, heads={"day": head}, random_state=0, max_iter=30).fit(frame)
    rebuilt = ae.reconstruct(frame)["day"]
    assert rebuilt.dtype == frame["day"].dtype
    assert (rebuilt - frame["day"]).abs().median() < pd.Timedelta("60D")
    assert len(ae.explain(frame, detail=True)) == 900


def test_sparse_rows_are_encoded_as_dense_ones(incomes):
    X = np.nan_to_num(np.round(incomes, 1))
    X[X < 0.3] = 0
    dense, sparse = (
        Autoencoder(2, heads="asinh", random_state=0, max_iter=3).fit(rows)
        for rows in (X, scipy.sparse.csr_array(X))
    )
    np.testing.assert_allclose(sparse.anomaly_score(X), dense.anomaly_score(X), rtol=1e-6)


def test_the_textbook_form_has_no_raw_weights_on_a_bent_scale(incomes):
    X = incomes[:100, [0, 1, 3]]
    ae = Autoencoder.textbook(n_components=2, heads="asinh", max_iter=3).fit(X)
    assert not hasattr(ae, "W_")
    assert ae.trace(X[:1])["x"] == pytest.approx(ae._fit.model.schema.encode(X[:1]).X[0])
    assert max(ae.check_gradients(X[:20]).values()) < 1e-6


def test_the_report_walks_along_curves(incomes, fitted, tmp_path):
    page = tmp_path / "report.html"
    fitted.report(incomes[:300]).write_html(page)
    assert '"mode":"curves"' in page.read_text().replace(": ", ":")


def test_a_cell_that_is_none_is_named_with_a_named_head_too():
    table = np.array([[1.0, {}], [2.0, 3.0]] * 30, dtype=object)
    with pytest.raises(DataError, match="'x1'"):
        Autoencoder(1, heads="real").fit(table)


def test_quartiles_of_long_tables_are_those_of_rows_all_over_it():
    """Tables are often sorted: the first rows say little of the others."""
    x = np.sort(np.random.default_rng(0).normal(size=10_000))

    def tiles():
        for first in range(0, len(x), 300):
            yield x[first : first + 300, None], None

    found = quartiles(tiles, [0], rows=1000)[0]
    assert found == pytest.approx(np.quantile(x, [0.25, 0.5, 0.75]), abs=0.02)
    assert quartiles(tiles, [0])[0] == pytest.approx(np.quantile(x, [0.25, 0.5, 0.75]), abs=0.001)
