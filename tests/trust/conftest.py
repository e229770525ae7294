"""Figures of the long runs are collected for docs/testing.md; helpers stand beside this file."""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def figures():
    """Store the figures of a test under a name, if XHAT_FIGURES names a folder for them."""
    began, folder = time.monotonic(), os.environ.get("XHAT_FIGURES")

    def store(name, values):
        if folder:
            from benchmarks.testing import write

            write(name, values, time.monotonic() - began, Path(folder).absolute())

    return store
