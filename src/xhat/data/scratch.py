"""Rows on disk: written once in the order they come, read by blocks as often as training needs.

Knows: one file of numbers of equal width, in a folder that is gone at the end. Must not know:
containers, kinds of columns, models. The file holds one number a cell, NaN where it is missing, so
that one-hot columns and masks cost nothing on disk. It is read with ``pread``, never mapped: mapped
pages would count as this process's memory.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xhat import files
from xhat.maths.types import Integers, Matrix

#: Rows that are read together and shuffled as one.
BLOCK = 256
#: Bytes of blocks that are held in memory: the buffer rows are shuffled in is half of it.
POOL = 64 * 2**20
#: Rows kept in memory while they come by, as a sample to hold out.
SAMPLE_BYTES = 64 * 2**20


class Folder:
    """A new folder that is removed when it is closed, forgotten, or Python ends."""

    def __init__(self, parent: str | os.PathLike[str] | None) -> None:
        if parent is not None and not Path(parent).is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder for rows on disk", str(parent))
        self.path = Path(tempfile.mkdtemp(prefix="xhat-", dir=parent))
        self.close = weakref.finalize(self, shutil.rmtree, str(self.path), ignore_errors=True)


class Scratch:
    """A file of rows in a folder of its own, removed when it is closed or forgotten."""

    def __init__(self, folder: str | os.PathLike[str] | None, width: int) -> None:
        self._folder = Folder(folder)
        self.width, self.n = width, 0
        self._file = (self._folder.path / "rows").open("w+b", buffering=0)

    def append(self, rows: Matrix) -> None:
        """Write rows behind those that are there."""
        assert rows.shape[1] == self.width
        files.spill(self._file, np.ascontiguousarray(rows, dtype=np.float64), self._folder.path)
        self.n += len(rows)

    def read(self, start: int, stop: int) -> Matrix:
        """Return rows start to stop - 1."""
        size = 8 * self.width
        data = os.pread(self._file.fileno(), (stop - start) * size, start * size)
        return np.frombuffer(data).reshape(-1, self.width)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self._folder.close()


class Sample:
    """A uniform sample of the rows that come by (Vitter's reservoir), with their numbers."""

    def __init__(self, rows: int, width: int, rng: np.random.Generator) -> None:
        self.size = max(1, min(rows, SAMPLE_BYTES // (8 * width)))
        self.rows = np.empty((self.size, width))
        self.numbers = np.empty(self.size, dtype=np.int64)
        self.seen, self._rng = 0, rng

    def add(self, rows: Matrix) -> None:
        """Let rows come by."""
        numbers = self.seen + np.arange(len(rows))
        self.seen += len(rows)
        first = min(len(rows), max(0, self.size - int(numbers[0]))) if len(rows) else 0
        self.rows[numbers[:first]], self.numbers[numbers[:first]] = rows[:first], numbers[:first]
        # Row i takes a place with probability size / (i + 1); later rows overwrite earlier ones.
        place = self._rng.integers(0, numbers[first:] + 1)
        for i in np.flatnonzero(place < self.size):
            self.rows[place[i]], self.numbers[place[i]] = rows[first + i], numbers[first + i]

    def draw(self, n: int) -> tuple[Matrix, Integers]:
        """Return n of the sampled rows in the order they came, with their numbers."""
        held = min(self.seen, self.size)
        chosen = self._rng.permutation(held)[: min(n, held)]
        chosen = chosen[np.argsort(self.numbers[chosen])]
        return self.rows[chosen].copy(), self.numbers[chosen].copy()


@dataclass(frozen=True)
class View:
    """Which columns of the file are used, and the level that each number written stands for."""

    columns: list[int]
    levels: dict[int, npt.NDArray[np.float64]]  # position among ``columns`` -> new numbers

    def __call__(self, rows: Matrix) -> Matrix:
        """Return the used columns with their final numbers."""
        X = rows[:, self.columns]
        for j, table in self.levels.items():
            missing = np.isnan(X[:, j])
            X[:, j] = np.where(missing, np.nan, table[np.where(missing, 0, X[:, j]).astype(int)])
        return X


class Blocks:
    """A matrix whose rows lie in a scratch file, without the rows that are held out.

    It is sliced like an array. Blocks stay in a pool of POOL bytes, first in, first out.
    """

    def __init__(self, scratch: Scratch, view: View, without: Integers) -> None:
        self._scratch, self._view = scratch, view
        self.without = np.sort(without)
        # File row of matrix row p: p plus the number of rows left out before it.
        self._shift = self.without - np.arange(len(without))
        self.shape = (scratch.n - len(without), len(view.columns))
        self.dtype = np.dtype(np.float64)
        n_blocks = -(-self.shape[0] // BLOCK)
        slots = max(4, min(n_blocks, POOL // (8 * BLOCK * self.shape[1])))
        self._pool = np.empty((slots, BLOCK, self.shape[1]))
        self._slot_of = np.full(n_blocks, -1, dtype=np.int32)
        self._block_in = np.full(slots, -1, dtype=np.int64)
        self._next = 0

    def origin(self, index: Integers | range | slice) -> Integers:
        """Return the file row (the row of the user's table) of each matrix row."""
        rows = self._numbers(index)
        return rows + np.searchsorted(self._shift, rows, side="right")

    def some(self, n: int) -> Integers:
        """Return at most n row numbers, evenly spread."""
        return np.arange(0, self.shape[0], max(1, -(-self.shape[0] // n)))

    def order(self, rng: np.random.Generator) -> BlockOrder:
        """Return a random order that reads every block once."""
        buffer = max(1, len(self._pool) // 2)
        return BlockOrder(self.shape[0], buffer, rng)

    def __getitem__(self, index: Integers | range | slice) -> Matrix:
        """Return rows."""
        if not isinstance(index, np.ndarray):
            return self._consecutive(index)
        block = index // BLOCK
        needed = np.unique(block)
        if len(needed) > len(self._pool) // 2:  # rows from all over the file
            rows = [self._scratch.read(i, i + 1) for i in self.origin(index).tolist()]
            return self._view(np.vstack(rows))
        for b in needed[self._slot_of[needed] < 0]:
            self._load(int(b), set(needed.tolist()))
        return np.asarray(self._pool[self._slot_of[block], index % BLOCK])

    def _numbers(self, index: Integers | range | slice) -> Integers:
        if isinstance(index, slice):
            index = range(*index.indices(self.shape[0]))
        return np.asarray(index, dtype=np.int64)

    def _consecutive(self, index: range | slice) -> Matrix:
        rows = range(*index.indices(self.shape[0])) if isinstance(index, slice) else index
        if not len(rows):
            return np.empty((0, self.shape[1]))
        numbers = self.origin(rows)
        first = int(numbers[0])
        found = self._scratch.read(first, int(numbers[-1]) + 1)
        return self._view(found[numbers - first])

    def _load(self, block: int, needed: set[int]) -> None:
        while int(self._block_in[self._next]) in needed:
            self._next = (self._next + 1) % len(self._pool)
        slot, self._next = self._next, (self._next + 1) % len(self._pool)
        old = int(self._block_in[slot])
        if old >= 0:
            self._slot_of[old] = -1
        rows = self._consecutive(slice(block * BLOCK, (block + 1) * BLOCK))
        self._pool[slot, : len(rows)] = rows
        self._slot_of[block], self._block_in[slot] = slot, block


class BlockOrder:
    """A random order of rows: blocks at random, and the rows of ``buffer`` blocks among themselves.

    The same rows, buffer and generator give the same order. Only one buffer is ever made up, so
    that an order of a billion rows takes no memory; it is meant to be sliced from front to back.
    """

    def __init__(self, n: int, buffer: int, rng: np.random.Generator) -> None:
        self.n, self._buffer = n, buffer
        self._blocks = rng.permutation(-(-n // BLOCK)).astype(np.int32)
        self._key = int(rng.integers(2**63))
        # Rows before each buffer: the block with the file's last rows may be short.
        sizes = np.minimum(BLOCK, n - self._blocks.astype(np.int64) * BLOCK)
        groups = np.arange(0, len(self._blocks), buffer)
        self._first = np.append(0, np.cumsum(np.add.reduceat(sizes, groups)))
        self._made: tuple[int, Integers] = (-1, np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, part: slice) -> Integers:
        """Return the rows at some places of the order."""
        start, stop, _ = part.indices(self.n)
        pieces = []
        while start < stop:
            group = int(np.searchsorted(self._first, start, side="right")) - 1
            first, end = int(self._first[group]), min(stop, int(self._first[group + 1]))
            pieces.append(self._group(group)[start - first : end - first])
            start = end
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)

    def _group(self, group: int) -> Integers:
        if self._made[0] != group:
            blocks = self._blocks[group * self._buffer : (group + 1) * self._buffer]
            rows = (blocks.astype(np.int64)[:, None] * BLOCK + np.arange(BLOCK)).ravel()
            rng = np.random.default_rng([self._key, group])
            self._made = (group, rng.permutation(rows[rows < self.n]))
        return self._made[1]
