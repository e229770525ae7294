"""Missing cells filled with what a model expects there, or with draws of it.

Knows: a fitted model, rows. Must not know: containers, how the model was found.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
        Z = model.schema.inside(Z_hat) if rng is None else _draw(model, Z_hat, rng)
        Z = np.where(tile.mask > 0, tile.X, Z)
        if rng is None:
            Z = Z.astype(tile.X.dtype)
        return np.where(np.isnan(raw), model.schema.decode(Z), raw)

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


def _draw(model: Model, Z_hat: Matrix, rng: np.random.Generator) -> Floats:
    """Return one draw of every cell from what the model says of it, within the range of f."""
    spread = model.residual if model.filling is None else model.filling.spread
    drawn = Z_hat + spread * rng.normal(size=Z_hat.shape)
    for block in model.net.blocks:
        part, f = Z_hat[:, block.columns], block.head.f
        if f == "softmax":
            part = np.maximum(part, 0) / np.maximum(part, 0).sum(axis=1, keepdims=True)
            level = (rng.random((len(part), 1)) > part.cumsum(axis=1)).sum(axis=1)
            drawn[:, block.columns] = np.eye(part.shape[1])[np.minimum(level, part.shape[1] - 1)]
        elif f == "logistic" and not model.schema.squared[block.start]:
            drawn[:, block.columns] = rng.random(part.shape) < part
        elif f in ("logistic", "tanh"):
            drawn[:, block.columns] = np.clip(drawn[:, block.columns], *block.head.range)
        elif f == "exp":
            unit = model.schema.spread[block.columns]
            drawn[:, block.columns] = _counts(part * unit, spread[block.columns] ** 2, rng) / unit
    return drawn


def _counts(mean: Floats, dispersion: Floats, rng: np.random.Generator) -> Floats:
    """Draw counts whose variance is ``dispersion * mean``: negative binomial, Poisson at 1."""
    more = np.maximum(dispersion - 1, 1e-9)
    counts = rng.negative_binomial(np.maximum(mean, 1e-9) / more, 1 / (1 + more))
    return np.asarray(counts, np.float64)
