"""Missing cells filled with what a model expects there, or with draws of it.

Knows: a fitted model, rows. Must not know: containers, how the model was found.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xhat.drawing import as_cells, drawer, rows_at_a_time
from xhat.linear import Linear
from xhat.maths.objective import Batch
from xhat.maths.types import Matrix
from xhat.model import Model

Floats = npt.NDArray[np.float64]


def impute(model: Model, X: object) -> Matrix:
    """Return raw rows with missing cells filled.

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
        Z = np.where(tile.mask > 0, tile.X, model.schema.inside(_expected(model, tile)))
        return np.where(np.isnan(raw), model.schema.decode(Z.astype(tile.X.dtype)), raw)

    for rows, part in model.by_tile(X, completed, rounds=model.filling_rounds):
        filled[rows] = part
    return filled


def impute_draws(model: Model, X: object, rng: np.random.Generator, draws: int) -> list[Matrix]:
    """Return raw rows with missing cells filled so many times, by draws around what is expected."""
    tables: list[Matrix] = [np.empty(X.shape, X.dtype) for _ in range(draws)]  # type: ignore[attr-defined]

    def completed(raw: Matrix, tile: Batch) -> list[Matrix]:
        if tile.mask is None:
            return [raw] * draws
        Z_hat, step = _expected(model, tile), rows_at_a_time(model)
        Z = [tile.X.astype(np.float64) for _ in range(draws)]
        some = np.flatnonzero(tile.mask.min(axis=1) < 1)
        for first in range(0, len(some), step):
            part = some[first : first + step]
            draw = drawer(model, Z_hat[part], tile.mask[part].astype(np.float64))
            for z in Z:
                z[part] = draw(rng)
        drawn = [as_cells(model, model.schema.decode(z), rng) for z in Z]
        return [np.where(np.isnan(raw), cells, raw) for cells in drawn]

    # In the order of the rows: on one thread
    for rows, parts in model.by_tile(X, completed, rounds=model.filling_rounds, threads=1):
        for table, part in zip(tables, parts, strict=True):
            table[rows] = part
    return tables


def _expected(model: Model, tile: Batch) -> Floats:
    """Return what missing cells are expected to hold, encoded, not yet within what they can be."""
    Z_hat = model.said_of(tile.X)
    if model.filling is None:
        return np.asarray(Z_hat, np.float64)
    of_linear = said_by(model.filling.linear, model, tile)
    return model.filling.expected(Z_hat, of_linear, model.schema.fill)


def said_by(linear: Linear | None, model: Model, tile: Batch) -> Floats:
    """Return what the covariance makes of encoded rows with missing cells; else the mean."""
    found = np.tile(model.schema.fill, (len(tile.X), 1))
    if linear is None or tile.mask is None:
        return found
    some = tile.mask.min(axis=1) < 1
    Z = np.asarray(model.schema.clip(tile.X[some]), np.float64)
    found[some] = linear.expected(Z, tile.mask[some].astype(np.float64))
    return found
