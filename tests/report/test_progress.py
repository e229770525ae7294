"""What is said during a fit: bar, lines, callbacks."""

import io
import sys

import numpy as np
import pytest

from xhat import Autoencoder
from xhat.callbacks import CallbackSupportMixin

X = np.random.default_rng(0).normal(size=(60, 3)) @ np.ones((3, 4))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_off_terminals(capsys):
    Autoencoder(2, max_iter=6, stopping=None, verbose=1, random_state=0).fit(X)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1", "epoch 2", "epoch 5"]
    Autoencoder(2, max_iter=3, stopping=None, verbose=2, random_state=0).fit(X)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_bar_on_terminals(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "140")
    Autoencoder(2, max_iter=40, stopping=None, verbose=1, random_state=0).fit(X)
    text = terminal.getvalue()
    assert "40/40" in text
    assert "rows/s" in text
    assert "held-out" in text


def test_lines_without_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    Autoencoder(2, max_iter=2, stopping=None, verbose=1, random_state=0).fit(X)
    assert terminal.getvalue().startswith("epoch 1: loss")


@pytest.mark.skipif(
    not hasattr(CallbackSupportMixin, "set_callbacks"), reason="scikit-learn before 1.9"
)
def test_callbacks_of_scikit_learn():
    class Counter:
        def __init__(self):
            self.seen = []

        def setup(self, estimator, context):
            self.seen.append("setup")

        def teardown(self, estimator, context):
            self.seen.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            self.seen.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator, context):
            self.seen.append(f"end {context.task_name}")

    counter = Counter()
    ae = Autoencoder(2, max_iter=4, stopping=None, random_state=0).set_callbacks(counter)
    ae.fit(X)
    assert counter.seen[:3] == ["setup", "begin fit", "begin epoch"]
    assert counter.seen[-2:] == ["end fit", "teardown"]
    # The fifth epoch is begun, and ended without having run
    assert counter.seen.count("begin epoch") == counter.seen.count("end epoch") == 5
    plain = Autoencoder(2, max_iter=4, stopping=None, random_state=0).fit(X)
    np.testing.assert_array_equal(plain.transform(X), ae.transform(X))
