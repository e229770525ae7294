"""Files to tables: CSV, TSV, Parquet and Arrow through pyarrow, npy and npz through NumPy.

Knows: formats, and how to say in one line what is wrong with a file. Must not know: models.
pyarrow is imported only when a table file is read. A CSV column has one type over the whole
file, settled after all of it was read; nothing is dropped or filled in silence.
"""

from __future__ import annotations

import difflib
import io
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from xhat.data.containers import NUMERIC_SHARE
from xhat.data.delimited import Dialect, parse
from xhat.errors import DataError, MissingExtraError

TEXT = (".csv", ".tsv", ".txt")
ARROW = (".arrow", ".feather", ".ipc")
FORMATS = (*TEXT, ".parquet", ".pq", *ARROW, ".npy", ".npz")
_SPARSE_PARTS = {"indices", "indptr", "format", "shape", "data"}


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
        close = difflib.get_close_matches(name, self.names, 1)
        some = ", ".join(self.names[:8]) + ", ..." * (len(self.names) > 8)
        hint = f"did you mean {close[0]!r}?" if close else f"the columns are {some}"
        raise DataError(f"there is no column {name!r}; {hint}")

    def problems(self) -> list[str]:
        """Say, in one line for each column, why a column cannot be used; empty if all can."""
        if not self.named:
            return []  # the estimator names the cells of arrays
        found = (self._problem(j, name) for j, name in enumerate(self.names))
        return [line for line in found if line]

    def _problem(self, j: int, name: str) -> str | None:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        column, repair = self.data.column(j), f"drop the column (--drop {name})"
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._text_problem(name, column)
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_boolean(kind)):
            what = "is empty" if pa.types.is_null(kind) else f"is not numeric ({kind})"
            return f"column {name!r} {what}: {repair}"
        empty = pc.is_null(column, nan_is_null=pa.types.is_floating(kind))
        if count := pc.sum(empty).as_py():
            return (
                f"column {name!r} has {_cells(count, 'empty')}, the first {self._place(empty)}: "
                f"fill or remove these rows, or {repair}"
            )
        if pa.types.is_floating(kind) and (count := pc.sum(infinite := pc.is_inf(column)).as_py()):
            return (
                f"column {name!r} has {_cells(count, 'infinite')}, the first "
                f"{self._place(infinite)}: correct or remove these rows, or {repair}"
            )
        return None

    def _text_problem(self, name: str, column: Any) -> str:
        """Tell damaged numbers from text."""
        import pyarrow.compute as pc  # noqa: PLC0415

        filled = [v for v in pc.unique(column).to_pylist() if v]
        words = [value for value in filled if not _is_number(value)]
        if not words:
            return f"column {name!r} is text ({filled[:1]}): drop the column (--drop {name})"
        bad = pc.is_in(column, value_set=_strings(words, column.type))
        count = pc.sum(bad).as_py()
        if count <= max(1, (1 - NUMERIC_SHARE) * len(column)) and len(words) < len(filled):
            example = column[_first(bad)].as_py()
            return (
                f"column {name!r} holds numbers except in {_cells(count, '')}, the first "
                f"{example[:30]!r} {self._place(bad)}: correct it, add --missing if it stands for "
                f"an empty cell, or drop the column (--drop {name})"
            )
        return (
            f"column {name!r} is text (for example {words[0][:30]!r}): drop the column "
            f"(--drop {name}) or encode it as numbers first"
        )

    def _place(self, where: Any) -> str:
        row = _first(where)
        return f"in row {row}" + (f" (line {row + self.first_line})" if self.first_line else "")


