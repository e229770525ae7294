"""The command line: data on standard output, words on standard error, one line for every fault."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_wine

from xhat import L2, Adam, Autoencoder, EarlyStopping, Gaussian, L1Code, Real, load
from xhat.__main__ import run

XHAT = [sys.executable, "-m", "xhat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table (id, text, label beside numbers), its array, and a model of it."""
    folder = tmp_path_factory.mktemp("cli")
    wine = load_wine()
    X = wine.data[:, :6]
    names = ["id", *wine.feature_names[:6], "kind", "label"]
    lines = [",".join(names)]
    for i, row in enumerate(X):
        lines.append(f"{i:03d},{','.join(map(repr, row.tolist()))},red,{int(i % 10 == 0)}")
    (folder / "wine.csv").write_text("\n".join(lines) + "\n")
    np.save(folder / "wine.npy", X)
    model = Autoencoder(2, max_iter=30, random_state=0)
    command = ["fit", "wine.csv", "-o", "wine.xhat", "--drop", "kind,label", "--id", "id"]
    here = Path.cwd()
    os.chdir(folder)
    assert run([*command, "--components", "2", "--epochs", "30", "--quiet"]) == 0
    model.fit(X).save("array.xhat")
    os.chdir(here)
    return folder


@pytest.fixture
def call(folder, monkeypatch, capsys):
    """Run a command in the folder; return (exit code, standard output, lines of standard error)."""
    monkeypatch.chdir(folder)

    def call(*arguments):
        code = run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return call


def table(text):
    return [line.split(",") for line in text.splitlines()]


# -- the commands ---------------------------------------------------------------------------------


def test_fit_says_the_verdict_and_saves_what_the_library_would(call, folder):
    code, out, err = call("fit", "wine.csv", "--drop", "kind,label,id", "-o", "m.xhat")
    assert (code, out) == (0, "")
    assert err[0] == "178 rows, 6 columns (6 real) -> 2 units"
    assert err[-1] == "saved m.xhat"
    assert any("PCA" in line for line in err)
    X = np.load(folder / "wine.npy")
    ae, saved = Autoencoder(random_state=0).fit(X), load(folder / "m.xhat")
    assert (saved._fit.model.theta == ae._fit.model.theta).all()
    assert saved.feature_names_in_[0] == "alcohol"


def test_one_column_is_one(call, folder):
    words = ("fit", "wine.csv", "--columns", "ash", "--epochs", "1", "-o", "one.xhat")
    assert call(*words)[2][0] == "178 rows, 1 column (1 real) -> 1 unit"
    assert call("info", "one.xhat")[1].splitlines()[1].startswith("1 column -> 1 unit")
    (folder / "cells.csv").write_text("a,b\n1,2\n3\n")
    assert "line 3 has 1 cell where 2 are expected" in call("fit", "cells.csv")[2][0]


def test_fit_options(call, folder):
    options = ["--textbook", "--components", "3", "--seed", "7", "--epochs", "5", "--heads", "real"]
    settings = ["--set", "learning_rate=1e-3", "--set", "optimizer=sgd", "--set", "tied=True"]
    code, out, err = call("fit", "wine.npy", "-o", "o.xhat", *options, *settings, "--json")
    assert code == 0, err
    assert json.loads(out)["n_components"] == 3
    ae = load(folder / "o.xhat")
    wanted = {"learning_rate": 1e-3, "optimizer": "sgd", "tied": True, "random_state": 7}
    wanted |= {"hidden": (), "activation": "sigmoid", "max_iter": 5, "verbose": 0}
    assert {name: ae.get_params()[name] for name in wanted} == wanted


def test_set_takes_objects_as_python_writes_them(call, folder):
    objects = ["corruption=Gaussian(0.3)", "optimizer=Adam(clip=2)", "stopping=EarlyStopping(4)"]
    objects += ["penalty=(L2(1e-4), L1Code(weight=1e-3))"]
    settings = [word for text in objects for word in ("--set", text)]
    code, _, err = call("fit", "wine.npy", "-o", "s.xhat", "--epochs", "2", *settings)
    assert code == 0, err
    given = load(folder / "s.xhat").get_params()
    assert given["corruption"] == Gaussian(0.3)
    assert given["penalty"] == (L2(1e-4), L1Code(1e-3))
    assert (given["optimizer"], given["stopping"]) == (Adam(clip=2), EarlyStopping(4))


