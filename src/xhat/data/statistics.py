"""One numerically stable summary per column: range, mean, spread, whether only 0 and 1 occur.

Knows: tiles of raw numbers and their weights. Must not know: kinds of columns, models.

Two walks over the rows: the first finds the range, the second sums ``(x - middle) / half range``,
which lies in [-1, 1], so that neither 1e300 nor 1e8 + 1e-8 loses the variance. Sums run in fixed
tiles, in float64, whatever the chunks the rows came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xhat.maths.types import Matrix, Vector

Floats = npt.NDArray[np.float64]
Tiles = Callable[[], Iterator[tuple[Matrix, Vector | None]]]


@dataclass(frozen=True)
class Statistics:
    """Per column, in raw units: weighted mean and standard deviation, range, whether 0/1 only."""

    mean: Floats
    std: Floats
    low: Floats
    high: Floats
    zero_one: npt.NDArray[np.bool_]

    @property
    def constant(self) -> npt.NDArray[np.bool_]:
        """Columns whose range is no more than rounding."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        # 8 eps: a handful of roundings of the same number are the same number.
        return np.asarray(self.high - self.low <= 8 * np.finfo(np.float64).eps * largest)


def column_statistics(tiles: Tiles, d: int) -> Statistics:
    """Summarise the columns of all tiles.

    Parameters
    ----------
    tiles : callable
        Returns a fresh iterator over (rows, weights or None).
    d : int
        Number of columns.
    """
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    zero_one = np.ones(d, dtype=bool)
    for X, _ in tiles():
        low, high = np.minimum(low, X.min(axis=0)), np.maximum(high, X.max(axis=0))
        zero_one &= ((X == 0) | (X == 1)).all(axis=0)
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    unit = np.where(half > 0, half, 1.0)
    first, second, total = np.zeros(d), np.zeros(d), 0.0
    for X, weight in tiles():
        T = (X.astype(np.float64) - middle) / unit
        w = np.ones(len(T)) if weight is None else weight.astype(np.float64)
        first += w @ T
        second += w @ (T * T)
        total += float(w.sum())
    mean = first / total
    variance = np.maximum(second / total - mean * mean, 0)
    inside = np.clip(middle + unit * mean, low, high)
    return Statistics(inside, unit * np.sqrt(variance), low, high, zero_one)
