"""One numerically stable summary per column; missing cells (NaN) do not take part.

Knows: tiles of raw numbers and their weights. Must not know: kinds of columns, models.

Two walks over the rows: the first finds the range, the second sums ``(x - middle) / half range``,
which lies in [-1, 1], so that neither 1e300 nor 1e8 + 1e-8 loses the variance. Sums run in fixed
tiles, in float64, whatever the chunks the rows came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xhat.maths.quantiles import weighted_quantile
from xhat.maths.types import Matrix, Vector

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Tiles = Callable[[], Iterator[tuple[Matrix, Vector | None]]]
#: Cells of the pieces that are summed at a time: 1 MB in float64.
PIECE_CELLS = 2**17


@dataclass(frozen=True)
class Statistics:
    """Per column, over its observed cells, in raw units.

    Attributes
    ----------
    mean, std : ndarray of shape (d,)
        Weighted mean and standard deviation.
    low, high : ndarray of shape (d,)
        Range (0 and 0 where nothing is observed).
    zero_one, whole : ndarray of bool, shape (d,)
        Only 0 and 1 occur; only whole numbers occur.
    zeros, missing : ndarray of shape (d,)
        Weighted share of observed cells that are 0; of all cells that are missing.
    rows : ndarray of shape (d,)
        Weight of the observed cells.
    """

    mean: Floats
    std: Floats
    low: Floats
    high: Floats
    zero_one: Flags
    whole: Flags
    zeros: Floats
    missing: Floats
    rows: Floats

    def or_else(self, other: Statistics) -> Statistics:
        """Return these statistics, with mean and spread of ``other`` where a column is constant.

        A column that is constant on the training rows alone has no scale there; divided by its own
        size, the first other value would outweigh the rest of the table.
        """
        return replace(
            self,
            mean=np.where(self.constant, other.mean, self.mean),
            std=np.where(self.constant, other.std, self.std),
            low=np.where(self.constant, other.low, self.low),
            high=np.where(self.constant, other.high, self.high),
        )

    @property
    def constant(self) -> Flags:
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
    zero_one, whole = np.ones(d, dtype=bool), np.ones(d, dtype=bool)
    for X, _ in _pieces(tiles):
        low, high = np.fmin(low, np.fmin.reduce(X)), np.fmax(high, np.fmax.reduce(X))
        _discard(zero_one, X, lambda cells: (cells == 0) | (cells == 1))
        _discard(whole, X, lambda cells: np.floor(cells) == cells)
    nothing = low > high
    low, high = np.where(nothing, 0.0, low), np.where(nothing, 0.0, high)
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    unit = np.where(half > 0, half, 1.0)
    sums, total = np.zeros((4, d)), 0.0  # observed weight, first and second moment, zeros
    for X, weight in _pieces(tiles):
        w = np.ones(len(X)) if weight is None else weight.astype(np.float64)
        T = X - middle
        T /= unit
        empty = np.isnan(T)
        T[empty] = 0.0
        sums[:3] += [w @ ~empty, w @ T, w @ np.multiply(T, T, out=T)]
        zeros = np.flatnonzero((X == 0).any(axis=0))
        sums[3, zeros] += w @ (X[:, zeros] == 0)
        total += float(w.sum())
    observed = np.where(sums[0] > 0, sums[0], 1.0)
    mean = sums[1] / observed
    variance = np.maximum(sums[2] / observed - mean * mean, 0)
    inside = np.clip(middle + unit * mean, low, high)
    return Statistics(
        inside,
        unit * np.sqrt(variance),
        low,
        high,
        zero_one & ~nothing,
        whole & ~nothing,
        sums[3] / observed,
        1 - sums[0] / total,
        sums[0],
    )


def _pieces(tiles: Tiles) -> Iterator[tuple[Matrix, Vector | None]]:
    """Walk the tiles in pieces that stay in the processor's cache."""
    for X, weight in tiles():
        step = max(16, PIECE_CELLS // max(X.shape[1], 1))
        for start in range(0, len(X), step):
            part = slice(start, start + step)
            yield X[part], None if weight is None else weight[part]


def _discard(still: Flags, X: Matrix, holds: Callable[[Matrix], Flags]) -> None:
    """Lower the flags of columns with an observed cell for which something does not hold."""
    columns = np.flatnonzero(still)
    cells = X[:, columns]
    still[columns] = (holds(cells) | np.isnan(cells)).all(axis=0)


def level_counts(tiles: Tiles, columns: dict[int, int]) -> dict[int, Floats]:
    """Return the weighted count of each level of the columns ``number -> levels``."""
    counts = {j: np.zeros(levels) for j, levels in columns.items()}
    for X, weight in tiles():
        w = np.ones(len(X)) if weight is None else weight
        for j, levels in columns.items():
            codes = X[:, j]
            known = ~np.isnan(codes) & (codes < levels)
            counts[j] += np.bincount(
                codes[known].astype(np.intp), weights=w[known], minlength=levels
            )
    return counts


def quartiles(tiles: Tiles, columns: list[int], rows: int = 100_000) -> dict[int, Floats]:
    """Return the quartiles of some columns, where any cell is observed.

    Of more than ``rows`` rows they are taken from every second, fourth, ... one: a bound on memory.
    """
    parts: list[Floats] = []  # the columns, and the weight
    every, seen = 1, 0
    for X, weight in tiles():
        first = -seen % every
        w = np.ones(len(X)) if weight is None else weight
        parts.append(np.column_stack([X[first::every, columns], w[first::every]]).astype(float))
        seen += len(X)
        while sum(map(len, parts)) > rows:
            parts, every = [np.vstack(parts)[::2]], 2 * every
    kept = np.vstack(parts)
    cells, w = kept[:, :-1], kept[:, -1]
    found = {}
    for position, j in enumerate(columns):
        known = ~np.isnan(cells[:, position]) & (w > 0)
        if known.any():
            x, copies = cells[known, position], w[known]
            found[j] = np.array([weighted_quantile(x, copies, q) for q in (0.25, 0.5, 0.75)])
    return found
