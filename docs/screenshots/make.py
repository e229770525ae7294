"""Take the screenshots of docs/screenshots: ``python docs/screenshots/make.py``.

Needs xhat with its test extras, and Chromium on the path. The pages are made anew: the demo's
report, the report of the digits, the lesson.
"""

import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from sklearn.datasets import load_breast_cancer, load_digits

from xhat import Autoencoder
from xhat.report.lesson import make_lesson

HERE = Path(__file__).parent
#: name -> (page, width, dark, sections from the first to the last, clicks and choices before)
PICTURES = {
    "report": ("tumours", 1000, False, ["top", "loss"], []),
    "report-dark": ("tumours", 1000, True, ["top", "loss"], []),
    "sweep": ("tumours", 1000, False, ["sweep", "sweep"], []),
    "plane": ("tumours", 1000, False, ["plane", "plane"], [("#plane-colour select", "2")]),
    "strangest": ("tumours", 1000, False, ["scores", "scores"], []),
    "digits": ("digits", 1000, True, ["originals", "walk"], []),
    "lesson": ("lesson", 1000, False, ["top", "trace"], []),
}


def make_pages(folder):
    """Write the pages; return their names."""
    table = load_breast_cancer()
    ae = Autoencoder(random_state=0).fit(table.data)
    names = [str(name) for name in table.feature_names]
    ae.report(table.data, names=names, title="569 tumours", command="xhat demo").write_html(
        folder / "tumours.html"
    )
    X = load_digits().data
    digits = Autoencoder(12, random_state=0).fit(X)
    digits.report(X, image_shape=(8, 8), title="1,797 digits", sweep=False).write_html(
        folder / "digits.html"
    )
    make_lesson().write_html(folder / "lesson.html")


def take(browser, folder, name):
    """Take one picture: from the top of one section to the end of another."""
    page_name, width, dark, (first, last), choices = PICTURES[name]
    scheme = "dark" if dark else "light"
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto((folder / f"{page_name}.html").as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    page.add_style_tag(content="nav { position: static !important; }")
    for selector, value in choices:
        page.select_option(selector, value)
    page.wait_for_timeout(400)
    box = page.evaluate(
        "([a, b]) => { const p = document.getElementById(a).getBoundingClientRect(), q = "
        "document.getElementById(b).getBoundingClientRect(); return [p.top + scrollY, q.bottom + "
        "scrollY]; }",
        [first, last],
    )
    clip = {"x": 0, "y": max(0, box[0] - 8), "width": width, "height": box[1] - box[0] + 16}
    path = HERE / f"{name}.png"
    page.screenshot(path=path, clip=clip, full_page=True)
    context.close()
    # In true colours: a palette of 256 makes greys blue, and each picture's background another
    Image.open(path).convert("RGB").save(path, optimize=True)


def main():
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        make_pages(folder)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name in PICTURES:
            take(browser, folder, name)
        browser.close()


if __name__ == "__main__":
    main()