def test_heads_from_a_file(call, folder):
    (folder / "heads.json").write_text('{"label": "real"}')
    code, _, err = call(
        "fit", "wine.csv", "--columns", "ash,alcohol,label",
        "--heads", "heads.json", "-o", "h.xhat", "--epochs", "3",
    )  # fmt: skip
    assert code == 0, err
    assert load(folder / "h.xhat").heads_["label"] == Real("std")
    assert call("fit", "wine.csv", "--heads", "wood")[0] == 64


def test_encode_reconstruct_explain_score(call, folder):
    ae = load(folder / "wine.xhat")
    names = list(ae.feature_names_in_)
    X = np.load(folder / "wine.npy")
    frame = pa.table(dict(zip(names, X.T, strict=True)))
    expected = {
        "encode": (["code0", "code1"], ae._fit.model.codes(X)),
        "reconstruct": (names, ae._fit.model.decode(ae._fit.model.codes(X))),
        "explain": ([*names, "(code)", "top"], ae.explain(frame).to_pandas().to_numpy()),
        "score": (["score", "outlier"], ae._fit.model.nats(X).sum(axis=1, keepdims=True)),
    }
    for command, (header, values) in expected.items():
        code, out, err = call(command, "wine.xhat", "wine.csv", "--id", "id")
        assert code == 0, err
        rows = table(out)
        assert rows[0] == ["id", *header]
        assert [row[0] for row in rows[1:]] == [f"{i:03d}" for i in range(178)]
        got = np.array([row[1 : 1 + values.shape[1]] for row in rows[1:]], dtype=float)
        assert (got == values).all(), "text reads back as the same numbers"
        if command == "explain":
            assert [row[-1] for row in rows[1:]] == [
                names[j] for j in values[:, :-1].argmax(axis=1)
            ]
        if command == "score":
            outlier = [row[-1] == "True" for row in rows[1:]]
            assert sum(outlier) == sum(got[:, 0] > -ae.offset_) > 0


def test_explain_shares_the_code_out(call, folder):
    ae = load(folder / "wine.xhat")
    names, X = list(ae.feature_names_in_), np.load(folder / "wine.npy")
    code, out, err = call("explain", "wine.xhat", "wine.csv", "--id", "id", "--spread-code")
    assert code == 0, err
    rows = table(out)
    assert rows[0] == ["id", *names, "top"]
    got = np.array([row[1:-1] for row in rows[1:]], dtype=float)
    np.testing.assert_allclose(got.sum(axis=1), ae._fit.model.scores(X), rtol=1e-12)
    assert [row[-1] for row in rows[1:]] == [names[j] for j in got.argmax(axis=1)]


def test_output_files(call, folder):
    for name in ("c.parquet", "c.arrow", "c.tsv", "c.jsonl", "c.npy"):
        assert call("encode", "wine.xhat", "wine.csv", "-o", name, "--quiet") == (0, "", [])
    codes = np.load(folder / "c.npy")
    assert codes.shape == (178, 2)
    assert pq.read_table(folder / "c.parquet").column("code1").to_pylist() == codes[:, 1].tolist()
    lines = (folder / "c.jsonl").read_text().splitlines()
    assert json.loads(lines[5]) == {"code0": codes[5, 0], "code1": codes[5, 1]}
    assert call("score", "wine.xhat", "wine.csv", "-o", "s.npy", "--quiet")[0] == 0
    assert np.load(folder / "s.npy").shape == (178,)
    assert not list(folder.glob(".*tmp")), "files appear whole or not at all"


def test_digits_and_json(call):
    _, out, _ = call("encode", "wine.xhat", "wine.csv", "--digits", "2", "--quiet")
    assert max(len(cell.lstrip("-")) for row in table(out)[1:] for cell in row) <= len("0.00012")
    _, out, _ = call("score", "wine.xhat", "wine.csv", "--json", "--quiet")
    row = json.loads(out.splitlines()[0])
    assert list(row) == ["score", "outlier"]
    assert row["outlier"] in (True, False)


