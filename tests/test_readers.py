"""Files in, tables out; every fault in one line that names the place."""

import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from xhat.cli_tools import split_names
from xhat.data import readers
from xhat.data.readers import read_table
from xhat.data.stream import open_stream
from xhat.data.writers import output_format, write_table
from xhat.errors import DataError, MissingExtraError, ParameterError


@pytest.fixture
def csv(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a,b\n1,2\n3,4\n", "t.csv"),
        ("a;b\n1;2\n3;4\n", "t.csv"),
        ("a\tb\n1\t2\n3\t4\n", "t.tsv"),
        ("a|b\n1|2\n3|4\n", "t.csv"),
        ("a\tb\n1\t2\n3\t4", "t.txt"),
        ("\ufeffa,b\r\n1,2\r\n3,4\r\n", "t.csv"),
        ('"a","b"\n"1","2"\n3,4\n', "t.CSV"),
    ],
)
def test_delimited(csv, text, name):
    table = read_table(csv(text, name))
    assert table.names == ["a", "b"]
    assert table.data.to_pydict() == {"a": [1, 3], "b": [2, 4]}


def test_a_stroke_may_be_part_of_a_name(csv):
    assert read_table(csv("x|y|z,b\n1,2\n")).names == ["x|y|z", "b"]
    assert read_table(csv("x|y\n1\n")).names == ["x|y"]


def test_no_header_numbers_the_columns(csv):
    table = read_table(csv("1,2\n3,4\n"), header=False)
    assert table.names == ["x0", "x1"]
    assert table.n_rows == 2


def test_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert read_table("-").names == ["a", "b"]


