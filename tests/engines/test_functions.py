"""The kernels' own exp, sigmoid, tanh, log1p, silu, log and noise against NumPy's."""

import numpy as np
import pytest
from cases import columns_of, compiled
from scipy.special import expit

from xhat.maths.corruption import Gaussian, Masking, SaltAndPepper
from xhat.maths.heads import Block, SquaredError
from xhat.maths.objective import Objective
from xhat.maths.params import Network

#: Relative error of the result: 3 ulp in float32, 1e-15 in float64 (bounds in vectors.hpp).
ERROR = {np.float32: 3 * 2.0**-23, np.float64: 1e-15}
SETS = ("baseline", "avx2", "avx512")

DOMAINS = {
    "exp": (np.exp, -80, 80),
    "sigmoid": (expit, -80, 80),
    "tanh": (np.tanh, -30, 30),
    "log1p": (np.log1p, 0, 1),
    "silu": (lambda x: x * expit(x), -80, 80),
    "log": (np.log, 1e-30, 10),
}


def evaluate(kernels, name, x):
    y = np.empty_like(x)
    kernels.evaluate(name, x, y, x.dtype.char)
    return y


@pytest.fixture(params=SETS)
def kernels(request):
    _, kernels = compiled()
    kernels.use_instruction_set(request.param)
    yield kernels
    kernels.use_instruction_set("")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", DOMAINS)
def test_error_bound(kernels, name, dtype):
    function, low, high = DOMAINS[name]
    rng = np.random.default_rng(0)
    # uniform over the domain, and over its magnitudes: small arguments lose digits first
    small = np.exp(rng.uniform(-30, 0, 20_001)) * (
        high if low >= 0 else rng.choice([-1, 1], 20_001)
    )
    x = np.concatenate([rng.uniform(low, high, 20_001), small]).astype(dtype)
    exact = function(x.astype(np.longdouble)) if name not in ("sigmoid", "silu") else None
    if exact is None:
        e = np.exp(-np.abs(x.astype(np.longdouble)))
        exact = np.where(x >= 0, 1, e) / (1 + e) * (1 if name == "sigmoid" else x)
    error = np.abs(evaluate(kernels, name, x) - exact) / np.maximum(np.abs(exact), 1e-300)
    near_one = name == "log"  # log x next to x = 1 is small by cancellation: absolute there
    if near_one:
        error = np.abs(evaluate(kernels, name, x) - exact) / np.maximum(np.abs(exact), 1)
    assert float(error.max()) <= ERROR[dtype]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_extremes(kernels, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30, -1e30], dtype)
    tiny = 1e-37
    for name, expected in (
        ("sigmoid", [1, 0, np.nan, 0.5, 0.5, 1, 0]),
        ("tanh", [1, -1, np.nan, 0, 0, 1, -1]),
    ):
        np.testing.assert_allclose(evaluate(kernels, name, x), expected, rtol=1e-6, atol=tiny)
    assert np.isnan(evaluate(kernels, "exp", x)[2])
    assert np.isnan(evaluate(kernels, "silu", x)[2])


def corrupt(corruption, X, key, first):
    from xhat.engines.compiled.engine import _plan

    d = X.shape[1]
    net = Network(d, 1, (Block(0, d, SquaredError()),))
    objective = Objective(net, (), corruption, columns_of(X))
    out = np.empty_like(X)
    _plan(objective, np.zeros(net.size, X.dtype), {}).corrupt(X, out, key, first)
    counters = np.arange(len(X), dtype=np.uint64) + np.uint64(first)
    return out, corruption.apply(X, key, counters, objective.columns)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("d", [1, 7, 30])
@pytest.mark.parametrize(
    "corruption",
    [Masking(0.25), Masking(0.0), Masking(1 - 2.0**-53), SaltAndPepper(0.1), SaltAndPepper(0.5)],
    ids=str,
)
def test_uniform_corruptions_have_the_same_bits(kernels, corruption, d, dtype):
    X = np.random.default_rng(0).standard_normal((200, d)).astype(dtype)
    for key, first in ((0, 0), (2**63 - 1, 12345)):
        out, expected = corrupt(corruption, X, key, first)
        assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gaussian_corruption_agrees(kernels, dtype):
    X = np.zeros((3000, 31), dtype)
    out, expected = corrupt(Gaussian(1.0), X, 5, 9)
    assert np.abs(out - expected).max() <= 10 * np.finfo(dtype).eps
    assert abs(out.std() - 1) < 0.02
