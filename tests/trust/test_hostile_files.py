"""Files made to do harm: what they may cost, what they may say, and what they never reach."""

import io
import json
import os
import signal
import time
import zipfile

import fits
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from badtables import npy, zipped

from xhat import Autoencoder, batch, errors, files, manifest
from xhat.__main__ import run
from xhat.cli_tools import Words
from xhat.data import arrow, blocks
from xhat.data.readers import check_unique, read_table
from xhat.data.stream import is_stream, of_arrow, open_stream
from xhat.data.table import Table
from xhat.errors import DataError

N = 50
ROWS = {
    "a": np.linspace(-1, 1, N),
    "b": np.cos(np.arange(N)),
    "c": ["x", "y"] * (N // 2),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of the columns a, b, c."""
    path = tmp_path_factory.mktemp("model") / "m.xhat"
    Autoencoder(2, max_iter=3, random_state=0).fit(pa.table(ROWS)).save(path)
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def why(read, *arguments):
    """Return the one line in which something is refused."""
    with pytest.raises(DataError) as error:
        read(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def walked(path, *wanted):
    stream = open_stream(str(path))
    return list((stream.select(wanted) if wanted else stream).chunks())


# -- manifests -------------------------------------------------------------------------------------


@pytest.fixture
def scored(folder, model):
    """A folder whose scores are there, and a function that adds a line to its manifest."""
    (folder / "in").mkdir()
    pa_csv.write_csv(pa.table(ROWS), folder / "in/t.csv")
    (folder / "victim").mkdir()
    (folder / "victim/diary.txt").write_text("precious")
    words = ["score", model, "in", "-o", "out", "--quiet"]
    assert run(words) == 0
    path = folder / "out/manifest.jsonl"
    whole = path.read_text()

    def again(line):
        path.write_text(whole + line + "\n")
        return run(words)

    return again, json.loads(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"part": "../victim/diary.txt"},
        {"part": "diary.txt"},
        {"part": "../victim/diary.txt.00000.csv", "input": "../victim/diary.txt"},
        {"unit": 1},
        {"unit": -1, "part": "gone.csv.-0001.csv"},
        {"rows": -1},
        {"rows": 10**30},
        {"first_row": 2**63},
    ],
    ids=str,
)
def test_a_manifest_names_no_file_but_parts(scored, folder, capsys, change):
    again, line = scored
    (folder / "out/diary.txt").write_text("decoy")
    (folder / "victim/diary.txt.00000.csv").write_text("decoy")
    forged = {**line, "input": "gone.csv", "part": "gone.csv.00000.csv", **change}
    before = fits.contents(folder / "victim"), names(folder / "out")
    assert again(json.dumps(forged)) == 65
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{forged['part']!r} is no part that xhat writes for {forged['input']!r}" in err
    assert (fits.contents(folder / "victim"), names(folder / "out")) == before


def test_rows_of_a_manifest_cost_no_memory(scored, folder):
    again, line = scored
    part = (folder / "out" / line["part"]).read_bytes()
    assert again(json.dumps({**line, "rows": 10**15})) == 0
    assert (folder / "out" / line["part"]).read_bytes() == part


def test_a_deep_line_of_a_manifest_is_damaged(scored, capsys):
    again, _ = scored
    assert again("[" * 100_000 + "]" * 100_000) == 65
    assert "manifest.jsonl: line 2 is damaged: remove the file" in capsys.readouterr().err


def test_all_parts_of_a_file():
    def lines(*rows):
        return [{"unit": i, "first_row": i * batch.BLOCK, "rows": n} for i, n in enumerate(rows)][
            ::-1
        ]

    assert manifest.is_all(lines(7), batch.BLOCK)
    assert manifest.is_all(lines(batch.BLOCK, 7), batch.BLOCK)
    for not_all in [(), (0,), (batch.BLOCK,), (7, 7), (7, batch.BLOCK), (10**15,)]:
        assert not manifest.is_all(lines(*not_all), batch.BLOCK)
    assert not manifest.is_all(lines(batch.BLOCK, 7)[:1], batch.BLOCK)


# -- Arrow and Parquet -----------------------------------------------------------------------------


def arrow_file(path, table, *patch):
    """Write an Arrow file, with some bytes replaced that stand in it once."""
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    data = out.getvalue()
    for old, new in patch:
        assert data.count(old) == 1
        data = data.replace(old, new)
    path.write_bytes(data)
    return path


def offsets(at, value):
    """Return the offsets of N texts of one letter, and the same with some set to a value."""
    good = np.arange(N + 1, dtype=np.int32)
    bad = good.copy()
    bad[at] = value
    return good.tobytes(), bad.tobytes()


TEXTS = pa.table({"a": ROWS["a"], "b": ROWS["b"], "c": ["x"] * N})
PATCHES = {
    "beyond the end": offsets(20, 2**31 - 1),
    "last": offsets(-1, 2**31 - 1),
    "negative": offsets(20, -(2**31)),
    "other memory": offsets(slice(20, None), 20_000),
    "not UTF-8": (b"x" * N, b"\xff" * N),
}


@pytest.mark.parametrize("name", PATCHES)
def test_offsets_and_texts_of_arrow_files_are_looked_at(folder, model, capsys, name):
    path = arrow_file(folder / "t.arrow", TEXTS, PATCHES[name])
    for read in (walked, lambda path: read_table(str(path))):
        assert why(read, path).startswith("not an Arrow file, or a damaged one (")
    assert run(["score", model, "t.arrow", "-o", "o.csv", "--quiet"]) == 65
    err = capsys.readouterr().err
    assert err.startswith("t.arrow: not an Arrow file, or a damaged one (")
    assert err.count("\n") == 1
    assert len(walked(path, "a", "b")) == 1  # what is not read does no harm


def test_indices_and_names_are_looked_at(folder):
    codes = pa.array(np.arange(N, dtype=np.int32))
    words = pa.DictionaryArray.from_arrays(codes, pa.array([f"w{i}" for i in range(N)]))
    bad = np.arange(N, dtype=np.int32)
    bad[9] = 10**6
    patch = np.arange(N, dtype=np.int32).tobytes(), bad.tobytes()
    out = io.BytesIO()
    with pa.ipc.new_stream(out, pa.schema([("c", words.type)])) as writer:
        writer.write_table(pa.table({"c": words}))
    # the dictionary's own offsets begin with the same numbers, times two: no second match
    data = out.getvalue()
    assert data.count(patch[0]) == 1
    (folder / "d.arrow").write_bytes(data.replace(*patch))
    assert "damaged one (" in why(walked, folder / "d.arrow")
    path = arrow_file(folder / "n.arrow", pa.table({"naïve_name": [1.0]}))
    path.write_bytes(path.read_bytes().replace("naïve".encode(), b"na\xff\xffve"))
    assert "can't decode byte" in why(walked, path)


def test_foreign_streams_are_looked_at():
    texts = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 2**30, 1], np.int32)), pa.py_buffer(b"x")]
    )
    reader = pa.RecordBatchReader.from_batches(
        pa.schema([("c", pa.string())]), [pa.RecordBatch.from_arrays([texts], ["c"])]
    )
    assert is_stream(reader)
    stream = of_arrow(reader)
    assert why(lambda: list(stream.chunks())).startswith("not an Arrow stream, or a damaged one (")


