"""Encoded rows on their way to an engine: resident, or encoded piece by piece.

Knows: how to hand out some rows as a dense, encoded Batch.
Must not know: what is computed with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from xhat.maths.objective import Batch
from xhat.maths.types import Integers, Matrix, Vector

#: Rows per tile wherever all rows are walked; sums and scores do not depend on file chunks.
TILE = 4096


class Rows(Protocol):
    """Rows of a data set, encoded when they are taken."""

    @property
    def n(self) -> int:
        """Number of rows."""

    @property
    def resident(self) -> Batch | None:
        """All rows as one encoded Batch, or None if they are encoded piece by piece."""

    def take(self, index: Integers | slice) -> Batch:
        """Return some rows as a dense Batch."""


@dataclass(frozen=True)
class DenseRows:
    """Rows that are encoded once and kept."""

    batch: Batch

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.batch.X)

    @property
    def resident(self) -> Batch | None:
        """All rows."""
        return self.batch

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
        Raw dense rows to an encoded Batch.
    index : ndarray of intp
        Which rows of the source belong to this set.
    weight : ndarray or None
        Weight of each row of this set.
    """

    source: object
    encode: Callable[[Matrix], Batch]
    index: Integers
    weight: Vector | None = None

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
        batch = self.encode(dense(self.source[self.index[index]]))  # type: ignore[index]
        return replace(batch, weight=None if self.weight is None else self.weight[index])


def dense(rows: object) -> Matrix:
    """Return rows as a dense array (sparse rows are densified, others passed through)."""
    return rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)


def tiles(rows: Rows) -> Iterator[Batch]:
    """Walk all rows in order, in fixed tiles."""
    for start in range(0, rows.n, TILE):
        yield rows.take(slice(start, min(start + TILE, rows.n)))
