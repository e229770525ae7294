# ruff: noqa: E501
"""Every rule of the readers by itself: what breaks it, its line, and what is read all the same."""

import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from badtables import npy, zipped

from xhat import Autoencoder
from xhat.data import arrays, blocks
from xhat.data.delimited import Dialect
from xhat.data.readers import plain_columns, read_table
from xhat.data.stream import open_stream
from xhat.errors import DataError

X = np.arange(6.0).reshape(3, 2)


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(path)

    return write


def why(path, read=read_table):
    with pytest.raises(DataError) as error:
        read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


# -- npy and npz -----------------------------------------------------------------------------------


def header(text, version=b"\x01\x00", size=2):
    return b"\x93NUMPY" + version + len(text).to_bytes(size, "little") + text.encode()


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }",
        "{'shape': (3,2), 'descr': '<f8', 'fortran_order': False}\n",
        "{ 'fortran_order' :False,'shape':( 3L , 2L ) ,'descr':'<f8', }  ",
        "{'descr': '=f8', 'fortran_order': False, 'shape': (3, 2,)}",
    ],
)
@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")
def test_headers_that_other_programs_write(write, text):
    data = X.tobytes()
    assert (read_table(write("t.npy", header(text) + data)).data == X).all()
    assert (read_table(write("u.npy", header(text, b"\x02\x00", 4) + data)).data == X).all()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "{}", "3", "{'descr': '<f8', 'fortran_order': False}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), 'more': 1}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, -2)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2.0)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': [3, 2]}",
        "{'descr': '<f8', 'fortran_order': 0, 'shape': (3, 2)}",
        "{'descr': '<f8', 'fortran_order': True or exit(), 'shape': (3, 2)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os')}",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': '<f8', 'descr': '<f8', 'shape': (3, 2)}",
        "{'descr': '<f9', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': 'Z', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': '<f8', 'fortran_order': (3, 2), 'shape': False}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': " + "(" * 4000 + ")" * 4000 + "}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1, " * 3000 + ")}" + " " * 10_000,
    ],
    ids=lambda text: text[:60],
)  # fmt: skip
def test_headers_that_are_none(write, text):
    for name, data in [("t.npy", header(text) + bytes(48)),
                       ("t.npz", zipped({"X": header(text) + bytes(48)}))]:  # fmt: skip
        assert why(write(name, data)).startswith(
            ("not an npy array of numbers, or a damaged one (", "not an array of numbers, but of")
        )


def test_a_header_is_read_by_its_own_length(write):
    good = npy(X)
    assert "its header does not describe one" in why(write("t.npy", good[:30]))
    for start in (b"\x93NUMPY\x03\x00", b"\x93NUMPY\x00\x00", b"\x93NUMPx\x01\x00", b"\x93NU"):
        assert why(write("t.npy", start + good[8:] * (len(start) > 4))).startswith("not an npy")
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2)}"
    assert "the file is cut off" in why(write("t.npy", header(text.ljust(10_000))))
    assert "(its header does not" in why(write("t.npy", header(text.ljust(10_001))))


def test_files_as_long_as_they_say(write):
    data = npy(X)
    assert why(write("t.npy", data[:-1])) == (
        f"the file is cut off: {len(data) - 1} bytes where {len(data)} are expected"
    )
    assert "longer than its array" in why(write("t.npy", data + b"1"))
    wide = header("{'descr': '|b1', 'fortran_order': False, 'shape': (0, 16777217), }")
    assert why(write("t.npy", wide)) == "an array of 16777217 columns: at most 16777216 are read"
    limit = header("{'descr': '|b1', 'fortran_order': False, 'shape': (0, 16777216), }")
    assert why(write("t.npy", limit)) == "an array of shape (0, 16777216): it holds no rows"