def read_table(
    path: str,
    *,
    missing: Sequence[str] = (),
    header: bool = True,
    verbatim: Sequence[str] = (),
) -> Table:
    """Read a file by its extension; "-" is CSV on standard input.

    Parameters
    ----------
    path : str
        One of FORMATS, or "-".
    missing : sequence of str
        Further spellings of an empty cell (CSV and TSV).
    header : bool
        Whether the first line holds the names (CSV and TSV).
    verbatim : sequence of str
        Columns to keep as text exactly as written, for passing through.

    Raises
    ------
    DataError
        In one line, if the file is not what its name says.
    MissingExtraError
        If pyarrow is needed and not installed.
    """
    suffix = ".csv" if path == "-" else Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise DataError(f"unknown format {suffix or 'without extension'!r}; use {', '.join(FORMATS)}")
    if suffix == ".npy":
        return _array(_load_npy(path))
    if suffix == ".npz":
        return _array(_load_npz(path))
    need_pyarrow(suffix)
    if suffix in TEXT:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        dialect = Dialect("\t" if suffix == ".tsv" else None, tuple(missing), header, tuple(verbatim))
        table, first_line = parse(data, dialect)
    else:
        table, first_line = _read_arrow(path, suffix), None
    names = [str(name) for name in table.column_names]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(
            f"{len(twice)} column name(s) stand twice in the header, the first {twice[0]!r}: rename "
            "them, or give --no-header if the file has no header"
        )
    return Table(_numbers(table), names, first_line=first_line)


def need_pyarrow(suffix: str) -> None:
    """Refuse in one line where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401, PLC0415
    except ImportError:
        raise MissingExtraError(
            f"{suffix} files need pyarrow: pip install 'xhat[table]' (npy and npz work without)"
        ) from None


def _read_arrow(path: str, suffix: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    data = pa.BufferReader(Path(path).read_bytes())
    try:
        if suffix in ARROW:
            return pa.ipc.open_file(data).read_all()
        import pyarrow.parquet as pq  # noqa: PLC0415

        return pq.read_table(data, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        what = "an Arrow" if suffix in ARROW else "a Parquet"
        raise DataError(f"not {what} file, or a damaged one ({error})") from None


def _numbers(table: Any) -> Any:
    """Decode dictionaries and decimals, which are numbers and text in disguise."""
    import pyarrow as pa  # noqa: PLC0415

    for j, field in enumerate(table.schema):
        column = table.column(j)
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        if column.type != field.type:
            table = table.set_column(j, field.name, column)
    return table


def _load_npy(path: str) -> Any:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"not an array of numbers, or a damaged npy file ({error})") from None


def _load_npz(path: str) -> Any:
    try:
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as archive:
            names = set(archive.files)
            if not names >= _SPARSE_PARTS:
                return _single(archive)
        matrix = scipy.sparse.load_npz(path).tocsr()
        matrix.check_format(full_check=True)
        return matrix  # noqa: TRY300
    except DataError:
        raise
    except (ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"not a readable npz archive ({error})") from None


def _single(archive: Any) -> Any:
    if len(archive.files) != 1:
        raise DataError(
            f"the archive holds {len(archive.files)} arrays ({', '.join(archive.files[:5])}): "
            "one array, or one CSR matrix saved by scipy.sparse.save_npz, is expected"
        )
    return archive[archive.files[0]]


def _array(matrix: Any) -> Table:
    """Check what an array must be to be a table."""
    if not scipy.sparse.issparse(matrix) and (not isinstance(matrix, np.ndarray) or matrix.ndim != 2):
        raise DataError(f"an array of shape {np.shape(matrix)}: two dimensions, rows by columns, are expected")
    if matrix.dtype.kind not in "fiub":
        raise DataError(f"an array of {matrix.dtype}: numbers are expected")
    return Table(matrix, [f"x{j}" for j in range(matrix.shape[1])], named=False)


def _is_boolean(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return bool(pa.types.is_boolean(kind))


def _strings(words: list[str], kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.array(words, type=kind)


def _first(where: Any) -> int:
    import pyarrow.compute as pc  # noqa: PLC0415

    return int(pc.index(where, value=True).as_py())


def _cells(count: int, what: str) -> str:
    return f"{count:,} {what}{' ' * bool(what)}cell{'s' * (count != 1)}"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
