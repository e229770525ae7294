"""Cells at the edges of their types, names of columns, masks: whatever the container."""

import datetime as dt
import uuid
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

from xhat import Autoencoder, DataError, ParameterError, load


def fitted(X, **more):
    return Autoencoder(random_state=0, max_iter=5, **more).fit(X)


@pytest.mark.parametrize(
    "dtype", ["Int64", "UInt16", "Float64", "int64[pyarrow]", "double[pyarrow]"]
)
def test_reasons_of_nullable_columns(dtype):
    a = pd.array([None, *range(59)], dtype=dtype)
    X = pd.DataFrame({"a": a, "b": np.random.default_rng(0).normal(size=60)})
    long = fitted(X).explain(X, detail=True)
    assert np.isnan(long.observed[0])
    assert long.observed[3] == 0.0
    assert long.nats[0] == 0


def test_whole_numbers_as_names_are_names():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 3)))
    X[2] = np.random.default_rng(1).integers(0, 4, 120)
    for name in (2, "2"):
        ae = fitted(X, heads={name: "categorical"})
        assert type(ae.heads_["2"]).__name__ == "Categorical"
        assert list(ae.explain(X).columns) == [0, 1, 2, "(code)"]
        assert list(ae.reconstruct(X).columns) == [0, 1, 2]
    assert list(fitted(X, heads={2: "ignore"}).heads_) == ["0", "1"]
    with pytest.raises(ParameterError, match="'x2'; the columns are '0', '1', '2'"):
        fitted(X, heads={"x2": "categorical"})


@pytest.mark.parametrize("container", [lambda X: X, pl.from_pandas, pa.Table.from_pandas])
def test_a_column_may_have_no_name(container):
    z = np.random.default_rng(0).normal(size=(120, 2))
    X = container(pd.DataFrame(z, columns=["", "b"]))
    ae = fitted(X)
    parts = ae.explain(X)
    assert list(getattr(parts, "column_names", parts.columns)) == ["", "b", "(code)"]
    np.testing.assert_allclose(np.asarray(parts).sum(axis=1), ae.anomaly_score(X))


def test_two_columns_of_one_name_are_refused():
    values = np.random.default_rng(0).normal(size=(50, 2))
    twice = pa.table([pa.array(values[:, 0])] * 2, names=["a", "a"])
    for X in (pd.DataFrame(values, columns=["a", "a"]), twice):
        with pytest.raises(DataError, match="the column name 'a' stands 2 times"):
            Autoencoder().fit(X)
    ae = Autoencoder(1, max_iter=1).fit(pd.DataFrame(values, columns=["a", "b"]))
    for X in (pd.DataFrame(values[:, [0, 1, 0]], columns=["a", "b", "a"]), twice):
        for use in (ae.anomaly_score, ae.explain, ae.impute, ae.partial_fit):
            with pytest.raises(DataError, match="the column name 'a' stands 2 times"):
                use(X)


def big(container):
    numbers, b = [2**60 + 2**40 * i for i in range(100)], np.linspace(0, 1, 100)
    if container == "pyarrow":
        return pa.table({"a": numbers, "b": b})
    if container == "polars":
        return pl.DataFrame({"a": numbers, "b": b})
    return pd.DataFrame({"a": pd.array(numbers, dtype=container), "b": b})


@pytest.mark.parametrize("container", ["pyarrow", "polars", "int64[pyarrow]", "Int64", "int64"])
def test_whole_numbers_that_a_float_rounds(container):
    X = big(container)
    scores = fitted(X).anomaly_score(X)
    np.testing.assert_array_equal(scores, fitted(big("int64")).anomaly_score(big("int64")))


def test_dates_of_all_of_pythons_years():
    days = [dt.date(9999, 12, 31) - dt.timedelta(days=i % 7) for i in range(100)]
    noise = np.random.default_rng(0).normal(size=100)
    for X in (pl.DataFrame({"t": days, "b": noise}), pa.table({"t": days, "b": noise})):
        rebuilt = fitted(X).reconstruct(X)
        assert max(pl.DataFrame(rebuilt)["t"]) <= dt.date(9999, 12, 31)


