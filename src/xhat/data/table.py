"""A table as read from a file, and what is wrong with its columns, in one line for each.

Knows: pyarrow tables, arrays, CSR matrices. Must not know: file formats, models.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from xhat.data.containers import NUMERIC_SHARE
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
    first_line : int or None
        Line of row 0, where every row of the file is one line.
    """

    data: Any
    names: list[str]
    named: bool = True
    first_line: int | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.data.num_rows if self.named else self.data.shape[0])

    def select(self, names: Sequence[str]) -> Table:
        """Return some columns, in the order given."""
        if list(names) == self.names:
            return self
        index = [self._position(name) for name in names]
        data = self.data.select(index) if self.named else self.data[:, index]
        return replace(self, data=data, names=list(names))

    def drop(self, names: Sequence[str]) -> Table:
        """Return the other columns."""
        gone = {self.names[self._position(name)] for name in names}
        return self.select([name for name in self.names if name not in gone])

    def values(self, name: str) -> list[Any]:
        """Return the cells of one column as Python values."""
        j = self._position(name)
        if self.named:
            return list(self.data.column(j).to_pylist())
        column = self.data[:, [j]]
        return list(np.ravel(column.toarray() if scipy.sparse.issparse(column) else column))

    def _position(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        stripped = [known.strip() for known in self.names]  # headers such as "a, b, c"
        if stripped.count(name) == 1:
            return stripped.index(name)
        close = difflib.get_close_matches(name, self.names, 1)
        some = ", ".join(self.names[:8]) + ", ..." * (len(self.names) > 8)
        hint = f"did you mean {close[0]!r}?" if close else f"the columns are {some}"
        raise DataError(f"there is no column {name!r}; {hint}")

    def problems(self, *, needed: bool) -> list[str]:
        """Say, in one line for each column, why a column cannot be used; empty if all can.

        Parameters
        ----------
        needed : bool
            Whether a fitted model needs the columns; if not, dropping one is a way out.
        """
        if not self.named:
            return []  # the estimator names the cells of arrays
        found = []
        for j, name in enumerate(self.names):
            if problem := self._problem(j):
                drop = "" if needed else f", or drop the column (--drop {_quoted(name)})"
                found.append(f"column {name!r} {problem}{drop}")
        return found

    def _problem(self, j: int) -> str | None:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        column = self.data.column(j)
        kind, floating = column.type, pa.types.is_floating(column.type)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._text_problem(column)
        if pa.types.is_null(kind):
            return "is empty: fill it"
        if not (floating or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            return f"is not numeric ({kind}): encode it as numbers"
        empty = pc.is_null(column, nan_is_null=floating)
        if count := pc.sum(empty).as_py():
            place = self._place(empty)
            return f"has {_cells(count, 'empty')}, the first {place}: fill or remove these rows"
        if floating and (count := pc.sum(infinite := pc.is_inf(column)).as_py()):
            place = self._place(infinite)
            return f"has {_cells(count, 'infinite')}, the first {place}: correct these rows"
        return None

    def _text_problem(self, column: Any) -> str:
        """Tell damaged numbers from text."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        filled = [value for value in pc.unique(column).to_pylist() if value]
        words = [value for value in filled if not _is_number(value)] or filled[:1]
        bad = pc.is_in(column, value_set=pa.array(words, type=column.type))
        count = pc.sum(bad).as_py() or 0
        if count <= max(1, (1 - NUMERIC_SHARE) * len(column)) and len(words) < len(filled):
            value = column[_first(bad)].as_py()[:30]
            return (
                f"holds numbers except in {_cells(count, '')}, the first {value!r} "
                f"{self._place(bad)}: correct it (--missing {value} if it stands for an empty cell)"
            )
        example = f" (for example {words[0][:30]!r})" if words else ""
        return f"is text{example}: encode it as numbers"

    def _place(self, where: Any) -> str:
        row = _first(where)
        return f"in row {row}" + (f" (line {row + self.first_line})" if self.first_line else "")


def _first(where: Any) -> int:
    import pyarrow.compute as pc  # noqa: PLC0415

    return int(pc.index(where, value=True).as_py())


def _cells(count: int, what: str) -> str:
    return f"{count:,} {what}{' ' * bool(what)}cell{'s' * (count != 1)}"


def _quoted(name: str) -> str:
    """Return a column name as it must be typed in a shell, as one of a list."""
    return shlex.quote(f'"{name}"' if "," in name else name.strip())


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
