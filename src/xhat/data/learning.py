"""How the columns of a stream are held: learnt chunk by chunk, settled at the end.

Knows: storage, tables. Must not know: files, models. The result is what ``Storage.learn`` says of
the whole table, except that a column of more than MAX_LEVELS texts is given up at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt

from xhat.data.cells import Cells
from xhat.data.containers import Storage
from xhat.data.scratch import View
from xhat.data.storage import Store, nothing, numbers_of, settle_levels, wanted_form
from xhat.data.table import Table
from xhat.data.values import Clock, Form
from xhat.errors import DataError

Floats = npt.NDArray[np.float64]
#: Different texts that are kept apart while a column goes by; a dictionary entry is 100 bytes.
MAX_LEVELS = 100_000


class Learner:
    """One column: provisional numbers now, its Store at the end."""

    def __init__(self, name: str, wish: str | None) -> None:
        self.name, self.wish = name, wish
        self.form: Form = "left out"
        self.clock: Clock = ""
        self.counts: dict[Any, int] = {}
        self.first_row: dict[Any, int] = {}
        self._code: dict[Any, float] = {}
        self.any_value = self.too_many = False

    def add(self, series: Any, first: int) -> Floats:
        """Return provisional numbers: levels are numbered in the order of their first cells."""
        cells = Cells(self.name, series, first)
        if self.wish == "ignore" or self.too_many or len(cells) == 0:
            return np.full(len(cells), np.nan)
        form = wanted_form(cells, self.wish)
        if form != "level":
            found = numbers_of(cells)
            self.form = form
            self.clock = self.clock or (cells.clock if form == "time" else "")
            self.any_value = self.any_value or not np.isnan(found).all()
            return found
        return self._levels(cells, first)

    def _levels(self, cells: Cells, first: int) -> Floats:
        codes, levels, _ = cells.encoded()
        self.form = "level"
        known = codes >= 0
        self.any_value = self.any_value or bool(known.any())
        counts = np.bincount(codes[known], minlength=len(levels))
        at = np.full(len(levels), len(codes))
        np.minimum.at(at, codes[known], np.flatnonzero(known))
        for level, count, row in zip(levels, counts.tolist(), at.tolist(), strict=True):
            self._code.setdefault(level, float(len(self._code)))
            self.first_row.setdefault(level, first + row)
            self.counts[level] = self.counts.get(level, 0) + count
        table = np.array([self._code[level] for level in levels] + [np.nan])
        numbers = table[codes]
        if len(self._code) > MAX_LEVELS:
            self._give_up()
        return numbers

    def _give_up(self) -> None:
        if self.wish == "categorical":
            raise DataError(
                f"column {self.name!r} has more than {MAX_LEVELS} levels: leave it out (--drop), "
                "or group its levels"
            )
        self.too_many = True
        self.counts, self.first_row, self._code = {}, {}, {}

    def settle(self) -> tuple[Store, Floats | None]:
        """Return the column's store, and for levels the final number of each provisional one."""
        if self.wish == "ignore":
            return Store(self.name, "left out", reason="as asked"), None
        if self.too_many:
            reason = f"more than {MAX_LEVELS} different texts, so it is an identifier or free text"
            return Store(self.name, "left out", reason=reason), None
        if not self.any_value:
            return nothing(self.name), None
        if self.form != "level":
            return Store(self.name, self.form, clock=self.clock), None
        store = settle_levels(self.name, self.counts, self.first_row, self.wish)
        position = {level: float(i) for i, level in enumerate(store.levels)}
        return store, np.array([position.get(level, np.nan) for level in self._code])


class TableLearner:
    """All columns of a stream of tables."""

    def __init__(self, names: list[str], wish: Callable[[str], str | None]) -> None:
        self.columns = [Learner(name, wish(name)) for name in names]
        self.n = 0

    def add(self, table: Table) -> Floats:
        """Return the chunk's provisional numbers, shape (rows, columns)."""
        if table.named:
            frame = nw.from_native(table.data, eager_only=True)
            series = list(frame.iter_columns())
        else:
            array = table.data.toarray() if hasattr(table.data, "toarray") else table.data
            frame = nw.from_numpy(
                np.asarray(array), [c.name for c in self.columns], backend="pyarrow"
            )
            series = list(frame.iter_columns())
        numbers = [c.add(s, self.n) for c, s in zip(self.columns, series, strict=True)]
        self.n += table.n_rows
        return np.column_stack(numbers)

    def settle(self) -> tuple[Storage, View]:
        """Return the storage, and how the numbers written are to be read."""
        settled = [column.settle() for column in self.columns]
        storage = Storage.checked(tuple(store for store, _ in settled))
        tables = {
            position: table
            for position, j in enumerate(storage.used)
            if (table := settled[j][1]) is not None
        }
        return storage, View(storage.used, tables)
