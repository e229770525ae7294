"""Small fitted models, their reports, and a headless Chromium that tells of every fault."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from xhat import Autoencoder

HOSTILE = [
    "<script>window.hacked = 1</script>",
    "</script><img src=x onerror=window.hacked=2>",
    "\"quoted\" & 'single' `back` ${tick}",
    "\N{PENGUIN}\N{FISH} \N{EURO SIGN}",
    "long " * 100,
    "__proto__",
]


def penguins(n=300):
    """A mixed table with missing cells: what penguins look like, drawn from a seed."""
    rng = np.random.default_rng(1)
    g = rng.choice(3, n, p=[0.44, 0.2, 0.36])
    male = rng.random(n) < 0.5
    mass = np.array([3700, 3730, 5070])[g] + male * 500 + rng.normal(0, 300, n)
    table = pd.DataFrame(
        {
            "species": np.array(["Adelie", "Chinstrap", "Gentoo"])[g],
            "bill_mm": np.array([38.8, 48.8, 47.5])[g] + rng.normal(0, 2, n),
            "flipper_mm": 190 + (mass - 3700) / 50 + rng.normal(0, 4, n),
            "body_mass_g": mass,
            "sex": np.where(male, "male", "female"),
            "tagged": rng.random(n) < 0.3,
            "chicks": rng.poisson(0.7, n),
        }
    )
    for name in ("bill_mm", "flipper_mm", "sex"):
        table[name] = table[name].mask(rng.random(n) < 0.05)
    return table


@pytest.fixture(scope="session")
def cases():
    """Name -> (fitted model, rows, keywords of the report)."""
    digits = load_digits().data[:400]
    mixed = penguins()
    rng = np.random.default_rng(0)
    hostile = pd.DataFrame(rng.normal(size=(250, 2)) @ rng.normal(size=(2, 6)), columns=HOSTILE)
    hostile["level"] = np.where(hostile.iloc[:, 0] > 0, "<b>bold</b>", "</script>")
    quick = {"max_iter": 25, "random_state": 0}
    return {
        "digits": (Autoencoder(6, **quick).fit(digits), digits, {"image_shape": (8, 8)}),
        "penguins": (Autoencoder(3, **quick).fit(mixed), mixed, {"sweep": True}),
        "hostile": (Autoencoder(2, **quick).fit(hostile), hostile, {"sweep": False}),
    }


@pytest.fixture(scope="session")
def reports(cases):
    """Name -> report."""
    return {name: ae.report(X, title=name, **more) for name, (ae, X, more) in cases.items()}


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium, headless. Its absence is a reason to skip, but not where CI runs."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        reason = "no Chromium here: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, tmp_path):
    """Open a page of a report; fail at the end on any console message, error or request."""
    faults, contexts = [], []

    def visit(report, *, width=1200, dark=False):
        path = tmp_path / "page.html"
        path.write_text(report.html(), encoding="utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url == path.as_uri() or request.url.startswith("data:")
                else faults.append(request.url)
            ),
        )
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert faults == []