def test_arrow_and_parquet(tmp_path):
    table = pa.table({"a": [1.5, 2.5], "b": pa.array(["x", "y"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(table, str(tmp_path / "t.feather"))
    with pa.ipc.new_stream(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table)
    for name in ("t.parquet", "t.feather", "t.arrow"):
        read = read_table(str(tmp_path / name))
        assert read.data.to_pydict() == {"a": [1.5, 2.5], "b": ["x", "y"]}


def test_arrays(tmp_path):
    X = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "a.npy", X)
    np.savez(tmp_path / "b.npz", X)
    scipy.sparse.save_npz(tmp_path / "c.npz", scipy.sparse.csr_array(X))
    for name in ("a.npy", "b.npz", "c.npz"):
        table = read_table(str(tmp_path / name))
        assert table.names == ["x0", "x1"]
        assert not table.named
        assert table.n_rows == 3
        chosen = table.select(["x1"]).data
        assert (scipy.sparse.csr_array(chosen).toarray().ravel() == X[:, 1]).all()
        assert table.values("x1") == [1, 3, 5]
    assert isinstance(read_table(str(tmp_path / "a.npy")).data, np.memmap)


def test_types_are_settled_over_the_whole_file(csv):
    """Integers for a megabyte, then a fraction, then text: not what the first block says."""
    rows = ["1"] * 700_000
    table = read_table(csv("a,b\n" + "\n".join(f"{v},0" for v in [*rows, "2.5"])))
    assert table.data.column("a")[-1].as_py() == 2.5
    table = read_table(csv("a,b\n" + "\n".join(f"{v},0" for v in [*rows, "oops"])))
    assert table.data.column("a")[0].as_py() == "1"
    assert table.data.column("a")[-1].as_py() == "oops"


def test_ids_stay_as_written(csv):
    table = read_table(csv("id,a\n007,1\nNA,2\n"), verbatim=["id"])
    assert table.values("id") == ["007", "NA"]


FAULTS = {
    "a,b\n1,2\n3\n": "line 3 has 1 cell where 2 are expected",
    "a,b\n1,2\n\n3,4,5\n": "line 4 has 3 cells where 2 are expected",
    'a,b\n"1,2\n3,4\n': "row 2 .* has 1 cell where 2 are expected; is a quotation mark left open",
    "a,a\n1,2\n": "the column name 'a' stands 2 times in the header",
    "a,b\n": "a header but no rows",
    "": "the file is empty",
    b"a,b\n1,2\n\xff,3\n": "line 3 is not UTF-8",
    gzip.compress(b"a,b\n1,2\n", mtime=0): r"with gzip: unpack it, as gunzip -c FILE \| xhat fit -",
    "a,b\n1,2\n".encode("utf-16"): "line 1 is UTF-16, not UTF-8 text: save the file as UTF-8",
}


@pytest.mark.parametrize("text", FAULTS)
def test_faulty_files(csv, text):
    with pytest.raises(DataError, match=FAULTS[text]):
        read_table(csv(text))


def test_blanks_around_a_missing_cell_do_not_count(csv):
    table = read_table(csv("n,t,k\n1, ?,a\n 2, ,?b\n ?, u,c\n"), missing=["?"])
    assert table.data.to_pydict() == {
        "n": [1, 2, None],
        "t": [None, None, " u"],
        "k": ["a", "?b", "c"],
    }


def test_missing_spelling(csv):
    table = read_table(csv("b\n1\n?\n3\n"), missing=["?"])
    assert table.data.column("b").to_pylist() == [1, None, 3]


@pytest.mark.parametrize("name", ["two words", "a,b", " padded"])
def test_columns_as_typed(csv, name):
    table = read_table(csv(f'"{name}",c\n3,1\n4,2\n'))
    typed = f'"{name}"' if "," in name else name
    assert table.drop(split_names([typed])).names == ["c"]


def test_unknown_column(csv):
    table = read_table(csv("height,b\n1,2\n"))
    with pytest.raises(DataError, match="no column 'hight'; did you mean 'height'"):
        table.drop(["hight"])


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.npy", "t.npz"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'"])
def test_damaged_binary_files(csv, name, content):
    with pytest.raises(DataError):
        read_table(csv(content, name))


def test_refused_arrays(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(3.0))
    np.save(tmp_path / "object.npy", np.array([[{}]]), allow_pickle=True)
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    np.savez(tmp_path / "two.npz", a=np.eye(2), b=np.eye(2))
    for name, match in {
        "one.npy": r"shape \(3,\): rows by columns",
        "object.npy": "not an array of numbers",
        "text.npy": "numbers are expected",
        "two.npz": r"2 arrays \(a, b\)",
    }.items():
        with pytest.raises(DataError, match=match):
            read_table(str(tmp_path / name))


def test_a_lying_header_allocates_nothing(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros((2, 2)))
    data = (tmp_path / "t.npy").read_bytes()
    (tmp_path / "t.npy").write_bytes(data.replace(b"(2, 2), ", b"(2,9999999999), ".strip() + b" "))
    with pytest.raises(DataError, match="cut off: 168 bytes where 160000000112 are expected"):
        read_table(str(tmp_path / "t.npy"))


def test_unknown_extension():
    with pytest.raises(DataError, match=r"unknown extension '.xls'; use one of .csv"):
        read_table("t.xls")
    for read in (read_table, open_stream):
        with pytest.raises(DataError, match=r"'.gz'; .*a compressed CSV: unpack it, as gunzip -c"):
            read("t.csv.gz")


def test_without_pyarrow(csv, monkeypatch):
    monkeypatch.setattr(readers.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'xhat\[table\]'"):
        read_table(csv("a\n1\n"))


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.parquet", "o.arrow", "o.feather"])
def test_written_tables_read_back(tmp_path, name):
    path = str(tmp_path / name)
    columns = {"id": ["a,b", 'c"d'], "x": np.array([0.1, 1e-300]), "y": np.float32([0.1, 2])}
    write_table(columns, path, output_format(path), numbers=["x", "y"])
    table = read_table(path)
    assert table.values("id") == ["a,b", 'c"d']
    assert table.values("x") == [0.1, 1e-300]
    assert np.float32(table.values("y")).tolist() == columns["y"].tolist()


def test_npy_holds_the_numbers(tmp_path):
    path = str(tmp_path / "o.npy")
    write_table({"x": np.arange(2.0), "top": ["a", "b"]}, path, ".npy", numbers=["x"])
    assert np.load(path).tolist() == [0, 1]


def test_output_format_is_checked_first():
    with pytest.raises(ParameterError, match=r"-o t.xls: unknown format"):
        output_format("t.xls")


def test_text_is_written_in_chunks(capsys):
    write_table({"a": np.arange(20_001)}, "-", ".csv", numbers=["a"])
    assert capsys.readouterr().out == "a\n" + "".join(f"{i}\n" for i in range(20_001))