def test_ordered_levels_keep_their_ranks():
    """Those that no cell has stay too; a level that only the model knows comes last."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=300)
    sizes = ["small", "medium", "large", "huge"]  # not the order of the alphabet, nor of the cells
    cells = np.where(z > 0.5, "large", np.where(z < -0.5, "small", "medium")).astype(object)
    cells[::7] = None
    column = pa.array(pd.Categorical(cells, sizes, ordered=True))
    X = pa.table({"z": z, "size": pa.chunked_array([column[:100], column[100:]])})
    ae = fitted(X)
    for new in (ae.impute(X), ae.reconstruct(X)):
        kind, chunk = new["size"].type, new["size"].chunk(0)
        assert (kind.ordered, chunk.dictionary.to_pylist()) == (True, sizes)
        assert new["size"].null_count == 0
    filled = ae.impute(X)["size"].to_pylist()
    assert [v for v, old in zip(filled, cells, strict=True) if old] == [v for v in cells if v]
    many = pd.Categorical(["huge", None] * 150, [*(f"s{i}" for i in range(126)), "huge"])
    for new in (ae.impute, ae.reconstruct):  # 127 levels and those of the model: 8 bits are too few
        column = new(X.set_column(1, "size", pa.array(many)))["size"]
        assert column.chunk(0).dictionary.to_pylist()[:127] == list(many.categories)
        assert column.null_count == 0
    few = X.set_column(1, "size", pa.array(pd.Categorical(["huge", None] * 150, ["huge"])))
    levels = ae.impute(few)["size"].chunk(0).dictionary.to_pylist()
    assert levels[0] == "huge"
    assert set(levels[1:]) <= {"small", "medium", "large"}


@pytest.mark.parametrize("container", [lambda X: X, pl.from_pandas, pa.Table.from_pandas])
def test_draws_stay_in_the_type_of_the_column(container):
    rng = np.random.default_rng(0)
    z = np.clip(rng.normal(size=300) * 60, -128, 127).astype("i1")
    column = pd.Series(z).astype("Int8")
    column[::7] = pd.NA
    X = container(pd.DataFrame({"f": z / 60.0 + 0.1 * rng.normal(size=300), "i": column}))
    for drawn in fitted(X).impute(X, draws=20):
        cells = pl.DataFrame(drawn)["i"] if not isinstance(drawn, pd.DataFrame) else drawn["i"]
        assert -128 <= cells.min() <= cells.max() <= 127


def test_dates_are_rounded_as_whole_numbers_are():
    """They were cut off: half a day too early on average."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=600)
    days = np.rint(3 * z).astype(int)
    noisy = days + 0.2 * rng.normal(size=600)
    empty, filled = {}, {}
    for kind in (pa.int32(), pa.date32()):
        X = pa.table({"d": pa.array(days, pa.int32()).cast(kind), "about": noisy, "z": z})
        empty[kind] = X.set_column(0, "d", pa.nulls(600, kind))
        filled[kind] = fitted(X).impute(empty[kind])["d"].cast(pa.int32()).to_numpy()
    assert np.array_equal(filled[pa.int32()], filled[pa.date32()])
    assert abs((filled[pa.date32()] - days).mean()) < 0.1


def test_moments_are_rounded_to_their_unit():
    for unit in ("s", "ms"):
        step = 10**9 if unit == "s" else 10**6
        moments = pa.array(np.arange(0, 300 * step, step) // step, pa.timestamp(unit))
        X = pa.table({"t": moments, "x": np.arange(300) + 0.9})
        found = fitted(X).reconstruct(X)["t"].cast(pa.int64()).to_numpy()
        assert abs((found - np.arange(300)).mean()) < 0.2


def test_draws_stay_in_the_range_of_f():
    rng = np.random.default_rng(0)
    X = np.tanh(2 * rng.normal(size=(300, 3)))
    X[rng.random(X.shape) < 0.1] = np.nan
    from xhat import Real

    ae = fitted(X, heads=Real(f="tanh"))
    for drawn in ae.impute(X, draws=10):
        assert np.abs(drawn).max() <= 1
        ae.anomaly_score(drawn)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
def test_masked_cells_are_missing(dtype):
    rng = np.random.default_rng(0)
    X = (10 * rng.normal(size=(300, 4))).astype(dtype)
    mask = rng.random(X.shape) < 0.1
    masked, empty = np.ma.masked_array(X, mask), np.where(mask, np.nan, X)
    empty = empty.astype(np.float32) if dtype == "f4" else empty
    ae = fitted(masked)
    np.testing.assert_array_equal(ae.anomaly_score(masked), fitted(empty).anomaly_score(empty))
    filled = ae.impute(masked)
    np.testing.assert_array_equal(filled[~mask], X[~mask])
    assert np.isfinite(filled).all()


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, -np.finfo(np.float32).max])
def test_the_largest_float_is_a_value(value, tmp_path):
    """A common code for "no data" is a number to xhat: strange where it is rare, never missing."""
    X = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    X[:20, 1] = value
    ae = fitted(X)
    assert ae.choices_["corruption"].startswith("None")
    assert np.isfinite(ae.offset_)
    assert np.isfinite(ae.explain(X)).all()
    ae.save(tmp_path / "m.xhat")
    np.testing.assert_array_equal(load(tmp_path / "m.xhat").anomaly_score(X), ae.anomaly_score(X))


