"""Files to tables: CSV, TSV, Parquet and Arrow through pyarrow, npy and npz through NumPy.

Knows: formats, and how to say in one line what is wrong with a file. Must not know: models.
pyarrow is imported only when a table file is read. A CSV column has one type over the whole
file, settled after all of it was read; nothing is dropped or filled in silence.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xhat.data.arrays import load_npy, load_npz
from xhat.data.delimited import Dialect, parse
from xhat.data.table import Table
from xhat.errors import DataError, MissingExtraError

TEXT = (".csv", ".tsv", ".txt")
ARROW = (".arrow", ".feather", ".ipc")
FORMATS = (*TEXT, ".parquet", ".pq", *ARROW, ".npy", ".npz")


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
        raise DataError(f"unknown extension {suffix!r}; use one of {', '.join(FORMATS)}")
    if suffix == ".npy":
        return _array(load_npy(path))
    if suffix == ".npz":
        return _array(load_npz(path))
    need_pyarrow(suffix)
    if suffix in TEXT:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        dialect = Dialect(
            "\t" if suffix == ".tsv" else None, tuple(missing), header, tuple(verbatim)
        )
        table = parse(data, dialect)
    else:
        table = _read_arrow(path, suffix)
    return _named(table)


def row_groups(path: str) -> list[int]:
    """Return the number of rows of each row group of a Parquet file."""
    need_pyarrow(Path(path).suffix)
    with _parquet(path) as file:
        metadata = file.metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def read_row_group(path: str, number: int) -> Table:
    """Read one row group of a Parquet file."""
    with _parquet(path) as file:
        return _named(file.read_row_group(number))


@contextlib.contextmanager
def _parquet(path: str) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    with Path(path).open("rb") as source:
        try:
            with pq.ParquetFile(source, page_checksum_verification=True) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:160]
            raise DataError(f"not a Parquet file, or a damaged one ({reason})") from None


def _named(table: Any) -> Table:
    """Check the column names of a pyarrow table."""
    names = check_unique([str(name) for name in table.column_names])
    return Table(plain_columns(table), names)


def check_unique(names: list[str]) -> list[str]:
    """Return the names of the columns, or refuse one that stands there twice."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"the column name {twice!r} stands {names.count(twice)} times in the header: rename "
            "these columns, or give --no-header if the file has no header"
        )
    return names


def need_pyarrow(suffix: str) -> None:
    """Refuse in one line where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(
            f"{suffix} files need pyarrow: pip install 'xhat[table]' (npy and npz work without)"
        )


def _read_arrow(path: str, suffix: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    data = pa.BufferReader(Path(path).read_bytes())
    try:
        if suffix in ARROW:
            is_file = data.read(6) == b"ARROW1"  # the format's magic; a stream has none
            data.seek(0)
            return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(data).read_all()
        import pyarrow.parquet as pq  # noqa: PLC0415

        # Not read_table: its dataset has columns of its own and trips over names that stand twice
        return pq.ParquetFile(data, page_checksum_verification=True).read()
    except (pa.ArrowException, OSError) as error:
        what = "an Arrow" if suffix in ARROW else "a Parquet"
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"not {what} file, or a damaged one ({reason})") from None


def plain_columns(table: Any) -> Any:
    """Decode dictionaries and decimals, which are numbers and text in disguise."""
    import pyarrow as pa  # noqa: PLC0415

    for j, field in enumerate(table.schema):
        column = table.column(j)
        if isinstance(field.type, pa.BaseExtensionType):
            column = _unwrapped(column)
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        if column.type != field.type:
            table = table.set_column(j, field.name, column)
    return table


def _unwrapped(column: Any) -> Any:
    """Return what an extension type is stored as; PostgreSQL's numeric is text for numbers."""
    import pyarrow as pa  # noqa: PLC0415

    kind, storage = str(getattr(column.type, "type_name", "")), column.type.storage_type
    plain = column.cast(storage)
    return plain.cast(pa.float64()) if kind == "numeric" else plain


def _array(matrix: Any) -> Table:
    """Check what an array must be to be a table."""
    if matrix.ndim != 2:
        raise DataError(f"an array of shape {matrix.shape}: rows by columns are expected")
    if matrix.dtype.kind not in "fiub":
        raise DataError(f"an array of {matrix.dtype}: numbers are expected")
    if 0 in matrix.shape:
        raise DataError(f"an array of shape {matrix.shape}: it holds no rows")
    return Table(matrix, [f"x{j}" for j in range(matrix.shape[1])], named=False)
