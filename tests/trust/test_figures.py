"""The long runs are all in the Makefile's parts; docs/testing.md says what their files say."""

import ast
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import testing  # noqa: E402


def nightly_tests():
    """Return the names of the tests that are marked, with the parameters that are theirs."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            marks = [ast.unparse(mark) for mark in getattr(node, "decorator_list", [])]
            if "pytest.mark.nightly" in marks:
                seeds = any("seeds_from" in mark for mark in marks)
                yield from (
                    (f"{node.name}[seeds_from_{n:02d}]" for n in range(0, 100, 10))
                    if (seeds)
                    else [node.name]
                )


def test_every_long_test_is_in_one_part_of_the_makefile():
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    words = re.search(r"^PARTS := (.*)$", text, re.MULTILINE).group(1)
    prefix, numbers = re.search(r"\$\(addprefix (\S+),([\d ]+)\)", words).groups()
    parts = words.split("$")[0].split() + [prefix + number for number in numbers.split()]
    names = list(nightly_tests())
    assert len(names) == len(parts) == 18
    for name in names:
        assert sum(part in name for part in parts) == 1, name


def test_the_page_says_what_the_files_say():
    text = testing.PAGE.read_text(encoding="utf-8")
    assert testing.page(text) == text, "run: python -m benchmarks.testing"


def test_every_file_of_figures_is_in_the_table():
    for path in testing.FOLDER.glob("*.json"):
        assert any(path.match(f"{pattern}.json") for pattern, _, _ in testing.ROWS), path.name
        file = json.loads(path.read_text(encoding="utf-8"))
        assert file.keys() == {"where", "values"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", file["where"]["date"])
