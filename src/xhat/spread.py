"""How far cells usually are from their reconstructions: the scale of the score's columns.

Knows: a fitted model, rows. Must not know: how the model was found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from xhat.maths import heads
from xhat.maths.objective import Batch
from xhat.maths.types import Matrix, Vector
from xhat.model import Model

Floats = npt.NDArray[np.float64]


def residual_spread(model: Model, X: object, weight: Vector | None) -> Floats:
    """Return the spread of each encoded column's residual on rows X, with a floor.

    The floor is 1e-4 of the column's own scale: constant and perfectly rebuilt columns have no
    residual, and rounding alone (1e-7 in float32) must not count as strange.
    """
    w = np.ones(X.shape[0]) if weight is None else weight  # type: ignore[attr-defined]
    total, seen, first = np.zeros(model.net.d), np.zeros(model.net.d), 0
    for R, mask in _squares(model, X):
        part = w[first : first + len(R)]
        total += part @ R
        seen += part @ mask
        first += len(R)
    # Nothing observed here: as uncertain as the column itself
    spread = np.where(seen > 0, np.sqrt(total / np.where(seen > 0, seen, 1.0)), 1.0)
    return np.asarray(np.maximum(spread, np.where(model.schema.counts, 1.0, 1e-4)))


def _squares(model: Model, X: object) -> Iterator[tuple[Floats, Floats]]:
    """Yield (squared residuals of the cells as scored, mask of observed cells) per tile."""
    schema = model.schema

    def squares_of(_: Matrix, tile: Batch) -> tuple[Floats, Floats]:
        Z_hat = heads.predict(model.net.blocks, model.output(schema.clip(tile.X)))
        # 1e150: its square is finite; only absurd cells of held-out rows are further off
        counts = schema.counts
        mean = np.maximum(Z_hat[:, counts], 1e-9)
        squares = np.subtract(Z_hat, tile.X, out=Z_hat)
        np.square(np.clip(squares, -1e150, 1e150, out=squares), out=squares)
        if counts.any():  # Pearson's statistic: 1 on average for Poisson counts
            squares[:, counts] *= schema.spread[counts] / mean
        if tile.mask is None:
            return squares, np.ones(Z_hat.shape)
        mask = tile.mask.astype(np.float64)
        return squares * mask, mask

    for _, found in model.by_tile(X, squares_of):
        yield found