def test_columns_are_matched_by_name(call, folder):
    _, straight, err = call("score", "wine.xhat", "wine.csv")
    assert err == ["note: ignored, unknown to the model: id, kind, label"]
    cells = table((folder / "wine.csv").read_text())
    (folder / "turned.csv").write_text("\n".join(",".join(row[6:0:-1]) for row in cells))
    code, turned, err = call("score", "wine.xhat", "turned.csv")
    assert (code, turned) == (0, straight)
    assert err == ["note: columns reordered by name to the model's order"]


def test_columns_by_position(call):
    _, by_name, _ = call("score", "wine.xhat", "wine.csv")
    code, out, err = call("score", "wine.xhat", "wine.npy")
    assert (code, out) == (0, by_name)
    assert err == ["note: wine.npy has no column names: columns are taken by position"]
    code, _, err = call("score", "array.xhat", "wine.csv", "--drop", "id,kind,label")
    assert code == 0
    assert err == ["note: the model has no column names: columns are taken by position"]


def test_labels(call):
    code, out, err = call(
        "score", "wine.xhat", "wine.csv", "--labels", "label", "--drop", "id,kind"
    )
    assert code == 0
    assert len(out.splitlines()) == 179
    sentence = next(line for line in err if line.startswith("precision "))
    assert "recall " in sentence
    assert "AUROC 0." in sentence
    assert err[-1].split()[0] == "20.0%"
    assert len(err[-1].split()) == 5
    code, _, err = call("score", "wine.xhat", "wine.csv", "--labels", "kind")
    assert (code, len(err)) == (65, 2)
    assert err[-1] == "wine.csv: label 'red' in row 0: 0 (usual) or 1 (strange) is expected"


