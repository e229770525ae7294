"""Every output in README.md is what really comes out.

``python tests/test_readme.py`` writes the outputs anew; the tests compare, with 5 % of tolerance,
because last digits differ between kinds of processors.
"""

import doctest
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sklearn import datasets

from xhat import Autoencoder

README = Path(__file__).parent.parent / "README.md"
TABLE_HEAD = "| table | rows x columns | units | mean | PCA | xhat | xhat / PCA |\n"
TABLE_HEAD += "|---|---|---|---|---|---|---|\n"
TABLES = ("iris", "wine", "diabetes", "breast_cancer", "digits")


def blocks(language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )


def run_console(block, folder):
    """Return a console block with its commands' real output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    lines = []
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", f"{command} 2>&1"],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        lines.append(f"$ {command}\n{done.stdout.rstrip()}\n")
    return "".join(lines)


def run_python(block):
    """Return a doctest block with its real output."""
    got = []

    class Runner(doctest.DocTestRunner):
        def report_start(self, out, test, example):
            got.append("")

        def report_success(self, out, test, example, output):
            got[-1] = output

        report_failure = report_success

    parser = doctest.DocTestParser()
    test = parser.get_doctest(block, {}, "README.md", str(README), 0)
    Runner(verbose=False).run(test, out=lambda _: None, clear_globs=False)
    lines = []
    for example, output in zip(test.examples, got, strict=True):
        first, *more = example.source.rstrip("\n").split("\n")
        lines += [f">>> {first}", *(f"... {line}" for line in more)]
        lines += output.rstrip("\n").split("\n") if output else []
    return "\n".join(lines) + "\n"


def pca_table():
    """Return the table of verdicts."""
    rows = []
    for name in TABLES:
        X = getattr(datasets, f"load_{name}")().data
        c = Autoencoder(random_state=0).fit(X).compare_pca()
        size = f"{name} | {X.shape[0]} x {X.shape[1]} | {c.n_components}"
        xhat = "is PCA" if c.is_pca else f"{c.xhat:.2f}"
        rows.append(f"| {size} | {c.mean:.2f} | {c.pca:.2f} | {xhat} | {c.ratio:.2f} |\n")
    return TABLE_HEAD + "".join(rows)


def same(written, real):
    """Return whether two texts agree: words exactly, numbers to 5 % (counts below 100 exactly)."""
    number = re.compile(r"-?\d+(?:\.\d+)?")
    if number.sub("#", written).split() != number.sub("#", real).split():
        return False
    pairs = zip(number.findall(written), number.findall(real), strict=True)
    return all(a == b or _close(a, b) for a, b in pairs)


def _close(a, b):
    count = "." not in a + b and float(a) < 100
    return not count and math.isclose(float(a), float(b), rel_tol=0.05)


def test_console(tmp_path):
    written = blocks("console")
    assert written
    for block in written:
        real = run_console(block, tmp_path)
        assert same(block, real), real


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python(number):
    block = blocks("python")[number]
    assert ">>>" in block
    real = run_python(block)
    assert same(block, real), real


def test_pca_table():
    text = README.read_text("utf-8")
    written = text[text.index(TABLE_HEAD) :].split("\n\n")[0]
    real = pca_table()
    assert same(written, real), real


def test_order_of_the_first_screen():
    text = README.read_text("utf-8")
    parts = ["```console", "pip install", "```python", "$ xhat fit", "Is PCA enough?", "When not"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text("utf-8")):
        assert (README.parent / target).exists(), target


def test_the_comparison_can_fail():
    assert same("a 1.00 b", "a 1.01  b")
    assert not same("a 1.00 b", "a 1.10 b")
    assert not same("a 10 b", "a 11 b")
    assert not same("a 10 b", "a 10 c")


def _update():
    text = README.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for block in blocks("console"):
            text = text.replace(block, run_console(block, folder))
    for block in blocks("python"):
        text = text.replace(block, run_python(block))
    start = text.index(TABLE_HEAD)
    end = text.index("\n\n", start) + 1
    README.write_text(text[:start] + pca_table() + text[end:], "utf-8")


if __name__ == "__main__":
    _update()
