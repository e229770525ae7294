"""Figures of the long runs are collected for docs/testing.md; helpers stand beside this file."""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
#: Before any test changes the folder.
FOLDER = os.environ.get("XHAT_FIGURES") and Path(os.environ["XHAT_FIGURES"]).absolute()


@pytest.fixture
def figures():
    """Store the figures of a test under a name, if XHAT_FIGURES names a folder for them."""
    began = time.monotonic()

    def store(name, values):
        if FOLDER:
            from benchmarks.testing import write

            write(name, values, time.monotonic() - began, FOLDER)

    return store
