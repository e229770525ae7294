"""PCA against NumPy's singular value decomposition, in every route it takes."""

import time

import numpy as np
import pytest

from xhat import Autoencoder, pca
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


def test_the_bytes_do_not_depend_on_the_threads(monkeypatch):
    monkeypatch.setattr(batches, "TILE", 16)
    rows = DenseRows(Batch(np.random.default_rng(0).normal(size=(500, 12))))
    found = []
    for threads in (1, 2, 7):
        monkeypatch.setattr(pca, "thread_limit", lambda threads=threads: threads)
        found.append(pca.fit_pca(rows, 4).components.tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize(("n", "d"), [(300, 64), (64, 300)])
def test_lanczos_finds_the_same(n, d, monkeypatch):
    X = np.random.default_rng(0).normal(size=(n, d)) * np.linspace(1, 3, d)
    full = pca.fit_pca(DenseRows(Batch(X)), 2)
    monkeypatch.setattr(pca, "DENSE_SOLVER", 10)
    few = pca.fit_pca(DenseRows(Batch(X)), 2)
    np.testing.assert_allclose(few.variances, full.variances, rtol=1e-9)
    np.testing.assert_allclose(few.components, full.components, atol=1e-6)


@pytest.mark.parametrize("shape", [(200, 120), (120, 200)])
def test_lanczos_on_low_ranks(shape, monkeypatch):
    """Rows of two prototypes: the centred rows have rank 1, and sums of them are exactly 0."""
    monkeypatch.setattr(pca, "DENSE_SOLVER", 10)
    X = np.repeat(np.random.default_rng(0).integers(0, 2, (2, shape[1])), shape[0] // 2, axis=0)
    found = [pca.fit_pca(DenseRows(Batch(X.astype(float))), 3) for _ in range(3)]
    assert len({pca_.components.tobytes() for pca_ in found}) == 1
    assert found[0].variances[0] == pytest.approx(X.var(axis=0).sum())
    np.testing.assert_allclose(found[0].variances[1:], 0, atol=1e-9)
    zeros = pca.fit_pca(DenseRows(Batch(np.zeros(shape))), 3)
    assert zeros.total == 0


class SlowRows(DenseRows):
    """Rows of which one half raises, as Ctrl-C does, and the other counts its tiles."""

    taken = 0

    def take(self, index):
        SlowRows.taken += 1
        if index.start == 64:  # an even tile: summed on the thread that is interrupted
            raise KeyboardInterrupt
        time.sleep(0.02)
        return super().take(index)


def test_an_interrupt_is_not_kept_waiting(monkeypatch):
    monkeypatch.setattr(batches, "TILE", 16)
    monkeypatch.setattr(pca, "thread_limit", lambda: 2)
    rows = SlowRows(Batch(np.random.default_rng(0).normal(size=(16 * 200, 3))))
    with pytest.raises(KeyboardInterrupt):
        pca.fit_pca(rows, 1)
    assert SlowRows.taken < 50  # of 200


def test_rows_far_out_that_stand_in_the_verdict_alone_overrule_the_network():
    """The network extrapolates to them wildly; PCA is the floor all the same."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(2000, 4)) @ rng.normal(size=(4, 12)) + 0.3 * rng.normal(size=(2000, 12))
    X[:10] *= 30
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(2000)
        ae = Autoencoder(4, heads="real", random_state=0, max_iter=60).fit(X[order])
        assert ae.verdict_.ratio <= 1.005
