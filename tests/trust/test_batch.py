"""Scoring a folder: every row exactly once, the same bytes after any interruption."""

import csv
import json
import os

import fits
import numpy as np
import pytest

from xhat.__main__ import run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fits.make_table(tmp_path)
    assert run(fits.fit_words(epochs=1)) == 0
    fits.make_inputs(tmp_path / "in")
    return tmp_path


def score(*more, out="out"):
    return run(["score", "m.xhat", "in", "-o", out, "--quiet", *more])


def scores(path):
    with path.open() as file:
        return [float(row["score"]) for row in csv.DictReader(file)]


def test_every_row_once_and_as_one_file_would(folder):
    assert score() == 0
    names = sorted(path.name for path in (folder / "out").glob("p0*"))
    assert names == [f"p0.parquet.0000{i}.csv" for i in range(4)]
    assert run(["score", "m.xhat", "in/p0.parquet", "-o", "one.csv", "--quiet"]) == 0
    parts = [value for name in names for value in scores(folder / "out" / name)]
    assert parts == scores(folder / "one.csv")
    entries = [json.loads(t) for t in (folder / "out/manifest.jsonl").read_text().splitlines()]
    rows = {}
    for entry in entries:
        rows.setdefault(entry["input"], []).append((entry["first_row"], entry["rows"]))
    assert {name: sum(n for _, n in found) for name, found in rows.items()} == {
        "p0.parquet": 2000, "p1.parquet": 2000, "c0.csv": 300, "c1.csv": 300, "n.npy": 2000,
    }  # fmt: skip


def test_a_second_run_redoes_only_what_is_missing_or_changed(folder, monkeypatch):
    monkeypatch.setattr("xhat.batch.BLOCK", 128)
    assert score() == 0
    out = folder / "out"
    first, times = fits.contents(out), {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert "c0.csv.00002.csv" in first

    def redone():
        assert fits.contents(out) == first
        now = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
        changed = {name for name in now if now[name] != times[name]}
        times.update(now)
        return changed - {"manifest.jsonl"}

    assert score() == 0
    assert redone() == set()
    (out / "p0.parquet.00002.csv").unlink()
    (out / "n.npy.00001.csv").write_text("torn")
    assert score() == 0
    assert redone() == {"p0.parquet.00002.csv", "n.npy.00001.csv"}
    lines = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (out / "manifest.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    for name in (".p1.parquet.00003.csv.a", ".p1.parquet.00003.csv.b", ".manifest.jsonl.c"):
        (out / f"{name}.xhat-tmp").write_text("left by a crash")
    assert score() == 0
    assert redone() == {"p1.parquet.00003.csv"}
    (folder / "in/c1.csv").unlink()
    os.utime(folder / "in/c0.csv", ns=(1, 1))
    assert score() == 0
    assert not list(out.glob("c1*"))
    redone_now = {p.name for p in out.glob("c0*") if p.stat().st_mtime_ns != times[p.name]}
    assert redone_now == {f"c0.csv.0000{i}.csv" for i in range(3)}


def test_shards_together_do_all_of_it_and_nothing_twice(folder):
    assert score() == 0
    for i in (3, 1, 2):
        assert score("--shard", f"{i}/3", out="shards") == 0
    whole, shards = fits.contents(folder / "out"), fits.contents(folder / "shards")
    lines = [shards.pop(f"manifest-{i}-of-3.jsonl").splitlines() for i in (1, 2, 3)]
    together = sorted(line for part in lines for line in part)
    assert together == sorted(whole.pop("manifest.jsonl").splitlines())
    assert whole == shards
    assert min(map(len, lines)) >= 3
    assert score(out="shards") == 0  # nothing is left to do
    assert (folder / "shards/manifest.jsonl").read_bytes() == b""


def test_parts_of_other_shards_count_as_there(folder, capsys):
    def said(*more):
        capsys.readouterr()
        assert run(["score", "m.xhat", "in", "-o", "out", *more]) == 0
        return [line for line in capsys.readouterr().err.splitlines() if line.endswith(": out")]

    for name in ("p0.parquet", "p1.parquet", "n.npy"):
        (folder / "in" / name).unlink()
    assert said("--shard", "1/2") == ["1 part written, 0 were there: out"]
    assert said() == ["1 part written, 1 was there: out"]
    assert said() == ["0 parts written, 2 were there: out"]
    (folder / "in/c0.csv").unlink()
    assert said() == ["0 parts written, 1 was there: out"]


def test_what_cannot_go_together_is_refused(folder, capsys):
    assert score() == 0
    assert run(fits.fit_words(epochs=2)) == 0
    for words, code, text in [
        (["in", "-o", "out"], 64, "scores of another model or with other options"),
        (["in", "-o", "in"], 64, "is the folder of the input"),
        (["in"], 64, "-o needs the name of another one"),
        (["in", "-o", "new", "--labels", "x"], 64, "--labels needs all rows at once"),
        (["in", "-o", "new", "--shard", "3/2"], 64, "expected I/N"),
        (["in", "-o", "new", "--format", "xls"], 64, "unknown format"),
        (["rows.npy", "--shard", "1/2"], 64, "--shard is for a folder"),
        (["c", "-o", "new"], 65, "holds no table"),
    ]:
        (folder / "c").mkdir(exist_ok=True)
        capsys.readouterr()
        assert run(["score", "m.xhat", *words]) == code, words
        err = capsys.readouterr().err
        assert text in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("how", [("--missing", "7"), ("--decimal", ",")])
def test_another_way_of_reading_is_another_option(folder, capsys, how):
    assert score() == 0
    capsys.readouterr()
    assert score(*how) == 64
    assert "scores of another model or with other options" in capsys.readouterr().err


def test_a_bad_file_is_named_and_what_is_done_stays(folder, capsys):
    (folder / "in/d.csv").write_text("x0,x1\n1,2\n")
    capsys.readouterr()
    assert score() == 65
    assert capsys.readouterr().err.startswith("in/d.csv: 2 columns, but the model")
    assert (folder / "out/c0.csv.00000.csv").exists()
    (folder / "in/d.csv").unlink()
    assert score() == 0


def test_a_damaged_manifest_is_named(folder, capsys):
    assert score() == 0
    path = folder / "out/manifest.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    entry = json.loads(whole[1])
    lines = [b"x\n", b"[]\n", b"3\n", b"\xff\n"]
    lines += [
        json.dumps({key: value for key, value in entry.items() if key != name}).encode() + b"\n"
        for name in entry
    ]
    lines += [json.dumps({**entry, name: None}).encode() + b"\n" for name in entry]
    for line in lines:
        path.write_bytes(b"".join([whole[0], line, *whole[2:]]))
        capsys.readouterr()
        assert score() == 65, line
        assert capsys.readouterr().err == "out/manifest.jsonl: line 2 is damaged: remove the file\n"
    path.unlink()
    assert score() == 0
    assert path.read_bytes() == b"".join(whole)


def test_parts_in_other_formats(folder):
    assert score("--format", "parquet", out="p") == 0
    assert score("--format", "npy", out="n") == 0
    X = np.load(folder / "n/n.npy.00000.npy")
    assert X.shape == (2000,)


def test_kill_9_while_scoring(tmp_path):
    found = fits.killer("score", tmp_path, 8, 0)
    assert found == {"killed": 8, "same": 8, "finished parts redone": 0}


@pytest.mark.nightly
def test_50_kills_while_scoring(tmp_path, figures):
    found = fits.killer("score", tmp_path, 50, 1)
    assert found == {"killed": 50, "same": 50, "finished parts redone": 0}
    figures("score kills", found)
