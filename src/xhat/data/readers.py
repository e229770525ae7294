"""Files to tables: CSV, TSV, Parquet and Arrow through pyarrow, npy and npz through NumPy.

Knows: formats, and how to say in one line what is wrong with a file. Must not know: models.
pyarrow is imported only when a table file is read. A CSV column has one type over the whole
file, settled after all of it was read; nothing is dropped or filled in silence.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xhat.data.arrays import load_npy, load_npz
from xhat.data.arrow import parquet_file, plain_columns, read_ipc, reading, valid
from xhat.data.delimited import UNPACK, Dialect, parse
from xhat.data.table import Table
from xhat.errors import DataError, MissingExtraError

TEXT = (".csv", ".tsv", ".txt")
ARROW = (".arrow", ".feather", ".ipc")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
FORMATS = (*TEXT, ".parquet", ".pq", *ARROW, ".npy", ".npz")


def read_table(
    path: str,
    *,
    missing: Sequence[str] = (),
    header: bool = True,
    verbatim: Sequence[str] = (),
    decimal: str = ".",
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
    decimal : str
        The sign before decimals (CSV and TSV).

    Raises
    ------
    DataError
        In one line, if the file is not what its name says.
    MissingExtraError
        If pyarrow is needed and not installed.
    """
    suffix = ".csv" if path == "-" else Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise unknown(suffix)
    if suffix == ".npy":
        return _array(load_npy(path))
    if suffix == ".npz":
        return _array(load_npz(path))
    need_pyarrow(suffix)
    if suffix in TEXT:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        dialect = Dialect(
            "\t" if suffix == ".tsv" else None, tuple(missing), header, tuple(verbatim), decimal
        )
        table = parse(data, dialect)
    else:
        table = read_ipc(path) if suffix in ARROW else _read_parquet(path)
    return _named(table)


def unknown(suffix: str) -> DataError:
    """Return the error for an extension that is none of FORMATS."""
    more = f"; a compressed CSV: {UNPACK}" * (suffix in COMPRESSED)
    return DataError(f"unknown extension {suffix!r}; use one of {', '.join(FORMATS)}{more}")


def row_groups(path: str) -> list[int]:
    """Return the number of rows of each row group of a Parquet file."""
    need_pyarrow(Path(path).suffix)
    with parquet_file(path) as file:
        metadata = file.metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def read_row_group(path: str, number: int) -> Table:
    """Read one row group of a Parquet file."""
    with parquet_file(path) as file:
        return _named(valid(file.read_row_group(number)))


def _read_parquet(path: str) -> Any:
    """Return all of a Parquet file."""
    with parquet_file(path) as file:
        # Not read_table: its dataset has columns of its own and trips over names that stand twice
        return valid(file.read())


def _named(table: Any) -> Table:
    """Return a pyarrow table whose names are all different, as a table."""
    with reading("a table with names"):
        names = check_unique([str(name) for name in table.column_names])
    return Table(plain_columns(table), names)


def check_unique(names: list[str]) -> list[str]:
    """Return the names of the columns, or refuse one that stands there twice."""
    if len(set(names)) < len(names):
        twice, times = Counter(names).most_common(1)[0]
        raise DataError(
            f"the column name {twice!r} stands {times} times in the header: rename "
            "these columns, or give --no-header if the file has no header"
        )
    return names


def need_pyarrow(suffix: str) -> None:
    """Refuse in one line where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(
            f"{suffix} files need pyarrow: pip install 'xhat[table]' (npy and npz work without)"
        )


def _array(matrix: Any) -> Table:
    """Check what an array must be to be a table."""
    if matrix.ndim != 2:
        raise DataError(f"an array of shape {matrix.shape}: rows by columns are expected")
    if matrix.dtype.kind not in "fiub":
        raise DataError(f"an array of {matrix.dtype}: numbers are expected")
    if 0 in matrix.shape:
        raise DataError(f"an array of shape {matrix.shape}: it holds no rows")
    return Table(matrix, [f"x{j}" for j in range(matrix.shape[1])], named=False)