def test_texts_of_parquet_files_are_looked_at_and_the_file_is_named(folder):
    texts = pa.array([b"\xff"] * N, pa.binary()).view(pa.string())
    (folder / "in").mkdir()
    pq.write_table(TEXTS, folder / "in/a.parquet")
    pq.write_table(TEXTS.set_column(2, "c", texts), folder / "in/b.parquet")
    reason = "not a Parquet file, or a damaged one ("
    for path, read, named in (
        (folder / "in", walked, "b.parquet: "),
        ("in/b.parquet", read_table, ""),
    ):
        text = why(read, path)
        assert text.startswith(named + reason)
        assert "Invalid UTF8 sequence" in text


def test_a_dictionary_does_not_unpack_to_far_more_than_it_is(folder, monkeypatch):
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(N, np.int8)), ["q" * 100_000])
    table = TEXTS.set_column(2, "c", words)
    path = arrow_file(folder / "t.arrow", table)
    pq.write_table(table, folder / "t.parquet")
    assert len(walked(path)) == 1
    monkeypatch.setattr(arrow, "MAX_UNPACKED", 10**6)
    monkeypatch.setattr(arrow, "RATIO", 40)
    for name in ("t.arrow", "t.parquet"):
        assert why(walked, folder / name).startswith(
            "column 'c': its dictionary would unpack to 5000000 bytes, 49 times its size: leave it"
        )
        (chunk,) = walked(folder / name, "b", "a")
        assert chunk.names == chunk.data.column_names == ["b", "a"]


def test_columns_without_plain_values_are_named():
    nested = pa.DictionaryArray.from_arrays(pa.array([0]), pa.array([[1]]))
    text = why(arrow.plain_columns, pa.table({"n": nested}))
    assert text.startswith("column 'n' of type dictionary<")


