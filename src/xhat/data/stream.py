"""Tables that are read piece by piece, as often as needed: files of any size, folders, queries.

Knows: pyarrow readers, chunks of rows. Must not know: models, what becomes of the rows. Every chunk
is a Table; a CSV's types are settled in a first pass over all of it, all other formats say theirs.
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from xhat.data import arrow, blocks
from xhat.data.containers import check_table, is_frame, plain_array
from xhat.data.delimited import Dialect
from xhat.data.readers import (
    ARROW,
    FORMATS,
    TEXT,
    check_unique,
    need_pyarrow,
    read_table,
    unknown,
)
from xhat.data.table import Table
from xhat.errors import DataError

#: Rows of a chunk of the binary formats, at most, and bytes of it in memory, about.
CHUNK_ROWS, CHUNK_BYTES = 65_536, 16 * 2**20

Chunks = Callable[[], Iterator[Table]]
#: A walk over the rows of a binary file in some columns (None: all), after an empty table of all.
Walk = Callable[[str, "list[str] | None"], Iterator[Any]]


@dataclass
class Stream:
    """A table in chunks.

    Attributes
    ----------
    names : list of str
        Column names.
    named : bool
        Whether the names come with the data.
    chunks : callable
        A fresh walk over the rows, as tables of at least one row.
    place : callable
        Where the user finds a row ("line 12"), or None.
    reader : callable or None
        What reads these columns alone, where the format can.
    once : bool
        Whether the rows can be walked over only once (a query, a reader).
    scratch : str or None
        Folder for rows on disk; None: the system's folder for temporary files.
    """

    names: list[str]
    named: bool
    chunks: Chunks
    place: Callable[[int], str | None] = field(default=lambda _: None)
    reader: Callable[[list[str]], Chunks] | None = None
    once: bool = False
    scratch: str | None = None
    n_rows: int = 0  # known after a whole walk by ``gathered``

    def select(self, names: Sequence[str]) -> Stream:
        """Return some columns, in the order given."""
        empty = Table(None, self.names, self.named)
        names = [self.names[empty.position(name)] for name in names]
        if names == self.names:
            return self
        if self.reader is not None:
            return replace(self, names=names, chunks=self.reader(names))
        chunks = self.chunks
        return replace(self, names=names, chunks=lambda: (t.select(names) for t in chunks()))

    def drop(self, names: Sequence[str]) -> Stream:
        """Return the other columns."""
        empty = Table(None, self.names, self.named)
        gone = {self.names[empty.position(name)] for name in names}
        return self.select([name for name in self.names if name not in gone])

    def whole(self) -> Table:
        """Return all rows as one table in memory."""
        return joined(list(self.chunks()), self.names, named=self.named)


def joined(tables: list[Table], names: list[str], *, named: bool) -> Table:
    """Return the rows of several chunks as one table."""
    if not tables:
        raise DataError("there are no rows")
    if len(tables) == 1:
        return tables[0]
    if named:
        import pyarrow as pa  # noqa: PLC0415

        return Table(pa.concat_tables([table.data for table in tables]), names)
    return Table(np.concatenate([table.data for table in tables]), names, named=False)


def is_stream(X: object) -> bool:
    """Return whether X is read in chunks: a Stream, or an Arrow stream that is no data frame."""
    if isinstance(X, Stream):
        return True
    if is_frame(X):
        return False
    check_table(X)
    return hasattr(X, "__arrow_c_stream__")


def as_stream(X: Any) -> Stream:
    """Return X as a Stream."""
    return X if isinstance(X, Stream) else of_arrow(X)


def whole(X: Any) -> Any:
    """Return a stream's rows as one table in memory, anything else as it is (masks as NaN)."""
    if is_stream(X):
        return as_stream(X).whole().data
    return plain_array(X) if isinstance(X, np.ma.MaskedArray) else X


def of_table(table: Table) -> Stream:
    """Return the stream of a table in memory."""
    return Stream(table.names, table.named, lambda: iter([table]))


def of_arrow(X: Any) -> Stream:
    """Return the stream of an object with ``__arrow_c_stream__``: it can be walked over once."""
    import pyarrow as pa  # noqa: PLC0415

    with arrow.reading("an Arrow stream"):
        reader = pa.RecordBatchReader.from_stream(X)
        names = check_unique(arrow.empty(reader.schema).column_names)

    def chunks() -> Iterator[Table]:
        for batch in reader:
            with arrow.reading("an Arrow stream"):
                arrow.valid(batch)
            yield from _cut(pa.Table.from_batches([batch]), names)

    return Stream(names, named=True, chunks=chunks, once=True)


def open_stream(
    path: str,
    *,
    missing: Sequence[str] = (),
    header: bool = True,
    verbatim: Sequence[str] = (),
    scratch: str | None = None,
    decimal: str = ".",
) -> Stream:
    """Open a file, a folder of files or a pattern such as ``data/*.parquet``; "-" is CSV on stdin.

    Files of a folder are one table, in the order of their names: the same columns, in any order.

    Raises
    ------
    DataError
        In one line, if a file is not what its name says.
    """
    paths = [path] if path == "-" else find_files(path)
    suffix = ".csv" if path == "-" else Path(paths[0]).suffix.lower()
    if suffix not in FORMATS:
        raise unknown(suffix)
    if suffix in TEXT:
        need_pyarrow(suffix)
        dialect = Dialect(
            "\t" if suffix == ".tsv" else None, tuple(missing), header, tuple(verbatim), decimal
        )
        stream = _text(paths, dialect, scratch)
    elif suffix in (".parquet", ".pq"):
        need_pyarrow(suffix)
        stream = _binary(paths, _parquet)
    elif suffix in ARROW:
        need_pyarrow(suffix)
        stream = _binary(paths, arrow.walk_ipc)
    else:
        stream = _arrays(paths)
    return replace(stream, scratch=scratch)


