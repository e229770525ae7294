"""How far to trust what a model expects of cells it is not shown (docs/maths.md, 21).

Knows: sums over hidden cells. Must not know: rows, how they were hidden, how a model was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xhat.data.columns import Schema

Floats = npt.NDArray[np.float64]
#: Hidden cells that count as much as the model's own word that it is to be trusted in full.
PRIOR = 30.0


@dataclass(frozen=True)
class Filling:
    """What hidden cells are filled with, per encoded column.

    Attributes
    ----------
    share : ndarray of shape (d,)
        How much of the way from the mean to what the model expects, 0 to 1.
    spread : ndarray of shape (d,)
        How far hidden cells usually are from that; of counts the root of their dispersion.
    """

    share: Floats
    spread: Floats

    def expected(self, Z_hat: Floats, mean: Floats) -> Floats:
        """Return what hidden cells are filled with (equation 60)."""
        return np.asarray(mean + self.share * (Z_hat - mean))


@dataclass(frozen=True)
class Hidden:
    """Weighted sums over hidden cells, (d,) each, in encoded units (of folds much the same).

    Attributes
    ----------
    cells : ndarray
        Number of cells.
    own, both, said : ndarray
        Squares of their distance from the mean, products with the expectation's, its squares.
    """

    cells: Floats
    own: Floats
    both: Floats
    said: Floats


def settle(found: Sequence[Hidden], schema: Schema, residual: Floats) -> Filling:
    """Return how to fill the cells of a model, from the hidden cells of one or more like it.

    The share minimises the squared error (of a category: over its levels); of numbers it is pulled
    half the way to 1, since cells of rows that were trained on, which are filled most often, are
    known better. Spreads are at least those of cells that are seen.
    """
    cells, own, both, said = (
        np.sum([getattr(h, name) for h in found], axis=0)
        for name in ("cells", "own", "both", "said")
    )
    group, starts = schema.group, schema.starts
    column_both, column_said = (np.add.reduceat(part, starts)[group] for part in (both, said))
    known = column_said > 0
    best = np.clip(np.where(known, column_both / np.where(known, column_said, 1), 1), 0, 1)
    share = (cells * best + PRIOR) / (cells + PRIOR)
    numbers = schema.squared | schema.counts
    share[numbers] = (1 + share[numbers]) / 2
    off = np.maximum(own - 2 * share * both + share**2 * said, 0) / np.maximum(cells, 1e-300)
    spread = np.where(cells > 0, np.sqrt(off), residual)
    counts = schema.counts
    dispersion = spread[counts] ** 2 * schema.spread[counts] / np.maximum(schema.fill[counts], 1e-9)
    spread[counts] = np.sqrt(dispersion)
    return Filling(share, np.maximum(spread, residual))
