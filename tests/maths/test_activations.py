"""g, g' and g'' against values known in closed form and against finite differences."""

import pickle

import numpy as np
import pytest

from xhat.maths.activations import ACTIVATIONS

# Both sides of every bend and far enough to saturate; 0 apart, where relu has its kink.
A = np.array([-12.0, -3.0, -1.0, -0.25, 0.25, 1.0, 3.0, 12.0])

every_activation = pytest.mark.parametrize("g", ACTIVATIONS.values(), ids=ACTIVATIONS)


def differences(function, a, step=1e-3):
    """Return the 4-point central difference, element by element."""
    near = function(a + step) - function(a - step)
    far = function(a + 2 * step) - function(a - 2 * step)
    return (8 * near - far) / (12 * step)


def test_names():
    assert list(ACTIVATIONS) == ["sigmoid", "tanh", "relu", "silu", "identity"]
    assert all(g.name == name for name, g in ACTIVATIONS.items())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sigmoid", [0.25, 0.5, 0.75]),
        ("tanh", [-0.8, 0.0, 0.8]),
        ("relu", [0.0, 0.0, np.log(3)]),
        ("silu", [-0.25 * np.log(3), 0.0, 0.75 * np.log(3)]),
        ("identity", [-np.log(3), 0.0, np.log(3)]),
    ],
)
def test_values_at_log_3(name, expected):
    """At a = +-log 3: s(a) is 3/4 and 1/4, tanh(a) is +-8/10."""
    a = np.array([-np.log(3), 0.0, np.log(3)])
    np.testing.assert_allclose(ACTIVATIONS[name].forward(a), expected, rtol=1e-15, atol=1e-16)


@every_activation
def test_pickles_by_name(g):
    """Its functions do not pickle; a copy in another process is found by name."""
    assert pickle.loads(pickle.dumps(g)) is g


@every_activation
def test_derivative(g):
    np.testing.assert_allclose(
        g.derivative(A, g.forward(A)), differences(g.forward, A), rtol=1e-6, atol=1e-11
    )


@every_activation
def test_second_derivative(g):
    def slope(a):
        return g.derivative(a, g.forward(a))

    np.testing.assert_allclose(
        g.second(A, g.forward(A)), differences(slope, A), rtol=1e-6, atol=1e-11
    )


def test_relu_has_slope_zero_at_its_kink():
    relu, zero = ACTIVATIONS["relu"], np.zeros(1)
    assert relu.derivative(zero, relu.forward(zero)) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_activation
def test_extremes(g, dtype):
    """Finite at +-1e4, without a warning, in the dtype that came in, equal to the limits."""
    a = np.array([-1e4, 1e4], dtype)
    with np.errstate(all="raise", under="ignore"):
        h = g.forward(a)
        slope, bend = g.derivative(a, h), g.second(a, h)
    limits = {
        "sigmoid": ([0, 1], [0, 0]),
        "tanh": ([-1, 1], [0, 0]),
        "relu": ([0, 1e4], [0, 1]),
        "silu": ([0, 1e4], [0, 1]),
        "identity": ([-1e4, 1e4], [1, 1]),
    }
    assert h.tolist() == limits[g.name][0]
    assert slope.tolist() == limits[g.name][1]
    assert bend.tolist() == [0, 0]
    assert h.dtype == slope.dtype == bend.dtype == dtype
