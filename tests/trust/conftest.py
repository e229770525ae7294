"""Figures of the long runs are collected for docs/testing.md; helpers stand beside this file."""

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def figures():
    """Store a figure under a name, if XHAT_FIGURES names a folder for them."""

    def store(name, values):
        folder = os.environ.get("XHAT_FIGURES")
        if folder:
            path = Path(folder) / f"{name.replace(' ', '-')}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values, sort_keys=True) + "\n", encoding="utf-8")

    return store
