"""A table as read from a file, and what is wrong with its columns, in one line for each.

Knows: pyarrow tables, arrays, CSR matrices. Must not know: file formats, models.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from xhat.errors import DataError


@dataclass(frozen=True)
class Table:
    """Rows of a file, whole in memory (npy: mapped), with the names of their columns.

    Attributes
    ----------
    data : pyarrow.Table, ndarray or CSR array
        The rows.
    names : list of str
        Column names; x0, x1, ... where the file has none.
    named : bool
        Whether the names come with the file (or were made for a CSV without header).
    """

    data: Any
    names: list[str]
    named: bool = True

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.data.num_rows if self.named else self.data.shape[0])

    def select(self, names: Sequence[str]) -> Table:
        """Return some columns, in the order given."""
        if list(names) == self.names:
            return self
        index = [self.position(name) for name in names]
        data = self.data.select(index) if self.named else self.data[:, index]
        return replace(self, data=data, names=list(names))

    def drop(self, names: Sequence[str]) -> Table:
        """Return the other columns."""
        gone = {self.names[self.position(name)] for name in names}
        return self.select([name for name in self.names if name not in gone])

    def column(self, name: str) -> Any:
        """Return one column: of an Arrow table as it is, else as an array."""
        j = self.position(name)
        if self.named:
            return self.data.column(j)
        column = self.data[:, [j]]
        return np.ravel(column.toarray() if scipy.sparse.issparse(column) else column)

    def values(self, name: str) -> list[Any]:
        """Return the cells of one column as Python values."""
        column = self.column(name)
        return list(column.to_pylist() if self.named else column)

    def position(self, name: str) -> int:
        """Return the number of a column; blanks around names do not count."""
        if name in self._positions:
            return self._positions[name]
        if name in self._stripped:
            return self._stripped[name]
        close = difflib.get_close_matches(name, self.names, 1)
        some = ", ".join(self.names[:8]) + ", ..." * (len(self.names) > 8)
        hint = f"did you mean {close[0]!r}?" if close else f"the columns are {some}"
        raise DataError(f"there is no column {name!r}; {hint}")

    @cached_property
    def _positions(self) -> dict[str, int]:
        """The number of each column by its name; the first of equal names counts."""
        return {name: j for j, name in reversed(list(enumerate(self.names)))}

    @cached_property
    def _stripped(self) -> dict[str, int]:
        """The same by names without blanks around them (headers such as "a, b, c"), if unique."""
        stripped = [name.strip() for name in self.names]
        times = Counter(stripped)
        return {name: j for j, name in enumerate(stripped) if times[name] == 1}