def test_labels_are_what_was_asked_for(call):
    words = ("score", "wine.xhat", "wine.csv", "--labels", "label", "--drop", "id,kind", "--quiet")
    _, _, err = call(*words, "-o", "quiet.csv")
    assert err[0].startswith("precision ")
    assert len(err) == 9
    code, out, (line,) = call(*words, "--json")
    rates = json.loads(line)
    assert (code, len(out.splitlines()), rates["labelled"]) == (0, 178, 18)
    assert f"precision {rates['precision']:.3f} ({rates['hits']} of {rates['rows']}" in err[0]
    assert err[0].endswith(f"AUROC {rates['auroc']:.3f}")
    assert [at["share"] for at in rates["flagged"]] == [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("", "the label in row 140 is missing: 0 (usual) or 1 (strange) is expected; leave the"),
        ("2", "label 2 in row 140: 0 (usual) or 1 (strange) is expected"),
        (None, "the labels are all the same: precision and recall need both 0 and 1"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--bad-rows", "keep")], ids=["refuse", "keep"])
def test_a_wrong_label_leaves_no_output(call, folder, label, text, more):
    lines = (folder / "wine.csv").read_text().splitlines()
    if label is None:
        lines[1:] = [line[:-1] + "0" for line in lines[1:]]
    else:
        lines[141] = lines[141][:-1] + label
        if more:  # a bad row has no part in it
            lines[3] = ",".join(["002", "inf", *lines[3].split(",")[2:-1], ""])
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    words = ("score", "wine.xhat", "labels.csv", "--labels", "label", "--quiet", *more)
    code, _, err = call(*words, "-o", "labelled.csv")
    assert (code, len(err)) == (65, 1)
    assert err[0].startswith(f"labels.csv: {text}")
    assert not (folder / "labelled.csv").exists()


def test_false_alarm_rate(call, folder):
    _, out, _ = call("score", "wine.xhat", "wine.csv", "--false-alarm-rate", "0.2", "--quiet")
    limit = load(folder / "wine.xhat").threshold(0.2)
    assert all((float(s) > limit) == (o == "True") for s, o in table(out)[1:])
    code, _, err = call("score", "wine.xhat", "wine.csv", "--false-alarm-rate", "0.001", "--quiet")
    assert code == 64
    assert "needs at least 1000" in err[0]


def test_compare_and_info(call):
    code, out, _ = call("compare", "wine.xhat", "wine.csv", "--quiet")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["mean", "PCA", "xhat"]
    _, out, _ = call("compare", "wine.xhat", "wine.csv", "--quiet", "--json")
    assert json.loads(out)["n_rows"] == 178
    code, out, _ = call("info", "wine.xhat")
    assert code == 0
    assert out.startswith("wine.xhat: xhat 0.1.0, format 1\n6 columns -> 2 units")
    assert "malic_acid  Real(scale='std', f='linear')" in out
    assert "n_components" in out
    assert json.loads(call("info", "wine.xhat", "--json")[1])["format"] == 1
    assert "reference" in call("info", "--engines")[1].splitlines()


def test_demo(call, folder):
    code, out, err = call("demo", "-o", "cancer.csv")
    assert (code, len(err)) == (0, 1)
    for text in ("mean ", "PCA ", "xhat ", "The 3 strangest rows", "xhat fit cancer.csv -o model"):
        assert text in out
    assert out.count("expected") == 9
    assert len((folder / "cancer.csv").read_text().splitlines()) == 570
    strangest = json.loads(call("demo", "--json", "--quiet")[1])["strangest"]
    assert [len(row["columns"]) for row in strangest] == [3, 3, 3]


# -- faults: one line, the right exit code --------------------------------------------------------

FAULTS = [
    (64, [], None),
    (64, ["sing"], "No such command 'sing'"),
    (64, ["fit"], "Give DATA, or --sql"),
    (64, ["fit", "wine.csv", "--components", "few"], "'few' is not a valid integer"),
    (64, ["fit", "wine.npy", "--components", "0"], "n_components=0: expected"),
    (64, ["fit", "wine.npy", "--set", "hiden=3"], "did you mean hidden?"),
    (64, ["fit", "wine.npy", "--set", "hidden"], "expected NAME=VALUE"),
    (64, ["fit", "wine.npy", "--set", "learning_rate=fast"], "learning_rate='fast'"),
    (64, ["fit", "wine.npy", "--set", "optimizer=Adam(clip=0.5)"], "Adam(clip=0.5): clip must be"),
    (64, ["fit", "wine.npy", "--set", "optimizer=Adam(clop=2)"], "unexpected keyword argument"),
    (64, ["fit", "wine.npy", "--set", "penalty=exit(3)"], "penalty='exit(3)'"),
    (64, ["fit", "wine.npy", "--set", "penalty=L2(exit(3))"], "penalty='L2(exit(3))'"),
    (64, ["encode", "wine.xhat", "wine.csv", "-o", "a.xls"], "-o a.xls: unknown format"),
    (
        64,
        ["encode", "wine.xhat", "wine.csv", "-o", "a.npy", "--id", "id"],
        "npy holds numbers only",
    ),
    (64, ["fit", "wine.csv", "-o", "./wine.csv"], "would overwrite the input"),
    (64, ["encode", "wine.xhat", "wine.csv", "-o", "wine.csv"], "would overwrite the input"),
    (64, ["info"], "Missing argument 'MODEL'"),
    (65, ["fit", "inf.csv"], "inf.csv: column 'b', row 1 (line 3): inf is infinity"),
    (65, ["fit", "inf.csv"], "(2 such cells in 1 column); correct these cells, or fit without"),
    (65, ["fit", "inf.csv"], "column: heads={'b': 'ignore'} (commands: --drop b)"),
    (65, ["fit", "wine.csv", "--drop", ""], "wine.csv: there is no column ''"),
    (65, ["fit", "wine.csv", "--columns", ""], "wine.csv: there is no column ''"),
    (65, ["score", "wine.xhat", "wine.csv", "--id", ""], "wine.csv: there is no column ''"),
    (65, ["fit", "one.csv"], "one.csv: the table has 1 "),
    (65, ["fit", "none.csv"], "none.csv: the file has a header but no rows"),
    (65, ["fit", "wine.csv", "--drop", "prize"], "wine.csv: there is no column 'prize'"),
    (65, ["fit", "wine.xls"], "wine.xls: unknown extension '.xls'"),
    (65, ["fit", "wine.npy", "--heads", "binary"], "wine.npy: column 'x0'"),
    (65, ["score", "wine.xhat", "none.csv"], "none.csv: the file has a header but no rows"),
    (
        65,
        ["score", "wine.xhat", "one.csv"],
        "one.csv: 6 of the model's 6 columns missing: alcohol,",
    ),
    (65, ["score", "array.xhat", "one.csv"], "one.csv: 2 columns, but the model was fitted on 6"),
    (65, ["score", "wine.csv", "wine.csv"], "wine.csv: not an xhat model file"),
    (74, ["fit", "nowhere.csv"], "nowhere.csv: No such file"),
    (74, ["score", "nowhere.xhat", "wine.csv"], "nowhere.xhat: No such file"),
    (74, ["fit", "wine.npy", "-o", "nowhere/m.xhat"], "nowhere: no such folder"),
    (74, ["encode", "wine.xhat", "wine.csv", "-o", "nowhere/c.csv"], "nowhere: no such folder"),
]


@pytest.mark.parametrize(("code", "arguments", "text"), FAULTS, ids=lambda v: str(v)[:40])
def test_faults(call, folder, code, arguments, text):
    (folder / "inf.csv").write_text("a,b\n1,2\n2,inf\n4,inf\n")
    (folder / "one.csv").write_text("a,b\n1,2\n")
    (folder / "none.csv").write_text("a,b\n")
    got, out, err = call(*arguments)
    assert (got, out) == (code, "")
    if text:
        assert len(err) == 1
        assert text in err[0]
        assert len(err[0]) <= 300


def test_damaged_numbers_are_named(call, folder):
    rows = "".join(f"{i},{i % 7}\n" for i in range(300))
    (folder / "oops.csv").write_text(f"a,b\n{rows}5,oops\n")
    code, out, (line,) = call("fit", "oops.csv", "-o", "x.xhat")
    assert (code, out) == (65, "")
    assert line.startswith("oops.csv: column 'b' holds numbers except in 1 of 301 cells: 'oops'")


def test_a_bug_is_one_line(call, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("xhat.cli_info.describe", broken)
    code, _, err = call("info", "wine.xhat")
    assert code == 70
    way_out = "set XHAT_DEBUG=1 for the traceback, and please report it"
    assert err == [f"bug: RuntimeError: two lines; {way_out}"]
    monkeypatch.setenv("XHAT_DEBUG", "1")
    assert "Traceback" in "".join(call("info", "wine.xhat")[2])


def test_long_lines_keep_the_way_out(call, folder):
    name = "c" * 400
    (folder / "long.csv").write_text(f"a,{name}\n1,2\n2,inf\n4,5\n")
    _, _, (line,) = call("fit", "long.csv")
    assert len(line) == 300
    assert line.startswith("long.csv: column 'ccc")
    assert line.endswith("ccc)")


# -- as a process ---------------------------------------------------------------------------------


def test_help_is_quick_and_imports_little():
    code = (
        "import sys; from xhat.__main__ import run; run(['--help']); "
        "print(sorted({'sklearn', 'scipy', 'pyarrow', 'pandas', 'torch'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.endswith("[]\n")
    best = min(_seconds([*XHAT, "--help"]) for _ in range(3))
    assert best < 1, "0.15 s on a free machine"


def _seconds(command):
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def test_every_command_has_help():
    for command in (
        "demo",
        "fit",
        "encode",
        "reconstruct",
        "score",
        "explain",
        "impute",
        "compare",
        "info",
    ):
        assert run([command, "--help"]) == 0
    assert run(["--version"]) == 0


def test_pipes(folder):
    data = (folder / "wine.csv").read_bytes()
    command = [*XHAT, "score", "wine.xhat", "-", "--quiet"]
    done = subprocess.run(command, cwd=folder, input=data, capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 179
    lines = data.splitlines(keepends=True)
    (folder / "long.csv").write_bytes(lines[0] + b"".join(lines[1:]) * 60)
    command = f"{sys.executable} -m xhat explain wine.xhat long.csv | head -1"
    done = subprocess.run(command, cwd=folder, shell=True, capture_output=True, check=True)
    assert done.stderr.splitlines() == [b"note: ignored, unknown to the model: id, kind, label"]


def test_what_is_piped_is_utf_8_in_any_locale(folder):
    text = "größe,日本\n" + "".join(f"{i},{i % 7}\n" for i in range(30))
    (folder / "uni.csv").write_text(text, encoding="utf-8")
    env = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}

    def piped(*words):
        done = subprocess.run([*XHAT, *words], cwd=folder, env=env, capture_output=True, check=True)
        return done.stdout, done.stderr

    piped("fit", "uni.csv", "-o", "uni.xhat", "--epochs", "2")
    out, _ = piped("explain", "uni.xhat", "uni.csv")
    assert out.decode().startswith("größe,日本")
    piped("explain", "uni.xhat", "uni.csv", "-o", "uni-out.csv")
    assert out == (folder / "uni-out.csv").read_bytes()
    assert "größe" in piped("info", "uni.xhat")[0].decode()
    (folder / "more.csv").write_text("größe,日本,模\n1,2,3\n", encoding="utf-8")
    out, err = piped("score", "uni.xhat", "more.csv", "--json")
    assert json.loads(out)["outlier"] in (True, False)
    assert err.startswith(b"note: ignored, unknown to the model: ")


def test_no_colour_and_no_progress_off_a_terminal(folder):
    command = [*XHAT, "fit", "wine.npy", "-o", "p.xhat"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"epoch" not in done.stderr.replace(b"chose the epoch", b"")


def test_progress_on_a_terminal_leaves_the_model_alone(folder):
    textbook = ["--set", "hidden=()", "--set", "activation=sigmoid"]  # which is not cross-fitted
    command = [*XHAT, "fit", "wine.npy", "--epochs", "5", *textbook, "-o"]
    subprocess.run([*command, "plain.xhat"], cwd=folder, stderr=subprocess.DEVNULL, check=True)
    ours, theirs = os.openpty()
    subprocess.run([*command, "seen.xhat"], cwd=folder, stderr=theirs, check=True)
    os.close(theirs)
    said = os.read(ours, 10_000)  # a bar with rich, lines without
    assert b"epoch" in said
    assert b"loss" in said
    os.close(ours)
    assert (folder / "seen.xhat").read_bytes() == (folder / "plain.xhat").read_bytes()


def test_warnings_are_one_line(folder):
    command = [*XHAT, "fit", "wine.npy", "--components", "9", "--epochs", "2", "-o", "w.xhat"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stderr.splitlines() if "warning" in line.lower()]
    assert line.startswith("warning: n_components=9 >= 6 columns")
    quiet = subprocess.run([*command, "--quiet"], cwd=folder, capture_output=True, check=True)
    assert quiet.stderr == b""


@pytest.mark.parametrize("disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("1,0\noops,1\n", "column 'a', row 1 (line 3): 'oops' is no number"),
        ("1,0\n1,7\n", "column 'b', row 1 (line 3): 7 is outside [0, 1]"),
        ("1,0\n1,inf\n", "column 'b', row 1 (line 3): inf is infinity"),
        (",\n", "no cell of the 1 held-out row is observed"),
    ],
)
def test_what_is_wrong_with_validation_rows_is_said_of_their_file(
    call, folder, monkeypatch, rows, text, disk
):
    from xhat.data import spool

    monkeypatch.setattr(spool, "IN_MEMORY", 2**9 if disk else 2**26)
    (folder / "tr.csv").write_text("a,b\n" + "1,0\n0,1\n1,1\n" * 30)
    (folder / "va.csv").write_text("a,b\n" + rows)
    words = ("--validation", "va.csv", "--heads", "binary", "-o", "v.xhat")
    code, _, (line,) = call("fit", "tr.csv", *words)
    assert code == 65
    assert line.startswith(f"va.csv: {text}")
    (folder / "bad.csv").write_text("a,b\n" + "1,0\n0,1\n" * 30 + "7,0\n")
    (folder / "va.csv").write_text("a,b\n1,0\n")
    code, _, (line,) = call("fit", "bad.csv", *words)
    assert line.startswith("bad.csv: column 'a', row 60 (line 62): 7 is outside")


def test_validation_rows_without_a_column_are_named_by_their_own_file(call, folder):
    (folder / "few.csv").write_text("ash,alcohol\n2.4,14.2\n")
    code, _, err = call("fit", "wine.csv", "--validation", "few.csv", "-o", "v.xhat")
    assert (code, len(err)) == (65, 1)
    assert err[0].startswith("few.csv: there is no column")
