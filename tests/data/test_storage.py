"""Cells to numbers and back, in every container: the same as one cell after the other."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from narwhals.stable import v2 as nw

from xhat import Autoencoder, load
from xhat.data.cells import Cells
from xhat.data.containers import Storage
from xhat.data.learning import Learner
from xhat.data.restore import typed_table
from xhat.data.storage import Store, learn_store
from xhat.errors import DataError

NAN = float("nan")
DAY = dt.date(2020, 2, 29)

PLAIN = {
    "text": ["b", "a", None, "b", "é", "", "10", "a"],
    "text and numbers": ["b", 1, None, 1.0, "1", 2.5, NAN, True, 0, False, -0.0],
    "mixed": ["b", decimal.Decimal("0.5"), 0.5, DAY, "0.5", None, str(DAY), np.float64(2), 2],
    "NumPy's": [np.str_("a"), "a", np.int8(3), 3.0, np.bool_(1), np.ma.masked, pd.NA, pd.NaT],
    "unhashable": [[1], [1], "a", None],
    "nothing": [None, None, NAN],
}


def as_array(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


SERIES = {f"array, {name}": as_array(values) for name, values in PLAIN.items()}
SERIES |= {
    f"pandas object, {name}": pd.Series(list(values), dtype=object)
    for name, values in PLAIN.items()
}
TEXT = ["b", "a", None, "b", "é", "", "10", "a"]
UNUSED = pa.DictionaryArray.from_arrays(pa.array([2, 0, None, 2]), pa.array(["a", "no", "b"]))
SERIES |= {
    "pandas str": pd.Series(TEXT, dtype="str"),
    "pandas string": pd.Series(TEXT, dtype="string"),
    "pandas category": pd.Series(pd.Categorical(["b", "a", None, "b"], ["no", "a", "b"])),
    "pandas numbers": pd.Series([2.5, 1.0, NAN, -0.0, 0.0, 1.0]),
    "pandas Int64": pd.Series([3, None, 3, 1], dtype="Int64"),
    "pandas boolean": pd.Series([True, None, False], dtype="boolean"),
    "pandas days": pd.Series(pd.to_datetime(["2020-02-01", None, "2020-01-01"])),
    "polars text": pl.Series(TEXT),
    "polars text without a gap": pl.Series(["b", "a", "b"]),
    "polars no text": pl.Series([None, None], dtype=pl.String),
    "polars category": pl.Series(["b", "a", None, "b"], dtype=pl.Categorical),
    "polars enum": pl.Series(["b", "a", None, "b"], dtype=pl.Enum(["no", "a", "b"])),
    "polars numbers": pl.Series([2.5, 1.0, None, NAN, 0.0]),
    "arrow text": pa.chunked_array([TEXT[:3], TEXT[3:]]),
    "arrow no text": pa.chunked_array([pa.array([None, None], pa.string())]),
    "arrow dictionary": pa.chunked_array([UNUSED]),
    "arrow numbers": pa.chunked_array([[2.5, 1.0, None, NAN, 0.0]]),
    "arrow days": pa.chunked_array([pa.array([DAY, None, DAY])]),
}


def cells_of(name):
    found = SERIES[name]
    return Cells(
        "c", found if isinstance(found, np.ndarray) else nw.from_native(found, series_only=True)
    )


def one_by_one(cells):
    """Return the level of every cell, None where missing: what ``encoded`` must find."""
    values = cells.series if cells.dtype is None else cells.series.to_list()
    levels = []
    for value in values:
        try:
            missing = value is None or value is np.ma.masked or bool(value != value)  # noqa: PLR0124  NaN
        except TypeError:
            missing = True
        level = value.item() if isinstance(value, np.generic) else value
        if not isinstance(level, (str, int, float)):
            level = str(level)
        levels.append(None if missing else int(level) if level in (0, 1) else level)
    return levels


@pytest.mark.parametrize("name", SERIES)
def test_levels_are_those_of_each_cell(name):
    cells = cells_of(name)
    codes, levels, originals = cells.encoded()
    assert [None if c < 0 else levels[c] for c in codes] == one_by_one(cells)
    assert len(set(levels)) == len(levels) == len(originals)
    assert set(codes) - {-1} == set(range(len(levels)))
    first = [list(codes).index(i) for i in range(len(levels))]
    if name != "arrow dictionary" and "category" not in name:
        assert first == sorted(first)


@pytest.mark.parametrize("name", SERIES)
def test_numbers_of_levels_are_their_places_in_order(name):
    cells = cells_of(name)
    store = learn_store(cells, "categorical")
    wanted = one_by_one(cells)
    filled = [level for level in wanted if level is not None]
    if not filled:
        assert (store.form, store.reason) == ("left out", "it holds no value")
        return
    assert store.levels == tuple(sorted(set(filled), key=lambda v: (str(type(v)), v)))
    expected = [NAN if level is None else store.levels.index(level) for level in wanted]
    np.testing.assert_array_equal(store.numbers(cells), expected)


def test_a_level_never_seen_comes_after_the_last():
    store = Store("c", "level", ("a", "b"))
    cells = Cells("c", as_array(["b", "new", None, "a"]))
    np.testing.assert_array_equal(store.numbers(cells), [1, 2, NAN, 0])


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ([True, None, np.bool_(0)], "bool"),
        ([1, np.int8(2), None], "integer"),
        ([1, 2.5, decimal.Decimal("1.5"), NAN], "number"),
        ([DAY, dt.datetime(2020, 1, 1), dt.timedelta(1)], "time"),  # noqa: DTZ001
        (["a", 1], "level"),
        (["1", "2"], "level"),
        ([None, NAN], "left out"),
    ],
)
def test_forms_of_objects(values, form):
    assert learn_store(Cells("c", as_array(values)), None).form == form


def test_what_is_no_cell_is_refused():
    with pytest.raises(TypeError):
        learn_store(Cells("c", as_array(["a", {"no": "cell"}])), None)


@pytest.mark.parametrize("make", [as_array, pd.Series, pl.Series])
def test_texts_that_are_numbers_but_for_one_are_named(make):
    values = [str(i % 300) for i in range(400)]
    values[7] = values[9] = "x"
    series = make(values)
    cells = Cells(
        "c", series if make is as_array else nw.from_native(series, series_only=True), 1000
    )
    with pytest.raises(
        DataError, match=r"column 'c' .* in 2 of 400 cells: 'x' in row 1007, 'x' in"
    ):
        learn_store(cells, None)
    with pytest.raises(DataError, match="2 of 400"):
        learn_store(cells, "number")
    assert "x" in learn_store(cells, "categorical").levels


def numbers_and(*texts, different=200, cells=1000):
    """Return numbers as texts, with these texts in the first cells."""
    values = [f"{i % different / 10:.1f}" for i in range(cells)]
    values[: len(texts)] = texts
    return values


def learner(values):
    """Return a column of a stream, seen in chunks."""
    found = Learner("t", None)
    for start in range(0, len(values), 300):
        found.add(nw.from_native(pl.Series(values[start : start + 300]), series_only=True), start)
    return found


def settled(name, values):
    if isinstance(values, Learner):
        return values.settle()[0]
    is_array = isinstance(values, np.ndarray)
    series = values if is_array else nw.from_native(values, series_only=True)
    return learn_store(Cells(name, series), None)


@pytest.mark.parametrize("make", [as_array, pd.Series, pl.Series, learner])
def test_texts_among_numbers_are_named(make):
    values = numbers_and(*["-"] * 20, *["?"] * 3, "NULL", "<1", "x")
    said = (
        r"column 't' holds numbers in 974 of 1000 cells, but not in the others \('-' in 20, "
        r"'\?' in 3, 'NULL' in 1, \.\.\.\), .* 205 texts .*--missing '-'.*'t': 'categorical'"
    )
    with pytest.warns(UserWarning, match=said) as caught:
        store = settled("t", make(values))
    assert len(caught) == 1
    assert (store.form, len(store.levels)) == ("level", 205)
    many = numbers_and(*["-"] * 20, different=1000)
    reason = "though 980 cells are numbers ('-' in 20; --missing '-' reads such texts as missing)"
    assert reason in settled("t", make(many)).reason


@pytest.mark.parametrize(
    "values",
    [
        numbers_and(*["-"] * 20, different=9),  # few different numbers: levels
        numbers_and(*["-"] * 501),  # mostly texts
        numbers_and(*["01003"] * 20, "-"),  # codes
        [f"{i % 30}th" for i in range(900)] + ["7"] * 100,
        [DAY + dt.timedelta(days=i % 40) for i in range(960)] + ["-"] * 40,  # no numbers
    ],
)
def test_levels_with_some_numbers_are_levels(values):
    assert settled("t", as_array(values)).form == "level"  # warnings are errors in the tests


def test_an_asked_for_category_may_hold_numbers():
    values = as_array(numbers_and(*["-"] * 20))
    assert learn_store(Cells("t", values), "categorical").form == "level"


def test_a_number_too_large_for_a_float_is_named():
    with pytest.raises(DataError, match="1 of 2 cells"):
        learn_store(Cells("c", as_array([1, 10**400])), None)


def test_identifiers_are_more_than_50_texts_in_less_than_twice_as_many_cells():
    forms = {}
    for different, cells in ((50, 50), (51, 51), (51, 101), (51, 102)):
        texts = [f"t{i % different}" for i in range(cells)]
        forms[different, cells] = learn_store(Cells("c", as_array(texts)), None).form
    assert forms == {
        (50, 50): "level",
        (51, 51): "left out",
        (51, 101): "left out",
        (51, 102): "level",
    }


@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("container", ["array", "pandas", "polars", "pyarrow"])
def test_numbers_become_the_cells_they_stand_for(container, some):
    columns = {
        "town": ["b", "a", None, "b"],
        "yes": [True, None, False, True],
        "x": [1.5, None, 2.0, -1.0],
        "day": [DAY, DAY, None, DAY],
    }
    table = {
        "array": lambda: as_array([[c[i] for c in columns.values()] for i in range(4)]),
        "pandas": lambda: pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in columns.items()}),
        "polars": lambda: pl.DataFrame(columns),
        "pyarrow": lambda: pa.table(columns),
    }[container]()
    if container == "array":
        table = np.array([list(row) for row in table], dtype=object)
    storage = Storage.learn(table, lambda _: None)
    assert [store.form for store in storage.stores] == ["level", "bool", "number", "time"]
    day = (DAY - dt.date(1970, 1, 1)).total_seconds()
    new = np.array([[0, 0, 0.5, day], [5, 1, 0.5, day], [1, 0.6, 7, day], [0, 0.4, 2, 0]])
    keep = ~np.isnan(storage.matrix(table)) if some else None
    found = typed_table(table, new, storage, keep)
    wanted = [
        ["a", "b", "b", "a"],
        [False, True, True, False],
        [0.5, 0.5, 7.0, 2.0],
        [DAY, DAY, DAY, dt.date(1970, 1, 1)],
    ]
    if some:
        pairs = zip(columns.values(), wanted, strict=True)
        wanted = [[n if o is None else o for o, n in zip(*p, strict=True)] for p in pairs]
    if container == "pandas":
        cells = [found[name].tolist() for name in columns]
    elif container == "array":
        cells = found.T.tolist()
    else:
        cells = [
            found[name].to_list() if container == "polars" else found[name].to_pylist()
            for name in columns
        ]
    day_of = [v.date() if isinstance(v, dt.datetime) else v for v in cells[3]]
    assert [*cells[:3], day_of] == wanted


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_numbers_in_a_column_of_dates_are_refused(make):
    """Seconds, days, nanoseconds? Since when? What is missing throughout is missing."""
    rng = np.random.default_rng(0)
    days = [DAY + dt.timedelta(days=int(n)) for n in rng.integers(0, 99, 60)]
    columns = {"a": rng.normal(size=60), "b": rng.normal(size=60), "when": days}
    ae = Autoencoder(1, max_iter=2, random_state=0).fit(make(columns))
    for numbers in ([5] * 60, [1.5] * 60, [True] * 60, [None] * 59 + [2.5]):
        with pytest.raises(DataError, match=r"'when', row \d+: .* is no date or time"):
            ae.anomaly_score(make({**columns, "when": numbers}))
    assert np.isfinite(ae.anomaly_score(make({**columns, "when": [np.nan] * 60}))).all()


@pytest.mark.parametrize(
    "cells",
    [
        pd.to_datetime(["2020-01-01", "2021-05-03"] * 30),
        pd.to_datetime(["2020-01-01", "2021-05-03"] * 30).to_period("D"),
        pd.cut(np.arange(60.0), 3),
    ],
    ids=["moments", "periods", "intervals"],
)
def test_categories_of_any_kind_are_filled_with_their_own(cells, tmp_path):
    whole = pd.Series(pd.Categorical(cells))
    column = whole.mask(np.arange(60) % 7 == 0)
    X = pd.DataFrame({"c": column, "x": np.arange(60) / 2})
    ae = Autoencoder(1, random_state=0, max_iter=5).fit(X)
    ae.save(tmp_path / "m.xhat")
    for model in (ae, load(tmp_path / "m.xhat")):
        for found in (model.impute(X)["c"], model.reconstruct(X)["c"]):
            assert found.dtype == whole.dtype
            assert not found.isna().any()
        assert model.impute(X)["c"][column.notna()].equals(column.dropna())


WHOLE = [None if i % 9 == 4 else i * i % 50 for i in range(90)]
CENTS = [None if v is None else decimal.Decimal(v) / 100 for v in WHOLE]


@pytest.mark.parametrize("make", [lambda v: v, pd.DataFrame], ids=["array", "pandas"])
def test_objects_are_filled_with_their_kind(make):
    """As columns of decimals and of whole numbers that have a type are."""
    numpys = [None if v is None else np.int64(v) for v in WHOLE]
    halves = [None if v is None else v / 2 for v in WHOLE]
    X = make(np.array([CENTS, WHOLE, numpys, halves], dtype=object).T)
    found = pd.DataFrame(Autoencoder(1, random_state=0, max_iter=5).fit(X).impute(X))
    assert {v.as_tuple().exponent for v in found[0][4::9]} == {-2}
    assert found[0].sum() > sum(v for v in CENTS if v is not None)
    for j in (1, 2):
        assert {type(v) for v in found[j][4::9]} == {int}
    assert {type(v) for v in found[3]} == {float}
    kept = np.arange(90) % 9 != 4
    assert all(a is b for a, b in zip(found[0][kept], pd.DataFrame(X)[0][kept], strict=True))
