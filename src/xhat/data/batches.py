"""Encoded rows on their way to an engine: resident, or encoded piece by piece.

Knows: how to hand out some rows as a dense, encoded Batch.
Must not know: what is computed with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse

from xhat.data.scratch import BlockOrder, Blocks
from xhat.maths.objective import Batch
from xhat.maths.types import Integers, Matrix, Vector

#: Rows per tile wherever all rows are walked; sums and scores do not depend on file chunks.
TILE = 4096
#: Cells of a tile at most: 16 MB in float64, however many columns there are.
TILE_CELLS = 2**21
#: A tile of sparse rows has no more cells than a quarter of all non-zeros, or than this: 128 kB.
SPARSE_TILE_CELLS = 2**14
#: Cells of the sparse rows that are trained on between two returns of the engine: 0.5 MB.
SPARSE_RUN_CELLS = 2**16


def tile_rows(width: int, X: object = None) -> int:
    """Return the rows of a tile of a matrix of ``width`` columns: the same for the same table.

    Parameters
    ----------
    width : int
        Columns of the tile.
    X : CSR matrix, a part of one, or anything else
        Where the rows come from: tiles of sparse rows are lower, as they are dense in use.

    Examples
    --------
    >>> tile_rows(30), tile_rows(10_000)
    (4096, 209)
    >>> tile_rows(1000, scipy.sparse.eye_array(10_000).tocsr())
    16
    """
    cells = TILE_CELLS
    source: Any = getattr(X, "X", X)
    if scipy.sparse.issparse(source):
        cells = min(TILE_CELLS, max(SPARSE_TILE_CELLS, source.nnz // 4))
    return max(16, min(TILE, cells // max(width, 1)))


@dataclass(frozen=True)
class Affine:
    """Sparse rows X whose encoding is ``(X - center) / spread``: products need not densify them."""

    X: Any
    center: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    def dense(self, dtype: npt.DTypeLike = np.float64) -> Matrix:
        """Return the encoded rows: the bits of encoding a dense copy, which is never made."""
        X, center, spread = self.X, self.center, self.spread
        Z = np.empty(X.shape, dtype)
        Z[:] = (0 - center) / spread
        row, j = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.indices
        Z[row, j] = (X.data - center[j]) / spread[j]
        return Z

    def __getitem__(self, part: slice) -> Affine:
        """Return some rows."""
        return replace(self, X=self.X[part])

    def select(self, index: Integers, columns: Integers) -> Affine:
        """Return some columns of some rows."""
        return Affine(self.X[index][:, columns], self.center[columns], self.spread[columns])


class Rows(Protocol):
    """Rows of a data set, encoded when they are taken."""

    @property
    def n(self) -> int:
        """Number of rows."""

    @property
    def width(self) -> int:
        """Number of encoded columns."""

    @property
    def weight(self) -> Vector | None:
        """Weight of each row, or None."""

    @property
    def resident(self) -> Batch | None:
        """All rows as one encoded Batch, or None if they are encoded piece by piece."""

    @property
    def affine(self) -> Affine | None:
        """The rows as a sparse matrix, if they are one."""

    def take(self, index: Integers | slice) -> Batch:
        """Return some rows as a dense Batch."""

    def order(self, rng: np.random.Generator) -> Integers | BlockOrder:
        """Return the rows in a random order, which may be made up as it is sliced."""


@dataclass(frozen=True)
class DenseRows:
    """Rows that are encoded once and kept."""

    batch: Batch

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.batch.X)

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return int(self.batch.X.shape[1])

    @property
    def weight(self) -> Vector | None:
        """Weight of each row, or None."""
        return self.batch.weight

    @property
    def resident(self) -> Batch | None:
        """All rows."""
        return self.batch

    @property
    def affine(self) -> None:
        """Not sparse."""
        return

    def order(self, rng: np.random.Generator) -> Integers:
        """Return any order with the same probability."""
        return rng.permutation(self.n)

    def take(self, index: Integers | slice) -> Batch:
        """Return some rows."""
        weight, mask = self.batch.weight, self.batch.mask
        return Batch(
            self.batch.X[index],
            None if weight is None else weight[index],
            None if mask is None else mask[index],
        )


@dataclass(frozen=True)
class LazyRows:
    """Rows of a sparse matrix or a memory map: densified and encoded per piece, never as a whole.

    Attributes
    ----------
    source : CSR matrix or ndarray
        The raw rows.
    encode : callable
        Raw rows, dense or sparse, to an encoded Batch.
    index : ndarray of intp or range
        Which rows of the source belong to this set; a range starts at 0.
    width : int
        Number of encoded columns.
    scale : pair of ndarray or None
        (center, spread) of sparse rows whose encoding is no more than that.
    weight : ndarray or None
        Weight of each row of this set.
    """

    source: object
    encode: Callable[[Any], Batch]
    index: Integers | range
    width: int
    weight: Vector | None = None
    scale: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.index)

    @property
    def resident(self) -> Batch | None:
        """Never resident."""
        return None

    def take(self, index: Integers | slice) -> Batch:
        """Return some rows, densified and encoded."""
        rows = index if isinstance(self.index, range) else self.index[index]
        batch = self.encode(self.source[rows])  # type: ignore[index]
        return replace(batch, weight=None if self.weight is None else self.weight[index])

    @property
    def affine(self) -> Affine | None:
        """The rows as a sparse matrix, where no cell is missing and no column is a category."""
        if self.scale is None:
            return None
        X = self.source[self.index].astype(np.float64)  # type: ignore[index]
        return None if np.isnan(X.data).any() else Affine(X, *self.scale)

    def order(self, rng: np.random.Generator) -> Integers | BlockOrder:
        """Return any order with the same probability; rows on disk: see BlockOrder."""
        if isinstance(self.source, Blocks):
            return self.source.order(rng)
        return rng.permutation(self.n)


def dense(rows: object) -> Matrix:
    """Return rows as a dense array (sparse rows are densified, others passed through)."""
    return rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)


def rows_per_tile(rows: Rows) -> int:
    """Return the rows of the tiles in which a set of rows is walked over."""
    return tile_rows(rows.width, getattr(rows, "source", None))


def rows_per_run(rows: Rows) -> int:
    """Return the rows that a run of steps may take at a time: all, where they are resident."""
    if rows.resident is not None:
        return rows.n
    sparse = scipy.sparse.issparse(getattr(rows, "source", None))
    return (SPARSE_RUN_CELLS if sparse else TILE_CELLS) // max(rows.width, 1)


def tiles(rows: Rows, every: int = 1, first: int = 0) -> Iterator[Batch]:
    """Walk all rows in order, in fixed tiles; or over every so manieth tile only, from one on."""
    size = rows_per_tile(rows)
    for start in range(first * size, rows.n, every * size):
        yield rows.take(slice(start, min(start + size, rows.n)))
