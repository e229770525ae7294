"""The report object: files, notebooks, Markdown, limits, sizes."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from xhat import Autoencoder, ParameterError
from xhat.__main__ import run
from xhat.errors import DataError
from xhat.report.packing import unpack


def test_methods(reports, tmp_path, monkeypatch):
    report = reports["penguins"]
    said = report.write_html(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text("utf-8") == report.html()
    assert f"{report.size / 1000:,.0f} kB" in said
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    report.open()
    assert opened[0].startswith("file:")
    bundle = report._repr_mimebundle_()
    assert bundle["text/html"].startswith("<iframe srcdoc=")
    assert "data-theme=&quot;light&quot;" in bundle["text/html"]
    assert "PCA" in bundle["text/plain"]


def test_markdown(reports):
    text = reports["hostile"].markdown()
    assert "| units | xhat | PCA |" in reports["penguins"].markdown()
    assert "<script>" not in text.replace("\\<", "")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in lines)


def test_same_rows_same_page(cases, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    ae, X, _ = cases["penguins"]
    assert ae.report(X, sweep=False).html() == ae.report(X, sweep=False).html()


@pytest.mark.parametrize("name", ["digits", "penguins", "hostile"])
def test_small(reports, name):
    assert reports[name].size <= 1_000_000


def test_wide_and_long_stays_small():
    """2,000 columns with long names, a decoder above the limit: still below one megabyte."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 4)) @ rng.normal(size=(4, 2000)) + rng.normal(size=(1500, 2000))
    table = pd.DataFrame(X, columns=[f"{'x' * 500}{j}" for j in range(2000)])
    ae = Autoencoder(40, max_iter=1, random_state=0, hidden=(600, 300), linear_path=False).fit(
        table
    )
    report = ae.report(table, sweep=False)
    assert report.size <= 1_000_000
    assert report.dict()["walk"]["mode"] == "curves"
    assert len({c["name"] for c in report.dict()["columns"]}) == 50
    assert any("columns=2000" in cut for cut in report.cuts)
    small = ae.report(table, sweep=False, max_size=250_000)
    assert small.size <= 250_000
    assert "max_size" in small.cuts[0]


def test_limits_are_checked(cases):
    ae, X, _ = cases["digits"]
    with pytest.raises(ParameterError, match="no limit 'pionts'"):
        ae.report(X, pionts=3)
    with pytest.raises(ParameterError, match="points=0"):
        ae.report(X, points=0)
    with pytest.raises(ParameterError, match="holds 63 pixels, the rows have 64"):
        ae.report(X, image_shape=(7, 9))
    with pytest.raises(ParameterError, match="2 names were given for 64"):
        ae.report(X, names=["a", "b"])
    assert len(ae.report(X, points=50).dict()["plane"]["rows"]) == 50
    assert ae.report(X, points=None).dict()["plane"] == ae.report(X).dict()["plane"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sweep": "yes"}, "sweep='yes': expected 'auto', True, False or a Sweep"),
        ({"sweep": [1, 2]}, r"sweep=\[1, 2\]: expected 'auto', True, False or a Sweep"),
        ({"points": "5"}, "points='5': expected a whole number >= 1"),
        ({"points": 2.5}, "points=2.5: expected a whole number >= 1"),
        ({"columns": None}, "columns=None: expected a whole number >= 1"),
        ({"image_shape": (-8, -8)}, r"image_shape=\(-8, -8\): expected \(height, width\)"),
        ({"image_shape": (8.5, 8.2)}, r"image_shape=\(8.5, 8.2\): expected \(height, width\)"),
        ({"image_shape": 8}, r"image_shape=8: expected \(height, width\)"),
        ({"names": "x" * 64}, "names='xxx.*: expected a list of 64 column names"),
        ({"names": 64}, "names=64: expected a list of 64 column names"),
    ],
    ids=str,
)
def test_what_a_report_cannot_use_is_refused(cases, given, message):
    ae, X, _ = cases["digits"]
    with pytest.raises(ParameterError, match=message):
        ae.report(X, **given)


