"""Runs of batches: short trainings agree, and the bytes do not depend on threads or chunks."""

import platform
from dataclasses import replace

import numpy as np
import pytest
from cases import Case, compiled, distance, engines

from xhat.engines.base import Run
from xhat.engines.reference import ReferenceEngine
from xhat.maths.corruption import Gaussian, Masking
from xhat.maths.penalties import L2, KLSparsity, L1Code
from xhat.train.optimizers import SGD, Adam

#: Differences grow with the steps taken; 60 steps of Adam from the same start.
TOLERANCE = {np.float64: 1e-8, np.float32: 2e-3}

#: Clips some gradients of these tests, and not the others (see train).
CLIPPING = Adam(weight_decay=0.1, clip=1.05)
OPTIMIZERS = (
    Adam(),
    Adam(weight_decay=0.1, beta1=0.8),
    CLIPPING,
    SGD(),
    SGD(0.5, nesterov=False),
    SGD(0.0),
)

TRAININGS = (
    Case(30, 8, n=500),
    Case(
        17,
        5,
        (9,),
        "silu",
        "identity",
        ("linear", "binary"),
        linear_path=True,
        n=500,
        weighted=True,
        masked=True,
        corruption=Masking(0.2, visible=0.3),
    ),
    Case(9, 4, (6,), "relu", "tanh", tied=True, linear_path=True, n=301, penalties=(L2(0.01),)),
    Case(12, 20, n=301, penalties=(KLSparsity(0.1, 0.2), L1Code(0.01)), corruption=Gaussian(0.1)),
    Case(100, 40, (64,), "silu", "identity", linear_path=True, n=700),
    Case(
        40,
        5,
        (9,),
        "silu",
        "identity",
        ("softmax", "linear", "softmax", "poisson", "binary", "softmax"),
        block_weights=True,
        n=301,
        masked=True,
        corruption=Masking(0.2),
    ),
)


