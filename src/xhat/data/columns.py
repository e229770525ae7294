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
from xhat.data.kinds import Binary, Categorical, Count, Kind, Real
from xhat.errors import CellError
from xhat.maths import corruption
from xhat.maths.bend import Bend
from xhat.maths.heads import (
    BinaryCrossEntropy,
    Block,
    Head,
    Poisson,
    Softmax,
    SquaredError,
)
from xhat.maths.objective import Batch
from xhat.maths.types import Integers, Matrix

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
#: exp of the count head is linear from this factor above the training maximum on.
FAR_ABOVE = 20.0


@dataclass(frozen=True)
class Column:
    """One column of the table: its kind, its scale and its training range.

    The encoded value is ``(x - center) / spread``, of the bent x where there is a ``bend``. In that
    scale, ``low`` and ``high`` are its training range, ``clip_low`` and ``clip_high`` what the
    encoder is shown at most when a row is scored, ``fill`` stands for a missing cell (the training
    mean). A category has one encoded column per place: ``places[level]`` is the place of a level,
    and ``fill`` holds the share of each place.
    ``weight`` balances the columns of a mixed table in training; scores never use it.
    """

    name: str
    kind: Kind
    center: float
    spread: float
    low: float
    high: float
    clip_low: float
    clip_high: float
    fill: tuple[float, ...]
    places: tuple[int, ...] = ()
    rows: float = 0.0
    weight: float = 1.0
    bend: Bend | None = None

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return len(self.fill)

    @property
    def unit(self) -> float:
        """Nats per unit of loss: a Poisson deviance of x is ``spread`` times that of x / spread."""
        return self.spread if isinstance(self.kind, Count) else 1.0

    def encode(self, x: Matrix) -> Matrix:
        """Return numbers in the scale that the network sees, in their own dtype."""
        if self.bend is not None:
            x = self.bend.bent(x, *self._extremes()).astype(x.dtype)
        return (x - x.dtype.type(self.center)) / x.dtype.type(self.spread)

    def decode(self, z: Matrix) -> Matrix:
        """Return encoded numbers in the table's units: the inverse."""
        x = z * z.dtype.type(self.spread) + z.dtype.type(self.center)
        if self.bend is None:
            return x
        return self.bend.straight(x, *self._extremes()).astype(x.dtype)

    @property
    def training_range(self) -> tuple[float, float]:
        """The smallest and the largest training value, in the table's units."""
        low, high = self.decode(np.array([self.low, self.high]))
        return float(low), float(high)

    def _extremes(self) -> tuple[float, float]:
        return self.low * self.spread + self.center, self.high * self.spread + self.center

    def head(self) -> Head:
        """Return (f, loss)."""
        if isinstance(self.kind, Real):
            return SquaredError(self.kind.f)
        if isinstance(self.kind, Binary):
            return BinaryCrossEntropy()
        if isinstance(self.kind, Categorical):
            return Softmax()
        return Poisson(float(np.log(FAR_ABOVE * max(self.high, 1.0))))


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

    def _spread_out(self, values: list[float]) -> Floats:
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
        return self._spread_out(real) > 0

    @cached_property
    def unit_of_residuals(self) -> Floats:
        """What residuals are times in units in which fits of the same table agree.

        These are the table's for squared error; a bent scale is its own unit, since quartiles of
        other rows bend it a little differently, or not at all. 1 for columns without a scale.
        """
        return self._spread_out(
            [
                c.spread if isinstance(c.kind, Real) and c.kind.scale != "asinh" else 1.0
                for c in self.columns
            ]
        )

    @cached_property
    def counts(self) -> npt.NDArray[np.bool_]:
        """Encoded columns of counts."""
        count = [float(isinstance(column.kind, Count)) for column in self.columns]
        return self._spread_out(count) > 0

    @cached_property
    def nats_per_loss(self) -> Floats:
        """Factor from the training loss to nats, per encoded column: undoes ``weight``."""
        return 1 / self._spread_out([column.weight for column in self.columns])

    @property
    def spread(self) -> Floats:
        """Divisor of each encoded column."""
        return self._spread_out([column.spread for column in self.columns])

    @property
    def center(self) -> Floats:
        """Centre of each encoded column."""
        return self._spread_out([column.center for column in self.columns])

    def ranges(self, dtype: npt.DTypeLike) -> corruption.Columns:
        """Return what a corruption may know of the encoded columns."""
        low = self._spread_out([column.low for column in self.columns])
        high = self._spread_out([column.high for column in self.columns])
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

    def rescaled(self, other: Schema) -> Schema:
        """Return this schema with the scales of another one of the same table."""
        columns = [
            mine if isinstance(mine.kind, Categorical) else replace(theirs, weight=mine.weight)
            for mine, theirs in zip(self.columns, other.columns, strict=True)
        ]
        return Schema(tuple(columns))

    # -- there and back ---------------------------------------------------------------------------

    def encode(self, X: Any, dtype: npt.DTypeLike | None = None) -> Batch:
        """Return the encoded rows with the mask of observed cells (None: all are).

        The rows are C-contiguous, in ``dtype`` (the input's if None); X may be sparse.
        """
        dtype = np.dtype(dtype or X.dtype)
        X = self._within(X)
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
            Z = np.hstack(
                [_encode_column(column, X[:, j]) for j, column in enumerate(self.columns)]
            )
        if mask is not None:
            Z = np.where(mask > 0, Z, self.fill.astype(Z.dtype))
        return Batch(np.ascontiguousarray(Z, dtype=dtype), None, mask)

    def decode(self, Z: Matrix) -> Matrix:
        """Return encoded values in raw units: the inverse of encode; categories: the likeliest."""
        if self.plain:
            plain: Matrix = Z * self.spread.astype(Z.dtype) + self.center.astype(Z.dtype)
            return plain
        parts = []
        for start, column in zip(self.starts, self.columns, strict=True):
            part = Z[:, start : start + column.width]
            if isinstance(column.kind, Categorical):
                parts.append(_level_of_place(column)[part.argmax(axis=1)].astype(Z.dtype))
            else:
                parts.append(column.decode(part[:, 0]))
        return np.column_stack(parts)

    def by_column(self, cells: Matrix) -> Matrix:
        """Sum a matrix over the encoded columns of each table column."""
        if self.d == len(self.columns):
            return cells
        sums: Matrix = np.add.reduceat(cells, self.starts, axis=1)
        return sums

    def clip(self, Z: Matrix) -> Matrix:
        """Return what the encoder sees of encoded rows that are scored: no absurd cell."""
        low = self._spread_out([column.clip_low for column in self.columns]).astype(Z.dtype)
        high = self._spread_out([column.clip_high for column in self.columns]).astype(Z.dtype)
        clipped: Matrix = np.clip(Z, low, high)
        return clipped

    def inside(self, Z: Matrix) -> Matrix:
        """Return encoded values moved into the training range: what a filled cell may be."""
        low = self._spread_out([column.low for column in self.columns]).astype(Z.dtype)
        high = self._spread_out([column.high for column in self.columns]).astype(Z.dtype)
        clipped: Matrix = np.clip(Z, low, high)
        return clipped

    @cached_property
    def _found(self) -> tuple[Integers, Floats, Floats]:
        """Columns whose kind "auto" found and that have a range, and its two ends."""
        found = [j for j, c in enumerate(self.columns) if getattr(c.kind, "found", False)]
        ends = np.array([self.columns[j].head().range for j in found]).reshape(-1, 2)
        return np.array(found, dtype=np.intp), ends[:, 0], ends[:, 1]

    def _within(self, X: Any) -> Any:
        """Return rows with the mean in place of cells outside the range of such a column.

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
            outside = (at >= 0) & ((X.data < low[at]) | (X.data > high[at]))
            if outside.any():
                X = X.copy()
                X.data[outside] = mean[at[outside]]
            return X
        cells = X[:, found]
        outside = (cells < low) | (cells > high)
        if outside.any():
            X = X.copy()
            X[:, found] = np.where(outside, mean, cells)
        return X

    @cached_property
    def knows_new(self) -> bool:
        """Whether a cell may hold what was never seen in training and is scored as such."""
        return bool(len(self._found[0])) or any(column.places for column in self.columns)

    def unseen(self, X: Matrix) -> Floats:
        """Return the nats of levels never seen in training, per table column; 0 elsewhere.

        Twice ``log(rows + 1)``: once by the rule of succession for a new level to appear at all
        after ``rows`` known ones, once for it being this one.
        """
        nats = [2 * np.log1p(column.rows) for column in self.columns]
        return np.where(self.new_levels(X), nats, 0.0)

    def new_levels(self, X: Matrix) -> Flags:
        """Return which cells hold levels never seen in training, or such numbers (see Binary)."""
        new = np.zeros(X.shape, dtype=bool)
        found, low, high = self._found
        new[:, found] = (X[:, found] < low) | (X[:, found] > high)
        for j, column in enumerate(self.columns):
            if isinstance(column.kind, Categorical):
                new[:, j] = ~np.isnan(X[:, j]) & (_places(column, X[:, j]) < 0)
        return new

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
            if scored and getattr(column.kind, "found", False):
                continue
            outside = (X[:, j] < low) | (X[:, j] > high)
            if outside.any():
                i = int(outside.argmax())
                problem = (
                    f"{X[i, j]:g} is outside [{low:g}, {high:g}], the range of f = "
                    f"{column.head().f}, so x_hat could never reach it"
                )
                advice = "use heads='real' (f linear) for this column"
                raise CellError(column.name, int(index[i]), problem, advice)


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


def _encode_column(column: Column, x: Matrix) -> Matrix:
    if not isinstance(column.kind, Categorical):
        return column.encode(x)[:, None]
    one_hot = np.zeros((len(x), column.width), dtype=x.dtype)
    place = _places(column, x)
    known = np.flatnonzero(place >= 0)
    one_hot[known, place[known]] = 1
    one_hot[place < 0] = column.fill  # missing or never seen: the encoder sees the mean
    return one_hot


def _places(column: Column, x: Matrix) -> Integers:
    """Return the place of each level; -1 for a missing or never seen one."""
    table = np.append(np.array(column.places, dtype=np.intp), -1)
    codes = np.where(np.isnan(x), len(column.places), x)
    return table[np.minimum(codes, len(column.places)).astype(np.intp)]


def _level_of_place(column: Column) -> Integers:
    """Return the level that stands for each place: its only one, or the first of the rare."""
    places = np.array(column.places)
    return np.array([int(np.flatnonzero(places == p)[0]) for p in range(column.width)])
