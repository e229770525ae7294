"""PCA of encoded rows: exact, deterministic, in memory that grows with the columns alone.

Knows: encoded rows and their weights. Must not know: heads, networks, training.
"""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse.linalg

from xhat.data.batches import Affine, Rows, tiles
from xhat.engines.threads import one_blas_thread, thread_limit

Floats = npt.NDArray[np.float64]
#: Above this many columns, and FEW times as many as units, the leading eigenvectors come from
#: Lanczos, not a full solver. At d = 4,096, k = 256, one core: Lanczos 12 to 18 s, full 10 s.
DENSE_SOLVER, FEW = 1500, 30
#: Entries of the eigenvectors, and shares of the largest variance, that are only rounding.
NOISE = 1e-12


@dataclass(frozen=True)
class PCA:
    """Weighted PCA of encoded rows: mean (d,), components (k, d), variances (k,), their total."""

    mean: Floats
    components: Floats
    variances: Floats
    total: float


def fit_pca(rows: Rows, k: int) -> PCA:
    """Return the k leading principal components of the (weighted) rows.

    The Gram matrix is summed in fixed tiles in float64: same rows, same bytes, on any threads.
    """
    threads = thread_limit()
    with one_blas_thread():
        if rows.width > DENSE_SOLVER >= 3 * k and (sparse := rows.affine) is not None:
            mean, variances, vectors, total = _sparse_leading(sparse, rows, k)
        elif k < rows.n < rows.width:
            mean, variances, vectors, total = _few_rows_leading(rows, k)
        else:
            mean, gram = _moments(rows, threads)
            variances, vectors = _leading(gram, k)
            total = float(np.trace(gram))
    components = np.where(np.abs(vectors.T) < NOISE, 0.0, vectors.T)  # of constant columns
    # An eigenvector's sign is arbitrary; the largest entry is made positive, as in scikit-learn.
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    components = components * np.where(largest < 0, -1.0, 1.0)[:, None]
    return PCA(mean, np.ascontiguousarray(components), variances, total)


def _moments(rows: Rows, threads: int) -> tuple[Floats, Floats]:
    """Weighted mean and covariance, the latter about the mean of the first tile (stable).

    Every other tile is summed by itself, on a thread of its own where there are two: the same two
    sums, the same bytes.
    """
    shift = next(tiles(rows)).X.mean(axis=0, dtype=np.float64)

    stop = Event()

    def sums(odd: int) -> tuple[Floats, Floats, float]:
        first, gram, total = np.zeros(len(shift)), np.zeros((len(shift), len(shift))), 0.0
        for tile in tiles(rows, every=2, first=odd):
            if stop.is_set():
                break
            Z = tile.X.astype(np.float64)
            Z -= shift
            w = np.ones(len(Z)) if tile.weight is None else tile.weight.astype(np.float64)
            first += w @ Z
            if tile.weight is not None:
                Z *= np.sqrt(w)[:, None]
            gram += Z.T @ Z  # one array with itself: half of it is computed
            total += float(w.sum())
        return first, gram, total

    def odd_ones() -> tuple[Floats, Floats, float]:
        with one_blas_thread():  # some BLAS libraries count threads for each thread
            return sums(1)

    with ThreadPoolExecutor(1) as pool:
        try:
            other = None
            if threads > 1:
                with suppress(RuntimeError):  # the system has no thread left
                    other = pool.submit(odd_ones)
            first, gram, total = sums(0)
            more = other.result() if other else sums(1)
        except BaseException:  # Ctrl-C: the other thread is not waited for beyond its tile
            stop.set()
            raise
    total += more[2]
    first = (first + more[0]) / total
    gram += more[1]
    gram /= total
    gram -= np.outer(first, first)
    return shift + first, gram


def _few_rows_leading(rows: Rows, k: int) -> tuple[Floats, Floats, Floats, float]:
    """Return mean, k largest variances, their vectors and the total of fewer rows than columns.

    ``Z Z'`` and ``Z' Z`` share their eigenvalues; if u is an eigenvector of the former, which is
    the smaller one here, ``Z' u`` is one of the latter.
    """
    Z, start = np.empty((rows.n, rows.width)), 0
    for tile in tiles(rows):
        Z[start : start + len(tile.X)] = tile.X
        start += len(tile.X)
    w = np.ones(len(Z)) if rows.weight is None else rows.weight.astype(np.float64)
    w /= w.sum()
    mean = w @ Z
    Z -= mean
    Z *= np.sqrt(w)[:, None]
    gram = Z @ Z.T
    variances, U = _leading(gram, k)
    vectors = np.linalg.qr(Z.T @ U)[0]  # already orthogonal but where the variance is 0
    return mean, variances, vectors, float(np.trace(gram))


def _leading(gram: Floats, k: int) -> tuple[Floats, Floats]:
    """Return the k largest eigenvalues, descending, and their eigenvectors (d, k)."""
    d = len(gram)
    found = _lanczos(gram, k) if d > DENSE_SOLVER and FEW * k <= d else None
    values, vectors = found or scipy.linalg.eigh(gram, subset_by_index=[d - k, d - 1])
    order = np.argsort(values)[::-1]
    return np.maximum(values[order], 0), vectors[:, order]


def _lanczos(gram: Any, k: int) -> tuple[Floats, Floats] | None:
    """Return the k largest eigenvalues and their eigenvectors; None where the rank is too low."""
    try:
        values, vectors = scipy.sparse.linalg.eigsh(gram, k=k, **_same_draws(len(gram)))
    except scipy.sparse.linalg.ArpackError:
        return None
    return (values, vectors) if values.min() > NOISE * values.max() else None


def _same_draws(d: int) -> dict[str, Any]:
    """Fix where Lanczos starts, and what it draws when its space closes: the same bytes always."""
    fixed: dict[str, Any] = {"v0": np.random.default_rng(0).standard_normal(d)}
    if "rng" in inspect.signature(scipy.sparse.linalg.eigsh).parameters:  # SciPy 1.17
        fixed["rng"] = 0
    return fixed


def _sparse_leading(sparse: Affine, rows: Rows, k: int) -> tuple[Floats, Floats, Floats, float]:
    """Return mean, k largest variances, their vectors and the total, by products with X alone.

    Neither the encoded rows nor their (d, d) covariance is ever formed.
    """
    X, s = sparse.X, sparse.spread
    w = np.ones(rows.n) if rows.weight is None else rows.weight.astype(np.float64)
    n = float(w.sum())
    mean = (X.T @ w) / n
    squares = (X.multiply(X).T @ w) / n

    def covariance(v: Floats) -> Floats:
        u = v.ravel() / s
        y = w * (X @ u - mean @ u)
        return np.asarray((X.T @ y - mean * y.sum()) / (n * s))

    d = rows.width
    operator = scipy.sparse.linalg.LinearOperator((d, d), matvec=covariance, dtype=np.float64)
    values, vectors = scipy.sparse.linalg.eigsh(operator, k=k, **_same_draws(d))
    order = np.argsort(values)[::-1]
    total = float((np.maximum(squares - mean**2, 0) / s**2).sum())
    return (mean - sparse.center) / s, np.maximum(values[order], 0), vectors[:, order], total


def principal_angles(A: Floats, B: Floats) -> Floats:
    """Return the angles in radians between the row spans of A and B, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> angles = principal_angles(np.eye(3)[:2], np.eye(3)[:2] @ np.diag([2.0, 3.0, 1.0]))
    >>> bool(angles.max() < 1e-7)
    True
    """
    angles: Floats = scipy.linalg.subspace_angles(A.T, B.T)[::-1]
    return angles