def train(engine, case, optimizer=None, batch_size=32, epochs=4, cut=None):
    """Train and return losses, parameters and slots; `cut` batches per call of run."""
    optimizer = optimizer or Adam()
    theta = case.theta
    state = optimizer.init(case.net, theta)
    objective, data = case.objective, case.batch
    if "norm" in state.slots:  # as if the gradients had been smaller so far
        grad = np.empty_like(theta)
        ReferenceEngine().loss_and_grad(objective, theta, data, grad)
        state.slots["norm"][:] = 0.4 * np.linalg.norm(grad)
    losses = []
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(case.n)
        batches = -(-case.n // batch_size)
        cut_now = cut or batches
        for first in range(0, batches, cut_now):
            index = order[first * batch_size : (first + cut_now) * batch_size]
            rates = np.full(-(-len(index) // batch_size), 1e-2)
            run = Run(data, index, batch_size, rates, key=epoch + 7, first=first * batch_size)
            losses.append(engine.run(objective, optimizer, theta, state, run))
    return np.concatenate(losses), theta, state


def bytes_of(result):
    losses, theta, state = result
    return (
        losses.tobytes(),
        theta.tobytes(),
        state.step,
        *(slot.tobytes() for slot in state.slots.values()),
    )


@pytest.mark.parametrize("optimizer", [Adam(), CLIPPING], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
@pytest.mark.parametrize("case", TRAININGS, ids=str)
def test_short_trainings_agree(engine, case, dtype, optimizer):
    case = Case(**{**vars(case), "dtype": dtype})
    expected = train(ReferenceEngine(), case, optimizer)
    found = train(engine, case, optimizer)
    assert distance(found[0], expected[0]) <= TOLERANCE[dtype]
    assert distance(found[1], expected[1]) <= TOLERANCE[dtype]
    assert found[2].step == expected[2].step


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
def test_every_optimiser_agrees(engine, optimizer):
    case = Case(30, 8, (9,), n=200)
    expected = train(ReferenceEngine(), case, optimizer)
    found = train(engine, case, optimizer)
    assert distance(found[1], expected[1]) <= 1e-9
    for name, slot in expected[2].slots.items():
        assert distance(found[2].slots[name], slot) <= 1e-9


def threads(monkeypatch, count):
    from xhat.engines.compiled import engine

    monkeypatch.setattr(engine, "thread_limit", lambda: count)
    monkeypatch.setattr(engine.Pace, "choose", lambda self, limit, rows: count)
    monkeypatch.setattr(engine, "SPLIT_SUM", 0)  # even the smallest sum
    monkeypatch.setattr(engine, "SPLIT_INFERENCE", 0)


def test_a_clipped_gradient_is_one_scaled_by_hand():
    net = Case(5, 2).net
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(sigma=2.0, size=50)
    grads = [size * rng.normal(size=net.size) for size in sizes]
    clipping, plain = Adam(clip=1.5), Adam()
    found, expected = np.zeros(net.size), np.zeros(net.size)
    state, other = clipping.init(net, found), plain.init(net, expected)
    mean, clipped = np.sqrt((grads[0] ** 2).sum()), 0
    for grad in grads:
        norm = np.sqrt((grad**2).sum())
        kept = min(norm, 1.5 * mean)
        clipped += kept < norm
        mean = 0.99 * mean + 0.01 * kept
        clipping.update(found, grad.copy(), state, 1e-2)
        plain.update(expected, grad * kept / norm, other, 1e-2)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert 5 < clipped < 45
    np.testing.assert_allclose(state.slots["norm"], mean)


@pytest.mark.parametrize("case", TRAININGS, ids=str)
def test_what_is_tested_as_clipping_clips(case):
    plain = train(ReferenceEngine(), case, replace(CLIPPING, clip=0.0))
    assert distance(train(ReferenceEngine(), case, CLIPPING)[1], plain[1]) > 1e-6


@pytest.mark.parametrize("optimizer", [Adam(), CLIPPING], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", TRAININGS, ids=str)
def test_same_bytes_for_any_number_of_threads(case, dtype, optimizer, monkeypatch):
    engine, _ = compiled()
    case = Case(**{**vars(case), "dtype": dtype})
    found = set()
    for count in (1, 2, 3):
        threads(monkeypatch, count)
        for size in (100,):
            found.add(bytes_of(train(engine, case, optimizer, batch_size=size)))
    assert len(found) == 1


def test_same_bytes_in_20_repeats(monkeypatch):
    engine, _ = compiled()
    threads(monkeypatch, 2)
    case = TRAININGS[1]
    for optimizer in (Adam(), CLIPPING):
        found = [train(engine, case, optimizer, epochs=1, batch_size=70) for _ in range(20)]
        assert len(set(map(bytes_of, found))) == 1


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
@pytest.mark.parametrize("case", TRAININGS, ids=str)
def test_same_bytes_however_a_run_is_cut(engine, case):
    for optimizer in (Adam(), CLIPPING):
        whole = bytes_of(train(engine, case, optimizer))
        for cut in (1, 3, 7):
            assert bytes_of(train(engine, case, optimizer, cut=cut)) == whole


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only there are they slow and avoided")
def test_moments_that_fade_become_zero_and_the_caller_keeps_its_rules(monkeypatch):
    """Subnormal numbers are slow; but only the kernels may go without them."""
    engine, _ = compiled()
    threads(monkeypatch, 2)
    case = Case(6, 2, (8,), n=32, dtype=np.float32)
    blank = replace(case.batch, X=case.batch.X.copy())
    blank.X[:, 0] = 0  # no gradient for what reads this column
    order, found = np.arange(32), {}
    for each in (ReferenceEngine(), engine):
        theta, optimizer = case.theta, Adam()
        state = optimizer.init(case.net, theta)
        for data, steps in ((case.batch, 5), (blank, 900)):
            for step in range(steps):
                run = Run(data, order, 32, np.full(1, 1e-4), step, 0)
                each.run(case.objective, optimizer, theta, state, run)
        mu = np.abs(state.slots["mu"])
        found[each] = ((mu > 0) & (mu < np.finfo(np.float32).tiny)).sum()
    assert list(found.values()) == [8, 0]
    assert np.float32(1e-40) * np.float32(1) > 0


def test_full_batch_gradients_do_not_depend_on_threads(monkeypatch):
    engine, _ = compiled()
    case = Case(30, 8, n=2500, penalties=(KLSparsity(0.1, 0.3),))
    found = set()
    for count in (1, 2):
        threads(monkeypatch, count)
        grad = np.empty_like(case.theta)
        J = engine.loss_and_grad(case.objective, case.theta, case.batch, grad)
        loss = engine.loss(case.objective.judging(), case.theta, case.batch)
        found.add((J, loss, grad.tobytes()))
    assert len(found) == 1


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
def test_stops_at_a_loss_that_is_not_finite(engine):
    case = Case(4, 2, n=96)
    batch = case.batch
    batch.X[40] = np.inf
    optimizer, theta = Adam(), case.theta
    state = optimizer.init(case.net, theta)
    run = Run(batch, np.arange(96), 32, np.full(3, 1e-3))
    with np.errstate(all="ignore"):
        losses = engine.run(case.objective, optimizer, theta, state, run)
    assert len(losses) == 2
    assert np.isfinite(losses[0])
    assert not np.isfinite(losses[1])
    assert state.step == 1
    assert np.isfinite(theta).all()


def test_an_order_outside_the_rows_is_refused():
    engine, _ = compiled()
    case = Case(4, 2, n=10)
    state = Adam().init(case.net, case.theta)
    with pytest.raises(IndexError, match="there are 10 rows"):
        engine.run(
            case.objective,
            Adam(),
            case.theta,
            state,
            Run(case.batch, np.array([0, 10]), 2, np.full(1, 1e-3)),
        )


def test_threads_follow_the_clock():
    from xhat.engines.compiled.engine import TRY_AGAIN, Pace

    pace = Pace()
    assert pace.choose(2, 10_000) == 1  # nothing known yet
    pace.record(1, 10_000, 0.010)
    assert pace.choose(1, 10_000) == 1
    assert pace.choose(2, 10) == 1  # too short a run to start a thread for
    assert pace.choose(2, 10_000) == 2
    pace.record(2, 10_000, 0.006)
    assert pace.choose(2, 10_000) == 2
    pace.record(2, 10_000, 0.011)  # the other core is taken
    chosen = [pace.choose(2, 10_000) for _ in range(TRY_AGAIN)]
    assert chosen.count(2) == 1
