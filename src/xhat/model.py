"""The fitted model: schema, network, parameters and score calibration; everything at prediction.

Knows: raw rows in, codes, reconstructions, losses and nats out, in bounded row tiles.
Must not know: estimators, containers, how the parameters were found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from xhat.data.batches import TILE, dense
from xhat.data.columns import Schema
from xhat.engines.base import Engine
from xhat.maths import heads
from xhat.maths.params import Network, Views
from xhat.maths.types import Matrix, Vector

Floats = npt.NDArray[np.float64]


@dataclass
class Model:
    """A fitted autoencoder.

    Attributes
    ----------
    schema : Schema
        Columns, scales, heads.
    net : Network
        Shape of the network.
    theta : ndarray
        Parameters, float32 or float64.
    residual : ndarray of shape (d,)
        Spread of the residual of each squared-error column on held-out rows (encoded units).
    engine : Engine
        Computes codes and pre-activations.
    """

    schema: Schema
    net: Network
    theta: Vector
    residual: Floats
    engine: Engine
    _cast: dict[str, Vector] = field(default_factory=dict, repr=False, init=False)

    def parameters(self, dtype: npt.DTypeLike) -> Vector:
        """Return theta in the dtype of the work at hand."""
        key = np.dtype(dtype).name
        if key not in self._cast:
            self._cast[key] = self.theta.astype(dtype)
        return self._cast[key]

    def views(self) -> Views:
        """Return the named parameters."""
        return Views(self.net, self.theta)

    def codes(self, X: object) -> Matrix:
        """Return the codes (n, k) of raw rows, in their dtype."""
        parts = [
            self.engine.encode(self.net, self.parameters(Z.dtype), Z) for Z in self._encoded(X)
        ]
        return np.vstack(parts)

    def decode(self, H: Matrix) -> Matrix:
        """Return the raw reconstructions (n, d) of codes, in their dtype."""
        theta, parts = self.parameters(H.dtype), []
        for start in range(0, len(H), TILE):
            A_hat = self.engine.decode(self.net, theta, H[start : start + TILE])
            parts.append(self.schema.decode(heads.predict(self.net.blocks, A_hat)))
        return np.vstack(parts)

    def losses(self, X: object) -> Floats:
        """Return the training loss of every cell (n, d): squared error or nats, encoded units."""
        return np.vstack(
            [
                heads.cell_loss(self.net.blocks, A_hat, Z)
                for Z, A_hat in self._reconstructed(X, clip=False)
            ]
        )

    def nats(self, X: object) -> Floats:
        """Return every cell's part of the anomaly score (n, d) in nats, float64, 0 = perfect.

        Real columns ``1/2 (r / s)**2`` with s the column's spread of held-out residuals; binary
        columns -log p(observed). The encoder sees the row clipped to the training range, so that
        one absurd cell does not smear over the others; the target never is (docs/maths.md).
        """
        factor = np.where(self.schema.squared, 0.5 / self.residual**2, 1.0)
        parts = []
        for Z, A_hat in self._reconstructed(X, clip=True):
            excess = heads.cell_loss(self.net.blocks, A_hat, Z) - heads.cell_floor(
                self.net.blocks, Z
            )
            parts.append(np.maximum(excess, 0) * factor)
        return np.vstack(parts)

    def _reconstructed(self, X: object, *, clip: bool) -> Iterator[tuple[Floats, Floats]]:
        """Yield (encoded rows, A_hat) per tile, both float64."""
        for Z in self._encoded(X):
            theta = self.parameters(Z.dtype)
            H = self.engine.encode(self.net, theta, self.schema.clip(Z) if clip else Z)
            A_hat = self.engine.decode(self.net, theta, H)
            yield Z.astype(np.float64), A_hat.astype(np.float64)

    def _encoded(self, X: object) -> Iterator[Matrix]:
        n = X.shape[0]  # type: ignore[attr-defined]
        for start in range(0, n, TILE):
            rows = dense(X[start : start + TILE])  # type: ignore[index]
            self.schema.check(rows, np.arange(start, start + len(rows)))
            yield self.schema.encode(rows)


def residual_spread(model: Model, X: object, weight: Vector | None) -> Floats:
    """Return the spread of each column's residual on rows X, with a floor.

    The floor is 1e-4 of the column's own scale: constant and perfectly rebuilt columns have no
    residual, and rounding alone (1e-7 in float32) must not count as strange.
    """
    w = np.ones(X.shape[0]) if weight is None else weight  # type: ignore[attr-defined]
    total, first = np.zeros(model.net.d), 0
    for Z, A_hat in model._reconstructed(X, clip=True):  # noqa: SLF001
        part = w[first : first + len(Z)]
        total += part @ (heads.predict(model.net.blocks, A_hat) - Z) ** 2
        first += len(Z)
    return np.asarray(np.maximum(np.sqrt(total / w.sum()), 1e-4))
