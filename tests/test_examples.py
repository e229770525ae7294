"""Every script in examples/ runs and finds what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
FINDS = {
    "table": ["loss per row", "wine 121: ", "flavanoids = 5.08 where"],
    "digits": ["xhat wins on 297 rows", "digit"],
    "textbook": ["codes agree: True", "dL/dW agrees: True", "reconstructions agree: True"],
}


def test_every_example_is_listed():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(FINDS)


@pytest.mark.parametrize("name", FINDS)
def test_example(name, tmp_path):
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for text in FINDS[name]:
        assert text in done.stdout
