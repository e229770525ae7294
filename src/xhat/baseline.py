"""PCA and the mean at the same code size: what every model is compared with, and where it starts.

Knows: encoded rows, heads. Must not know: estimators, training of the full model.

Both baselines are parameters of a one-layer linear Network, so that one code path
computes the loss of the mean, of PCA and of xhat. For heads other than squared error with linear f,
PCA gives the codes and the decoder is the head's own, fitted on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.optimize

from xhat.data.batches import Rows, tile_rows, tiles
from xhat.engines.threads import one_blas_thread
from xhat.maths import heads
from xhat.maths.heads import Block, SquaredError
from xhat.maths.params import Network, Views
from xhat.maths.types import Integers, Matrix, Vector
from xhat.pca import PCA

Floats = npt.NDArray[np.float64]
#: Which rows, their cells, and which of these are observed (None: all).
Target = tuple[slice, Matrix, Matrix | None]

#: Rows used to fit the logistic decoder on the PCA codes; 65 numbers per column need no more.
DECODER_ROWS = 10_000
#: Rows and steps of a decoder that is compared with, and of one to start at.
FULL, ROUGH = (DECODER_ROWS, 60), (2000, 10)
#: Cells (rows x columns) whose decoders are fitted together: 16 MB in float64. Columns do not know
#: each other, so that groups give the same.
DECODER_CELLS = 2**21
#: Cells of the rows whose PCA codes are computed at a time: 128 kB.
CODE_CELLS = 2**14
#: Cells whose losses are computed at a time: 256 kB, so that the temporaries stay in cache.
FUSED_CELLS = 2**15
#: Rows, about, from which the mean losses of a larger table are taken: they are only weights.
LOSS_ROWS = 200_000


@dataclass(frozen=True)
class Baseline:
    """PCA at code size k as parameters of a linear network, and the mean before f, (d,)."""

    net: Network
    theta: Floats
    mean: Floats

    def of_mean(self) -> tuple[Network, Floats]:
        """Return the mean as a network: all weights are 0, c is all there is."""
        net = linear_network(self.net.d, 1, self.net.blocks)
        theta = np.zeros(net.size)
        Views(net, theta)["c"][...] = self.mean
        return net, theta


def linear_network(d: int, k: int, blocks: tuple[Block, ...]) -> Network:
    """Return the network that PCA is: one linear layer each way."""
    return Network(d, k, blocks, activation="identity", code_activation="identity")


def fit_baseline(
    rows: Rows, pca: PCA, blocks: tuple[Block, ...], *, rough: bool = False
) -> Baseline:
    """Return PCA and the mean as parameters; non-linear heads get their own decoder.

    A ``rough`` one is a start and nothing more: its decoder takes few steps on few rows.
    """
    k, d = pca.components.shape
    net = linear_network(d, k, blocks)
    theta, mean = np.zeros(net.size), _mean_preactivations(pca.mean, blocks)
    views = Views(net, theta)
    views["W"][...] = pca.components
    views["b"][...] = -pca.components @ pca.mean
    views["W_star"][...] = pca.components.T
    views["c"][...] = pca.mean
    curved = [block for block in blocks if block.head != SquaredError("linear")]
    if curved:
        for group in _groups(curved, rows.n):
            columns = np.concatenate([np.arange(d)[block.columns] for block in group])
            views["W_star"][columns], views["c"][columns] = _fit_decoder(
                rows, pca, columns, _side_by_side(group), mean[columns], ROUGH if rough else FULL
            )
    return Baseline(net, theta, mean)


def mean_losses(rows: Rows, blocks: tuple[Block, ...], mean: Floats) -> Floats:
    """Return the (weighted) mean loss of every encoded column, shape (1, d), at the mean.

    Of more than LOSS_ROWS rows, tiles evenly spread over them are taken.
    """
    preactivation = _mean_preactivations(mean, blocks)
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
    """Return the blocks as if they stood alone, side by side, unweighted; like ones as one."""
    moved: list[Block] = []
    start = 0
    for block in blocks:
        stop = start + block.stop - block.start
        if moved and moved[-1].head == block.head and block.head.f != "softmax":
            moved[-1] = replace(moved[-1], stop=stop)
        else:
            moved.append(Block(start, stop, block.head))
        start = stop
    return tuple(moved)


def _fit_decoder(
    rows: Rows,
    pca: PCA,
    columns: Integers,
    blocks: tuple[Block, ...],
    mean: Floats,
    effort: tuple[int, int],
) -> tuple[Floats, Floats]:
    """Fit ``x_hat = f(W* z + c)`` on the PCA codes z of at most so many rows, by L-BFGS.

    The codes are whitened first, which makes the problem round; a ridge of 1/n per weight keeps
    separable columns finite.
    """
    most, steps = effort
    step = -(-rows.n // most)
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
            z = Z[part].astype(np.float64)
            A_hat = z @ V.T
            J += float((heads.cell_loss(blocks, A_hat, target) * scale).sum())
            dV += (heads.cell_grad(blocks, A_hat, target) * scale).T @ z
        return J, dV.ravel()

    start = np.zeros(shape)
    start[:, -1] = mean
    with one_blas_thread():
        found = scipy.optimize.minimize(
            fun,
            start.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps, "maxcor": 10},
        )
    V = found.x.reshape(shape)
    W_star = V[:, :-1] / deviation
    return W_star, V[:, -1]


def _codes(rows: Rows, chosen: Integers, pca: PCA, deviation: Floats) -> npt.NDArray[np.float32]:
    """Return the whitened PCA codes of some rows, beside a column of ones.

    In steps that are the same for sparse and dense rows, so that their products have the same bits.
    """
    Z = np.ones((len(chosen), len(deviation) + 1), np.float32)  # whitened: 1e-7 is far below
    size = max(16, CODE_CELLS // rows.width)
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


def _mean_preactivations(mean: Floats, blocks: tuple[Block, ...]) -> Floats:
    return np.concatenate([_mean_preactivation(mean[b.columns], b) for b in blocks])


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
