"""PCA against NumPy's singular value decomposition, in every route it takes."""

import numpy as np
import pytest

from xhat import pca
from xhat.data import batches
from xhat.data.batches import DenseRows
from xhat.maths.objective import Batch

SHAPES = [(500, 12, 3), (30, 90, 5), (30, 90, 29), (20, 40, 30), (40, 40, 40), (1, 3, 1)]


def by_svd(X, w, k):
    """Mean, leading variances, their projector and the total, from the definition."""
    w = np.ones(len(X)) if w is None else w
    w = w / w.sum()
    mean = w @ X
    _, values, V = np.linalg.svd(np.sqrt(w)[:, None] * (X - mean))
    values = np.append(values, np.zeros(X.shape[1] - len(values))) ** 2
    return mean, values[:k], V[:k], values.sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_pca_is_the_svd(n, d, k, weighted, monkeypatch):
    monkeypatch.setattr(batches, "TILE", 16)  # several tiles, an odd number of them
    rng = np.random.default_rng(n + d)
    X = 1e3 + rng.normal(size=(n, d)) * np.linspace(1, 3, d)
    X[:, 0] = 7.0
    w = rng.random(n) + 0.1 if weighted else None
    found = pca.fit_pca(DenseRows(Batch(X, w)), k)
    mean, variances, V, total = by_svd(X, w, k)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.variances, variances, rtol=1e-9, atol=1e-9 * max(total, 1))
    assert found.total == pytest.approx(total, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(k), atol=1e-9)
    rank = int((variances > 1e-9 * max(total, 1)).sum())
    projector = V[:rank].T @ V[:rank]
    np.testing.assert_allclose(
        found.components[:rank].T @ found.components[:rank], projector, atol=1e-7
    )
    largest = np.abs(found.components[:rank]).argmax(axis=1)
    assert (found.components[np.arange(rank), largest] > 0).all()


@pytest.mark.parametrize(("n", "d"), [(500, 12), (30, 90)])
def test_the_bytes_do_not_depend_on_the_threads(n, d, monkeypatch):
    monkeypatch.setattr(batches, "TILE", 16)
    rows = DenseRows(Batch(np.random.default_rng(0).normal(size=(n, d))))
    found = []
    for threads in (1, 2, 7):
        monkeypatch.setattr(pca, "thread_limit", lambda threads=threads: threads)
        found.append(pca.fit_pca(rows, 4).components.tobytes())
    assert len(set(found)) == 1


def test_lanczos_finds_the_same(monkeypatch):
    X = np.random.default_rng(0).normal(size=(300, 64)) * np.linspace(1, 3, 64)
    full = pca.fit_pca(DenseRows(Batch(X)), 2)
    monkeypatch.setattr(pca, "DENSE_SOLVER", 10)
    few = pca.fit_pca(DenseRows(Batch(X)), 2)
    np.testing.assert_allclose(few.variances, full.variances, rtol=1e-9)
    np.testing.assert_allclose(few.components, full.components, atol=1e-6)
