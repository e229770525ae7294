"""Cells unlike any in training: levels never seen, and numbers that a column's head cannot reach.

Knows: the columns' kinds, the ranges of their heads, how many rows they were seen in.
Must not know: the scale of a column, networks, how a row is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from xhat.data.column import Column
from xhat.data.kinds import Categorical
from xhat.errors import CellError
from xhat.maths.types import Integers, Matrix

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Unseen:
    """What the columns of a table were never given in training.

    Where "auto" found a column's kind, a number outside the range of its head counts as a level
    never seen; where the kind was said, it is an error.
    """

    columns: tuple[Column, ...]

    @cached_property
    def possible(self) -> bool:
        """Whether a cell may hold what was never seen in training and is scored as such."""
        return bool(len(self._found[0])) or any(column.places for column in self.columns)

    def cells(self, X: Matrix) -> Flags:
        """Return which cells hold levels never seen in training, or such numbers."""
        new = np.zeros(X.shape, dtype=bool)
        found, low, high = self._found
        new[:, found] = _outside(X[:, found], low, high)
        for j, column in enumerate(self.columns):
            if isinstance(column.kind, Categorical):
                new[:, j] = ~np.isnan(X[:, j]) & (column.place_of(X[:, j]) < 0)
        return new

    def nats(self, X: Matrix) -> Floats:
        """Return the nats of levels never seen in training, per table column; 0 elsewhere.

        Twice ``log(rows + 1)``: once by the rule of succession for a new level to appear at all
        after ``rows`` known ones, once for it being this one.
        """
        nats = [2 * np.log1p(column.rows) for column in self.columns]
        return np.where(self.cells(X), nats, 0.0)

    def replaced(self, X: Any) -> Any:
        """Return rows with the mean in place of such numbers; X may be sparse.

        As of a level never seen: what is there says nothing of the others.
        """
        found, low, high = self._found
        if not len(found):
            return X
        mean = np.array([self.columns[j].fill[0] * self.columns[j].spread for j in found])
        if scipy.sparse.issparse(X):  # a cell that is not stored is 0, and inside
            place = np.full(len(self.columns), -1)
            place[found] = np.arange(len(found))
            at = place[X.indices]
            outside = (at >= 0) & _outside(X.data, low[at], high[at])
            if outside.any():
                X = X.copy()
                X.data[outside] = mean[at[outside]]
            return X
        cells = X[:, found]
        outside = _outside(cells, low, high)
        if outside.any():
            X = X.copy()
            X[:, found] = np.where(outside, mean, cells)
        return X

    def check(self, X: Matrix, index: Integers, *, scored: bool = False) -> None:
        """Refuse values that a column's output function can never produce.

        ``index`` holds the row numbers of X, for the message. Rows that are ``scored``, not trained
        on, may hold them in columns whose kind "auto" found.

        Raises
        ------
        CellError
            Naming the first such row, its column, the value and the range.
        """
        for j, column in enumerate(self.columns):
            low, high = column.head().range
            if low == -np.inf or isinstance(column.kind, Categorical):
                continue
            if scored and column.found:
                continue
            outside = _outside(X[:, j], low, high)
            if outside.any():
                i = int(outside.argmax())
                problem = (
                    f"{X[i, j]:g} is outside [{low:g}, {high:g}], the range of f = "
                    f"{column.head().f}, so x_hat could never reach it"
                )
                advice = "use heads='real' (f linear) for this column"
                raise CellError(column.name, int(index[i]), problem, advice)

    @cached_property
    def _found(self) -> tuple[Integers, Floats, Floats]:
        """Columns whose kind "auto" found and that have a range, and its two ends."""
        found = [j for j, column in enumerate(self.columns) if column.found]
        ends = np.array([self.columns[j].head().range for j in found]).reshape(-1, 2)
        return np.array(found, dtype=np.intp), ends[:, 0], ends[:, 1]


def _outside(x: Matrix, low: float | Floats, high: float | Floats) -> Flags:
    """Return which numbers lie outside a range; a missing one does not."""
    return (x < low) | (x > high)