# -- arrays ----------------------------------------------------------------------------------------


def with_shape(shape, data=b""):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ("(" + "1," * 100 + ")", bytes(8)),
        ("(0, 4611686018427387904, 4611686018427387904, 4611686018427387904)", b""),
        ("(99999999999999999999, 0)", b""),
        ("(0, 99999999999999999999)", b""),
        ("(4611686018427387904, 0)", b""),
        ("(99999999999999999999, 0,)", b""),
    ],
)
def test_shapes_that_numpy_cannot_make(folder, shape, data):
    (folder / "t.npy").write_bytes(with_shape(shape, data))
    (folder / "t.npz").write_bytes(zipped({"X": with_shape(shape, data)}))
    for name in ("t.npy", "t.npz"):
        assert why(read_table, name).startswith("an array of ")


def columns_first(rows, numbers):
    parts = {
        "format": np.array(b"csc"), "shape": np.array([rows, 4]), "data": np.ones(numbers),
        "indices": np.arange(numbers), "indptr": np.array([0, 0, 0, 0, numbers]),
    }  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in parts.items():
            archive.writestr(f"{name}.npy", npy(value))
    return out.getvalue()


def test_rows_of_a_csc_matrix_are_there_or_few(folder):
    def read(rows, numbers):
        (folder / "t.npz").write_bytes(columns_first(rows, numbers))
        return read_table("t.npz")

    assert read(2**20, 0).n_rows == 2**20
    assert why(read, 2**28, 0) == (
        "a sparse matrix of 268435456 rows with 0 numbers in them: at most 1048576 rows are read, "
        "save it as CSR (matrix.tocsr())"
    )
    assert read(2_000_000, 20_000).n_rows == 2_000_000
    assert "at most 2000000 rows" in why(read, 2_000_001, 20_000)


# -- text ------------------------------------------------------------------------------------------


def test_only_the_row_that_is_shown_is_looked_up(folder, model, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        blocks.TextFiles, "place", lambda self, row: asked.append(row) or f"line {row + 2}"
    )
    lines = [f"{'bad' if i % 2 else i},1,x" for i in range(100)]
    (folder / "t.csv").write_text("\n".join(["a,b,c", *lines]))
    assert run(["score", model, "t.csv", "-o", "o.csv", "--bad-rows", "keep"]) == 0
    assert "50 rows could not be scored; the first: column 'a', row 1 (line 3)" in (
        capsys.readouterr().err
    )
    assert asked == [1]


def test_an_open_quotation_mark_is_found_in_one_pass():
    began = time.monotonic()
    with pytest.raises(DataError, match="line 1 begins a row of more than 64 MB"):
        list(blocks._blocks(io.BytesIO(b'"' + b"\n" * (blocks.LONGEST_ROW + 1))))
    assert time.monotonic() - began < 10  # a line at a time it was minutes


def cut(data):
    """Return the position behind the last line break outside quotation marks, byte by byte."""
    end, inside = 0, False
    for i, byte in enumerate(data):
        inside ^= byte == ord('"')
        end = i + 1 if byte == ord("\n") and not inside else end
    return end


