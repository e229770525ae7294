"""Cells go in and come out as what they are: types, texts, columns that a model does not use."""

import csv
import datetime as dt
import decimal
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xhat import Autoencoder, DataError, load
from xhat.__main__ import run
from xhat.data import stream
from xhat.data.readers import read_table
from xhat.data.writers import write_tables

N = 120
RNG = np.random.default_rng(0)
A = RNG.normal(size=N)
LEVELS = ["red" if a > 0 else "blue" for a in A]
DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=int(20 * a)) for a in A]
TIMES = [dt.time(12 + int(3 * a), 30) for a in A]
COLUMNS = {
    "level": pa.array(LEVELS),
    "number": pa.array(2 * A),
    "integer": pa.array((10 * A).astype(int)),
    "bool": pa.array((A > 0).tolist()),
    "date": pa.array(DAYS),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fitted(X, **more):
    return Autoencoder(1, random_state=0, max_iter=3, **more).fit(X)


def call(capsys, *words):
    """Return what a command that must work says."""
    code = run([str(word) for word in words])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said


def refused(capsys, code, *words):
    """Return the one line of a command that must refuse."""
    assert run([str(word) for word in words]) == code
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert len(line) <= 400
    return line


def fit(capsys, name, *more):
    return call(capsys, "fit", name, "--epochs", 2, "-o", "m.xhat", *more)


def save(name, columns):
    pq.write_table(pa.table(columns), name)


def lines(name):
    return list(csv.reader(Path(name).read_text().splitlines()))


# -- types other than at fit ----------------------------------------------------------------------


@pytest.mark.parametrize("container", [lambda X: X, pl.from_arrow, lambda X: X.to_pandas()])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_that_is_empty_now_is_filled(kind, container):
    ae = fitted(container(pa.table({"a": A, "c": COLUMNS[kind]})))
    now = pa.table({"a": A[:9], "c": pa.nulls(9)})
    for X in (ae.impute(container(now)), ae.reconstruct(container(now))):
        cells = X["c"].to_list() if hasattr(X["c"], "to_list") else X["c"].to_pylist()
        assert pd.notna(pd.Series(cells)).all()
        if kind == "level":
            assert set(cells) <= set(LEVELS)
        if kind == "bool":
            assert set(map(bool, cells)) <= {True, False}


OTHERS = {
    "date": ([None, dt.date(2024, 5, 1), dt.date(2024, 5, 2)], ["2024-05-01", "2024-05-02"]),
    "bool": ([None, True, False], ["true", "false"]),
    "integer": (pa.array([None, 3, 4], pa.int64()), ["3", "4"]),
    "decimal": ([None, decimal.Decimal("1.10"), decimal.Decimal("2.20")], ["1.10", "2.20"]),
    "dictionary": (pa.array([None, "x", "red"]).dictionary_encode(), ["x", "red"]),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_texts_where_the_new_column_has_another_type(kind):
    cells, kept = OTHERS[kind]
    ae = fitted(pa.table({"a": A, "c": LEVELS}))
    now = pa.table({"a": A[:3], "c": cells})
    filled = ae.impute(now)["c"].to_pylist()
    assert filled[0] in LEVELS
    assert filled[1:] == kept
    for container in (pl.from_arrow, lambda X: X.to_pandas()):
        first, *others = list(ae.impute(container(now))["c"])
        assert first in LEVELS
        given = list(container(now)["c"])[1:]
        assert [str(v).lower() for v in others] == [str(v).lower() for v in given]


KINDS = {
    "level": LEVELS,
    "number": 2 * A,
    "bool": A > 0,
    "date": pd.to_datetime(DAYS),
    "time": TIMES,
    "duration": [dt.timedelta(hours=int(5 * a)) for a in A],
}
NOW = {
    "nothing": [None] * 3,
    "not a number": [np.nan] * 3,
    "no date": pd.to_datetime([None] * 3),
    "texts": [None, "red", "3.5"],
    "numbers": [None, 1.0, 0.0],
    "whole numbers": pd.array([None, 1, 0], "Int64"),
    "booleans": [None, True, False],
    "dates": [None, dt.date(2024, 1, 1), dt.date(2024, 1, 2)],
    "categories": pd.Categorical([None, "red", "green"]),
    "times": [None, dt.time(1), dt.time(2)],
    "durations": [None, dt.timedelta(hours=3), dt.timedelta(hours=4)],
}


@pytest.mark.parametrize("container", ["pandas", "pandas with arrow", "pyarrow", "polars", "array"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_type_after_any_other_is_filled_or_refused(kind, container):
    def held(c):
        frame = pd.DataFrame({"a": A[: len(c)], "c": c})
        if container == "array":
            return frame.to_numpy(dtype=object)
        if container == "pandas with arrow":
            return frame.convert_dtypes(dtype_backend="pyarrow")
        arrow = pa.Table.from_pandas(frame, preserve_index=False)
        return {"pandas": frame, "pyarrow": arrow, "polars": pl.from_arrow(arrow)}[container]

    ae = fitted(held(KINDS[kind]))
    for cells in NOW.values():
        X = held(cells)
        try:
            tables = ae.impute(X), ae.reconstruct(X)
        except DataError as error:
            assert "column 'c'" in str(error) or "column 'x1'" in str(error)  # noqa: PT017
            continue
        for found in tables:
            column = found[:, 1] if container == "array" else found["c"]
            values = column.to_pylist() if container == "pyarrow" else list(column)
            assert pd.notna(pd.Series(values, dtype=object)).all()


def test_dates_are_no_numbers():
    ae = fitted(pa.table({"a": A, "c": A**2}))
    with pytest.raises(DataError, match=r"column 'c', row 1: datetime.date.* is no number"):
        ae.anomaly_score(pa.table({"a": [1.0, 2.0], "c": [None, dt.date(2024, 5, 1)]}))


def test_categories_that_lack_a_level():
    ae = fitted(pd.DataFrame({"a": A, "c": LEVELS}))
    now = pd.DataFrame({"a": A[:2], "c": pd.Categorical([None, "green"], ["green"])})
    filled = ae.impute(now)["c"]
    assert filled.dtype == "category"
    assert filled[0] in LEVELS
    assert filled[1] == "green"


def test_whole_numbers_as_levels_are_rebuilt_as_levels():
    codes = [7 if a > 0 else 11 for a in A]
    for container in (pa.table, pl.DataFrame, pd.DataFrame):
        ae = fitted(container({"a": A, "c": codes}), heads={"c": "categorical"})
        rebuilt = ae.reconstruct(container({"a": A, "c": codes}))["c"]
        assert set(np.asarray(rebuilt).tolist()) <= {7, 11}


def test_chunks_of_an_imputed_file_have_one_type(capsys, monkeypatch):
    save("t.parquet", {"a": A, "c": LEVELS})
    fit(capsys, "t.parquet")
    save("new.parquet", {"a": A, "c": [*DAYS[:-1], None]})
    monkeypatch.setattr(stream, "CHUNK_ROWS", 50)
    call(capsys, "impute", "m.xhat", "new.parquet", "-o", "o.parquet")
    filled = pq.read_table("o.parquet")["c"].to_pylist()
    assert filled[:-1] == list(map(str, DAYS[:-1]))
    assert filled[-1] in LEVELS


# -- times of day ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit", [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]
)
def test_times_of_day_are_numbers(unit):
    cells = pa.array([None, *TIMES[1:]], pa.time64("us")).cast(unit)
    X = pa.table({"a": A, "t": cells})
    ae = fitted(X)
    assert type(ae.heads_["t"]).__name__ == "Real"
    filled = ae.impute(X)
    assert filled.schema == X.schema
    assert filled["t"].null_count == 0
    assert filled["t"][1:].equals(X["t"][1:])
    assert ae.reconstruct(X)["t"].type == unit
    np.testing.assert_allclose(ae.anomaly_score(X), ae.anomaly_score(pl.from_arrow(X)))
    frame = pd.DataFrame({"a": A, "t": [None, *TIMES[1:]]})
    np.testing.assert_allclose(ae.anomaly_score(X), ae.anomaly_score(frame))
    assert isinstance(ae.impute(frame)["t"][0], dt.time)


def test_times_of_day_in_csv(capsys):
    rows = [f"{a:.3f},{t:%H:%M:%S}" for a, t in zip(A, TIMES, strict=True)]
    rows[3] = "0.5,"
    p = "t.csv"
    table(p, "a,t", rows)
    fit(capsys, p)
    for command in ("impute", "reconstruct"):
        call(capsys, command, "m.xhat", p, "-o", "o.csv")
    call(capsys, "impute", "m.xhat", p, "-o", "o.csv")
    out = lines("o.csv")[1:]
    assert out[3][1] != ""
    assert [r for i, r in enumerate(out) if i != 3] == [
        r.split(",") for i, r in enumerate(rows) if i != 3
    ]


# -- types that are no cells, and types that are --------------------------------------------------


NESTED = {
    "list": pa.array([[1, 2]] * N),
    "struct": pa.array([{"k": 1}] * N),
    "map": pa.array([[("k", 1)]] * N, pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.DictionaryArray.from_arrays(pa.array([0] * N), pa.array([[1], [2]])),
    "run_end": pa.RunEndEncodedArray.from_arrays([N], ["x"]),
    "binary": pa.array([b"ab", b"cd"] * (N // 2)),
}


@pytest.mark.parametrize("kind", NESTED)
def test_cells_that_are_no_single_values_are_refused(kind, capsys):
    X = pa.table({"a": A, "b": A**2, "c": NESTED[kind]})
    said = "column 'c' is of type .*--drop c"
    with pytest.raises(DataError, match=said):
        fitted(X)
    fitted(X, heads={"c": "ignore"})
    if kind in ("list", "struct", "map", "binary"):
        save("t.parquet", dict(zip("abc", X.columns, strict=True)))
        assert "column 'c' is of type" in refused(capsys, 65, "fit", "t.parquet")
        fit(capsys, "t.parquet", "--drop", "c")
    if kind == "list":
        with pytest.raises(DataError, match=said):
            fitted(pl.from_arrow(X))


def test_bytes_among_objects_are_refused():
    with pytest.raises(DataError, match=r"column 'c' .*bytes.*--drop c"):
        fitted(pd.DataFrame({"a": A, "c": [b"ab", b"cd"] * (N // 2)}))


@pytest.mark.parametrize("name", ["o.parquet", "o.arrow"])
def test_commands_keep_the_types_of_a_file(capsys, monkeypatch, name):
    money = [None, *(decimal.Decimal(f"{a:.2f}") for a in A[1:])]
    columns = {
        "a": pa.array(A),
        "money": pa.array(money, pa.decimal128(10, 2)),
        "level": pa.array([*LEVELS[:-1], None]).dictionary_encode().cast(
            pa.dictionary(pa.int8(), pa.string())
        ),
        "large": pa.array(LEVELS, pa.large_string()),
    }  # fmt: skip
    save("t.parquet", columns)
    fit(capsys, "t.parquet")
    before = pq.read_table("t.parquet")
    monkeypatch.setattr(stream, "CHUNK_ROWS", 50)
    for command in ("impute", "reconstruct"):
        call(capsys, command, "m.xhat", "t.parquet", "-o", name)
        after = read_table(name).data
        assert after.schema.types == before.schema.types
        if command == "impute":
            assert sum(column.null_count for column in after.columns) == 0
            assert after["money"][1:].to_pylist() == before["money"][1:].to_pylist()
            assert after["level"][:-1].to_pylist() == before["level"][:-1].to_pylist()


def test_dictionaries_that_grow_from_piece_to_piece():
    pieces = [["b", "a", None], ["c", "a"], ["d"]]
    tables = [{"c": pa.chunked_array([pa.array(p).dictionary_encode()])} for p in pieces]
    write_tables(tables, "o.arrow", ".arrow")
    assert read_table("o.arrow").data["c"].to_pylist() == [*"ba", None, *"cad"]


# -- texts in CSV ---------------------------------------------------------------------------------


def table(name, header, rows):
    Path(name).write_text("\n".join([header, *rows]) + "\n")


def test_codes_with_a_leading_zero_are_text(capsys):
    codes = ["01003" if a > 0 else "20000" for a in A]
    table("t.csv", "a,zip", [f"{a:.3f},{code}" for a, code in zip(A, codes, strict=True)])
    fit(capsys, "t.csv")
    table("new.csv", "a,zip", ["0.5,20000", "0.1,20000"])
    known = call(capsys, "score", "m.xhat", "new.csv").out.split()[1:]
    table("same.csv", "a,zip", ["0.5,20000", "0.1,20000", "0.1,01003"])
    assert call(capsys, "score", "m.xhat", "same.csv").out.split()[1:3] == known
    table("gap.csv", "a,zip", ["0.5,01003", "0.1,"])
    call(capsys, "impute", "m.xhat", "gap.csv", "-o", "o.csv")
    assert lines("o.csv")[1] == ["0.5", "01003"]
    assert lines("o.csv")[2][1] in codes


@pytest.mark.parametrize("cells", ["1 01", "01 1", "10 ' 07'", "5 00 NA"])
def test_one_code_makes_a_column_text(cells, monkeypatch):
    from xhat.data import blocks

    monkeypatch.setattr(blocks, "BLOCK", 8)
    texts = [cell.strip("'") for cell in cells.split(" ", 2 if "NA" in cells else 1)]
    table("t.csv", "a,c", [f"{i}.5,{text}" for i, text in enumerate(texts)])
    found = stream.open_stream("t.csv").whole().data
    assert found["c"].to_pylist() == texts
    assert found["a"].type == pa.float64()


@pytest.mark.parametrize("cell", ["0", "0.5", "-0.05", "0e1", "1.001", "0x"])
def test_numbers_with_a_zero_stay_numbers(cell):
    table("t.csv", "a,b", ["1,1", f"{cell},2"])
    found = read_table("t.csv").data
    assert pa.types.is_string(found["a"].type) == (cell == "0x")
    assert found["b"].type == pa.int64()


def test_codes_beside_empty_texts_are_no_damaged_numbers():
    codes = [f"{i % 7:02d}" for i in range(300)]
    X = pd.DataFrame({"a": np.arange(300) / 2, "c": [*codes[1:], "NA"]})
    assert type(fitted(X).heads_["c"]).__name__ == "Categorical"


def test_observed_cells_are_written_as_they_were_read(capsys):
    rows = [
        f"{a:.6f},{'true' if a > 0 else 'false'},{d}T08:30:15.250Z,{k},{a:.3e}"
        for a, d, k in zip(A, DAYS, LEVELS, strict=True)
    ]
    table("t.csv", "a,flag,at,kind,b", rows)
    fit(capsys, "t.csv")
    rows[0], rows[1], rows[2] = ",true,,red,1.250", "1.50,,2024-01-01T00:00:00Z,,1", "1,,,,  7"
    table("new.csv", "a,flag,at,kind,b", rows)
    call(capsys, "impute", "m.xhat", "new.csv", "-o", "o.csv", "--digits", "2")
    for old, new in zip(rows, lines("o.csv")[1:], strict=True):
        for was, now in zip(old.split(","), new, strict=True):
            assert now == was if was else now != ""
    out = lines("o.csv")
    assert len(out[1][0].lstrip("-")) <= 5
    assert out[2][1] in ("true", "false")


def test_digits_are_those_of_computed_cells_whatever_the_format(capsys):
    save("t.parquet", {"a": A, "b": [None, *A[1:]]})
    fit(capsys, "t.parquet")
    for name in ("o.parquet", "o.npy"):
        call(capsys, "impute", "m.xhat", "t.parquet", "-o", name, "--digits", "2")
        table = read_table(name).data
        b = table[:, 1] if name == "o.npy" else table["b"].to_numpy()
        np.testing.assert_array_equal(b[1:], A[1:])
        assert b[0] == float(f"{b[0]:.2g}")


@pytest.mark.parametrize("cell", ["{:.1f}", "{:.3f}"])
def test_decimal_commas_are_refused_and_read_on_request(capsys, cell):
    texts = [cell.format(a).replace(".", ",") for a in A]
    table("t.csv", "a;b", [f"{t};{i % 5}" for i, t in enumerate(texts)])
    line = refused(capsys, 65, "fit", "t.csv")
    assert "column 'a' holds numbers with a comma" in line
    assert "--decimal ," in line
    fit(capsys, "t.csv", "--decimal", ",", "-o", "m.xhat")
    assert "--decimal ," in refused(capsys, 65, "score", "m.xhat", "t.csv")
    scores = call(capsys, "score", "m.xhat", "t.csv", "--decimal", ",").out
    table("p.csv", "a;b", [f"{t.replace(',', '.')};{i % 5}" for i, t in enumerate(texts)])
    assert call(capsys, "score", "m.xhat", "p.csv").out == scores


@pytest.mark.parametrize("cell", ["{} %", "${}"])
def test_numbers_with_a_sign_are_warned_of(cell):
    X = pd.DataFrame({"a": A, "b": [cell.format(int(3 * abs(a))) for a in A]})
    with pytest.warns(UserWarning, match="column 'b' holds numbers with a sign"):
        fitted(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(X, heads={"b": "categorical"})


def test_a_header_alone(capsys):
    Path("t.csv").write_text("a,b")
    assert "header but no rows" in refused(capsys, 65, "fit", "t.csv")


# -- columns that a model does not use ------------------------------------------------------------


@pytest.fixture
def people(capsys):
    """A table whose column "name" is an identifier, and a model of it."""
    rows = [f"{i:03d}x,{a:.3f},{k},{a:.2f}" for i, (a, k) in enumerate(zip(A, LEVELS, strict=True))]
    table("t.csv", "name,a,kind,b", rows)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert "'name' is left out" in fit(capsys, "t.csv").err
    return rows


def test_left_out_columns_are_not_required(capsys, people):
    whole = call(capsys, "score", "m.xhat", "t.csv").out
    table("less.csv", "a,kind,b", [row.split(",", 1)[1] for row in people])
    assert call(capsys, "score", "m.xhat", "less.csv").out == whole
    assert call(capsys, "score", "m.xhat", "t.csv", "--drop", "name").out == whole
    out = call(capsys, "score", "m.xhat", "t.csv", "--id", "name").out
    assert out.startswith("name,score")
    assert call(capsys, "explain", "m.xhat", "less.csv").out.startswith("name,a,kind,b")
    for command in ("reconstruct", "impute"):
        assert call(capsys, command, "m.xhat", "less.csv").out.startswith("a,kind,b\n")


def test_columns_that_are_required(capsys, people):
    for words, said in [
        (["--id", "kind"], "leave out --id kind, or fit with --id kind"),
        (["--labels", "a"], "leave out --labels a, or fit with --drop a"),
        (["--drop", "b"], "leave out --drop b, or fit with --drop b"),
        (["--columns", "a,kind"], "it must name b"),
    ]:
        assert said in refused(capsys, 65, "score", "m.xhat", "t.csv", *words)
    table("less.csv", "a,kind", ["1,red"])
    line = refused(capsys, 65, "score", "m.xhat", "less.csv")
    assert "less.csv: 1 of the model's 3 columns missing: b; add it" in line


def test_impute_keeps_all_columns_in_their_place(capsys, people):
    table("new.csv", "b,note,name,kind,a", ["1.50,007,,red,", "2,x y,z,,1"])
    said = call(capsys, "impute", "m.xhat", "new.csv", "-o", "o.csv")
    assert said.err.splitlines() == [
        "note: empty cells stay empty where the model left the column out: name"
    ]
    out = lines("o.csv")
    assert out[0] == ["b", "note", "name", "kind", "a"]
    assert out[1][:4] == ["1.50", "007", "", "red"]
    assert out[2][:3] == ["2", "x y", "z"]
    assert out[1][4] != ""
    assert out[2][3] in LEVELS
    call(capsys, "impute", "m.xhat", "new.csv", "-o", "o.parquet", "--drop", "name")
    assert pq.read_table("o.parquet").column_names == ["b", "note", "kind", "a"]


@pytest.mark.filterwarnings("always:column '.*' counts the rows")
@pytest.mark.parametrize("header", [",a,b", "a,b,"])
def test_a_column_without_a_name_is_one(capsys, header):
    """As pandas writes its index, or a comma at the end of each line."""
    rows = [f"{i},{a:.3f},{2 * a + i % 3:.3f}" for i, a in enumerate(A)]
    said = "column '' counts the rows (0, 1, ...): later ones will look strange"
    table("t.csv", header, [*rows[:-1], f"{len(rows) - 1},7,"])
    assert (said in fit(capsys, "t.csv").err) == (header[0] == ",")
    call(capsys, "impute", "m.xhat", "t.csv", "-o", "o.csv")
    assert [row[0] for row in lines("o.csv")[1:]] == [str(i) for i in range(len(rows))]
    assert lines("o.csv")[0] == header.split(",")
    call(capsys, "impute", "m.xhat", "t.csv", "-o", "o.parquet")
    assert pq.read_table("o.parquet").column_names == header.split(",")
    explained = call(capsys, "explain", "m.xhat", "t.csv").out
    assert explained.startswith(f"{header},(code),top\n")

    for words in (["--drop", ""], ["--columns", "a,b"], ["--id", ""]):
        assert said not in fit(capsys, "t.csv", *words).err
        assert list(load("m.xhat").feature_names_in_) == ["a", "b"]
    note = "note: ignored, unknown to the model: ''\n"
    assert call(capsys, "score", "m.xhat", "t.csv").err == note
    assert call(capsys, "score", "m.xhat", "t.csv", "--id", "").out.startswith(",score,outlier\n")
    assert call(capsys, "impute", "m.xhat", "t.csv").out.startswith(f"{header}\n")
    assert call(capsys, "impute", "m.xhat", "t.csv", "--drop", "").out.startswith("a,b\n")
    fit(capsys, "t.csv", "--columns", ",b")
    assert list(load("m.xhat").feature_names_in_) == ["", "b"]


# -- what a format cannot hold --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["level", "date"])
@pytest.mark.parametrize("command", ["impute", "reconstruct"])
def test_npy_is_for_numbers(capsys, kind, command):
    save("t.parquet", {"a": A, "c": COLUMNS[kind]})
    fit(capsys, "t.parquet")
    line = refused(capsys, 64, command, "m.xhat", "t.parquet", "-o", "o.npy")
    assert "npy holds numbers only, and column 'c' holds" in line
    save("n.parquet", {"a": A, "b": [None, *A[1:]]})
    fit(capsys, "n.parquet")
    call(capsys, command, "m.xhat", "n.parquet", "-o", "o.npy")
    assert np.load("o.npy").dtype == np.float64
    save("n.parquet", {"a": A, "note": LEVELS, "b": [None, *A[1:]]})
    line = refused(capsys, 64, "impute", "m.xhat", "n.parquet", "-o", "o2.npy")
    assert "column 'note'" in line


def test_json_has_no_infinity(capsys):
    table("t.csv", "a,b", [f"{a},{2 * a}" for a in A])
    fit(capsys, "t.csv")
    columns = {"x": np.array([np.inf, -np.inf, np.nan, 1.5]), "d": [decimal.Decimal("1.5")] * 4}
    write_tables([columns], "o.jsonl", ".jsonl")
    text = Path("o.jsonl").read_text()
    found = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert [row["x"] for row in found] == [None, None, None, 1.5]
    assert found[0]["d"] == 1.5


@pytest.mark.filterwarnings("ignore::xhat.errors.EmptyRowsWarning")
def test_nothing_is_the_top_reason_of_an_empty_row(capsys):
    table("t.csv", "a,b", [f"{a},{2 * a}" for a in A])
    fit(capsys, "t.csv")
    table("new.csv", "a,b", [",", "1,3"])
    call(capsys, "explain", "m.xhat", "new.csv", "-o", "o.csv", "--quiet")
    assert lines("o.csv")[1][-1] == ""
    table("new.csv", "a,b", [",", ","])
    call(capsys, "explain", "m.xhat", "new.csv", "-o", "o.parquet", "--quiet")
    assert pq.read_table("o.parquet")["top"].to_pylist() == [None, None]


# -- Times -----------------------------------------------------------------------------------------

CLOCKS = {
    "date": DAYS,
    "datetime": [dt.datetime(2024, 1, 1) + dt.timedelta(hours=20 * a) for a in A],  # noqa: DTZ001
    "moment": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=20 * a) for a in A],
    "time": TIMES,
    "duration": [dt.timedelta(hours=int(5 * a)) for a in A],
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_times_come_back_as_the_times_they_were(clock, tmp_path):
    """Also where the container has no type for them: codes and arrays of objects."""
    frame = pd.DataFrame({"a": A, "t": pd.Series(CLOCKS[clock], dtype=object)})
    frame.loc[3, "t"] = None
    cells = frame.to_numpy(dtype=object)
    kind = type(CLOCKS[clock][0])
    for X in (frame, pl.from_pandas(frame), cells):
        ae = Autoencoder(1, random_state=0).fit(X)
        ae.save(tmp_path / "m.xhat")
        for model in (ae, load(tmp_path / "m.xhat")):
            back = np.asarray(model.inverse_transform(model.transform(X)), dtype=object)[0, 1]
            assert isinstance(back, kind)
            assert bool(getattr(back, "tzinfo", None)) == (clock == "moment")
    for made in (ae.impute(cells)[3, 1], ae.reconstruct(cells)[0, 1]):
        assert type(made) is kind
    first = pd.DataFrame({"a": A, "t": pd.Series([pd.NaT, *CLOCKS[clock][1:]], dtype=object)})
    assert type(Autoencoder(1, random_state=0).fit(first).impute(first)["t"][0]) is kind
    assert all(ae.impute(cells)[:3, 1] == cells[:3, 1])


def test_another_kind_of_time_is_refused_by_name():
    frame = pd.DataFrame(
        {"a": A, **{name: pd.Series(v, dtype=object) for name, v in CLOCKS.items()}}
    )
    ae = Autoencoder(1, random_state=0).fit(frame)
    ae.anomaly_score(frame.assign(date=frame["datetime"], moment=frame["date"]))
    ae.anomaly_score(frame.assign(duration=None))
    for name, other, said in (
        ("time", "duration", "is a duration, where fit had a time"),
        ("duration", "moment", "is a datetime, where fit had a duration"),
        ("date", "time", "is a time, where fit had a date"),
    ):
        with pytest.raises(DataError, match=f"column '{name}', row 0: .* {said}"):
            ae.anomaly_score(frame.assign(**{name: frame[other]}))


@pytest.mark.parametrize("dtype", ["M8[ns]", "M8[D]", "m8[ns]", "m8[s]"])
def test_arrays_of_numpys_times(dtype):
    """NaT is a missing cell, not the smallest number there is."""
    days = np.arange(60)[:, None] * [1, 2] + np.random.default_rng(0).integers(0, 9, (60, 2))
    X = (days * np.timedelta64(1, "D")).astype("m8[ns]").astype("i8").astype("m8[ns]")
    X = (
        X.astype(dtype)
        if dtype[0] == "m"
        else (np.datetime64("2024-01-01", "ns") + X).astype(dtype)
    )
    X[3, 1] = "NaT"
    ae = Autoencoder(1, random_state=0).fit(X)
    assert ae.anomaly_score(X).max() < 1e3
    filled, rebuilt = ae.impute(X), ae.reconstruct(X)
    assert filled.dtype == rebuilt.dtype == X.dtype
    observed = ~np.isnat(X)
    assert np.array_equal(filled[observed], X[observed])
    assert abs(filled[3, 1] - X[4, 1]) < np.timedelta64(30, "D")


# -- Names that are no texts -----------------------------------------------------------------------


def test_names_that_are_numbers_or_tuples(tmp_path):
    cells = np.random.default_rng(0).normal(size=(60, 2))
    tuples = pd.DataFrame(cells, columns=pd.MultiIndex.from_product([["x"], [1, 2]]))
    ae = Autoencoder(1, heads={("x", 1): "asinh", ("x", 2): "robust"}, random_state=0).fit(tuples)
    assert [kind.scale for kind in ae.heads_.values()] == ["asinh", "robust"]
    assert ae.reconstruct(tuples).columns.equals(tuples.columns)
    numbers = pd.DataFrame(cells)
    for table in (tuples, numbers):
        fitted(table).save(tmp_path / "m.xhat")
        for model in (fitted(table), load(tmp_path / "m.xhat")):
            parts = model.explain(table)
            assert list(parts.columns) == [*table.columns, "(code)"]
            turned = table[table.columns[::-1]]
            with pytest.raises(DataError, match=r"column 0 of the table is .*, where fit had"):
                model.anomaly_score(turned)
    of_array = Autoencoder(1, random_state=0).fit(cells)
    assert np.array_equal(of_array.anomaly_score(numbers), of_array.anomaly_score(cells))


def test_numbers_written_as_text_are_said_to_be_such():
    """They are levels, or left out as identifiers are: in silence that would lose a column."""
    rng = np.random.default_rng(0)
    few = np.array([[f"{v / 4}", "ab"[i % 2]] for i, v in enumerate(rng.integers(0, 9, 80))])
    with pytest.warns(
        UserWarning, match=r"'x0' holds numbers written as text .*'x0': 'real'"
    ) as found:
        assert list(fitted(few).heads_) == ["x0", "x1"]
    assert [w.filename for w in found] == [__file__]
    many = np.array([[f"{v}", "ab"[i % 2]] for i, v in enumerate(rng.normal(size=80))])
    with pytest.warns(UserWarning, match=r"'x0' is left out: its 80 different texts are numbers"):
        assert list(fitted(many).heads_) == ["x1"]
    assert fitted(many, heads={"x0": "real"}).heads_["x0"].scale == "std"
    fitted(np.array([["1234"[v], "ab"[v % 2]] for v in rng.integers(0, 4, 80)]))  # codes: no word


def test_sparse_columns_of_pandas_come_back_sparse():
    cells = RNG.normal(size=N) * (RNG.random(N) < 0.5)
    frame = pd.get_dummies(pd.Series(LEVELS), sparse=True)
    frame["x"] = pd.arrays.SparseArray(cells, fill_value=0.0)
    frame["y"] = pd.arrays.SparseArray(np.where(RNG.random(N) < 0.2, np.nan, A))
    dense = frame.sparse.to_dense()
    ae = fitted(frame)
    assert np.array_equal(ae.anomaly_score(frame), fitted(dense).anomaly_score(dense))
    assert ae.impute(frame).dtypes.equals(frame.dtypes)
    assert ae.impute(frame).sparse.to_dense().equals(ae.impute(dense))
    assert ae.reconstruct(frame).sparse.to_dense().equals(ae.reconstruct(dense))
    assert len(ae.explain(frame, detail=True)) == N * (frame.shape[1] + 1)
