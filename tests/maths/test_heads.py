"""Heads: losses and gradients of single cells, on pre-activations."""

import numpy as np
import pytest

from xhat.maths import heads
from xhat.maths.heads import RANGES, BinaryCrossEntropy, Block, SquaredError

LINEAR, LOGISTIC, TANH = SquaredError("linear"), SquaredError("logistic"), SquaredError("tanh")
BCE = BinaryCrossEntropy()
HEADS = {"linear": LINEAR, "logistic": LOGISTIC, "tanh": TANH, "bce": BCE}
every_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)

X_VALUES = np.array([0.0, 0.01, 0.3, 0.5, 0.99, 1.0])
#: Every a_hat with every x, as a matrix; moderate, where the textbook forms are still accurate.
A_HAT, X = np.meshgrid(np.linspace(-6, 6, 25), X_VALUES)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@every_head
def test_grad_is_the_slope_of_the_loss(head):
    step = 1e-3
    near = head.cell_loss(A_HAT + step, X) - head.cell_loss(A_HAT - step, X)
    far = head.cell_loss(A_HAT + 2 * step, X) - head.cell_loss(A_HAT - 2 * step, X)
    np.testing.assert_allclose(
        head.cell_grad(A_HAT, X), (8 * near - far) / (12 * step), rtol=1e-6, atol=1e-11
    )


def test_squared_error_by_hand():
    """x_hat of a = log 3 is 3/4 (logistic) or 4/5 (tanh); the target is 1/4."""
    a, x = np.array([[np.log(3)]]), np.array([[0.25]])
    assert LOGISTIC.predict(a) == pytest.approx(0.75)
    assert LOGISTIC.cell_loss(a, x) == pytest.approx(0.25)
    assert LOGISTIC.cell_grad(a, x) == pytest.approx(2 * 0.5 * 0.75 * 0.25)
    assert TANH.predict(a) == pytest.approx(0.8)
    assert TANH.cell_loss(a, x) == pytest.approx(0.55**2)
    assert TANH.cell_grad(a, x) == pytest.approx(2 * 0.55 * (1 - 0.8**2))
    assert LINEAR.cell_loss(np.array([[3.0]]), np.array([[5.0]])) == 4.0
    assert LINEAR.cell_grad(np.array([[3.0]]), np.array([[5.0]])) == -4.0


def test_cross_entropy_is_the_textbook_form():
    x_hat = sigmoid(A_HAT)
    textbook = -X * np.log(x_hat) - (1 - X) * np.log(1 - x_hat)
    np.testing.assert_allclose(BCE.cell_loss(A_HAT, X), textbook, rtol=1e-12)


def test_cross_entropy_gradient_is_the_textbook_product():
    """(-x / x_hat + (1 - x) / (1 - x_hat)) s (1 - s) is x_hat - x."""
    s = sigmoid(A_HAT)
    textbook = (-X / s + (1 - X) / (1 - s)) * s * (1 - s)
    np.testing.assert_allclose(BCE.cell_grad(A_HAT, X), textbook, rtol=1e-11, atol=1e-14)


def test_cross_entropy_is_in_nats():
    """A fair coin's surprise is log 2; -log p(observed) for x = 1 and x = 0."""
    zero = np.zeros((1, 2))
    np.testing.assert_allclose(BCE.cell_loss(zero, np.array([[0.0, 1.0]])), np.log(2), rtol=1e-15)
    a = np.array([[np.log(9), np.log(9)]])  # x_hat = 0.9
    np.testing.assert_allclose(
        BCE.cell_loss(a, np.array([[1.0, 0.0]])), [[-np.log(0.9), -np.log(0.1)]], rtol=1e-14
    )


@every_head
def test_floor_is_the_minimum_over_a_hat(head):
    """No pre-activation undercuts the floor, and x_hat = x reaches it."""
    a = np.linspace(-40, 40, 4001)[:, None]
    for x in X_VALUES:
        column = np.full_like(a, x)
        losses, floor = head.cell_loss(a, column), head.cell_floor(column)
        assert (losses >= floor - 1e-15).all()
        best = minimiser(head, x)
        at_best = head.cell_loss(np.array([[best]]), np.array([[x]]))
        assert at_best == pytest.approx(floor[0, 0], abs=1e-15)


def minimiser(head, x):
    """Return the a_hat with f(a_hat) = x, or near enough to it where that is infinite."""
    if head.f == "linear":
        return x
    odds = x if head.f == "logistic" else (1 + x) / 2
    with np.errstate(divide="ignore"):
        a = np.log(odds) - np.log1p(-odds)
    return float(np.clip(a if head.f == "logistic" else a / 2, -40, 40))


def test_floor_of_cross_entropy_is_the_entropy():
    x = np.array([[0.0, 0.5, 1.0, 0.25]])
    quarter = 2 * np.log(2) - 0.75 * np.log(3)
    np.testing.assert_allclose(BCE.cell_floor(x), [[0, np.log(2), 0, quarter]], rtol=1e-15, atol=0)