def test_blocks_end_where_rows_do(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(blocks, "BLOCK", 5)
    for size in rng.integers(0, 40, 2000):
        data = bytes(rng.choice(list(b'"\na,'), size).tolist())
        found, at = list(blocks._blocks(io.BytesIO(data))), 0
        for number, (block, before) in enumerate(found):
            start = data.index(block, at)
            assert not data[at:start].strip()
            assert before.lines == data.count(b"\n", 0, start)
            assert number == len(found) - 1 or cut(block) == len(block)
            at = start + len(block)
        assert not data[at:].strip()


def test_wide_headers_are_read_in_linear_time():
    names = [f"c{i}" for i in range(60_000)]
    table = Table(None, [*names[:-1], " last "], named=True)
    began = time.monotonic()
    assert [table.position(name) for name in names[:-1]] == list(range(59_999))
    assert table.position("last") == 59_999
    with pytest.raises(DataError, match="'z' stands 2 times"):
        check_unique([*names, "z", "z"])
    assert time.monotonic() - began < 2  # column by column it was 20 s


# -- what reaches the terminal ---------------------------------------------------------------------

NASTY = "\x1b[31m\x07\x7f\x9b\u202e\u2066"


def test_no_control_character_reaches_the_terminal(folder, model, capsys):
    (folder / "t.csv").write_text(f"a,b,c,{NASTY}\n1,1,x,2\n")
    assert run(["score", model, "t.csv", "-o", "o.csv"]) == 0
    shown = r"\x1b[31m\x07\x7f\x9b\u202e\u2066"
    assert capsys.readouterr().err == f"note: ignored, unknown to the model: {shown}\n"
    (folder / f"{NASTY}.csv").write_text("")
    assert run(["score", model, f"{NASTY}.csv", "-o", "o.csv"]) == 65
    assert capsys.readouterr().err.startswith(f"{shown}.csv: the file is empty")
    assert run(["fit", "t.csv", "-o", "n.xhat", "--set", f"{NASTY}=1"]) == 64
    assert NASTY[0] not in capsys.readouterr().err


def test_notes_are_one_line_and_tables_stay_tables(capsys):
    Words(quiet=False).say("note: a\nsaved m.xhat")
    Words(quiet=False).show("flagged   rows\n\x1b[2J   1")
    Words(quiet=True).show("nothing")
    assert capsys.readouterr().err == "note: a saved m.xhat\nflagged   rows\n\\x1b[2J   1\n"
    for text in ("plain", "naïve 模型"):
        assert errors.one_line(text) == text


# -- where files go --------------------------------------------------------------------------------


def test_long_names_are_cut_by_bytes(folder):
    name = "模" * 80 + ".xhat"
    with files.atomic(name) as file:
        file.write(b"whole")
        assert [p.name for p in folder.iterdir() if p.name[0] == "."]
    assert names(folder) == [name]
    assert files.stem("模" * 80) == "模" * 33


def test_what_cannot_be_written_is_refused_before_the_fit(folder, capsys, monkeypatch):
    np.save("rows.npy", np.ones((20, 3)))
    monkeypatch.setattr(Autoencoder, "fit", lambda *_, **__: pytest.fail("it was fitted"))
    for output in ("a" * 251 + ".xhat", "none/m.xhat", "rows.npy/m.xhat"):
        assert run(["fit", "rows.npy", "-o", output]) == 74
        assert capsys.readouterr().err.count("\n") == 1
    assert names(folder) == ["rows.npy"]

    def fault(operation):
        if operation == "try":
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "fault", fault)
    assert run(["fit", "rows.npy", "-o", "m.xhat"]) == 74
    assert capsys.readouterr().err == "m.xhat: Permission denied\n"


def test_a_pipe_in_a_folder_is_not_waited_for(folder):
    (folder / "in").mkdir()
    os.mkfifo("in/b.csv")
    assert "no file to read" in why(open_stream, "in")
    pa_csv.write_csv(pa.table(ROWS), "in/a.csv")
    assert open_stream("in").whole().n_rows == N
    (folder / "in/c.csv").symlink_to("gone")
    with pytest.raises(FileNotFoundError):  # rows that are missed are not passed over
        open_stream("in")


# -- the terminal goes away ------------------------------------------------------------------------

DRIVER = """
import os, signal, sys
if sys.argv[1] == "plain":  # not as this test may have been started itself
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
import numpy as np
from xhat import estimator
from xhat.__main__ import run
from xhat.data.scratch import Folder
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
def fit(self, *_, **__):
    rows = Folder(".")
    os.kill(os.getpid(), signal.SIGHUP)
    for _ in range(1000):
        pass
    print("went on", flush=True)
    raise SystemExit(3)
estimator.Autoencoder.fit = fit
sys.exit(run(["fit", "rows.npy", "-o", "m.xhat"]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none")
@pytest.mark.parametrize(("how", "code"), [("plain", 129), ("nohup", 0)])
def test_a_hangup_leaves_no_rows_behind(folder, how, code):
    import subprocess
    import sys

    np.save("rows.npy", np.ones((20, 3)))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, how], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == "went on\n" * (how == "nohup")
    assert done.stderr.startswith("interrupted; nothing was saved" * (how == "plain"))
    assert names(folder) == ["rows.npy"]


SWALLOWED = """
import os, signal, sys
from xhat import estimator
from xhat.__main__ import run
def fit(self, *_, **__):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass
    except BaseException:
        pass
    raise TypeError("not FileIO")
estimator.Autoencoder.fit = fit
sys.exit(run(["fit", "rows.npy", "-o", "m.xhat"]))
"""


def test_a_library_that_swallows_a_signal_is_no_bug(folder):
    """Compiled libraries clear whatever is raised while they ask for an attribute."""
    import subprocess
    import sys

    np.save("rows.npy", np.ones((20, 3)))
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 143, done.stderr
    assert done.stderr.startswith("interrupted")
