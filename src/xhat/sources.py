"""Raw rows with weights on their way into a fit: splitting, merging, encoding.

Knows: arrays, memory maps, CSR. Must not know: networks, losses.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse

from xhat.auto import SMALL
from xhat.copies import has_few_values
from xhat.data.batches import DenseRows, LazyRows, Rows, dense, tile_rows
from xhat.data.columns import Schema
from xhat.data.containers import Storage
from xhat.data.scratch import Blocks
from xhat.errors import about_validation
from xhat.filler import Filler
from xhat.maths.objective import Batch
from xhat.maths.types import Integers, Matrix, Vector

#: Row numbers: all of a table that is too large for a list of them are a range.
Index = Integers | range

#: Rows that take part in stopping, and in the verdict, at most: more would not change either.
MAX_HELD_OUT, MAX_VERDICT = 20_000, 10_000
#: From this many rows on the verdict is taken on rows of its own.
OWN_VERDICT = 200


def encode(raw: object, schema: Schema, dtype: npt.DTypeLike, filler: Filler | None) -> Batch:
    """Return encoded rows; the filler, if there is one, completes them."""
    batch = schema.encode(raw, dtype)
    return batch if filler is None else filler.completed(batch)


def completed(rows: Rows, filler: Filler) -> Rows:
    """Return rows whose missing cells hold what the filler says; those in memory change."""
    if isinstance(rows, LazyRows):
        before = rows.encode
        return replace(rows, encode=lambda raw: filler.completed(before(raw)))
    assert isinstance(rows, DenseRows)
    size = tile_rows(rows.width)
    for start in range(0, rows.n, size):
        part = slice(start, start + size)
        rows.batch.X[part] = filler.completed(rows.take(part)).X
    return rows


@dataclass(frozen=True)
class Source:
    """Raw rows with weights: a dense array, or (lazy) a memory map or CSR matrix."""

    X: object
    storage: Storage
    weight: Vector | None = None
    lazy: bool = False
    origin: Integers | None = None  # row of the user's table that each row was, if not itself
    own_choice: bool = False  # held-out rows that the user gave, a table beside that of training

    @property
    def names(self) -> list[str]:
        """Names of the columns of X."""
        return self.storage.names

    @property
    def forms(self) -> list[str]:
        """Form in which each column of X is held."""
        return [self.storage.stores[j].form for j in self.storage.used]

    @property
    def levels(self) -> list[int]:
        """Number of levels of each column of X, 0 for those not held as levels."""
        return [len(self.storage.stores[j].levels) for j in self.storage.used]

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])  # type: ignore[attr-defined]

    @property
    def on_disk(self) -> bool:
        """Whether the rows are in a scratch file."""
        return isinstance(self.X, Blocks)

    @property
    def everything(self) -> Index:
        """All row numbers."""
        return range(self.n) if self.on_disk else np.arange(self.n)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the rows, of how they are held and of their weights."""
        digest = hashlib.sha256()
        digest.update(repr((self.n, self.storage.stores, self.weight is None)).encode())
        for rows, weight in self.tiles(self.everything):
            digest.update(repr((rows.shape, rows.dtype)).encode())
            digest.update(np.ascontiguousarray(rows).tobytes())
            if weight is not None:
                digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    def amount(self, index: Integers) -> float:
        """Return how many rows these are, by weight."""
        return float(len(index) if self.weight is None else self.weight[index].sum())

    def copies(self, index: Index) -> int:
        """Return how many rows these stand for, where their weights are numbers of copies."""
        if self.weight is None or (self.weight != np.floor(self.weight)).any():
            return len(index)
        return round(self.amount(np.asarray(index)))

    def observed(self, index: Index) -> int:
        """Return how many of some rows have a cell that is observed."""
        return sum(int((~np.isnan(rows).all(axis=1)).sum()) for rows, _ in self.tiles(index))

    def raw(self, index: Index) -> Matrix:
        """Return some rows, dense."""
        return dense(self.X[index])  # type: ignore[index]

    def rows(
        self, schema: Schema, index: Index, dtype: npt.DTypeLike, filler: Filler | None = None
    ) -> Rows:
        """Return rows that are encoded once; weights are scaled to mean 1 over them.

        Missing cells hold the mean, or what the filler says of them.
        """
        if self.lazy:
            return self.walked(schema, index, dtype, filler)
        X, mask = np.empty((len(index), schema.d), dtype), None
        for part, place in self._places(index):
            batch = encode(self.raw(part), schema, dtype, filler)
            X[place] = batch.X
            if batch.mask is not None:
                mask = np.ones_like(X) if mask is None else mask
                mask[place] = batch.mask
        return DenseRows(Batch(X, self._weight(index, dtype), mask))

    def walked(
        self, schema: Schema, index: Index, dtype: npt.DTypeLike, filler: Filler | None = None
    ) -> Rows:
        """Return rows that are encoded again whenever they are taken, for a walk or two."""
        plain = scipy.sparse.issparse(self.X) and schema.plain
        scale = (schema.center, schema.spread) if plain else None
        work = functools.partial(encode, schema=schema, dtype=dtype, filler=filler)
        return LazyRows(self.X, work, index, schema.d, self._weight(index, dtype), scale)

    def _weight(self, index: Index, dtype: npt.DTypeLike) -> Vector | None:
        if self.weight is None:
            return None
        weight = self.weight[index]
        return np.asarray((weight / weight.mean()).astype(dtype))

    def subset(self, index: Index) -> tuple[Subset, Vector | None]:
        """Return some rows, sliced as a matrix, and their weights."""
        return Subset(self.X, index), None if self.weight is None else self.weight[index]

    def tiles(self, index: Index) -> Iterator[tuple[Matrix, Vector | None]]:
        """Walk raw rows and weights in fixed tiles."""
        for part, _ in self._places(index):
            yield self.raw(part), None if self.weight is None else self.weight[part]

    def check(self, schema: Schema, index: Index) -> None:
        """Refuse values that a column's head cannot produce."""
        with about_validation(given=self.own_choice):
            for part, _ in self._places(index):
                schema.unseen.check(self.raw(part), self._origin(part))

    def _places(self, index: Index) -> Iterator[tuple[Index, slice]]:
        """Yield row numbers in fixed tiles, and which of ``index`` they are."""
        size = tile_rows(len(self.names), self.X)
        for start in range(0, len(index), size):
            place = slice(start, start + size)
            yield index[place], place

    def _origin(self, part: Index) -> Integers:
        """Return which rows of the user's table these are."""
        if isinstance(self.X, Blocks):
            return self.X.origin(part)
        return np.asarray(part) if self.origin is None else self.origin[part]


