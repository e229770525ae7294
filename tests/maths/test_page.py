"""docs/maths.md and the code it explains must not drift apart."""

import re
from pathlib import Path

import pytest

import xhat.maths

PAGE = Path(__file__).parents[2] / "docs" / "maths.md"
SOURCES = sorted(Path(xhat.maths.__file__).parent.glob("*.py"))

text = PAGE.read_text(encoding="utf-8")
source_lines = {line.strip() for path in SOURCES for line in path.read_text("utf-8").splitlines()}
tags = [int(n) for n in re.findall(r"\\tag\{(\d+)\}", text)]
#: Lines that the page shows as code (the blocks with prompts are run as doctests instead).
quoted = [
    line.strip()
    for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


def numbers(phrase):
    """Return the equation numbers in a phrase like "4 and 7 to 16"."""
    phrase = re.sub(
        r"(\d+) to (\d+)", lambda m: ", ".join(map(str, range(int(m[1]), int(m[2]) + 1))), phrase
    )
    return {int(n) for n in re.findall(r"\d+", phrase)}


def comment_numbers(line):
    """Return the equation numbers of a trailing comment such as ``# (14), (16)``."""
    comment = re.search(r"#((?: \(\d+\),?)+)", line)
    return numbers(comment[1]) if comment else set()


def test_equations_are_numbered_without_gaps():
    assert tags == list(range(1, len(tags) + 1))


def test_quoted_lines_are_lines_of_the_code():
    assert len(quoted) > 40
    assert [line for line in quoted if line not in source_lines] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_cited_equations_exist(path):
    source = path.read_text("utf-8")
    cited = set().union(*(comment_numbers(line) for line in source.splitlines()))
    flat = re.sub(r"\s+", " ", source)
    for phrase in re.findall(r"[Ee]quations? (\d+(?:(?:,| and| to) \d+)*)", flat):
        cited |= numbers(phrase)
    assert cited <= set(tags)


def test_numbered_lines_are_quoted_beside_their_equation():
    """A line commented # (17) stands in the section of equation (17)."""
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    cited = set().union(*(comment_numbers(line) for line in source_lines))
    assert len(cited) > 20
    for n in cited:
        section = next(part for part in sections if f"\\tag{{{n}}}" in part)
        shown = set().union(*(comment_numbers(line) for line in section.splitlines()))
        # (36) is several lines, marked once above their loop; the page quotes them without it.
        assert n in shown or n == 36, n


def test_page_has_no_formula_that_github_breaks():
    r"""GitHub's Markdown eats ``\,``, ``\{`` and ``\|`` inside dollars, and ``*`` may emphasise."""
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", text, flags=re.DOTALL)
    assert len(formulas) > 200
    assert [f for f in formulas if re.search(r"\\[,;!{}|\\]|\*", f)] == []
    assert text.count("$$") % 2 == 0
