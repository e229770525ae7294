"""Every engine computes what maths.objective says: losses, gradients, codes, pre-activations.

The list is the cross of every choice that changes the code taken, thinned by drawing; each value
of each choice meets each value of every other.
"""

from dataclasses import replace

import numpy as np
import pytest
from cases import TOLERANCE, Case, compiled, distance, engines

from xhat.engines.base import Cells
from xhat.engines.reference import ReferenceEngine
from xhat.maths.corruption import Gaussian, Masking, SaltAndPepper
from xhat.maths.objective import Objective, loss_and_grad
from xhat.maths.penalties import L2, Contractive, KLSparsity, L1Code
from xhat.train.optimizers import Adam

SETS = ("baseline", "avx2", "avx512")

CHOICES = {
    "shape": (
        (1, 1, ()),
        (3, 2, ()),
        (17, 5, (9,)),
        (30, 8, ()),
        (100, 33, (40,)),
        (5, 7, (3, 4)),
        (300, 20, (64,)),
        (64, 16, ()),
    ),
    "n": (1, 5, 31, 128, 257),
    "g": ("sigmoid", "tanh", "relu", "silu", "identity"),
    "g_code": ("sigmoid", "tanh", "relu", "silu", "identity"),
    "heads": (
        ("linear",),
        ("logistic",),
        ("tanh",),
        ("binary",),
        ("binary", "linear", "logistic"),
        ("linear", "binary"),
        ("softmax",),
        ("poisson",),
        ("poisson", "softmax", "tanh"),
        ("softmax", "softmax", "linear", "softmax", "binary", "poisson"),
        ("softmax", "binary", "softmax", "poisson") * 8,
    ),
    "block_weights": (False, True),
    "tied": (False, True),
    "linear_path": (False, True),
    "masked": (False, True),
    "weighted": (False, True),
    "penalties": (
        (),
        (L2(0.01),),
        (L1Code(0.1),),
        (KLSparsity(0.1, 0.3),),
        (Contractive(0.1),),
        (L2(0.1), Contractive(0.2), L1Code(0.01)),
    ),
    "corruption": (None, Masking(0.3), Masking(0.3, 0.4), Gaussian(0.2), SaltAndPepper(0.2)),
}


def draw(count, dtype, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(count):
        choice = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
        d, k, hidden = choice.pop("shape")
        if any(isinstance(p, KLSparsity) for p in choice["penalties"]):
            choice["g_code"] = "sigmoid"
        if any(isinstance(p, Contractive) for p in choice["penalties"]):
            hidden, choice["linear_path"] = (), False
        yield Case(d, k, hidden, dtype=dtype, seed=i, **choice)


def check(engine, case):
    objective, theta, batch = case.objective, case.theta, case.batch
    assert engine.refuses(objective, Adam()) is None
    tolerance = TOLERANCE[case.dtype]
    expected, grad = np.empty_like(theta), np.full_like(theta, np.nan)
    X_tilde, weighed = objective.shown(batch)
    J = loss_and_grad(objective, theta, weighed, expected, X_tilde)
    assert abs(engine.loss_and_grad(objective, theta, batch, grad) - J) <= tolerance * (1 + abs(J))
    assert distance(grad, expected) <= tolerance, case
    reference, net = ReferenceEngine(), case.net
    H = reference.encode(net, theta, batch.X)
    assert distance(engine.encode(net, theta, batch.X), H) <= tolerance
    A_hat = reference.decode(net, theta, H)
    assert distance(engine.decode(net, theta, H), A_hat) <= tolerance
    low, high = batch.X.min(axis=0) + 0.1, batch.X.max(axis=0) - 0.1
    for wanted in (Cells(), Cells(low, high, True, np.linspace(0.5, 2, case.d))):
        cells = reference.cells(net, theta, batch, wanted)
        found = engine.cells(net, theta, batch, wanted)
        assert found.dtype == np.float64
        assert distance(found, cells) <= tolerance
    if batch.mask is None or batch.mask.any():
        for judged in (Objective(net), replace(objective, penalties=())):
            loss = reference.loss(judged, theta, batch, 7)
            assert abs(engine.loss(judged, theta, batch, 7) - loss) <= tolerance * (1 + loss)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
def test_agrees_with_the_mathematics(engine, dtype):
    for case in draw(300, dtype):
        check(engine, case)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("at_most", SETS)
def test_every_instruction_set_agrees(at_most, dtype):
    engine, kernels = compiled()
    kernels.use_instruction_set(at_most)
    try:
        for case in draw(100, dtype, seed=1):
            check(engine, case)
    finally:
        kernels.use_instruction_set("")


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.name)
def test_more_rows_than_fit_the_workspace(engine):
    """The full-batch gradient is summed over chunks, with and without a batch mean in it."""
    for penalties in ((), (KLSparsity(0.1, 0.3), L2(0.01)), (Contractive(0.1),)):
        check(engine, Case(7, 3, n=2500, penalties=penalties, weighted=True, masked=True))


def test_the_several_layer_contractive_penalty_is_refused():
    engine, _ = compiled()
    for case in (
        Case(hidden=(4,), penalties=(Contractive(),)),
        Case(linear_path=True, penalties=(Contractive(),)),
    ):
        assert "contractive penalty of several layers" in engine.refuses(case.objective, Adam())


def test_unknown_parts_are_refused_by_name():
    class Other(Adam):
        pass

    class Hidden(L2):
        pass

    engine, _ = compiled()
    assert "Other" in engine.refuses(Case().objective, Other())
    assert "Hidden" in engine.refuses(Case(penalties=(Hidden(),)).objective, Adam())
    assert "one KLSparsity" in engine.refuses(
        Case(penalties=(KLSparsity(), KLSparsity())).objective, Adam()
    )
    deep = Case(hidden=(2,) * 40).objective
    assert "layers" in engine.refuses(deep, Adam())


def test_buffers_of_the_wrong_type_or_length_are_refused():
    engine, _ = compiled()
    case = Case()
    with pytest.raises(ValueError, match="items, expected"):
        engine.loss_and_grad(case.objective, case.theta[:-1], case.batch, case.theta[:-1])
    with pytest.raises(TypeError, match="format"):
        engine.loss_and_grad(case.objective, case.theta, case.batch, case.theta.astype("f4"))
