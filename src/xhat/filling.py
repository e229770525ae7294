"""Missing cells filled with what a model expects there, or with draws of it.

Knows: a fitted model, rows. Must not know: containers, how the model was found.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xhat.drawing import draw, rare_levels
from xhat.linear import Linear
from xhat.maths.objective import Batch
from xhat.maths.types import Matrix
from xhat.model import Model

Floats = npt.NDArray[np.float64]


def impute(model: Model, X: object, rng: np.random.Generator | None = None) -> Matrix:
    """Return raw rows with missing cells filled; with a generator, by draws instead of means.

    Missing cells start at the training mean, which a filler and a denoising model know to stand for
    a hidden cell; any other one replaces them by the reconstruction for some rounds, so that what
    was filled helps to fill the rest. In the end they lie as far on the way from the mean to what
    is said of them, and to what the columns' covariance says, as hidden cells of held-out rows said
    is best (hidden.py).
    """
    filled: Matrix = np.empty(X.shape, X.dtype)  # type: ignore[attr-defined]

    def completed(raw: Matrix, tile: Batch) -> Matrix:
        if tile.mask is None:
            return raw
        Z_hat = model.said_of(tile.X)
        if model.filling is not None:
            of_linear = said_by(model.filling.linear, model, tile)
            Z_hat = model.filling.expected(Z_hat, of_linear, model.schema.fill)
        if rng is None:
            Z = np.where(tile.mask > 0, tile.X, model.schema.inside(Z_hat)).astype(tile.X.dtype)
            return np.where(np.isnan(raw), model.schema.decode(Z), raw)
        some = tile.mask.min(axis=1) < 1
        Z = tile.X.astype(np.float64)
        Z[some] = draw(model, Z_hat[some], tile.mask[some].astype(np.float64), rng)
        drawn = rare_levels(model, model.schema.decode(Z), rng)
        return np.where(np.isnan(raw), drawn, raw)

    # Draws come one after the other: on one thread
    tiles = model.by_tile(X, completed, rounds=model.filling_rounds, threads=1 if rng else None)
    for rows, part in tiles:
        filled[rows] = part
    return filled


def said_by(linear: Linear | None, model: Model, tile: Batch) -> Floats:
    """Return what the covariance makes of encoded rows with missing cells; else the mean."""
    found = np.tile(model.schema.fill, (len(tile.X), 1))
    if linear is None or tile.mask is None:
        return found
    some = tile.mask.min(axis=1) < 1
    Z = np.asarray(model.schema.clip(tile.X[some]), np.float64)
    found[some] = linear.expected(Z, tile.mask[some].astype(np.float64))
    return found
