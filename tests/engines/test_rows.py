"""A row's code and pre-activation have the same bits wherever the row stands."""

import numpy as np
import pytest
from cases import Case, compiled, engines

from xhat.engines.base import Cells
from xhat.maths.objective import Batch

NETS = (
    Case(30, 8, (128,), "silu", "identity", linear_path=True),
    Case(17, 3, (9,), "sigmoid", "tanh", tied=True),
    Case(1, 1),
    Case(300, 100, (200,), "relu", "sigmoid"),
    Case(40, 5, (9,), heads=("softmax", "linear", "softmax", "poisson", "binary", "softmax")),
)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
@pytest.mark.parametrize("case", NETS, ids=str)
def test_rows_are_bit_identical_in_every_position(engine, case, dtype):
    rng = np.random.default_rng(3)
    theta = case.theta.astype(dtype)
    X = np.abs(rng.standard_normal((1000, case.d))).astype(dtype)
    row = X[:1].copy()
    h = engine.encode(case.net, theta, row)
    a_hat = engine.decode(case.net, theta, h)
    wanted = Cells(np.full(case.d, -1.0), np.full(case.d, 1.0), True)
    cells = engine.cells(case.net, theta, Batch(row), wanted)
    for n in (1, 7, 70, 1000):
        positions = range(n) if n <= 70 else (0, 31, 32, 500, 511, 512, 995, 999)
        for position in positions:
            Z = X[:n].copy()
            Z[position] = row
            H = engine.encode(case.net, theta, Z)
            assert H[position].tobytes() == h.tobytes()
            A_hat = engine.decode(case.net, theta, H)
            assert A_hat[position].tobytes() == a_hat.tobytes()
            found = engine.cells(case.net, theta, Batch(Z), wanted)
            assert found[position].tobytes() == cells.tobytes()


def test_threads_do_not_change_inference(monkeypatch):
    from xhat.engines.compiled import engine as module

    engine, _ = compiled()
    case = NETS[0]
    X = np.random.default_rng(0).standard_normal((5003, 30))
    monkeypatch.setattr(module, "SPLIT_INFERENCE", 0)
    found = set()
    for count in (1, 2, 3):
        monkeypatch.setattr(module, "thread_limit", lambda count=count: count)
        cells = engine.cells(case.net, case.theta, Batch(X), Cells())
        found.add(engine.encode(case.net, case.theta, X).tobytes() + cells.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
def test_no_rows_give_no_codes(engine):
    case = Case(5, 3)
    assert engine.encode(case.net, case.theta, np.empty((0, 5))).shape == (0, 3)
    assert engine.decode(case.net, case.theta, np.empty((0, 3))).shape == (0, 5)
    assert engine.cells(case.net, case.theta, Batch(np.empty((0, 5))), Cells()).shape == (0, 5)
