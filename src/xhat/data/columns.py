"""The schema: table column -> columns of the encoded matrix, head, and the way back.

Knows: in which scale the network sees a column's numbers, and which cells are missing.
Must not know: how the scales were found, containers (pandas, polars), files, networks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from xhat.data.batches import Affine
from xhat.data.column import Column
from xhat.data.kinds import Binary, Categorical, Count, Real
from xhat.data.unseen import Unseen
from xhat.maths import corruption
from xhat.maths.heads import Block, Softmax
from xhat.maths.objective import Batch
from xhat.maths.types import Integers, Matrix

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Schema:
    """All columns of a table, in its order."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Column names."""
        return [column.name for column in self.columns]

    @cached_property
    def starts(self) -> Integers:
        """First encoded column of each table column."""
        widths = [column.width for column in self.columns]
        return np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.intp)

    @property
    def d(self) -> int:
        """Number of encoded columns."""
        return sum(column.width for column in self.columns)

    @cached_property
    def plain(self) -> bool:
        """Whether encoding is ``(x - center) / spread`` and no more, for all columns at once."""
        bent = any(column.bend is not None for column in self.columns)
        return self.d == len(self.columns) and not bent

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Heads over runs of neighbouring columns with the same head and weight."""
        blocks: list[Block] = []
        for start, column in zip(self.starts, self.columns, strict=True):
            block = Block(
                int(start), int(start) + column.width, column.head(), column.unit * column.weight
            )
            last = blocks[-1] if blocks else None
            if (
                last is not None
                and (last.head, last.weight) == (block.head, block.weight)
                and (not isinstance(block.head, Softmax))
            ):
                blocks[-1] = replace(last, stop=block.stop)
            else:
                blocks.append(block)
        return tuple(blocks)

    def spread_out(self, values: list[float]) -> Floats:
        """Repeat one value per table column over its encoded columns."""
        return np.repeat(np.array(values, float), [column.width for column in self.columns])

    @cached_property
    def fill(self) -> Floats:
        """What stands for a missing cell, per encoded column."""
        return np.concatenate([column.fill for column in self.columns])

    @cached_property
    def group(self) -> Integers:
        """Number of the table column, per encoded column."""
        return np.repeat(np.arange(len(self.columns)), [column.width for column in self.columns])

    @cached_property
    def squared(self) -> npt.NDArray[np.bool_]:
        """Encoded columns with squared error (the others' loss is already in nats)."""
        real = [float(isinstance(column.kind, Real)) for column in self.columns]
        return self.spread_out(real) > 0

    @cached_property
    def unit_of_residuals(self) -> Floats:
        """What residuals are times in units in which fits of the same table agree.

        These are the table's for squared error; a bent scale is its own unit, since quartiles of
        other rows bend it a little differently, or not at all. 1 for columns without a scale.
        """
        return self.spread_out(
            [
                c.spread if isinstance(c.kind, Real) and c.kind.scale != "asinh" else 1.0
                for c in self.columns
            ]
        )

    @cached_property
    def counts(self) -> npt.NDArray[np.bool_]:
        """Encoded columns of counts."""
        count = [float(isinstance(column.kind, Count)) for column in self.columns]
        return self.spread_out(count) > 0

    @cached_property
    def nats_per_loss(self) -> Floats:
        """Factor from the training loss to nats, per encoded column: undoes ``weight``."""
        return 1 / self.spread_out([column.weight for column in self.columns])

    @property
    def spread(self) -> Floats:
        """Divisor of each encoded column."""
        return self.spread_out([column.spread for column in self.columns])

    @property
    def center(self) -> Floats:
        """Centre of each encoded column."""
        return self.spread_out([column.center for column in self.columns])

    @cached_property
    def unseen(self) -> Unseen:
        """What the columns were never given in training."""
        return Unseen(self.columns)

    def ranges(self, dtype: npt.DTypeLike) -> corruption.Columns:
        """Return what a corruption may know of the encoded columns."""
        low, high = self.extent
        return corruption.Columns(
            low.astype(dtype), high.astype(dtype), self.fill.astype(dtype), self.group
        )

    @property
    def textbook(self) -> bool:
        """Whether all columns are of one kind and not categories: the loss is the textbook one."""
        kinds = {type(column.kind) for column in self.columns}
        return len(kinds) == 1 and kinds != {Categorical}

    def balanced(self, mean_losses: Floats) -> Schema:
        """Return the schema whose columns all have loss 1 at the mean, however many levels.

        ``mean_losses`` holds each table column's loss at the mean; 0.1 keeps a nearly constant
        column from outweighing all others. Six digits are kept: the order in which a loss was
        summed changes no weight, and columns of the same weight stay in one block.
        """
        columns = [
            replace(column, weight=float(f"{1 / max(loss, 0.1):.6g}") if loss > 0 else 1.0)
            for column, loss in zip(self.columns, mean_losses, strict=True)
        ]
        return Schema(tuple(columns))

    # -- there and back ---------------------------------------------------------------------------

    def encode(self, X: Any, dtype: npt.DTypeLike | None = None) -> Batch:
        """Return the encoded rows with the mask of observed cells (None: all are).

        The rows are C-contiguous, in ``dtype`` (the input's if None); X may be sparse.
        """
        dtype = np.dtype(dtype or X.dtype)
        X = self.unseen.replaced(X)
        if scipy.sparse.issparse(X):
            if self.plain and not np.isnan(X.data).any():
                center, spread = self.center.astype(X.dtype), self.spread.astype(X.dtype)
                return Batch(Affine(X, center, spread).dense(dtype))
            X = X.toarray()
        empty = np.isnan(X)
        mask = None
        if empty.any():
            mask = np.ascontiguousarray((~empty)[:, self.group], dtype=dtype)
        if self.plain:
            Z = _standardised(X, self.center.astype(X.dtype), self.spread.astype(X.dtype))
        else:
            Z = np.hstack([column.encode_cells(X[:, j]) for j, column in enumerate(self.columns)])
        if mask is not None:
            Z = np.where(mask > 0, Z, self.fill.astype(Z.dtype))
        return Batch(np.ascontiguousarray(Z, dtype=dtype), None, mask)

    def decode(self, Z: Matrix) -> Matrix:
        """Return encoded values in raw units: the inverse of encode; categories: the likeliest."""
        if self.plain:
            plain: Matrix = Z * self.spread.astype(Z.dtype) + self.center.astype(Z.dtype)
            return plain
        parts = [
            column.decode_cells(Z[:, start : start + column.width])
            for start, column in zip(self.starts, self.columns, strict=True)
        ]
        return np.column_stack(parts)

    def by_column(self, cells: Matrix) -> Matrix:
        """Sum a matrix over the encoded columns of each table column."""
        if self.d == len(self.columns):
            return cells
        sums: Matrix = np.add.reduceat(cells, self.starts, axis=1)
        return sums

    @cached_property
    def extent(self) -> tuple[Floats, Floats]:
        """The lowest and the highest training value of each encoded column."""
        low = self.spread_out([column.low for column in self.columns])
        return low, self.spread_out([column.high for column in self.columns])

    def clip(self, Z: Matrix) -> Matrix:
        """Return what the encoder sees of encoded rows that are scored: no absurd cell."""
        low = self.spread_out([column.clip_low for column in self.columns]).astype(Z.dtype)
        high = self.spread_out([column.clip_high for column in self.columns]).astype(Z.dtype)
        clipped: Matrix = np.clip(Z, low, high)
        return clipped

    def inside(self, Z: Matrix) -> Matrix:
        """Return encoded values moved into the training range: what a filled cell may be."""
        low, high = self.extent
        clipped: Matrix = np.clip(Z, low.astype(Z.dtype), high.astype(Z.dtype))
        return clipped

    def likeliest(self, Z: Matrix) -> Matrix:
        """Return encoded values that a row could hold: one level, whole counts, inside."""
        found = self.inside(Z)
        for start, column in zip(self.starts, self.columns, strict=True):
            place = slice(start, start + column.width)
            if isinstance(column.kind, Categorical):
                found[:, place] = np.eye(column.width)[Z[:, place].argmax(axis=1)]
            elif isinstance(column.kind, Binary):
                found[:, place] = Z[:, place] > 0.5
            elif isinstance(column.kind, Count):
                found[:, place] = np.rint(found[:, place] * column.spread) / column.spread
        return found


def _standardised(X: Matrix, center: Floats, spread: Floats) -> Matrix:
    """Return ``(X - center) / spread``; what overflows is as far off as a square can tell."""
    try:
        with np.errstate(over="raise"):
            Z: Matrix = X - center
            Z /= spread
    except FloatingPointError:
        far = 1e-8 * np.sqrt(np.finfo(X.dtype).max)
        with np.errstate(over="ignore"):
            Z = np.clip((X - center) / spread, -far, far)
    return Z
