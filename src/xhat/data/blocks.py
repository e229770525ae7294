"""CSV and TSV of any size: cut into blocks between rows, one type per column over all of them.

Knows: bytes, pyarrow's types. Must not know: models. A first pass settles the types as pyarrow
would from the whole file; the second reads every block with these types. Standard input is copied
to disk on the way, as soon as it is more than one block.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from xhat.data.delimited import EMPTY, NO_ROWS, Before, Dialect, delimiter_of, parse_block
from xhat.data.scratch import Folder
from xhat.errors import DataError
from xhat.files import spill

#: Bytes read at a time.
BLOCK = 8 * 2**20
#: A row longer than this is an open quotation mark.
LONGEST_ROW = 8 * BLOCK


@dataclass
class TextFiles:
    """Text files that are one table."""

    paths: list[str]
    dialect: Dialect
    raw_names: list[str] = field(default_factory=list)  # what pyarrow calls the columns
    types: dict[str, Any] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)  # of each file
    headers: list[list[str]] = field(default_factory=list)  # of each file: names in its own order
    only: Any = None  # the table, if it is a single block
    folder: Folder | None = None  # of the copy of standard input

    @property
    def names(self) -> list[str]:
        """Column names as users know them."""
        if self.dialect.header:
            return self.raw_names
        return [f"x{j}" for j in range(len(self.raw_names))]

    def tables(self) -> Iterator[Any]:
        """Walk over the rows, a block at a time, every column in its type."""
        if self.only is not None:
            yield self.only.rename_columns(self.names)
            return
        for path, header in zip(self.paths, self.headers, strict=True):
            with naming(path, self.paths), Path(path).open("rb") as file:
                for data, before in _blocks(file):
                    names = None if self.dialect.header and not before.lines else header
                    table = parse_block(data, self.dialect, names, self.types, before)
                    if table.num_rows:
                        yield self.ordered(table).rename_columns(self.names)

    def ordered(self, table: Any) -> Any:
        """Return a block in the columns of the first file, by name."""
        if table.column_names == self.raw_names:
            return table
        if not same_names(table.column_names, self.raw_names):
            raise DataError(f"its columns are not those of {self.paths[0]}")
        return table.select(self.raw_names)

    def place(self, row: int) -> str | None:
        """Return where the user finds a row."""
        number = bisect.bisect(list(itertools.accumulate(self.rows)), row)
        path, row = self.paths[number], row - sum(self.rows[:number])
        line = None if path == "-" else _line_of(path, row + self.dialect.header)
        if line is None:
            return None
        return f"line {line}" + f" of {Path(path).name}" * (len(self.paths) > 1)


def survey(paths: list[str], dialect: Dialect, scratch: str | None) -> TextFiles:
    """Read all files once: names, rows, and a type for each column that all its cells have.

    Raises
    ------
    DataError
        Naming the line that has too many or too few cells, or what else is wrong.
    """
    files = TextFiles(list(paths), dialect)
    columns: list[Column] = []
    blocks, kept = 0, b""
    for path in paths:
        files.rows.append(0)
        files.headers.append([])
        with naming(path, paths), _opened(path) as file:
            for data, before in _blocks(file):
                table = _first_look(files, data, before)
                columns = columns or [Column() for _ in table.columns]
                for column, cells in zip(columns, table.columns, strict=True):
                    column.add(cells)
                files.rows[-1] += table.num_rows
                blocks += 1
                files.only = table if blocks == 1 else None
                if path == "-":
                    kept = data if blocks == 1 else _copy(files, kept + data, scratch)
    if not blocks:
        raise DataError(EMPTY)
    if not sum(files.rows):
        raise DataError(NO_ROWS)
    if len(set(files.raw_names)) == len(files.raw_names):  # else refused by name, later
        settled = [column.type for column in columns]
        files.types = dict(zip(files.raw_names, settled, strict=True))
    return files


def _first_look(files: TextFiles, data: bytes, before: Before) -> Any:
    """Return a block with the types it has by itself; the first one names the columns."""
    dialect = files.dialect
    if dialect.delimiter is None:
        files.dialect = dialect = replace(dialect, delimiter=delimiter_of(data))
    has_names = not before.lines and dialect.header
    names = None if has_names else files.headers[-1] or files.raw_names or None
    table = parse_block(data, dialect, names, None, before)
    files.headers[-1] = list(table.column_names)
    files.raw_names = files.raw_names or files.headers[-1]
    return files.ordered(table)


def _copy(files: TextFiles, data: bytes, scratch: str | None) -> bytes:
    """Add blocks of standard input to its copy on disk."""
    if files.folder is None:
        files.folder = Folder(scratch)
        files.paths = [str(files.folder.path / "input.csv")]
    with Path(files.paths[0]).open("ab", buffering=0) as file:
        spill(file, data, files.folder.path)
    return b""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        yield file


def same_names(some: list[str], others: list[str]) -> bool:
    """Return whether the names are the same, each once, in any order."""
    return len(set(others)) == len(others) and sorted(some) == sorted(others)


@contextlib.contextmanager
def naming(path: str, paths: list[str]) -> Iterator[None]:
    """Name the file of a folder in which something is wrong."""
    try:
        yield
    except DataError as error:
        if len(paths) == 1:
            raise
        raise DataError(f"{Path(path).name}: {error}") from None


def _blocks(file: IO[bytes]) -> Iterator[tuple[bytes, Before]]:
    """Cut a file between rows; yields the bytes and what stands before them."""
    rest, lines, inside = b"", 0, False
    while piece := file.read(BLOCK):
        cut = _last_row_end(piece, inside=inside)
        inside ^= piece.count(b'"') % 2 == 1
        data, rest = (rest + piece[:cut], piece[cut:]) if cut else (b"", rest + piece)
        if not cut and len(rest) > LONGEST_ROW:
            raise DataError(
                f"line {lines + 1} begins a row of more than {LONGEST_ROW >> 20} MB: is a "
                "quotation mark left open?"
            )
        if data.strip():
            yield data, Before(lines, lines)
        lines += data.count(b"\n")
    if rest.strip():
        yield rest, Before(lines, lines)


def _last_row_end(data: bytes, *, inside: bool) -> int:
    """Return the position behind the last line break outside quotation marks, 0 if none.

    ``inside``: the data begin between quotation marks.
    """
    end = data.rfind(b"\n")
    if (data.count(b'"', 0, max(end, 0)) + inside) % 2 == 0:
        return end + 1
    cells = np.frombuffer(data, np.uint8)
    quoted = np.bitwise_xor.accumulate(cells == ord('"')) ^ inside
    ends = np.flatnonzero((cells == ord("\n")) & ~quoted)
    return int(ends[-1]) + 1 if len(ends) else 0


def _line_of(path: str, row: int) -> int | None:
    """Return the line in which a row begins, if the file still has it; a header is row 0."""
    with Path(path).open("rb") as file:
        return next(itertools.islice(_first_lines(file), row, None), None)


def _first_lines(file: IO[bytes]) -> Iterator[int]:
    """Yield the lines in which rows begin: blank lines are none, quoted line breaks are part."""
    inside = False
    for number, line in enumerate(file, 1):
        if not inside and line.strip(b"\r\n"):
            yield number
        inside ^= line.count(b'"') % 2 == 1


class Column:
    """The narrowest type that all cells of a column have, in the order that pyarrow tries them."""

    def __init__(self) -> None:
        self.type: Any = None
        self.zero_one = True  # all whole numbers seen are 0 or 1: they may be meant as booleans

    def add(self, cells: Any) -> None:
        """Take the type of one more block into account."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        if pa.types.is_integer(cells.type) and self.zero_one:
            span = pc.min_max(cells).as_py()
            self.zero_one = 0 <= span["min"] <= span["max"] <= 1
        self.type = cells.type if self.type is None else self._merged(self.type, cells.type)

    def _merged(self, a: Any, b: Any) -> Any:
        import pyarrow as pa  # noqa: PLC0415

        kinds = pa.types
        if a == b or kinds.is_null(b):
            return a
        if kinds.is_null(a):
            return b
        pair = (a, b)
        if all(kinds.is_integer(t) or kinds.is_floating(t) for t in pair):
            return pa.float64()
        if all(kinds.is_integer(t) or kinds.is_boolean(t) for t in pair) and self.zero_one:
            return pa.bool_()
        stamps = [t for t in pair if kinds.is_timestamp(t)]
        if stamps and all(kinds.is_date(t) or kinds.is_timestamp(t) for t in pair):
            zones = {t.tz for t in stamps}
            if len(zones) == 1 and not (len(stamps) == 1 and zones != {None}):
                return next((t for t in stamps if t.unit == "ns"), stamps[0])
        return pa.string()
