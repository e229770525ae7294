"""Any mixed table with holes fits and round-trips, or is refused with the name of a column."""

import datetime as dt
import decimal
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xhat import Autoencoder
from xhat.errors import DataError

FIRST, LAST = dt.datetime(1950, 1, 1), dt.datetime(2100, 1, 1)  # noqa: DTZ001  without a zone
INTS = {"int8": 2**7, "int16": 2**15, "int32": 2**31, "int64": 2**40}
INTS |= {"uint8": 2**8, "uint16": 2**16, "uint32": 2**32, "uint64": 2**40}


def cells(kind):
    """Return a strategy for one cell of a kind."""
    if kind in INTS:
        low = 0 if kind.startswith("u") else -INTS[kind]
        return st.integers(low, INTS[kind] - 1)
    return {
        "float32": st.floats(-1e6, 1e6, width=32),
        "float64": st.floats(-1e12, 1e12),
        "bool": st.booleans(),
        "text": st.sampled_from(["a", "b", "c d", "é", ""]),
        "category": st.sampled_from(["low", "mid", "high"]),
        "date": st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)),
        "datetime": st.datetimes(FIRST, LAST),
        "zoned": st.datetimes(FIRST, LAST, timezones=st.just(dt.UTC)),
        "duration": st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)),
        "decimal": st.decimals(-1000, 1000, places=2),
    }[kind]


KINDS = [*INTS, "float32", "float64", "bool", "text", "category", "date", "datetime", "zoned"]
KINDS += ["duration", "decimal"]


@st.composite
def tables(draw):
    """Return a list of (name, kind, cells with None where missing)."""
    n = draw(st.integers(2, 12))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    columns = []
    for j, kind in enumerate(kinds):
        values = draw(st.lists(cells(kind), min_size=n, max_size=n))
        holes = draw(st.lists(st.booleans(), min_size=n, max_size=n)) if draw(st.booleans()) else []
        columns.append(
            (
                f"c{j}",
                kind,
                [None if hole else v for v, hole in zip(values, holes or [0] * n, strict=True)],
            )
        )
    return columns


def pandas_column(kind, values):
    if kind in INTS:
        return pd.Series(values, dtype=kind.capitalize().replace("Ui", "UI"))
    if kind in ("float32", "float64"):
        return pd.Series([np.nan if v is None else v for v in values], dtype=kind)
    if kind == "bool":
        return pd.Series(values, dtype="boolean")
    if kind == "category":
        return pd.Series(pd.Categorical(values, ["low", "mid", "high"], ordered=True))
    if kind in ("text", "date", "decimal"):
        return pd.Series(values, dtype=object)
    zone = {"datetime": "datetime64[us]", "zoned": "datetime64[us, UTC]"}
    return pd.Series(values, dtype=zone.get(kind, "timedelta64[us]"))


ARROW = {name: getattr(pa, name)() for name in INTS} | {
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "zoned": pa.timestamp("us", "UTC"),
    "duration": pa.duration("us"),
    "decimal": pa.decimal128(10, 2),
}
POLARS = {"text": pl.String, "bool": pl.Boolean, "date": pl.Date, "datetime": pl.Datetime("us")}
POLARS |= {"zoned": pl.Datetime("us", "UTC"), "duration": pl.Duration("us")}
POLARS |= {"category": pl.Enum(["low", "mid", "high"]), "decimal": pl.Decimal(10, 2)}
POLARS |= {name: getattr(pl, name.capitalize().replace("Ui", "UI")) for name in INTS}
POLARS |= {"float32": pl.Float32, "float64": pl.Float64}


def container(backend, columns):
    if backend == "pandas":
        frame = pd.DataFrame({name: pandas_column(kind, v) for name, kind, v in columns})
        frame.index = [f"r{i}" for i in range(len(frame))]
        return frame
    if backend == "polars":
        return pl.DataFrame([pl.Series(n, v, POLARS[kind]) for n, kind, v in columns])
    if backend == "pyarrow":
        return pa.table({n: pa.array(v, ARROW[kind]) for n, kind, v in columns})
    return np.array([v for _, _, v in columns], dtype=object).T.copy()


def types_of(backend, table):
    if backend == "pandas":
        return list(table.columns), list(table.dtypes), list(table.index)
    if backend == "polars":
        return table.columns, table.dtypes
    return table.schema if backend == "pyarrow" else table.dtype


def cells_of(backend, table, name, j):
    if backend == "array":
        return list(table[:, j])
    if backend == "pyarrow":
        return table.column(name).to_pylist()
    return list(table[name])


def is_missing(value):
    return value is None or value is pd.NA or value is pd.NaT or value != value  # noqa: PLR0124  NaN


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "array"])
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(columns=tables())
def test_round_trip_or_a_named_column(backend, columns):
    table = container(backend, columns)
    names = [n if backend != "array" else f"x{j}" for j, (n, _, _) in enumerate(columns)]
    ae = Autoencoder(n_components=1, hidden=(), random_state=0, max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            ae.fit(table)
        except DataError as error:
            assert any(repr(name) in str(error) for name in names), error  # noqa: PT017
            return
        filled, rebuilt = ae.impute(table), ae.reconstruct(table)
        scores, parts = ae.anomaly_score(table), np.asarray(ae.explain(table))
    assert types_of(backend, filled) == types_of(backend, table)
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    np.testing.assert_allclose(parts.sum(axis=1), scores, rtol=1e-12)
    assert len(rebuilt) == len(table)
    left_out = {store.name for store in ae._storage.left_out}
    for j, name in enumerate(names):
        before = cells_of(backend, table, columns[j][0], j)
        after = cells_of(backend, filled, columns[j][0], j)
        for old, new in zip(before, after, strict=True):
            if not is_missing(old):
                assert new == old, name
                assert type(new) is type(old), name
            elif name not in left_out:
                assert not is_missing(new), name


def test_decimal_cells_stay_decimals():
    table = np.array([[decimal.Decimal("1.10"), "a"], [decimal.Decimal("2.25"), "b"]], dtype=object)
    table = np.vstack([table] * 4)
    filled = Autoencoder(1, random_state=0).fit(table).impute(table)
    assert (filled == table).all()
