"""The nearest stored row of each set (equation 50): every instruction set, dtype and size."""

import numpy as np
import pytest

from xhat.engines.compiled import _kernels
from xhat.engines.compiled.engine import CompiledEngine
from xhat.engines.reference import ReferenceEngine


@pytest.fixture(params=["baseline", "avx2", "avx512"], autouse=True)
def instruction_set(request):
    if _kernels.use_instruction_set(request.param) != request.param:
        _kernels.use_instruction_set("")
        pytest.skip(f"this machine has no {request.param}")
    yield
    _kernels.use_instruction_set("")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 7, 16, 100])
@pytest.mark.parametrize(("m", "sets"), [(16, 16), (32, 16), (128, 16), (256, 32), (64, 64)])
def test_distances_are_those_of_numpy(dtype, d, m, sets):
    rng = np.random.default_rng(d + m)
    X, stored = rng.normal(size=(37, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype)
    squares = ((X[:, None].astype(float) - stored) ** 2).sum(axis=2)
    expected = np.array([squares[:, r::sets].min(axis=1) for r in range(sets)]).T
    found = CompiledEngine().nearest(X, stored, sets)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        ReferenceEngine().nearest(X, stored, sets), expected, rtol=tolerance, atol=tolerance
    )
    alone = [CompiledEngine().nearest(X[i : i + 1], stored, sets) for i in range(37)]
    np.testing.assert_array_equal(np.vstack(alone), found)
    assert CompiledEngine().nearest(X[:0], stored, sets).shape == (0, sets)
