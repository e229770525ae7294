"""A stream on its way into a fit: whole in memory if it is small, else numbers on disk.

Knows: streams, learners, scratch files. Must not know: models.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from xhat.data.containers import Storage, check_finite
from xhat.data.learning import TableLearner
from xhat.data.scratch import Blocks, Sample, Scratch
from xhat.data.stream import Stream, joined
from xhat.data.table import Table
from xhat.errors import CellError
from xhat.maths.types import Integers, Matrix

#: Bytes of numbers up to which a table is held in memory: there rows are shuffled freely.
IN_MEMORY = 64 * 2**20


@dataclass(frozen=True)
class Rows:
    """A table on disk, with a sample of its rows for holding out.

    Attributes
    ----------
    storage : Storage
        How its columns are held.
    blocks : Blocks
        The rows that are not held out.
    held_out : ndarray
        Numbers of the held-out rows.
    numbers : ndarray of int
        Row of the user's table that each held-out row is.
    """

    storage: Storage
    blocks: Blocks
    held_out: Matrix
    numbers: Integers


@contextlib.contextmanager
def gathered(
    stream: Stream,
    wish: Callable[[str], str | None],
    hold_out: Callable[[int], int],
    rng: Callable[[], np.random.Generator],
) -> Iterator[Any | Rows]:
    """Read a stream once; yield its whole table, or Rows that are gone when the block ends.

    Parameters
    ----------
    stream : Stream
        What to read.
    wish : callable
        Maps a column name to what its head asks of the storage.
    hold_out : callable
        Maps the number of rows to how many are held out.
    rng : callable
        Called if rows go to disk; returns the Generator that chooses the held-out rows.
    """
    chunks = stream.chunks()
    held: list[Table] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += 8 * chunk.n_rows * len(stream.names)
        if size > IN_MEMORY:
            break
    else:
        stream.n_rows = sum(chunk.n_rows for chunk in held)
        yield joined(held, stream.names, named=stream.named).data
        return
    scratch = Scratch(stream.scratch, len(stream.names))
    try:
        learner = TableLearner(stream.names, wish)
        sample = Sample(hold_out(2**40), len(stream.names), rng())
        while held:
            _write(learner, held.pop(0), scratch, sample)
        for chunk in chunks:
            _write(learner, chunk, scratch, sample)
        stream.n_rows = learner.n
        _give_back()
        storage, view = learner.settle()
        rows, numbers = sample.draw(hold_out(learner.n))
        yield Rows(storage, Blocks(scratch, view, numbers), view(rows), numbers)
    finally:
        scratch.close()


def _give_back() -> None:
    """Let Arrow return to the system what the chunks have left: training will use other memory."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()


def _write(learner: TableLearner, chunk: Table, scratch: Scratch, sample: Sample) -> None:
    first = learner.n
    numbers = learner.add(chunk)
    try:
        check_finite(numbers, [column.name for column in learner.columns])
    except CellError as error:
        raise error.at(first) from None
    scratch.append(numbers)
    sample.add(numbers)