def test_archives(write, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        read_table(str(tmp_path / "none.npz"))
    assert "holds 0 arrays ()" in why(write("t.npz", zipped({})))
    assert "holds 2 arrays (a, b)" in why(write("t.npz", zipped({"a": npy(X), "b": npy(X)})))
    many = zipped({f"a{i}": npy(X) for i in range(7)})
    assert "holds 7 arrays (a0, a1, a2, a3, a4):" in why(write("t.npz", many))
    data = zipped({"X": npy(np.zeros((1000, 9)))})
    monkeypatch.setattr(arrays, "MAX_UNPACKED", 1000)
    size = 72_128
    monkeypatch.setattr(arrays, "RATIO", -(-size // len(data)))
    assert read_table(write("t.npz", data)).n_rows == 1000
    monkeypatch.setattr(arrays, "RATIO", size // len(data))
    assert why(write("t.npz", data)) == (
        f"it would unpack to {size} bytes, {size // len(data)} times its size: save it as npy"
    )


def test_a_bomb_is_refused_unopened(write):
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("X.npy", "w") as f,
    ):
        f.write(header("{'descr': '<f8', 'fortran_order': False, 'shape': (131072, 256), }"))
        for _ in range(256):
            f.write(bytes(2**20))
    assert "it would unpack to 268435" in why(write("t.npz", out.getvalue()))


def parts(**changes):
    found = {"data": np.ones(3), "indices": np.array([0, 2, 1]), "indptr": np.array([0, 1, 1, 3]),
             "shape": np.array([3, 3]), "format": np.array(b"csr"), **changes}  # fmt: skip
    return zipped({name: npy(value) for name, value in found.items()})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": np.array("coo")}, "a sparse matrix in format 'coo': save it as CSR"),
        ({"format": np.array(b"bsr")}, "a sparse matrix in format 'bsr': save it as CSR"),
        ({"format": np.zeros(3)}, "not a readable npz archive ("),
        ({"shape": np.array([3])}, "a sparse matrix of shape (3,): rows by columns are expected"),
        ({"shape": np.array([3, -1])}, "a sparse matrix of shape (3, -1): rows by columns"),
        ({"shape": np.array([3, 2**24 + 1])}, "a sparse matrix of shape (3, 16777217): rows by"),
        ({"data": np.ones((3, 1))}, "a sparse matrix whose parts do not belong together"),
        ({"data": np.ones(2)}, "a sparse matrix whose parts do not belong together"),
        ({"data": np.array(list("abc"))}, "a sparse matrix whose parts do not belong together"),
        ({"indices": np.ones(3)}, "a sparse matrix whose parts do not belong together"),
        ({"indptr": np.ones(4)}, "a sparse matrix whose parts do not belong together"),
        ({"indptr": np.array([0, 1, 3])}, "a sparse matrix whose parts do not belong together"),
        ({"indptr": np.array([1, 1, 1, 3])}, "row 0 of the sparse matrix ends before it begins"),
        ({"indptr": np.array([0, 1, 1, 2])}, "row 0 of the sparse matrix ends before it begins"),
        ({"indptr": np.array([0, 2, 1, 3])}, "row 1 of the sparse matrix ends before it begins"),
        ({"indices": np.array([0, 3, 1])}, "row 2 of the sparse matrix: column 3 is outside 0 to 2"),
        ({"indices": np.array([0, 2, -1])}, "row 2 of the sparse matrix: column -1 is outside"),
        ({"format": np.array("csc"), "indices": np.array([0, 3, 1])},
         "column 2 of the sparse matrix: row 3 is outside 0 to 2"),
    ],
    ids=str,
)  # fmt: skip
def test_sparse_parts(write, changes, reason):
    assert why(write("t.npz", parts(**changes))).startswith(reason)


def test_sparse_matrices_that_are_read(write):
    expected = scipy.sparse.csr_array((np.ones(3), [0, 2, 1], [0, 1, 1, 3]), shape=(3, 3)).toarray()
    assert (read_table(write("t.npz", parts())).data.toarray() == expected).all()
    csc = parts(format=np.array("csc"))
    assert (read_table(write("t.npz", csc)).data.toarray() == expected.T).all()
    twice = parts(indices=np.array([0, 1, 1]))
    assert read_table(write("t.npz", twice)).data.toarray()[2, 1] == 2


# -- text ------------------------------------------------------------------------------------------


def test_a_row_without_end(write, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 2**18)
    monkeypatch.setattr(blocks, "LONGEST_ROW", 2**20)
    path = write("t.csv", 'a,b\n1,2\n3,"' + "x\n" * 2**20)
    assert why(path, open_stream) == (
        "line 3 begins a row of more than 1 MB: is a quotation mark left open?"
    )


def test_lines_of_files_without_header_and_of_standard_input(write, monkeypatch):
    path = write("t.csv", '1,"a\n\nb"\n\n3,4\n5,6\n')
    found = blocks.survey([path], Dialect(header=False), None)
    assert found.names == ["x0", "x1"]
    assert [found.place(row) for row in range(3)] == ["line 1", "line 5", "line 6"]
    other = write("u.csv", "7,8\n9,10\n")
    both = blocks.survey([path, other], Dialect(header=False), None)
    assert [both.place(row) for row in (2, 3, 4)] == [
        "line 6 of t.csv",
        "line 1 of u.csv",
        "line 2 of u.csv",
    ]
    write("t.csv", "1,2\n")
    assert found.place(2) is None  # the file has changed
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert blocks.survey(["-"], Dialect(), None).place(0) is None


def test_a_file_that_changes_while_it_is_read(write, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 8)
    path = write("t.csv", "a,b\n" + "1,2\n" * 20)
    stream = open_stream(path)
    write("t.csv", "a,b\n" + "1,2\n" * 10 + "1,x\n")
    with pytest.raises(DataError, match=r"conversion error to int64: invalid value 'x'"):
        stream.whole()


def test_the_line_of_a_bad_row(write):
    for text, reason in [
        ("a,b\n\n1,2\n\n3\n", "line 5 has 1 cell where 2 are expected"),
        ('a,b\n1,"2"\n3\n', "row 3 (the header is row 1) has 1 cell where 2 are expected"),
        ('a,b,c\n1,2,3\n4,"5\n6\n7,8",9,10\n',
         "row 3 (the header is row 1) has 4 cells where 3 are expected; is a quotation mark left"),
        (b"a,b\n1,2\n3,\xff\n", "line 3 is not UTF-8 text: save the file as UTF-8"),
        (b"a\xff,b\n1,2\n", "line 1 is not UTF-8 text: save the file as UTF-8"),
    ]:  # fmt: skip
        assert why(write("t.csv", text)).startswith(reason)


def test_columns_that_are_kept_as_written_where_there_are_no_names(write):
    table = read_table(write("t.csv", "007,1\n008,2\n"), header=False, verbatim=["x0", "y"])
    assert table.column("x0").to_pylist() == ["007", "008"]


# -- Arrow -----------------------------------------------------------------------------------------


def test_extension_types_are_what_they_are_stored_as():
    money = pa.ExtensionArray.from_storage(
        pa.opaque(pa.string(), "numeric", "PostgreSQL"), pa.array(["1.5", None])
    )
    point = pa.ExtensionArray.from_storage(
        pa.opaque(pa.int64(), "point", "PostgreSQL"), pa.array([3, 4])
    )
    plain = plain_columns(pa.table({"money": money, "point": point, "n": [1, 2]}))
    assert plain.to_pydict() == {"money": [1.5, None], "point": [3, 4], "n": [1, 2]}
    assert [str(t) for t in plain.schema.types] == ["double", "int64", "int64"]


def test_a_row_group_that_is_damaged(write):
    from xhat.data.readers import read_row_group, row_groups

    out = io.BytesIO()
    table = pa.table({"a": np.arange(100.0), "b": np.arange(100.0)})
    pq.write_table(table, out, row_group_size=40, write_page_checksum=True, compression="none",
                   use_dictionary=False)  # fmt: skip
    data = bytearray(out.getvalue())
    path = write("t.parquet", bytes(data))
    assert row_groups(path) == [40, 40, 20]
    assert read_row_group(path, 2).data.equals(table.slice(80))
    data[300] ^= 1
    path = write("t.parquet", bytes(data))
    assert "CRC checksum" in why(path, lambda p: read_row_group(p, 0))
    assert read_row_group(path, 1).n_rows == 40
    assert why(write("t.parquet", "no"), row_groups).startswith("not a Parquet file, or a damaged")


def test_views_are_read_filled_and_reported(tmp_path):
    """Texts in pieces, as DuckDB and polars hold them: pyarrow can neither take nor fill these."""
    rng = np.random.default_rng(0)
    texts = [None if i % 7 == 0 else "abc"[i % 3] for i in range(120)]
    table = pa.table({"x": rng.normal(size=120), "s": pa.array(texts, pa.string_view())})
    with pa.ipc.new_file(tmp_path / "t.arrow", table.schema) as file:
        file.write_table(table)
    read = read_table(str(tmp_path / "t.arrow")).data
    assert read.schema.types == [pa.float64(), pa.large_string()]
    assert read["s"].to_pylist() == texts
    ae = Autoencoder(random_state=0).fit(table)
    filled = ae.impute(table)
    assert filled.schema == table.schema
    cells = zip(texts, filled["s"].to_pylist(), strict=True)
    assert all(new == old if old else new in ("a", "b", "c") for old, new in cells)
    assert ae.report(table)


def test_dictionaries_of_polars_have_unsigned_indices_and_views(tmp_path):
    import polars as pl

    texts = [None if i % 7 == 0 else "abc"[i % 3] for i in range(120)]
    frame = pl.DataFrame(
        {
            "x": np.random.default_rng(0).normal(size=120),
            "c": pl.Series(texts, dtype=pl.Categorical),
            "e": pl.Series(texts, dtype=pl.Enum(["a", "b", "c", "d"])),
        }
    )
    frame.write_ipc(tmp_path / "t.arrow")
    frame.write_parquet(tmp_path / "t.parquet")
    views = pa.ipc.open_file(tmp_path / "t.arrow").read_all()
    arrow, file = frame.to_arrow(), read_table(str(tmp_path / "t.arrow")).data
    parquet = read_table(str(tmp_path / "t.parquet")).data
    expected = Autoencoder(random_state=0).fit(frame)
    for table in (arrow, views, file, parquet):
        ae = Autoencoder(random_state=0).fit(table)
        assert np.array_equal(ae.anomaly_score(table), expected.anomaly_score(frame))
        filled, wanted = ae.impute(table), expected.impute(frame)
        for name in ("c", "e"):
            assert filled[name].to_pylist() == wanted[name].cast(pl.String).to_list()
            assert pa.types.is_dictionary(filled[name].type)
