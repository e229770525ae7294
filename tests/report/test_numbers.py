"""Every number of a report is what the Python API returns, read back from the embedded JSON."""

import json
import re

import numpy as np
import pytest

from xhat.report.packing import script_json, unpack
from xhat.report.sections import BINS, histogram
from xhat.sweep import sweep

CASES = ["digits", "penguins", "hostile"]


@pytest.fixture(params=CASES)
def case(request, cases, reports):
    """Model, rows and what the page of the report embeds."""
    ae, X, _ = cases[request.param]
    html = reports[request.param].html()
    text = re.search(r'<script type="application/json" id="content">(.*?)</script>', html).group(1)
    return ae, X, json.loads(text)


def test_embedded_and_returned_contents_are_the_same(reports):
    for report in reports.values():
        text = re.search(r'id="content">(.*?)</script>', report.html()).group(1)
        assert (
            json.loads(text) == json.loads(report.json()) == json.loads(json.dumps(report.dict()))
        )


def test_header_and_verdict(case):
    ae, X, page = case
    assert (page["header"]["rows"], page["header"]["columns"]) == X.shape
    assert page["header"]["units"] == ae.n_components_
    said = json.loads(json.dumps(ae.compare_pca().to_dict()))
    by_column = said.pop("by_column")
    assert page["verdict"] == said
    for column in page["columns"]:
        held_out = [column["held_out"][name] for name in ("mean", "pca", "xhat")]
        assert held_out == pytest.approx(by_column[column["index"]], rel=1e-8)


def test_losses(case):
    ae, _, page = case
    losses = page["losses"]
    assert losses["best_epoch"] == ae.best_iter_
    assert [v for _, v in losses["train"]] == ae.loss_curve_
    assert [v for _, v in losses["held_out"]] == ae.history_["held_out_loss"]
    assert losses["train"][0][0] == 1
    assert losses["held_out"][0][0] == 0  # the start
    if ae.best_iter_:
        assert min(losses["held_out"], key=lambda p: p[1])[0] == ae.best_iter_


def test_scores_and_thresholds(case):
    ae, X, page = case
    scores, values = page["scores"], ae.anomaly_score(X)
    np.testing.assert_allclose([scores["median"], scores["max"]], [np.median(values), values.max()])
    assert scores["thresholds"][0]["value"] == -ae.offset_
    assert scores["thresholds"][0]["flagged"] == (ae.predict(X) == -1).sum()
    assert len(scores["thresholds"]) > 1
    for threshold in scores["thresholds"][1:]:
        assert threshold["value"] == ae.threshold(threshold["rate"])
        assert threshold["flagged"] == (values > threshold["value"]).sum()


def test_an_edge_falls_on_each_threshold(case):
    for threshold in case[2]["scores"]["thresholds"]:
        counts, below = threshold["counts"], threshold["below"]
        assert sum(counts) == case[2]["scores"]["rows"]
        assert sum(counts[below:]) == threshold["flagged"]
        end = min(threshold["value"], case[2]["scores"]["max"])
        assert threshold["edges"][below] == pytest.approx(end)
        assert ("new to the model" in threshold["note"]) == ("held-out" in threshold["what"])


@pytest.mark.parametrize("limit", [0.0, 1e-9, 1.0, 2.0, 2.0000001, 7.0, 50.0, 1e9, np.inf, -np.inf])
@pytest.mark.parametrize("values", [[1.0, 2.0, 2.0, 7.0, 50.0], [2.0], [0.0, 0.0], [0.0, 1e300]])
def test_bars_count_what_lies_above(values, limit):
    scores = np.array(values)
    edges, counts, below = histogram(scores, limit)
    assert len(counts) == len(edges) - 1 <= BINS + 2
    assert counts.sum() == len(scores)
    assert counts[below:].sum() == (scores > limit).sum()
    assert (np.diff(edges) > 0).all()


def test_strangest_rows(case):
    ae, X, page = case
    values, parts = ae.anomaly_score(X), np.asarray(ae.explain(X))
    rows = [r["row"] for r in page["strangest"]]
    assert rows[0] == values.argmax()
    np.testing.assert_allclose([r["score"] for r in page["strangest"]], np.sort(values)[::-1][:200])
    spread = np.asarray(ae.explain(X, spread_code=True))
    for r in page["strangest"][:20]:
        for place, _, _, cell, code in r["parts"]:
            j = page["columns"][place]["index"]
            assert cell == pytest.approx(parts[r["row"], j], rel=1e-8)
            assert cell + code == pytest.approx(spread[r["row"], j], rel=1e-8)
        sums = [cell + code for *_, cell, code in r["parts"]]
        assert sums == sorted(sums, reverse=True)


def test_columns(case):
    ae, X, page = case
    matrix = ae._read(X)
    for column in page["columns"]:
        j = column["index"]
        assert column["missing"] == pytest.approx(np.isnan(matrix[:, j]).mean())
        assert column["nats"] == pytest.approx(ae._fit.model.nats(matrix)[:, j].mean())
    if len(page["columns"]) == X.shape[1]:
        assert sum(c["loss"] for c in page["columns"]) == pytest.approx(-ae.score(X))
        assert sum(c["share"] for c in page["columns"]) == pytest.approx(1)


def test_originals_are_reconstructed(case):
    ae, X, page = case
    rows = page["originals"]["rows"]
    matrix = ae._read(X)
    expected = ae._fit.model.decode(ae._fit.model.codes(matrix))
    for i, row in enumerate(rows):
        for place, column in enumerate(page["columns"]):
            observed = page["originals"]["observed"][i][place]
            if observed is not None:
                assert observed == pytest.approx(matrix[row, column["index"]], rel=1e-8)
            got = page["originals"]["expected"][i][place]
            assert got == pytest.approx(expected[row, column["index"]], rel=1e-6)
    np.testing.assert_allclose(page["originals"]["codes"], ae.transform(X)[rows], rtol=1e-6)


def test_plane_holds_codes_and_scores(case):
    ae, X, page = case
    plane = page["plane"]
    k = plane["k"]
    np.testing.assert_allclose(
        unpack(plane["codes"]), ae.transform(X)[plane["rows"], :k], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        unpack(plane["score"]), ae.anomaly_score(X)[plane["rows"]], rtol=1e-6
    )


def test_images(cases, reports):
    ae, X, _ = cases["digits"]
    images = reports["digits"].dict()["images"]
    np.testing.assert_array_equal(unpack(images["observed"]), X[images["rows"]])
    np.testing.assert_allclose(
        unpack(images["expected"]), ae.reconstruct(X)[images["rows"]], rtol=1e-4, atol=1e-4
    )


def test_sweep_of_the_report_is_that_of_the_library(cases, reports):
    _, X, _ = cases["penguins"]
    curve = reports["penguins"].dict()["sweep"]
    again = sweep(X, [curve["k"][1]], max_iter=25, random_state=0)
    assert curve["xhat"][1] == pytest.approx(again.xhat[0])
    assert curve["pca"][1] == pytest.approx(again.pca[0])
    assert curve["recommended"] in curve["k"]


def test_nothing_hostile_leaves_the_script_element(reports):
    html = reports["hostile"].html()
    assert html.count("</script>") == 2
    assert "<img" not in html
    assert script_json("\u2028<!--") == '"\\u2028\\u003c!--"'
