"""The page in headless Chromium: what a person does with it, and that the numbers follow."""

import numpy as np
import pytest

from xhat import Autoencoder
from xhat.report.packing import unpack

SECTIONS = ["verdict", "loss", "sweep", "plane", "scores", "columns", "originals", "units", "walk"]
CASES = ["digits", "penguins", "hostile"]


def values(page, selector, key="value"):
    """Numbers that elements carry."""
    return page.eval_on_selector_all(selector, f"all => all.map(e => +e.dataset.{key})")


@pytest.mark.parametrize("name", CASES)
def test_every_section_in_order(visit, reports, name):
    page = visit(reports[name])
    ids = page.eval_on_selector_all("main > section", "all => all.map(e => e.id)")
    assert ids == [*SECTIONS, "settings"]
    for section in ids:
        assert page.locator(f"#{section}").bounding_box()["height"] > 60
    hows = page.eval_on_selector_all(
        "section", "all => all.map(e => e.querySelector('.how')?.textContent)"
    )
    assert all("How to read it:" in how for how in hows[:-1])
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("width", [400, 800, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_fits_every_width(visit, reports, width, dark):
    page = visit(reports["hostile"], width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for svg in page.locator("section .plot svg, section canvas").all():
        box = svg.bounding_box()
        assert box is None or box["x"] + box["width"] <= width + 1
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(18, 22, 27)") == dark


def test_no_text_overlaps_in_the_charts(visit, reports):
    page = visit(reports["penguins"], width=400)
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll('.plot svg')].flatMap((svg) => {
          const boxes = [...svg.querySelectorAll('text')]
            .map((t) => [t.textContent, t.getBoundingClientRect()]);
          return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>
            p.left < q.right - 1 && q.left < p.right - 1 &&
            p.top < q.bottom - 2 && q.top < p.bottom - 2).map(([b]) => [a, b]));
        })"""
    )
    assert overlaps == []


def test_sliders_run_the_decoder(visit, cases, reports):
    for name in CASES:
        ae, _, _ = cases[name]
        page = visit(reports[name])
        content = reports[name].dict()
        for unit, share in ((0, 0.9), (1, 0.2)):
            low, high = content["walk"]["low"][unit], content["walk"]["high"][unit]
            page.eval_on_selector(
                f"#unit-{unit}",
                "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }",
                low + share * (high - low),
            )
        walk = page.evaluate("window.xhatWalk")
        expected = ae._fit.model.decode(np.array([walk["code"]]))[0]
        shown = np.arange(len(expected)) if content["images"] else None
        indices = shown if shown is not None else [c["index"] for c in content["columns"]]
        for got, j in zip(walk["values"], indices, strict=True):
            column = ae._fit.model.schema.columns[j]
            if column.places:  # the page counts places, the library levels
                assert column.places[int(expected[j])] == got
            else:
                assert got == pytest.approx(expected[j], rel=1e-4, abs=1e-4 * column.spread)
        if content["images"]:
            pixels = page.evaluate("document.querySelectorAll('#walk canvas')[1].pixels")
            np.testing.assert_allclose(pixels, walk["values"])
        else:
            np.testing.assert_allclose(values(page, "#walk-rows .val"), walk["values"])


def test_sliders_by_keyboard_and_start(visit, reports):
    page = visit(reports["penguins"])
    content = reports["penguins"].dict()
    page.focus("#unit-2")
    before = page.evaluate("window.xhatWalk.code[2]")
    page.keyboard.press("ArrowRight")
    step = (content["walk"]["high"][2] - content["walk"]["low"][2]) / 50
    assert page.evaluate("window.xhatWalk.code[2]") == pytest.approx(before + step, rel=1e-4)
    page.select_option("#walk-start select", "1")
    np.testing.assert_allclose(
        page.evaluate("window.xhatWalk.code"), content["originals"]["codes"][1]
    )
    page.click("text=Back to the middle")
    np.testing.assert_allclose(page.evaluate("window.xhatWalk.code"), content["walk"]["middle"])


def test_hover_shows_the_row(visit, cases, reports):
    ae, X, _ = cases["penguins"]
    page = visit(reports["penguins"])
    page.locator("#plane .plane canvas").scroll_into_view_if_needed()
    box = page.locator("#plane .plane canvas").bounding_box()
    at = page.evaluate("window.xhatPlane.place()[17]")
    page.mouse.move(box["x"] + at[0], box["y"] + at[1])
    text = page.locator("#tip").inner_text().splitlines()
    row = int(text[0].removeprefix("row "))
    assert row == int(page.eval_on_selector("#plane .plane canvas", "e => e.dataset.row"))
    score = float(text[1].split()[1])
    assert score == pytest.approx(ae.anomaly_score(X)[row], rel=1e-3)


def test_colour_by_a_column(visit, cases, reports):
    page = visit(reports["penguins"])
    assert "score" in page.locator("#plane-legend").inner_text()
    names = [c["name"] for c in reports["penguins"].dict()["columns"]]
    page.select_option("#plane-colour select", str(names.index("species")))
    legend = page.locator("#plane-legend").inner_text()
    assert {"Adelie", "Chinstrap", "Gentoo"} <= set(legend.split())
    page.select_option("#plane-colour select", str(names.index("body_mass_g")))
    low = float(page.locator("#plane-legend span").nth(1).inner_text().split()[1])
    _, X, _ = cases["penguins"]
    assert low == pytest.approx(np.quantile(X["body_mass_g"], 0.02), rel=0.02)


def test_selection_lists_its_rows(visit, cases, reports):
    ae, X, _ = cases["penguins"]
    page = visit(reports["penguins"])
    canvas = page.locator("#plane .plane canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    x1, y1 = box["width"] / 2, box["height"] / 2
    inside = page.evaluate(
        "([x, y]) => window.xhatPlane.place().map((p, i) => [p, i]).filter(([p]) => "
        "p[0] >= 60 && p[0] <= x && p[1] >= 12 && p[1] <= y)"
        ".map(([p, i]) => window.xhatPlane.rows[i])",
        [x1, y1],
    )
    listed = [int(v) for v in values(page, "#selected-rows tbody td:nth-child(1)")]
    assert len(inside) > 3
    assert listed == inside[:200]
    scores = values(page, "#selected-rows tbody td:nth-child(2)")
    np.testing.assert_allclose(scores, ae.anomaly_score(X)[listed], rtol=1e-5)
    canvas.focus()
    page.keyboard.press("Escape")
    assert page.locator("#selected-rows").count() == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert len(values(page, "#selected-rows tbody td:nth-child(1)")) == 1


def test_sorting(visit, reports):
    page = visit(reports["penguins"])
    loss = "#column-table tbody td:nth-child(4)"
    natural = values(page, loss)
    page.click("#column-table thead th:nth-child(4) button")
    assert values(page, loss) == sorted(natural, reverse=True)
    head = page.locator("#column-table thead th:nth-child(4)")
    assert head.get_attribute("aria-sort") == "descending"
    page.focus("#column-table thead th:nth-child(4) button")
    page.keyboard.press("Enter")
    assert values(page, loss) == sorted(natural)
    page.click("#column-table thead th:nth-child(1) button")
    names = page.locator("#column-table tbody td:nth-child(1)").all_inner_texts()
    assert names == sorted(names, key=str.lower)


def test_threshold_choice(visit, cases, reports):
    ae, _, _ = cases["digits"]
    page = visit(reports["digits"])
    for i, threshold in enumerate(reports["digits"].dict()["scores"]["thresholds"]):
        page.select_option("#threshold select", str(i))
        said = page.locator("#threshold-said")
        assert float(said.get_attribute("data-value")) == threshold["value"]
        assert int(said.get_attribute("data-flagged")) == threshold["flagged"]
    assert threshold["value"] == ae.threshold(threshold["rate"])


def test_orange_bars_are_the_rows_above(visit, reports):
    page = visit(reports["penguins"])
    for i, threshold in enumerate(reports["penguins"].dict()["scores"]["thresholds"]):
        page.select_option("#threshold select", str(i))
        heights = page.eval_on_selector_all(
            "#scores .plot rect", "all => all.map(e => [e.classList[0], +e.getAttribute('height')])"
        )
        tallest, most = max(h for _, h in heights), max(threshold["counts"])
        above = sum(round(h / tallest * most) for kind, h in heights if kind == "f-pca")
        assert above == threshold["flagged"]
        listed = values(page, "#scores details td:nth-child(3)")
        assert listed == threshold["counts"]


def test_nothing_is_cut(visit, reports):
    for width in (400, 1000):
        page = visit(reports["hostile"], width=width)
        cut = page.evaluate(
            "[...document.querySelectorAll('.row .val, .row .name, td.name, output')]"
            ".filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
        )
        assert cut == []
        lowest = page.evaluate(
            "[...document.querySelectorAll('.scroll#strangest, .scroll#column-table')].map(box => {"
            "const end = box.getBoundingClientRect().top + box.clientTop + box.clientHeight;"
            "return Math.min(...[...box.querySelectorAll('tbody tr')]"
            ".map(tr => Math.abs(tr.getBoundingClientRect().bottom - end))); })"
        )
        assert max(lowest) < 1


def test_words_suit_pictures(visit, cases, reports):
    def how(page, section):
        return page.locator(f"#{section} > .how").first.inner_text()

    page = visit(reports["digits"])
    assert "its picture shows the change" in how(page, "units")
    assert "bars" not in how(page, "units")
    assert "which pixels follow it" in how(page, "walk")
    assert "dashed mark" not in how(page, "walk")
    tops = page.eval_on_selector_all("#image-grid figure", "all => all.map(e => e.offsetTop)")
    assert len({tops.count(top) for top in tops}) == 1  # lines of the same length
    page = visit(reports["penguins"])
    assert "its bars show the change" in how(page, "units")
    assert "which columns follow it" in how(page, "walk")
    assert "dashed mark" in how(page, "walk")


def test_strange_row_by_keyboard(visit, cases, reports):
    ae, X, _ = cases["penguins"]
    page = visit(reports["penguins"])
    page.focus("#strangest tbody tr:nth-child(1)")
    page.keyboard.press("ArrowDown")
    row = int(np.argsort(-ae.anomaly_score(X), kind="stable")[1])
    assert page.locator("#strange-detail h3").inner_text().startswith(f"Row {row}:")
    top = X.columns[np.asarray(ae.explain(X, spread_code=True))[row].argmax()]
    assert page.locator("#strange-detail .row .name").first.inner_text() == top


def test_lines_can_be_read(visit, cases, reports):
    ae, _, _ = cases["penguins"]
    page = visit(reports["penguins"])
    page.focus("#loss .plot")
    page.keyboard.press("ArrowLeft")
    text = page.locator("#tip").inner_text().splitlines()
    epoch = int(text[0].split()[1])
    assert float(text[1].split(": ")[1]) == pytest.approx(ae.loss_curve_[epoch - 1], rel=1e-4)


def test_the_dots_of_xhat_are_on_top(visit, reports):
    page = visit(reports["penguins"])
    marks = page.eval_on_selector_all(
        "#sweep .plot svg > :is(circle, rect)", "all => all.map(e => e.tagName)"
    )
    sizes = len(reports["penguins"].dict()["sweep"]["k"])
    assert marks == ["rect"] * sizes + ["circle"] * sizes


def test_pictures_of_digits(visit, cases, reports):
    _, X, _ = cases["digits"]
    page = visit(reports["digits"])
    images = reports["digits"].dict()["images"]
    pixels = page.evaluate(
        "[...document.querySelectorAll('#image-grid figure')]"
        ".map(f => f.querySelector('canvas').pixels)"
    )
    np.testing.assert_array_equal(pixels, X[images["rows"]])
    assert page.locator("#unit-cards canvas").count() == 6
    most = np.abs(unpack(images["units"])[0]).max()
    assert (
        np.abs(page.evaluate("document.querySelector('#unit-cards canvas').pixels")).max() == most
    )


def test_theme_button_and_text_alternatives(visit, reports):
    page = visit(reports["penguins"])
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    bare = page.evaluate(
        "[...document.querySelectorAll('svg, canvas')].filter(e => !e.closest('[aria-hidden]') && "
        "!e.getAttribute('aria-label')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert bare == []
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, select, input')].filter(e => !(e.labels?.length || "
        "e.textContent.trim() || e.getAttribute('aria-label'))).length"
    )
    assert unnamed == 0
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('section')?.id"))
    assert {"verdict", "loss", "sweep", "plane", "scores"} - reached <= {"verdict"}


def test_a_decoder_too_large_for_the_page(visit, cases):
    ae, X, _ = cases["penguins"]
    report = ae.report(X, weights=1, sweep=False)
    page = visit(report)
    content = report.dict()["walk"]
    low, high = content["low"][1], content["high"][1]
    page.eval_on_selector(
        "#unit-1",
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }",
        low + 0.25 * (high - low),  # a position of the curve
    )
    walk = page.evaluate("window.xhatWalk")
    expected = ae._fit.model.decode(np.array([walk["code"]]))[0]
    np.testing.assert_allclose(walk["values"], expected, rtol=1e-3)


def test_weights_in_half_precision(visit):
    X = np.random.default_rng(0).normal(size=(200, 8)) * 5 + 100
    ae = Autoencoder(2, hidden=(250, 250), max_iter=1, validation_fraction=0, random_state=0)
    report = ae.fit(X).report(X, sweep=False)
    walk = report.dict()["walk"]
    assert walk["mode"] == "weights"
    assert 50_000 < walk["size"] < 200_000
    assert len(report.html()) < 600_000  # two bytes a weight, as base64
    page = visit(report)
    page.eval_on_selector(
        "#unit-0",
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }",
        walk["low"][0] + 0.8 * (walk["high"][0] - walk["low"][0]),
    )
    walk = page.evaluate("window.xhatWalk")
    expected = ae._fit.model.decode(np.array([walk["code"]]))[0]
    moved = np.abs(expected - ae._fit.model.decode(np.zeros((1, 2)))[0]).max()
    np.testing.assert_allclose(walk["values"], expected, atol=0.01 * moved)
