"""Nothing in a file is ever executed: payloads under an audit hook, no unpickler in the source."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import xhat

PACKAGE = Path(xhat.__file__).parent
FORBIDDEN = {
    "pickle",
    "cPickle",
    "joblib",
    "cloudpickle",
    "dill",
    "marshal",
    "shelve",
    "torch",
    "yaml",
}


def test_no_payload_runs(tmp_path):
    offer(tmp_path, "some")


@pytest.mark.nightly
def test_no_payload_runs_under_any_extension(tmp_path, figures):
    found = offer(tmp_path, "all")
    figures("payloads", {name: found[name] for name in ("payloads", "tried")})


def offer(folder, which):
    script = Path(__file__).with_name("payload_run.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), which],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["problems"] == []
    assert found["payloads"] >= 30
    assert found["peak MB"] < 1000
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_no_unpickler_in_the_source(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & FORBIDDEN
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "compile", "__import__")
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is False