def find_files(path: str) -> list[str]:
    """Return the files that a path, a folder or a pattern stands for, in the order of their names.

    Hidden files, files of another kind, pipes and devices are not looked at in folders.
    """
    if Path(path).is_dir():
        inside = [p for p in Path(path).iterdir() if p.suffix.lower() in FORMATS]
        found = sorted(str(p) for p in inside if p.is_file() or not p.exists())  # or a broken link
        found = [name for name in found if not Path(name).name.startswith((".", "_"))]
    elif not Path(path).exists() and any(sign in path for sign in "*?["):
        found = sorted(name for name in glob.glob(path, recursive=True) if Path(name).is_file())  # noqa: PTH207
    else:
        return [path]
    if not found:
        raise DataError(f"no file to read; formats are {', '.join(FORMATS)}")
    kinds = {Path(name).suffix.lower() for name in found}
    if len(kinds) > 1:
        raise DataError(f"files of different formats ({', '.join(sorted(kinds))}): give a pattern")
    return found


def _text(paths: list[str], dialect: Dialect, scratch: str | None) -> Stream:
    files = blocks.survey(paths, dialect, scratch)

    def chunks() -> Iterator[Table]:
        for table in files.tables():
            yield Table(arrow.plain_columns(table), files.names)

    return Stream(check_unique(files.names), named=True, chunks=chunks, place=files.place)


def _binary(paths: list[str], walk: Walk) -> Stream:
    """Return a stream of binary files; the first file's columns are everybody's."""
    with blocks.naming(paths[0], paths):
        first = next(walk(paths[0], None))
        names = check_unique(first.column_names)
        types = dict(zip(names, arrow.plain_columns(first).schema.types, strict=True))

    def reader(wanted: list[str]) -> Chunks:
        def chunks() -> Iterator[Table]:
            for path in paths:
                with blocks.naming(path, paths):
                    tables = walk(path, None if wanted == names else wanted)
                    if (found := next(tables).column_names) != names:
                        if not blocks.same_names(found, names):
                            raise DataError(f"its columns are not those of {paths[0]}")
                        tables = walk(path, wanted)  # by name
                        next(tables)
                    for chunk in itertools.chain.from_iterable(_cut(t, wanted) for t in tables):
                        yield replace(chunk, data=_cast(chunk.data, types))

        return chunks

    return Stream(names, named=True, chunks=reader(names), reader=reader)


def _cast(table: Any, types: dict[str, Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    wanted = [types[name] for name in table.column_names]
    if table.schema.types == wanted:
        return table
    try:
        return table.cast(pa.schema(zip(table.column_names, wanted, strict=True)))
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"its columns have other types ({error})") from None


def _cut(table: Any, names: list[str]) -> Iterator[Table]:
    rows = _chunk_rows(table.num_columns)
    for start in range(0, table.num_rows, rows):
        yield Table(arrow.plain_columns(table.slice(start, rows)), names)


def _parquet(path: str, wanted: list[str] | None) -> Iterator[Any]:
    with arrow.parquet_file(path) as file:
        columns = max(1, file.metadata.num_columns)
    yield from arrow.walk_parquet(path, wanted, _chunk_rows(columns))


def _chunk_rows(width: int) -> int:
    """Return the rows of a chunk of ``width`` columns."""
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // (8 * max(1, width))))


def _arrays(paths: list[str]) -> Stream:
    if Path(paths[0]).suffix.lower() == ".npz":
        if len(paths) > 1:
            raise DataError("npz archives are read one at a time")
        table = read_table(paths[0])
        return Stream(table.names, named=False, chunks=lambda: iter([table]))
    shapes = [read_table(path).data for path in paths]
    width = shapes[0].shape[1]
    for path, array in zip(paths, shapes, strict=True):
        if array.shape[1] != width:
            raise DataError(f"{path} has {array.shape[1]} columns, {paths[0]} has {width}")
    names = [f"x{j}" for j in range(width)]

    def chunks() -> Iterator[Table]:
        for path in paths:
            for rows in _npy_rows(path):
                yield Table(rows, names, named=False)

    return Stream(names, named=False, chunks=chunks)


def _npy_rows(path: str) -> Iterator[Any]:
    """Read an array in pieces, not through a map: mapped pages would count as our memory."""
    mapped = read_table(path).data
    n, width = mapped.shape
    step = _chunk_rows(width)
    if not mapped.flags.c_contiguous:
        for start in range(0, n, step):
            yield np.array(mapped[start : start + step])
        return
    offset, dtype = mapped.offset, mapped.dtype
    del mapped
    with Path(path).open("rb", buffering=0) as file:
        os.lseek(file.fileno(), offset, os.SEEK_SET)
        for start in range(0, n, step):
            rows = min(step, n - start)
            yield np.fromfile(file, dtype, rows * width).reshape(rows, width)