@pytest.mark.parametrize("value", [1e150, 1e155, 1e300])
def test_scores_of_absurd_cells_are_numbers_that_can_be_saved(value, tmp_path):
    X = np.random.default_rng(0).normal(size=(100, 4))
    X[0, 0] = value
    with np.errstate(over="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ae = fitted(X)
    parts = ae.explain(X)
    assert np.isfinite(parts).all()
    np.testing.assert_allclose(parts.sum(axis=1), ae.anomaly_score(X), rtol=1e-12)
    ae.save(tmp_path / "m.xhat")
    assert load(tmp_path / "m.xhat").offset_ == ae.offset_


def test_a_robust_scale_names_the_cell_that_it_cannot_hold():
    X = np.random.default_rng(0).normal(size=(100, 3))
    X[:4, 1] = 1e160
    with pytest.raises(
        DataError, match=r"column 'x1' has a cell .* correct it, leave the column out"
    ):
        fitted(X, heads="robust")


def test_small_tables_with_rare_levels():
    """Each fold of the cross-fitting has other frequent levels: their places are those of all."""
    rng = np.random.default_rng(0)
    for n in (60, 300):
        levels = [f"l{i}" for i in rng.exponential(6, size=n).astype(int)]
        X = pd.DataFrame({"c": levels, "x": rng.normal(size=n), "k": rng.poisson(1, n)})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ae = fitted(X)
        assert np.isfinite(ae.anomaly_score(X)).all()


def test_streams_are_read_wherever_rows_are():
    X = pa.table({name: np.random.default_rng(i).normal(size=80) for i, name in enumerate("ab")})
    ae = fitted(X)
    assert ae.compare_pca(X.to_reader()) == ae.compare_pca(X)
    assert ae.report(X.to_reader(), sweep=False).json() == ae.report(X, sweep=False).json()
    before = ae.transform(X)
    assert (ae.partial_fit(X.to_reader()).transform(X) != before).any()


def test_a_row_of_a_frame_is_traced():
    X = pd.DataFrame({"a": list("xy") * 40, "b": np.random.default_rng(0).normal(size=80)})
    ae = fitted(X)
    row = ae._fit.model.schema.encode(ae._read(X.iloc[[3]]))
    np.testing.assert_allclose(ae.trace(X.iloc[[3]])["x"].ravel(), row.X.ravel())


# -- What is no table ------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=60)
FOREIGN = {
    "Period": pd.period_range("2020", periods=60, freq="D"),
    "Interval": pd.interval_range(0, 60),
    "UUID": pd.Series([uuid.UUID(int=i) for i in range(60)]),
    "complex": X + 1j,
    "dict": pd.Series([1.5, {"a": 1}] * 30),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_column_of_cells_that_stand_for_nothing_is_refused_by_name(kind):
    table = pd.DataFrame({"x": X, "c": FOREIGN[kind], "y": X**2})
    for rows in (table, table.to_numpy(dtype=object)):
        with pytest.raises(
            DataError, match=rf"column '(c|x1)' is of type {kind} \(.*leave the col"
        ):
            Autoencoder(1).fit(rows)
    assert "c" not in Autoencoder(1, heads={"c": "ignore"}, max_iter=2).fit(table).heads_


def test_nearly_a_table_is_refused_with_the_way_to_make_it_one():
    frame = pl.DataFrame({"x": X, "y": X**2})
    ae = Autoencoder(1, max_iter=2, random_state=0).fit(frame)
    for column in (frame["x"], pd.Series(X)):
        for method in (Autoencoder(1).fit, ae.anomaly_score, ae.impute):
            with pytest.raises(DataError, match=r"one column of a table \(a series\)"):
                method(column)
    for method in (Autoencoder(1).fit, ae.anomaly_score, ae.inverse_transform):
        with pytest.raises(DataError, match=r"a lazy frame.*X\.collect\(\)"):
            method(frame.lazy())
    codes = ae.transform(frame)
    assert np.array_equal(
        ae.inverse_transform(scipy.sparse.csr_array(codes)), ae.inverse_transform(codes)
    )


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda frame: frame.to_records(index=False), "an array of records"),
        (lambda frame: frame.to_records(index=False).view(np.ndarray), "an array of records"),
        (lambda frame: frame.to_dict("series"), "a dict"),
    ],
)
def test_records_and_dicts_are_refused_with_the_way_to_make_a_table(make, what):
    frame = pd.DataFrame({"x": X, "y": X**2})
    ae = Autoencoder(1, max_iter=2, random_state=0).fit(frame)

    def validated(table):
        return Autoencoder(1).fit(frame, X_val=table)

    methods = (Autoencoder(1).fit, Autoencoder(1).partial_fit, ae.transform, ae.impute, validated)
    for method in methods:
        with pytest.raises(DataError, match=rf"^X is {what}.*: give a table, as pd.DataFrame\(X\)"):
            method(make(frame))


def test_a_list_of_rows_comes_back_as_an_array():
    z = np.random.default_rng(0).normal(size=120)
    numbers, level = z.astype(object), np.where(z > 0, "x", "y").astype(object)
    numbers[3] = level[5] = None
    rows = np.column_stack([numbers, level])
    ae, as_list = fitted(rows), rows.tolist()
    for use in (ae.impute, ae.reconstruct):
        np.testing.assert_array_equal(use(as_list), use(rows))
    long = ae.explain(as_list, detail=True)
    assert long.tolist() == ae.explain(rows, detail=True).tolist()
    drawn = ae.impute(as_list, draws=2)
    assert [table.shape for table in drawn] == [rows.shape] * 2
    only = np.column_stack([z, z**2])
    only[3, 0] = np.nan
    filled = fitted(only).impute(only.tolist())
    assert filled.dtype == np.float64
    assert np.isfinite(filled).all()
