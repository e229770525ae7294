"""``xhat score --bad-rows keep``: a bad row has a reason, and all other rows the bytes they had."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from xhat import Autoencoder
from xhat.__main__ import run
from xhat.data import blocks, stream

ROWS = 400
HEADS = {"kind": "categorical", "flag": "binary"}  # so that 2 is an error, not strange


def mixed_table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(ROWS, 4)), columns=list("abcd"))
    frame["flag"] = rng.integers(0, 2, ROWS)
    frame["day"] = pd.date_range("2024-01-01", periods=ROWS, freq="D")
    frame["kind"] = rng.choice(["x", "y"], ROWS)
    frame.loc[::17, "b"] = np.nan
    return frame


#: Row, column, what is written there, what the reason says.
FAULTS = [
    (3, "a", "n.a.?", "column 'a': 'n.a.?' is no number"),
    (3, "c", "also bad", None),
    (17, "flag", "2", "column 'flag': 2 is outside [0, 1], the range of f = logistic"),
    (90, "c", "-inf", "column 'c': -inf is infinity (inf)"),
    (91, "d", "1_000", "column 'd': '1_000' is no number"),
    (250, "day", "2024-02-30", "column 'day': '2024-02-30' is no date or time"),
    (ROWS - 1, "b", "12 kg", "column 'b': '12 kg' is no number"),
]
BAD = {row: reason for row, _, _, reason in reversed(FAULTS) if reason}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = mixed_table()
    Autoencoder(2, hidden=(8,), max_iter=2, random_state=0, heads=HEADS).fit(frame).save("m.xhat")
    frame.to_csv("good.csv", index=False, na_rep="NA", date_format="%Y-%m-%d")
    lines = (tmp_path / "good.csv").read_text().splitlines()
    for row, column, text, _ in FAULTS:
        cells = lines[row + 1].split(",")
        cells[list(frame.columns).index(column)] = text
        lines[row + 1] = ",".join(cells)
    (tmp_path / "bad.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def score(capsys, *words, code=0):
    capsys.readouterr()
    assert run(["score", *words]) == code
    return capsys.readouterr()


def check_rows(good, bad):
    """The rows of two CSV files, one with faults: reasons there, the same bytes elsewhere."""
    good, bad = list(csv.reader(io.StringIO(good))), list(csv.reader(io.StringIO(bad)))
    assert bad[0] == [*good[0], "reason"]
    assert len(good) == len(bad) == ROWS + 1
    for row in range(ROWS):
        found, expected = bad[row + 1], good[row + 1]
        if row in BAD:
            assert found[:2] == ["", ""], row
            assert found[2].startswith(BAD[row]), found
        else:
            assert found == [*expected, ""], row


def test_bad_rows_have_a_reason_and_the_others_their_bytes(folder, capsys):
    good = score(capsys, "m.xhat", "good.csv", "--quiet").out
    done = score(capsys, "m.xhat", "bad.csv", "--bad-rows", "keep")
    check_rows(good, done.out)
    assert done.err == (
        f"note: {len(BAD)} rows could not be scored; the first: column 'a', row 3 (line 5): "
        "'n.a.?' is no number; correct these cells, or have them read as missing (--missing)\n"
    )


def test_one_chunk_or_many(folder, capsys, monkeypatch):
    good = score(capsys, "m.xhat", "good.csv", "--quiet").out
    monkeypatch.setattr(blocks, "BLOCK", 3000)
    assert score(capsys, "m.xhat", "good.csv", "--quiet").out == good
    check_rows(good, score(capsys, "m.xhat", "bad.csv", "--bad-rows", "keep", "--quiet").out)


@pytest.mark.parametrize("block", [3000, 2**20], ids=["many blocks", "one block"])
def test_standard_input(folder, capsys, monkeypatch, block):
    good = score(capsys, "m.xhat", "good.csv", "--quiet").out
    monkeypatch.setattr(blocks, "BLOCK", block)
    text = io.BytesIO((folder / "bad.csv").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(text))
    check_rows(good, score(capsys, "m.xhat", "-", "--bad-rows", "keep", "--quiet").out)


def test_by_default_the_true_cell_is_named_in_any_chunk(folder, capsys, monkeypatch):
    """Empty cells, dates and flags beside a text do not count as bad, nor does the chunk matter."""
    lines = (folder / "good.csv").read_text().splitlines()
    monkeypatch.setattr(blocks, "BLOCK", 3000)
    for row, column, text, reason in FAULTS:
        if reason is None:
            continue
        cells = lines[row + 1].split(",")
        cells[lines[0].split(",").index(column)] = text
        changed = [*lines[: row + 1], ",".join(cells), *lines[row + 2 :]]
        (folder / "one.csv").write_text("\n".join(changed) + "\n")
        err = score(capsys, "m.xhat", "one.csv", "--quiet", code=65).err
        problem = reason.split(": ", 1)[1]
        place = f"one.csv: column {column!r}, row {row} (line {row + 2}): {problem}"
        assert err.startswith(place), err
        assert err.endswith("; --bad-rows keep scores the others\n")


def test_nothing_is_bad(folder, capsys):
    good = score(capsys, "m.xhat", "good.csv", "--quiet").out.splitlines()
    kept = score(capsys, "m.xhat", "good.csv", "--bad-rows", "keep").out.splitlines()
    assert kept == [f"{good[0]},reason", *(f"{line}," for line in good[1:])]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "arrow", "npy", "tsv"])
@pytest.mark.parametrize("digits", [(), ("--digits", "3")], ids=["", "rounded"])
def test_every_format_of_output(folder, capsys, suffix, digits):
    for name in ("good", "bad"):
        words = ("m.xhat", f"{name}.csv", "-o", f"{name}.{suffix}", "--quiet", *digits)
        score(capsys, *words, *(("--bad-rows", "keep") if name == "bad" else ()))

    def column(name, what):
        path = folder / f"{name}.{suffix}"
        if suffix == "npy":
            values = np.load(path).tolist()
            return [None if np.isnan(value) else value for value in values]
        if suffix == "jsonl":
            return [json.loads(line)[what] for line in path.read_text().splitlines()]
        if suffix == "tsv":
            rows = csv.DictReader(io.StringIO(path.read_text()), delimiter="\t")
            return [row[what] or None for row in rows]
        read = pq.read_table if suffix == "parquet" else pa.ipc.open_file
        table = read(path) if suffix == "parquet" else read(path).read_all()
        return table.column(what).to_pylist()

    for what in ("score",) if suffix == "npy" else ("score", "outlier"):
        good, bad = column("good", what), column("bad", what)
        assert all(bad[row] is None for row in BAD)
        assert [v for i, v in enumerate(bad) if i not in BAD] == [
            v for i, v in enumerate(good) if i not in BAD
        ]
        if suffix in ("parquet", "arrow"):
            assert type(bad[0]) is type(good[0])


@pytest.mark.parametrize("sparse", [False, True], ids=["npy", "npz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrices(tmp_path, monkeypatch, capsys, sparse, dtype):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream, "CHUNK_ROWS", 64)
    X = np.random.default_rng(0).normal(size=(200, 5)).astype(dtype)
    X[np.abs(X) < 0.5] = 0
    Autoencoder(2, random_state=0, hidden=(8,), max_iter=2).fit(X).save("m.xhat")

    def scores(rows):
        if sparse:
            scipy.sparse.save_npz("t.npz", scipy.sparse.csr_matrix(rows))
        else:
            np.save("t.npy", rows)
        path = "t.npz" if sparse else "t.npy"
        return score(capsys, "m.xhat", path, "--bad-rows", "keep", "--quiet").out.splitlines()

    good = scores(X)
    X[150, 2] = np.inf
    bad = scores(X)
    assert bad.pop(151).startswith(",,column 'x2': inf is infinity")
    good.pop(151)
    assert bad == good


def test_folders(folder, capsys, monkeypatch):
    monkeypatch.setattr("xhat.batch.BLOCK", 64)
    (folder / "in").mkdir()
    (folder / "bad.csv").rename(folder / "in/t.csv")
    err = score(capsys, "m.xhat", "in", "-o", "out", "--quiet", code=65).err
    assert err.startswith("in/t.csv: column 'a', row 3: 'n.a.?' is no number")
    done = score(capsys, "m.xhat", "in", "-o", "kept", "--bad-rows", "keep")
    assert "note: 2 rows could not be scored; the first: column 'a', row 3" in done.err
    parts = [p.read_text().splitlines(keepends=True) for p in sorted((folder / "kept").glob("t*"))]
    rows = "".join([parts[0][0], *("".join(part[1:]) for part in parts)])
    check_rows(score(capsys, "m.xhat", "good.csv", "--quiet").out, rows)
    err = score(capsys, "m.xhat", "in", "-o", "kept", "--quiet", code=64).err
    assert "scores of another model or with other options" in err


def test_the_row_of_a_later_part_is_the_row_of_the_file(folder, capsys, monkeypatch):
    monkeypatch.setattr("xhat.batch.BLOCK", 64)
    (folder / "in").mkdir()
    lines = (folder / "good.csv").read_text().splitlines()
    lines[200] = "oops" + lines[200][lines[200].index(",") :]
    (folder / "in/t.csv").write_text("\n".join(lines) + "\n")
    err = score(capsys, "m.xhat", "in", "-o", "out", "--quiet", code=65).err
    assert err.startswith("in/t.csv: column 'a', row 199: 'oops' is no number")


def test_labels_of_bad_rows_do_not_count(folder, capsys):
    frame = pd.read_csv("bad.csv", dtype=str, keep_default_na=False)
    frame["odd"] = ["1" if row in BAD or row % 50 == 7 else "0" for row in range(ROWS)]
    frame.to_csv("labelled.csv", index=False)
    done = score(capsys, "m.xhat", "labelled.csv", "--labels", "odd", "--bad-rows", "keep")
    assert " of 8 labelled)" in done.err
    assert "nan" not in done.err
