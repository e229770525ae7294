"""PCA and the mean at the same code size: what every model is compared with, and where it starts.

Knows: encoded rows, heads. Must not know: estimators, training of the full model.

Both baselines are written as parameters of a one-layer linear Network, so that one code path
computes the loss of the mean, of PCA and of xhat. For heads other than squared error with linear f,
PCA gives the codes and the decoder is the head's own, fitted on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize
import scipy.sparse.linalg

from xhat.data.batches import Affine, Rows, rows_per_tile, tile_rows, tiles
from xhat.engines.base import one_blas_thread, thread_limit
from xhat.maths import heads
from xhat.maths.heads import Block, SquaredError
from xhat.maths.params import Network, Views
from xhat.maths.types import Integers, Matrix, Vector

Floats = npt.NDArray[np.float64]
#: Which rows, their cells, and which of these are observed (None: all).
Target = tuple[slice, Matrix, Matrix | None]

#: Above this many columns a few leading eigenvectors come from Lanczos instead of a full solver,
#: which costs 4/3 d**3 (12 s at d = 4,096 on one core; Lanczos 8 s for k = 256).
DENSE_SOLVER = 1500
#: Entries of the eigenvectors that are nothing but rounding.
NOISE = 1e-12
#: Rows used to fit the logistic decoder on the PCA codes; 65 numbers per column need no more.
DECODER_ROWS = 10_000
#: Cells (rows x columns) whose decoders are fitted together: 16 MB in float64. Columns do not know
#: each other, so that groups give the same.
DECODER_CELLS = 2**21
#: Cells whose losses are computed at a time: 256 kB, so that the temporaries stay in cache.
FUSED_CELLS = 2**15
#: Rows, about, from which the mean losses of a larger table are taken: they are only weights.
LOSS_ROWS = 200_000


@dataclass(frozen=True)
class PCA:
    """Weighted PCA of encoded rows: mean (d,), components (k, d), variances (k,), their total."""

    mean: Floats
    components: Floats
    variances: Floats
    total: float


@dataclass(frozen=True)
class Baseline:
    """PCA at code size k (and the mean) as parameters of the same linear network."""

    net: Network
    theta: Floats
    theta_mean: Floats


def linear_network(d: int, k: int, blocks: tuple[Block, ...]) -> Network:
    """Return the network that PCA is: one linear layer each way."""
    return Network(d, k, blocks, activation="identity", code_activation="identity")


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

    def sums(odd: int) -> tuple[Floats, Floats, float]:
        first, gram, total = np.zeros(len(shift)), np.zeros((len(shift), len(shift))), 0.0
        for tile in tiles(rows, every=2, first=odd):
            Z = tile.X.astype(np.float64)
            Z -= shift
            w = np.ones(len(Z)) if tile.weight is None else tile.weight.astype(np.float64)
            first += w @ Z
            if tile.weight is not None:
                Z *= np.sqrt(w)[:, None]
            gram += Z.T @ Z  # one array with itself: half of it is computed
            total += float(w.sum())
        return first, gram, total

    with ThreadPoolExecutor(min(threads, 2)) as pool:
        (first, gram, total), more = pool.map(sums, (0, 1))
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
    batches = list(tiles(rows))
    Z = np.concatenate([batch.X.astype(np.float64) for batch in batches])
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
    if d <= DENSE_SOLVER or 10 * k > d:
        values, vectors = scipy.linalg.eigh(gram, subset_by_index=[d - k, d - 1])
    else:
        start = np.full(d, d**-0.5)  # a fixed start: the same bytes every time
        values, vectors = scipy.sparse.linalg.eigsh(gram, k=k, v0=start)
    order = np.argsort(values)[::-1]
    return np.maximum(values[order], 0), vectors[:, order]


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
    values, vectors = scipy.sparse.linalg.eigsh(operator, k=k, v0=np.full(d, d**-0.5))
    order = np.argsort(values)[::-1]
    total = float((np.maximum(squares - mean**2, 0) / s**2).sum())
    return (mean - sparse.center) / s, np.maximum(values[order], 0), vectors[:, order], total


def fit_baseline(rows: Rows, pca: PCA, blocks: tuple[Block, ...]) -> Baseline:
    """Return PCA and the mean as parameters; non-linear heads get their own decoder."""
    k, d = pca.components.shape
    net = linear_network(d, k, blocks)
    theta, theta_mean = np.zeros(net.size), np.zeros(net.size)
    views, mean_views = Views(net, theta), Views(net, theta_mean)
    views["W"][...] = pca.components
    views["b"][...] = -pca.components @ pca.mean
    views["W_star"][...] = pca.components.T
    views["c"][...] = pca.mean
    mean_views["c"][...] = pca.mean
    for block in blocks:
        mean_views["c"][block.columns] = _mean_preactivation(pca.mean[block.columns], block)
    curved = [block for block in blocks if block.head != SquaredError("linear")]
    if curved:
        for group in _groups(curved, rows.n):
            columns = np.concatenate([np.arange(d)[block.columns] for block in group])
            start = mean_views["c"][columns]
            views["W_star"][columns], views["c"][columns] = _fit_decoder(
                rows, pca, columns, _side_by_side(group), start
            )
    return Baseline(net, theta, theta_mean)


def mean_losses(rows: Rows, blocks: tuple[Block, ...], mean: Floats) -> Floats:
    """Return the (weighted) mean loss of every encoded column, shape (1, d), at the mean.

    Of more than LOSS_ROWS rows, tiles evenly spread over them are taken.
    """
    preactivation = np.concatenate([_mean_preactivation(mean[b.columns], b) for b in blocks])
    total, seen = np.zeros((1, len(mean))), 0.0
    for tile in tiles(rows, every=-(-rows.n // LOSS_ROWS)):
        A_hat = np.broadcast_to(preactivation, tile.X.shape)
        cells = heads.cell_loss(blocks, A_hat, tile.X) - heads.cell_floor(blocks, tile.X)
        w = np.ones(len(cells)) if tile.weight is None else tile.weight
        total += w @ (cells if tile.mask is None else cells * tile.mask)
        seen += float(w.sum())
    return total / seen


def _groups(blocks: list[Block], n: int) -> list[list[Block]]:
    """Cut wide tables into groups of columns whose decoders are fitted one after the other."""
    most = max(1, DECODER_CELLS // min(n, DECODER_ROWS))
    if sum(block.stop - block.start for block in blocks) <= most:
        return [blocks]
    groups = []
    for block in blocks:
        step = block.stop - block.start if block.head.f == "softmax" else most
        groups += [
            [replace(block, start=start, stop=min(start + step, block.stop))]
            for start in range(block.start, block.stop, step)
        ]
    return groups


def _side_by_side(blocks: list[Block]) -> tuple[Block, ...]:
    """Return the blocks as if they stood alone, side by side, unweighted."""
    moved, start = [], 0
    for block in blocks:
        width = block.stop - block.start
        moved.append(Block(start, start + width, block.head))
        start += width
    return tuple(moved)


def _fit_decoder(
    rows: Rows, pca: PCA, columns: Integers, blocks: tuple[Block, ...], mean: Floats
) -> tuple[Floats, Floats]:
    """Fit ``x_hat = f(W* z + c)`` on the PCA codes z of at most DECODER_ROWS rows, by L-BFGS.

    The codes are whitened first, which makes the problem round; a ridge of 1/n per weight keeps
    separable columns finite.
    """
    step = -(-rows.n // DECODER_ROWS)
    chosen = np.arange(0, rows.n, step)
    w = np.ones(len(chosen))
    if rows.weight is not None:
        w = rows.weight[chosen].astype(np.float64)
    w /= w.sum()
    deviation = np.sqrt(np.maximum(pca.variances, 1e-12 * max(pca.total, 1e-300)))
    Z = _codes(rows, chosen, pca, deviation)
    ridge = np.append(np.full(Z.shape[1] - 1, 1.0 / len(Z)), 0.0)
    shape = (len(columns), Z.shape[1])
    parts = _targets(rows, chosen, columns)

    def fun(flat: Vector) -> tuple[float, Vector]:
        V = flat.reshape(shape)
        J, dV = 0.5 * float((V * V @ ridge).sum()), V * ridge
        for part, target, mask in parts():
            scale = w[part, None] if mask is None else w[part, None] * mask
            A_hat = Z[part] @ V.T
            J += float((heads.cell_loss(blocks, A_hat, target) * scale).sum())
            dV += (heads.cell_grad(blocks, A_hat, target) * scale).T @ Z[part]
        return J, dV.ravel()

    start = np.zeros(shape)
    start[:, -1] = mean
    with one_blas_thread():
        found = scipy.optimize.minimize(
            fun, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 60, "maxcor": 10}
        )
    V = found.x.reshape(shape)
    W_star = V[:, :-1] / deviation
    return W_star, V[:, -1]


def _codes(rows: Rows, chosen: Integers, pca: PCA, deviation: Floats) -> Floats:
    """Return the whitened PCA codes of some rows, beside a column of ones; tile by tile."""
    Z = np.ones((len(chosen), len(deviation) + 1))
    size = rows_per_tile(rows)
    for start in range(0, len(chosen), size):
        X = rows.take(chosen[start : start + size]).X.astype(np.float64)
        Z[start : start + size, :-1] = (X - pca.mean) @ pca.components.T / deviation
    return Z


def _targets(rows: Rows, chosen: Integers, columns: Integers) -> Callable[[], Iterator[Target]]:
    """Return a walk over some columns of some rows: in tiles, held densely or (sparse) not."""
    affine = rows.affine
    if affine is not None:
        part = affine.select(chosen, columns)
        size = tile_rows(len(columns), affine)
        places = [slice(start, start + size) for start in range(0, len(chosen), size)]
        return lambda: ((place, part[place].dense(), None) for place in places)
    cells, masks = [], []
    size = tile_rows(rows.width)
    for start in range(0, len(chosen), size):
        batch = rows.take(chosen[start : start + size])
        cells.append(batch.X[:, columns].astype(np.float64))
        masks.append(None if batch.mask is None else batch.mask[:, columns])
    mask = None
    if any(part is not None for part in masks):
        filled = [np.ones(c.shape) if m is None else m for m, c in zip(masks, cells, strict=True)]
        mask = np.vstack(filled)
    stacked = np.vstack(cells)
    size = max(1, FUSED_CELLS // len(columns))
    places = [slice(start, start + size) for start in range(0, len(chosen), size)]
    return lambda: ((p, stacked[p], None if mask is None else mask[p]) for p in places)


def _mean_preactivation(mean: Floats, block: Block) -> Floats:
    """Return a_hat with ``f(a_hat) = mean``, kept finite where a column is all 0 or all 1."""
    f = block.head.f
    if f == "linear":
        return mean
    if f in ("softmax", "exp"):
        return np.asarray(np.log(np.maximum(mean, 1e-9)))
    low, high = block.head.range
    share = np.clip((mean - low) / (high - low), 1e-6, 1 - 1e-6)
    logit: Floats = np.log(share / (1 - share))
    return logit if f == "logistic" else logit / 2  # atanh(2 p - 1) = logit(p) / 2


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
