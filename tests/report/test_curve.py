"""Reports of small tables, forged models and texts: bounded, truthful, and safe to paste."""

import re
import time
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

from xhat import Autoencoder, Contractive, DataError, KLSparsity, ParameterError, load
from xhat.__main__ import run
from xhat.report import curve, facts
from xhat.report.curve import is_modest
from xhat.requests import build_request
from xhat.sweep import sweep
from xhat.train.optimizers import LBFGS

QUICK = {"max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(120, 3)) @ rng.normal(size=(3, 5))


@pytest.fixture(scope="module")
def fitted(rows):
    return Autoencoder(2, hidden=(8,), **QUICK).fit(rows)


# -- the sweep -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forged", "modest"),
    [
        ({}, True),
        ({"max_iter": 100}, True),
        ({"hidden": (64,)}, True),
        ({"optimizer": "lbfgs"}, True),
        ({"max_iter": 10**12, "stopping": None}, False),
        ({"hidden": (10**9,)}, False),
        ({"hidden": (10**6,), "max_iter": 1}, False),
        ({"hidden": (1,) * 11}, False),
        ({"batch_size": 1, "max_iter": 10**4}, False),
        ({"optimizer": LBFGS(memory=1000), "hidden": (1000,), "max_iter": 1}, False),
        ({"penalty": Contractive(), "hidden": (128, 128), "max_iter": 2000}, False),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_modest(forged, modest):
    assert is_modest(build_request(Autoencoder(**forged)), 400, 20, 13) is modest


def test_what_is_modest_goes_by_the_rows_that_a_step_really_takes():
    """All of a small table for L-BFGS and for a penalty that is a mean over them."""
    assert is_modest(build_request(Autoencoder(3, optimizer="lbfgs")), 900, 8, 3)
    activation = ("silu", "sigmoid")
    sparse = Autoencoder(20, hidden=(200,), activation=activation, penalty=KLSparsity())
    assert not is_modest(build_request(sparse), 1000, 60, 20)


def test_lbfgs_says_that_it_takes_all_rows(rows):
    ae = Autoencoder(2, optimizer="lbfgs", max_iter=3, random_state=0).fit(rows)
    assert ae.choices_["batch_size"].endswith("(all rows, L-BFGS)")
    assert "averaging=0" in ae.choices_["stopping"]


@pytest.mark.parametrize("forged", [{"max_iter": 10**12, "stopping": None}, {"hidden": (10**9,)}])
def test_a_forged_file_is_not_fitted(fitted, rows, tmp_path, forged):
    fitted.save(tmp_path / "m.xhat")
    ae = load(tmp_path / "m.xhat").set_params(**forged)
    ae.save(tmp_path / "m.xhat")
    began = time.monotonic()
    page = load(tmp_path / "m.xhat").report(rows).dict()
    assert time.monotonic() - began < 20
    assert page["sweep"]["left_out"] == "the model's parameters ask for long fits"


def test_few_rows_and_empty_ones_have_a_report(fitted, rows):
    for X, reason in (
        (rows[:1], "1 row is too few, it takes 50"),
        (rows[:49], "49 rows are too few, it takes 50"),
        (np.full((60, 5), np.nan), "no cell of the rows is observed"),
    ):
        page = fitted.report(X).dict()
        assert page["sweep"]["left_out"] == reason
        assert page["header"]["rows"] == len(X)
    with pytest.raises(DataError, match="needs at least 4 rows, and the table has 3: give more"):
        fitted.report(rows[:3], sweep=True)
    with pytest.raises(DataError, match="no cell of the rows is observed: a sweep"):
        fitted.report(np.full((60, 5), np.nan), sweep=True)


def test_a_sweep_that_fails_leaves_a_report(fitted, rows, monkeypatch):
    def fails(*_):
        raise DataError("columns of nothing")

    monkeypatch.setattr(curve, "sweep_rows", fails)
    page = fitted.report(rows).dict()
    assert page["sweep"]["left_out"] == "it could not be fitted: columns of nothing"
    with pytest.raises(DataError, match="columns of nothing"):
        fitted.report(rows, sweep=True)


def test_warnings_of_the_fit_are_not_repeated(rows):
    table = pd.DataFrame(rows, columns=list("abcde")).assign(
        note=[f"text {i}" for i in range(len(rows))]
    )
    with pytest.warns(UserWarning, match="'note' is left out"):
        ae = Autoencoder(2, **QUICK).fit(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "k" in ae.report(table, sweep=True).dict()["sweep"]


def test_parameters_are_checked(fitted, rows, tmp_path):
    fitted.save(tmp_path / "m.xhat")
    ae = load(tmp_path / "m.xhat").set_params(contamination="x")
    with pytest.raises(ParameterError, match=r"contamination='x': expected a number from 0 to 0.5"):
        ae.report(rows, sweep=False)


# -- sweep(X) -------------------------------------------------------------------------------------


def test_a_sweep_reads_what_a_fit_reads(rows):
    expected = sweep(rows, np.array([1, 2]), **QUICK)
    assert expected.k == [1, 2]
    assert type(expected.recommended) is int
    frame = pl.DataFrame(rows, schema=list("abcde"))
    for X in (rows.tolist(), frame, frame.to_arrow().to_reader(), scipy.sparse.coo_array(rows)):
        assert sweep(X, [1, 2], **QUICK) == expected


@pytest.mark.parametrize("X", [7, None, np.zeros(5), np.zeros((1, 5, 2)), [[1.0], [2.0, 3.0]]])
def test_a_sweep_of_what_is_no_table_is_refused(X):
    kind = type(X).__name__
    with pytest.raises(
        DataError, match=rf"a sweep takes .* shape \(n, d\), and this {kind} is none"
    ):
        sweep(X)


def test_a_sweep_of_a_lazy_frame_is_refused_with_the_way_out():
    with pytest.raises(DataError, match=r"a lazy frame.*X\.collect\(\)"):
        sweep(pl.LazyFrame({"a": [1]}))


@pytest.mark.parametrize("sizes", [[1.7], [], [0], [True], ["1"], "12", 3, [[1, 2]]])
def test_sizes_of_a_sweep_are_whole_numbers(rows, sizes):
    with pytest.raises(
        ParameterError, match=r"n_components=.*: expected code sizes, whole numbers"
    ):
        sweep(rows, sizes, **QUICK)


def test_a_sweep_has_the_seed_that_was_given(rows):
    wish = {"max_iter": 2, "hidden": (4,), "linear_path": False}
    zero, five = (sweep(rows, [2, 2], random_state=seed, **wish) for seed in (0, 5))
    assert zero.xhat != five.xhat
    assert five.xhat[0] == five.xhat[1]
    assert sweep(rows, [2, 2], random_state=np.int64(5), **wish) == five
    assert sweep(rows, [2, 2], random_state=np.random.RandomState(5), **wish) == five
    assert sweep(rows, [2, 2], **wish) == zero


def test_one_row_is_said_in_the_singular(rows):
    curve = sweep(rows[:4], [1], **QUICK)
    assert curve.rows.startswith("on 1 held-out row (")
    ae = Autoencoder(2, **QUICK).fit(rows[:5])
    report = ae.report(rows[:1], sweep=False)
    assert report.dict()["verdict"]["rows"].startswith("held-out row (")
    assert report.dict()["header"]["name"] == "ndarray of 1 row"
    assert "\n1 row, 5 columns, " in report.markdown()


# -- wide codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (2,)])
def test_a_wide_code_takes_what_is_shown(rows, hidden):
    """One row a unit was decoded, of which 32 are shown: memory grew as the square of the code."""
    given = {"hidden": hidden, "linear_path": False, "max_iter": 1, "random_state": 0}
    with pytest.warns(UserWarning, match="the code can copy the row"):
        ae = Autoencoder(3000, **given).fit(rows)
    tracemalloc.start()
    try:
        content = ae.report(rows, sweep=False, weights=1).dict()
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()
    assert len(content["units"]["units"]) == len(content["originals"]["codes"][0]) == 32
    assert content["walk"]["mode"] == "curves"
    assert len(content["walk"]["low"]) == len(content["walk"]["middle"]) == 16


def test_the_codes_of_the_sample_are_bounded(fitted, rows, monkeypatch):
    monkeypatch.setattr(facts, "CODE_CELLS", 100)
    assert len(fitted.report(rows, sweep=False).dict()["plane"]["rows"]) == 50
    monkeypatch.setattr(facts, "CODE_CELLS", 1)
    report = fitted.report(rows, sweep=False)
    assert len(report.dict()["plane"]["rows"]) == facts.LEAST_POINTS
    assert "16 of 120 rows are drawn" in report.cuts[0]


def test_units_do_not_depend_on_how_many_are_shown(fitted, rows):
    both, one = (fitted.report(rows, sweep=False, units=units).dict() for units in (2, 1))
    assert both["units"]["units"][:1] == one["units"]["units"]


# -- size ------------------------------------------------------------------------------------------


def test_a_size_that_cannot_be_met_is_said(fitted, rows):
    report = fitted.report(rows, sweep=False, max_size=1000)
    said = report.cuts[0]
    assert report.size > 1000
    found = re.search(r"still has more than 1,000 bytes: about (\d+) kB", said)
    assert abs(int(found[1]) - report.size / 1000) < 2
    enough = int(re.search(r"max_size=(\d+)", said)[1])
    assert (
        fitted.report(rows, sweep=False, max_size=enough).cuts
        == fitted.report(rows, sweep=False).cuts
    )
    smallest = {"points": 50, "columns": 5, "strangest": 10, "weights": 1, "units": 2}
    smallest |= {"originals": 2, "reasons": 3}
    at_once = fitted.report(rows, sweep=False, max_size=1000, **smallest)
    assert "still has more than 1,000 bytes" in at_once.cuts[0]


# -- Markdown --------------------------------------------------------------------------------------

EVIL = "a |\n\n# head <img src=x onerror=alert(1)> [b](javascript:c) https://d.e www.f.g &lt; \x1b["


def test_markdown_takes_no_text_as_it_is(fitted, rows):
    report = fitted.report(rows, sweep=False)
    content = report.dict()
    content["header"].update(name=EVIL, seed=EVIL, version=EVIL, made=EVIL)
    content["verdict"].update(sentence=EVIL, unit=EVIL)
    content["columns"][0].update(name=EVIL, kind=EVIL)
    content["sweep"] = {"k": [1], "xhat": [1.0], "pca": [None], "reason": "- " + EVIL}
    text = type(report)(content, b"").markdown()
    assert not re.search(r"(?<!\\)[<>\[\]&]|https://|www\.|\x1b", text)
    lines = text.split("\n")
    headings = [line.partition(" ")[0] for line in lines if line.startswith("#")]
    assert headings == ["#", "##", "##", "##"]
    tables = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {3, 4, 9}
    assert any(line.startswith("\\- a") for line in lines)


# -- comparison ------------------------------------------------------------------------------------


def test_nothing_is_compared_on_rows_without_cells(fitted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    empty = np.full((6, 5), np.nan)
    with pytest.raises(DataError, match="no cell of the 6 rows is observed"):
        fitted.compare_pca(empty)
    fitted.save("m.xhat")
    np.save("rows.npy", empty)
    assert run(["compare", "m.xhat", "rows.npy"]) == 65
    assert "no cell of the 6 rows is observed" in capsys.readouterr().err
    empty[0, 0] = 1.0
    assert fitted.compare_pca(empty).n_rows == 6