@dataclass(frozen=True)
class Subset:
    """Some rows of a matrix, sliced as a matrix would be."""

    X: object
    index: Index

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.index), int(self.X.shape[1])  # type: ignore[attr-defined]

    def __getitem__(self, part: slice | Integers) -> object:
        index = self.index
        if isinstance(index, range) and not isinstance(part, slice):
            return self.X[index.start + index.step * part]  # type: ignore[index]
        return self.X[index[part]]  # type: ignore[index]


@dataclass(frozen=True)
class Split:
    """Row numbers used for training, for stopping, and for the verdict alone."""

    train: Index
    held_out: Integers
    verdict: Integers

    @property
    def unseen(self) -> Integers:
        """Rows that no parameter was fitted to."""
        return np.concatenate([self.held_out, self.verdict])


def split_rows(
    n: int, fraction: float, rng: np.random.Generator, group: Integers | None = None
) -> Split:
    """Split rows at random; below OWN_VERDICT rows no row is set aside for the verdict.

    Fewer than 5 rows are all trained on: nothing meaningful can be held out. Rows of one ``group``
    stay together, and are trained on where they are more than a part holds.
    """
    order = rng.permutation(n) if fraction > 0 else np.arange(n)
    held = 0 if fraction <= 0 or n < 5 else min(max(1, round(fraction * n)), MAX_HELD_OUT)
    verdict = min(held, MAX_VERDICT, (n - held) // 2) if n >= OWN_VERDICT else 0
    cuts = [verdict, verdict + held]
    if group is not None and held:
        grouped, ends = _together(order, group, held)
        at = np.searchsorted(ends, cuts)
        if at[1] < len(ends) and (at[0] < at[1] or not verdict):  # else too few groups to go by
            order, cuts = grouped, [int(ends[at[0]]) if verdict else 0, int(ends[at[1]])]
    parts = np.split(order, cuts)
    return Split(np.sort(parts[2]), np.sort(parts[1]), np.sort(parts[0]))


def _together(order: Integers, group: Integers, most: int) -> tuple[Integers, Integers]:
    """Return an order in which each group stands where its first row stood, large ones last.

    And where the groups end that are not large, but for the last row of all.
    """
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    sizes = np.bincount(group)
    lead = np.full(len(sizes), len(order))
    np.minimum.at(lead, group, place)
    lead[sizes > most] += len(order)
    found = np.lexsort((place, lead[group]))
    ends = np.flatnonzero(np.diff(group[found])) + 1
    return found, ends[ends <= int(sizes[sizes <= most].sum())]


def everything_trains(source: Source) -> Split:
    """Hold out no row."""
    nothing = np.empty(0, dtype=np.intp)
    return Split(source.everything, nothing, nothing)


def held_out_rows(n: int, fraction: float) -> int:
    """Return how many of n streamed rows are held out, those of the verdict among them."""
    return min(round(2 * fraction * n), MAX_HELD_OUT + MAX_VERDICT, n // 2)


def split_validation(source: Source, n_validation: int, rng: np.random.Generator) -> Split:
    """Train on all rows; the caller's choose the epoch, and half of many give the verdict."""
    if n_validation < OWN_VERDICT:
        return Split(source.everything, np.arange(n_validation), np.empty(0, dtype=np.intp))
    held = min(round(0.5 * n_validation), MAX_HELD_OUT)
    verdict = min(held, MAX_VERDICT)
    parts = np.split(rng.permutation(n_validation), [verdict, verdict + held])
    return Split(source.everything, np.sort(parts[1]), np.sort(parts[0]))


def merge_rows(source: Source) -> Source:
    """Drop zero-weight rows and, up to SMALL rows, merge equal ones with summed weights, sorted.

    That makes weight k equal k copies exactly, and keeps copies from leaking over the split. Rows
    that are equal because few values are common (copies.py) then stand side by side again, as often
    as their weight says: new rows will be equal to known ones as well.
    """
    X, weight, origin = source.X, source.weight, np.asarray(source.everything)
    if weight is not None and not weight.all():
        kept = np.flatnonzero(weight)
        X, weight, origin = X[kept], weight[kept], kept  # type: ignore[index]
    if X.shape[0] > SMALL:  # type: ignore[attr-defined]
        return replace(source, X=X, weight=weight, origin=origin)
    X = dense(X)
    # NaN equals nothing, itself included; for the comparison infinity, which no cell is, is it.
    rows, first, inverse = np.unique(
        np.where(np.isnan(X), np.inf, X), axis=0, return_index=True, return_inverse=True
    )
    merged = np.bincount(inverse.ravel(), weights=weight).astype(np.float64)
    X, origin = np.where(rows == np.inf, np.nan, rows), origin[first]
    if merged.sum() <= SMALL and (merged == np.rint(merged)).all() and has_few_values(X):
        each = np.repeat(np.arange(len(X)), merged.astype(np.intp))
        X, origin, merged = X[each], origin[each], np.ones(len(each))
    return replace(source, X=X, weight=merged, lazy=False, origin=origin)
