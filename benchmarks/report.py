"""Time, memory and size of the report of a large table: ``python benchmarks/report.py``.

Prints seconds, resident memory beyond the table (Linux) and the size of the page. The bar, set in
the tests' terms: 1,000,000 x 30 in 20 s and 500 MB on two cores. Where Chromium and playwright are
installed, the page is opened there: its sections, messages and requests are printed.
"""

import argparse
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from xhat import Autoencoder


def resident():
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def look(page):
    """Open a page in headless Chromium; print its sections, messages and requests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1200, "height": 900})
        messages, requests = [], []
        view.on("console", lambda message: messages.append(message.text))
        view.on("pageerror", lambda error: messages.append(str(error)))
        view.on("request", lambda request: requests.append(request.url))
        view.goto(page.as_uri())
        sections = view.eval_on_selector_all("section", "all => all.map(s => s.id)")
        browser.close()
    print(f"sections {' '.join(sections)}; messages {messages}; requests {len(requests) - 1}")


def main():
    """Measure one report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=30)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    X = rng.normal(size=(arguments.rows, 5)) @ rng.normal(size=(5, arguments.columns))
    X += 0.3 * rng.normal(size=X.shape)
    ae = Autoencoder(random_state=0).fit(X[:20_000])
    before, peak, done = resident(), [0.0], threading.Event()

    def watch():
        while not done.wait(0.01):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    report = ae.report(X)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    print(
        f"{seconds:.1f} s, {peak[0] - before:.0f} MB beyond the table, page of {report.size_text}"
    )
    if shutil.which("chromium"):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "report.html"
            report.write_html(page)
            look(page)


if __name__ == "__main__":
    main()