def test_kinds_of_models():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 4))
    textbook = Autoencoder.textbook(2, max_iter=5, random_state=0).fit(X)
    report = textbook.report(X)
    np.testing.assert_allclose(
        [u["weights"] for u in report.dict()["units"]["units"]], textbook.W_star_.T, rtol=1e-5
    )
    one = Autoencoder(1, max_iter=5, validation_fraction=0, random_state=0).fit(X)
    page = one.report(X, sweep=False).dict()
    assert page["losses"]["held_out"] == []
    assert page["scores"]["held_out_rows"] == 0
    partial = Autoencoder(2, random_state=0).partial_fit(X)
    assert partial.report(X, sweep=False).dict()["verdict"]["rows"] == "rows given"
    constant = X.copy()
    constant[:, 0] = 1.0
    assert Autoencoder(2, max_iter=5).fit(constant).report(constant, sweep=False).size < 1_000_000


@pytest.mark.parametrize(
    ("rows", "given", "mark", "said"),
    [
        (250, {}, "kept: epoch 0", "No epoch was better than PCA, the start, by more than chance"),
        (1200, {}, "lowest: epoch", "PCA is kept: nothing beat it on the held-out rows."),
        (250, {"validation_fraction": 0}, "kept: epoch 5", "its last epoch is kept"),
        (250, {"linear_path": False}, "kept: epoch", "is the one with the lowest held-out loss."),
    ],
)
def test_who_chose_the_epoch_is_said(rows, given, mark, said):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(rows, 6))
    ae = Autoencoder(2, max_iter=5, random_state=0, **given).fit(X)
    losses = ae.report(X, sweep=False).dict()["losses"]
    assert losses["mark"].startswith(mark)
    assert said in losses["how"]
    assert ("folds" in losses["held_out_rows"]) == ae.choices_.get("selection", "").endswith(
        "folds"
    )
    after = ae.partial_fit(X).report(X, sweep=False).dict()["losses"]
    assert "No rows were held out" in after["how"]


def test_a_training_curve_that_ends_before_the_folds_is_explained(reports):
    losses = reports["digits"].dict()["losses"]
    assert len(losses["train"]) < len(losses["held_out"]) - 1
    assert "trained on the rows of all folds for as many epochs" in losses["how"]


def test_command_line(cases, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ae, X, _ = cases["digits"]
    ae.save("m.xhat")
    np.save("rows.npy", X)
    shape = ["--image-shape", "8", "8", "--no-sweep", "--limit", "points=30"]
    assert run(["report", "m.xhat", "rows.npy", "-o", "page.html", *shape, "--json"]) == 0
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert len(content["plane"]["rows"]) == 30
    assert content["header"]["command"].startswith("xhat report m.xhat rows.npy -o page.html")
    assert "page.html" in err
    assert "kB" in err
    assert "xhat sweep rows.npy" in content["sweep"]["shell"]
    assert run(["report", "m.xhat", "rows.npy", "--limit", "points"]) == 64
    assert run(["sweep", "rows.npy", "--components", "two"]) == 64


def test_sweep_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("rows.npy", rng.normal(size=(60, 2)) @ rng.normal(size=(2, 5)))
    assert run(["sweep", "rows.npy", "--components", "1,2", "--json"]) == 0
    curve = json.loads(capsys.readouterr().out)
    assert curve["k"] == [1, 2]
    assert curve["recommended"] == 2


def test_rows_must_suit_the_model(cases):
    ae, X, _ = cases["digits"]
    with pytest.raises((DataError, ValueError), match="63"):
        ae.report(X[:, :63])


@pytest.mark.parametrize("far", [1e39, 1e150, 1e300])
def test_numbers_beyond_single_precision_are_in_the_page(far):
    rows = np.random.default_rng(0).normal(size=(60, 4))
    ae = Autoencoder(2, max_iter=2, random_state=0).fit(rows)
    rows[0, 0] = far
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = ae.report(rows, sweep=False, image_shape=(2, 2)).dict()
    assert unpack(page["plane"]["values"])[0, 0] == far
    assert np.isfinite(unpack(page["plane"]["codes"])).all()
    assert np.isfinite(page["plane"]["direction_share"]).all()
    assert np.isfinite([unit["std"] for unit in page["units"]["units"]]).all()


@pytest.mark.parametrize("noise", [0, 1e-16, 1e-14])
@pytest.mark.filterwarnings("ignore")
def test_rows_that_differ_by_rounding_alone_have_a_page(noise):
    rng = np.random.default_rng(0)
    z = rng.normal(size=120)
    X = np.column_stack([z + 0.1 * rng.normal(size=120), z, rng.normal(size=120)])
    ae = Autoencoder(random_state=0, max_iter=5).fit(X)
    ae.report(X[:1] + noise * rng.normal(size=(60, 3)), sweep=False)
    far = X.copy()
    far[:, 0] = 1e20
    ae.report(far, sweep=False)