@every_head
def test_range_holds_every_prediction(head):
    a = np.array([[-1e4, -20.0, -1.0, 0.0, 1.0, 20.0, 1e4]])
    low, high = head.range
    x_hat = head.predict(a)
    assert (x_hat >= low).all()
    assert (x_hat <= high).all()
    ends = [-1e4, 1e4] if head.f == "linear" else [low, high]  # the limits are reached
    assert [x_hat.min(), x_hat.max()] == ends
    assert head.range == RANGES[head.f]


def test_the_wrong_output_function_cannot_produce_the_row():
    """x = (0.25, 0.5, 1.25, 3.5, 4.5): the best that a logistic or tanh output can do."""
    x = np.array([[0.25, 0.5, 1.25, 3.5, 4.5]])
    reach = np.linspace(-40, 40, 8001)[:, None]
    for head in (LOGISTIC, TANH):
        best = head.cell_loss(reach, x).min(axis=0)
        np.testing.assert_allclose(best[2:], (1 - x[0, 2:]) ** 2, rtol=1e-12)
        assert (best[:2] < 1e-4).all()  # in range; what is left is the grid's
    assert LINEAR.cell_loss(x, x).max() == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
@every_head
def test_extremes(head, x, dtype):
    """At +-1e4 loss and gradient are finite, silent and equal to their asymptotes."""
    a, column = np.array([[-1e4], [1e4]], dtype), np.full((2, 1), x, dtype)
    with np.errstate(all="raise", under="ignore"):
        loss, grad = head.cell_loss(a, column), head.cell_grad(a, column)
        head.cell_floor(column)
    x_hat = {"linear": [-1e4, 1e4], "tanh": [-1, 1]}.get(head.f, [0, 1])
    if head is BCE:
        expected, dexpected = [1e4 * x, 1e4 * (1 - x)], [0 - x, 1 - x]
    else:
        expected = [(value - x) ** 2 for value in x_hat]
        slope = 1 if head is LINEAR else 0
        dexpected = [2 * slope * (value - x) for value in x_hat]
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(loss[:, 0], expected, rtol=rtol)
    np.testing.assert_allclose(grad[:, 0], dexpected, rtol=rtol)
    assert loss.dtype == grad.dtype == dtype


@every_head
def test_no_digits_are_lost_between_moderate_and_extreme(head):
    """A small cross-entropy keeps its relative precision, where 1 - x_hat has none left."""
    a = np.array([[20.0, 30.0, 36.0]])
    if head is BCE:
        loss = head.cell_loss(a, np.ones_like(a))
        np.testing.assert_allclose(loss, np.exp(-a) * (1 - np.exp(-a) / 2), rtol=1e-14)
    else:
        np.testing.assert_allclose(head.cell_loss(a, head.predict(a)), 0, atol=0)


def test_blocks_side_by_side():
    """A table of several heads is each head on its own columns."""
    blocks = (Block(0, 1, LINEAR), Block(1, 3, BCE), Block(3, 4, TANH))
    rng = np.random.default_rng(0)
    A_hat, X4 = rng.standard_normal((5, 4)), rng.uniform(size=(5, 4))
    for whole, method in (
        (heads.predict(blocks, A_hat), lambda h, a, _x: h.predict(a)),
        (heads.cell_loss(blocks, A_hat, X4), lambda h, a, x: h.cell_loss(a, x)),
        (heads.cell_grad(blocks, A_hat, X4), lambda h, a, x: h.cell_grad(a, x)),
        (heads.cell_floor(blocks, X4), lambda h, _a, x: h.cell_floor(x)),
    ):
        assert whole.shape == (5, 4)
        for j, head in enumerate((LINEAR, BCE, BCE, TANH)):
            np.testing.assert_array_equal(whole[:, j], method(head, A_hat[:, j], X4[:, j]))


@every_head
def test_chain_factors_multiply_to_the_gradient(head):
    """dL/dx_hat (textbook form) times dx_hat/da_hat is dL/da_hat."""
    product = heads.output_grad(head, A_HAT, X) * heads.output_slope(head, A_HAT)
    np.testing.assert_allclose(product, head.cell_grad(A_HAT, X), rtol=1e-11, atol=1e-14)


def test_chain_factors_by_hand():
    """x_hat = 3/4 (a = log 3) and x = 1/4: -(1/4)/(3/4) + (3/4)/(1/4) = 8/3, and s' = 3/16."""
    a, x = np.array([[np.log(3)]]), np.array([[0.25]])
    assert heads.output_grad(BCE, a, x) == pytest.approx(8 / 3)
    assert heads.output_slope(BCE, a) == pytest.approx(3 / 16)
    assert heads.output_grad(LOGISTIC, a, x) == pytest.approx(1.0)
    assert heads.output_slope(TANH, a) == pytest.approx(1 - 0.8**2)
    assert heads.output_slope(LINEAR, a) == 1


def test_chain_factors_where_the_output_is_saturated():
    """x_hat is 0 or 1 to the last bit: 1 or -1 for the right answer, infinite for the wrong."""
    a, x = np.array([[-1e4, -1e4, 1e4, 1e4]]), np.array([[0.0, 1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(heads.output_grad(BCE, a, x), [[1, -np.inf, -1, np.inf]])


def test_unknown_output_function_is_refused():
    with pytest.raises(ValueError, match=r"SquaredError\(f='softmax'\).*linear, logistic, tanh"):
        SquaredError("softmax")
