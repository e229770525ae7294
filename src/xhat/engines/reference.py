"""The reference engine: NumPy, one batch at a time, straight from maths.objective.

It is the specification; any faster engine is tested against it. Float64 is allowed everywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xhat.engines.base import Cells, Floats, Optimizer, OptimizerState, Run
from xhat.engines.threads import one_blas_thread
from xhat.maths.heads import cell_floor, cell_loss
from xhat.maths.objective import Batch, Objective, decode, encode, loss_and_grad, row_losses
from xhat.maths.params import Network, Views
from xhat.maths.types import Matrix, Vector

#: Rows per tile of the summed loss: sums do not depend on how rows arrive (design: same bytes).
TILE = 4096


class ReferenceEngine:
    """NumPy implementation of the Engine protocol."""

    name = "reference"

    def describe(self) -> str:
        """Return what it runs on."""
        return "NumPy, 1 thread"

    def refuses(self, objective: Objective, optimizer: Optimizer | None) -> str | None:
        """Nothing is refused."""
        return None

    def run(
        self,
        objective: Objective,
        optimizer: Optimizer,
        theta: Vector,
        state: OptimizerState,
        run: Run,
    ) -> npt.NDArray[np.float64]:
        """Take one step per batch (see Engine.run)."""
        grad = np.empty_like(theta)
        losses = np.empty(len(run.learning_rates))
        # One thread per BLAS call: a threaded product may split its sums.
        with one_blas_thread():
            for i, learning_rate in enumerate(run.learning_rates):
                start = i * run.batch_size
                rows = run.order[start : start + run.batch_size]
                batch = take(run.data, rows)
                X_tilde, batch = objective.shown(batch, run.first + start, run.key)
                losses[i] = loss_and_grad(objective, theta, batch, grad, X_tilde)
                if not np.isfinite(losses[i]):
                    return losses[: i + 1]
                optimizer.update(theta, grad, state, float(learning_rate))
        return losses

    def loss_and_grad(
        self, objective: Objective, theta: Vector, batch: Batch, grad: Vector
    ) -> float:
        """Return J and write its gradient (see Engine.loss_and_grad)."""
        with one_blas_thread():
            X_tilde, batch = objective.shown(batch)
            return loss_and_grad(objective, theta, batch, grad, X_tilde)

    def encode(self, net: Network, theta: Vector, X: Matrix) -> Matrix:
        """Return the codes, every output summed in one fixed order (see _layer)."""
        views = Views(net, theta)
        below = X
        for layer, g in enumerate(net.encoder_activations):
            A = _layer(below, *views.encoder(layer))
            if net.linear_path and layer == net.depth - 1:
                A += _product(X, views.P)
            below = g.forward(A)
        return below

    def decode(self, net: Network, theta: Vector, H: Matrix) -> Matrix:
        """Return the output pre-activations, every output summed in one fixed order."""
        views = Views(net, theta)
        below = H
        for layer, g in enumerate(net.decoder_activations):
            below = g.forward(_layer(below, *views.decoder(layer)))
        A_hat = _layer(below, *views.decoder(net.depth - 1))
        if net.linear_path:
            A_hat += _product(H, views.Q)
        return A_hat

    def loss(self, objective: Objective, theta: Vector, batch: Batch, first: int = 0) -> float:
        """Return the (weighted) mean loss, summed tile by tile in float64."""
        net, views = objective.net, Views(objective.net, theta)
        total, weights = 0.0, 0.0
        with one_blas_thread():
            for start in range(0, len(batch.X), TILE):
                X_tilde, tile = objective.shown(
                    take(batch, slice(start, start + TILE)), first + start
                )
                A_hat = decode(net, views, encode(net, views, X_tilde).H[-1]).A_hat
                losses = row_losses(net, A_hat, tile.X, tile.mask).astype(np.float64)
                weight = np.ones(len(losses)) if tile.weight is None else tile.weight
                total += float(losses @ weight)
                weights += float(weight.sum())
        return total / weights

    def cells(
        self,
        net: Network,
        theta: Vector,
        batch: Batch,
        wanted: Cells,
        codes: Matrix | None = None,
    ) -> Floats:
        """Return the loss of every cell (see Engine.cells)."""
        shown = batch.X
        if wanted.low is not None and wanted.high is not None:
            dtype = shown.dtype
            shown = np.clip(shown, wanted.low.astype(dtype), wanted.high.astype(dtype))
        H = self.encode(net, theta, shown)
        if codes is not None:
            codes[...] = H
        A_hat = self.decode(net, theta, H).astype(np.float64)
        X = batch.X.astype(np.float64)
        cells = cell_loss(net.blocks, A_hat, X)
        if wanted.excess:
            cells = np.maximum(cells - cell_floor(net.blocks, X), 0)
        cells = cells if wanted.factor is None else cells * wanted.factor
        return np.asarray(cells if batch.mask is None else cells * batch.mask, np.float64)

    def nearest(self, X: Matrix, stored: Matrix, sets: int) -> Floats:
        """Return the squared distances to the nearest of each set (see Engine.nearest)."""
        P = stored.astype(X.dtype)
        near = [((x - P) ** 2).sum(axis=1).reshape(-1, sets).min(axis=0) for x in X]
        return np.array(near, dtype=np.float64).reshape(len(X), sets)


def take(data: Batch, rows: npt.NDArray[np.intp] | slice) -> Batch:
    """Return some rows of a batch, with their weights and mask."""
    weight = None if data.weight is None else data.weight[rows]
    mask = None if data.mask is None else data.mask[rows]
    return Batch(data.X[rows], weight, mask)


def _layer(below: Matrix, W: Matrix, b: Vector) -> Matrix:
    return _product(below, W) + b


def _product(X: Matrix, W: Matrix) -> Matrix:
    """X W' with one accumulation order per output.

    A BLAS product may sum the same row differently at another position of its tile; einsum runs
    one loop over the shared axis for each output, wherever the row stands. Slower than BLAS, and
    the reference's to pay.
    """
    # Contiguous operands: einsum picks its inner loop by strides, so they must not vary.
    product: Matrix = np.einsum(
        "ij,kj->ik", np.ascontiguousarray(X), np.ascontiguousarray(W), optimize=False
    )
    return product
