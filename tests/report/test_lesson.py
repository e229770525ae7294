"""The lesson page: its numbers are those of ae.trace(x), and training does what it says."""

import numpy as np
import pytest

from xhat.report.lesson import HEADS, digits, make_lesson, models


@pytest.fixture(scope="module")
def lesson():
    return make_lesson()


@pytest.fixture(scope="module")
def page_of(lesson):
    return lesson


def shown(page):
    return page.evaluate(
        "Object.fromEntries(Object.entries(window.xhatLesson.trace).map(([n, v]) => [n, [...v]]))"
    )


def stat(page, key):
    return float(page.locator(f"#now b[data-key={key}]").get_attribute("data-value"))


def test_traces_are_those_of_the_library(visit, lesson):
    page = visit(lesson)
    X = digits()
    for name, ae in models().items():
        page.select_option("#head select", name)
        for row in (0, 7):
            page.select_option("#row select", str(row))
            trace, got = ae.trace(X[row]), shown(page)
            assert set(got) == set(trace.keys())
            for quantity in trace.keys():  # noqa: SIM118
                expected = trace[quantity].ravel()
                np.testing.assert_allclose(got[quantity], expected, rtol=1e-6, atol=1e-6)
        page.select_option("#row select", "0")
        assert float(page.locator("#check").get_attribute("data-difference")) < 1e-6
        assert stat(page, "loss") == pytest.approx(-ae.score(X), rel=1e-9)


def test_numbers_in_the_table_follow_unit_and_pixel(visit, lesson):
    page = visit(lesson)
    page.select_option("#unit", "3")
    page.select_option("#pixel select", "20")
    trace = models()["logistic"].trace(digits()[0])
    cell = page.locator('#trace-rows td[data-name="dL/dW[3,20]"]')
    assert float(cell.get_attribute("data-value")) == pytest.approx(trace["dL/dW"][3, 20], abs=1e-6)
    cell = page.locator('#trace-rows td[data-name="dL/dW*[20,3]"]')
    assert float(cell.get_attribute("data-value")) == pytest.approx(
        trace["dL/dW_star"][20, 3], abs=1e-6
    )
    numeric = page.locator("#check").inner_text().replace("\u2212", "-")
    said = float(numeric.split("dL/dW*[20,3] = ")[1].split(",")[0])
    assert said == pytest.approx(trace["dL/dW_star"][20, 3], abs=1e-5)


def test_pca_of_the_page(visit, lesson):
    page = visit(lesson)
    X = digits()
    left = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2 / len(X)
    for k in (2, 8, 32):
        page.select_option("#code-size select", str(k))
        assert stat(page, "pca") == pytest.approx(left[k:].sum(), rel=1e-6)
    assert stat(page, "mean") == pytest.approx(left.sum(), rel=1e-9)


def test_training_lowers_the_loss(visit, lesson):
    page = visit(lesson)
    page.click("#random")
    before = stat(page, "loss")
    page.click("#step")
    assert stat(page, "step") == 1
    page.click("#steps")
    assert stat(page, "step") == 51
    assert stat(page, "loss") < 0.95 * before
    page.click("#play")
    page.wait_for_timeout(500)
    page.click("#play")
    assert stat(page, "step") > 52


def test_overcomplete_codes_copy(visit, lesson):
    page = visit(lesson)
    page.select_option("#activation select", "identity")
    page.select_option("#head select", "linear")
    page.select_option("#code-size select", "96")
    assert "Overcomplete" in page.locator("#range").inner_text()
    before = stat(page, "copying")
    for _ in range(3):
        page.click("#steps")
    assert stat(page, "copying") > max(0.8, before)


def test_the_range_problem(visit, lesson):
    page = visit(lesson)
    page.select_option("#pixels select", "16")
    X = digits() * 16
    floor = (np.maximum(X - 1, 0) ** 2).sum(axis=1).mean()
    assert float(page.locator("#range").get_attribute("data-floor")) == pytest.approx(floor)
    assert page.locator("#head option[value=logistic]").get_attribute("disabled") is not None
    assert stat(page, "error") > floor
    page.select_option("#head select", "linear")
    assert float(page.locator("#range").get_attribute("data-floor")) == 0


def test_lines_end_at_the_pictures(visit, lesson):
    """The middle of x_hat is grey: no line of a weight shines through."""
    page = visit(lesson)
    page.select_option("#pixel select", "0")  # its mark is not in the part that is read
    coloured = page.evaluate(
        "() => { const c = document.querySelector('#network canvas'), all = c.getContext('2d')"
        ".getImageData(c.width - 200, c.height / 2 - 50, 190, 100).data; let n = 0;"
        "for (let i = 0; i < all.length; i += 4)"
        " if (all[i] !== all[i + 1] || all[i] !== all[i + 2]) n++; return n; }"
    )
    assert coloured == 0
    assert "tick the box to see them alone" in page.locator("#network > .how").inner_text()


def test_no_control_stands_alone(visit, lesson):
    page = visit(lesson, width=1000)
    ends = page.eval_on_selector_all(
        "#model .controls",
        "all => all.map(e => [...e.children].map(c => c.getBoundingClientRect().bottom))",
    )
    assert [len({round(end) for end in line}) for line in ends] == [1, 1]


def test_small_and_narrow(visit, lesson):
    assert lesson.size < 1_000_000
    assert set(HEADS) == {"logistic", "logistic-squared", "tanh", "linear"}
    page = visit(lesson, width=400, dark=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
