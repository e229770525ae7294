"""Softmax and Poisson heads, weighted blocks: values and gradients against independent formulas."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad as autodiff

from xhat.maths.heads import (
    BinaryCrossEntropy,
    Block,
    Poisson,
    Softmax,
    SquaredError,
    cell_grad,
    cell_loss,
)
from xhat.maths.objective import Batch, Objective, loss_and_grad
from xhat.maths.params import Network, Views

RNG = np.random.default_rng(0)
BLOCKS = (
    Block(0, 2, SquaredError()),
    Block(2, 5, Softmax(), weight=0.7),
    Block(5, 6, Poisson(limit=1.0), weight=2.5),
    Block(6, 7, BinaryCrossEntropy(), weight=3.0),
    Block(7, 9, Softmax()),
)


def rows(n=6):
    X = np.zeros((n, 9))
    X[:, :2] = RNG.normal(size=(n, 2))
    X[np.arange(n), 2 + RNG.integers(0, 3, n)] = 1
    X[:, 5] = RNG.poisson(2.0, n)
    X[:, 6] = RNG.integers(0, 2, n)
    X[np.arange(n), 7 + RNG.integers(0, 2, n)] = 1
    return X


def oracle_loss(A, X):
    """The same losses from their textbook forms, written apart from xhat."""

    def exp_linear(a, limit):
        return anp.where(
            a < limit, anp.exp(anp.minimum(a, limit)), anp.exp(limit) * (1 + a - limit)
        )

    def cross_entropy(a, x):
        p = anp.exp(a) / anp.sum(anp.exp(a), axis=1, keepdims=True)
        return -anp.sum(x * anp.log(p), axis=1)

    mu, x = exp_linear(A[:, 5], 1.0), X[:, 5]
    deviance = mu - x + x * (np.log(np.maximum(x, 1)) - anp.log(mu)) * (x > 0)
    s = 1 / (1 + anp.exp(-A[:, 6]))
    return (
        anp.sum((A[:, :2] - X[:, :2]) ** 2, axis=1)
        + 0.7 * cross_entropy(A[:, 2:5], X[:, 2:5])
        + 2.5 * deviance
        - 3.0 * (X[:, 6] * anp.log(s) + (1 - X[:, 6]) * anp.log(1 - s))
        + cross_entropy(A[:, 7:9], X[:, 7:9])
    )


def test_losses_and_gradients_equal_the_textbook_forms():
    X, A = rows(), RNG.normal(size=(6, 9)) * 1.5
    np.testing.assert_allclose(cell_loss(BLOCKS, A, X).sum(axis=1), oracle_loss(A, X), rtol=1e-12)
    expected = autodiff(lambda a: anp.sum(oracle_loss(a, X)))(A)
    np.testing.assert_allclose(cell_grad(BLOCKS, A, X), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("linear_path", [False, True])
def test_the_objective_with_all_heads_a_mask_and_weights(linear_path):
    net = Network(9, 3, BLOCKS, (5,), "silu", "identity", linear_path=linear_path)
    theta = RNG.normal(size=net.size) * 0.4
    X = rows()
    column = np.array([0, 1, 2, 2, 2, 3, 4, 5, 5])  # a category is missing as a whole
    mask = (RNG.random((6, 6)) < 0.7).astype(float)[:, column]
    weight = RNG.uniform(0.5, 2, 6)
    batch = Batch(X, weight, mask)
    gradient, scratch = np.empty(net.size), np.empty(net.size)
    loss_and_grad(Objective(net), theta, batch, gradient)
    for _ in range(5):
        u = RNG.normal(size=net.size)
        step = 1e-5
        up = loss_and_grad(Objective(net), theta + step * u, batch, scratch)
        down = loss_and_grad(Objective(net), theta - step * u, batch, scratch)
        assert u @ gradient == pytest.approx((up - down) / (2 * step), rel=1e-6)
    assert Views(net, gradient)["c"].shape == (9,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [-1e4, 1e4])
def test_extremes_stay_finite(dtype, size):
    X = rows().astype(dtype)
    A = (size * RNG.uniform(0.1, 1, (6, 9))).astype(dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(cell_loss(BLOCKS, A, X)).all()
        assert np.isfinite(cell_grad(BLOCKS, A, X)).all()


def test_two_levels_are_the_binary_head():
    a, x = RNG.normal(size=(8, 1)) * 2, RNG.integers(0, 2, (8, 1)).astype(float)
    two = Softmax().cell_loss(np.hstack([np.zeros_like(a), a]), np.hstack([1 - x, x]))
    np.testing.assert_allclose(two.sum(axis=1), BinaryCrossEntropy().cell_loss(a, x)[:, 0])


def test_exp_continues_linearly_and_smoothly_above_the_limit():
    head = Poisson(limit=2.0)
    x = np.array([[3.0]])
    left, right = (np.array([[2.0 + e]]) for e in (-1e-9, 1e-9))
    assert head.predict(left) == pytest.approx(head.predict(right))
    assert head.cell_grad(left, x) == pytest.approx(head.cell_grad(right, x), rel=1e-6)
    assert head.predict(np.array([[12.0]])) == pytest.approx(np.exp(2.0) * 11)


def test_an_unknown_level_has_no_loss_and_no_gradient():
    A, nothing = RNG.normal(size=(4, 3)), np.zeros((4, 3))
    assert not Softmax().cell_loss(A, nothing).any()
    assert not Softmax().cell_grad(A, nothing).any()
