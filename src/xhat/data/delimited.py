"""CSV and TSV: bytes to a pyarrow table with one type per column over the whole file.

Knows: delimiters, headers, spellings of an empty cell. Must not know: models.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, NamedTuple

from xhat.errors import DataError

#: Tried on the header line; the most frequent wins, the first on a tie.
DELIMITERS = (",", ";", "\t")
EMPTY = "the file is empty: a header line and rows are expected"
NO_ROWS = "the file has a header but no rows"


@dataclass(frozen=True)
class Dialect:
    """How a text file is read; ``delimiter=None`` takes it from the first line."""

    delimiter: str | None = None
    missing: tuple[str, ...] = ()
    header: bool = True
    verbatim: tuple[str, ...] = ()


class Before(NamedTuple):
    """Lines and rows of the file in front of a block, the header among them."""

    lines: int = 0
    rows: int = 0


START = Before()


def parse(data: bytes, dialect: Dialect) -> Any:
    """Return the table.

    Raises
    ------
    DataError
        Naming the line that has too many or too few cells, or what else is wrong.
    """
    if not data.strip():
        raise DataError(EMPTY)
    table = parse_block(data, dialect)
    if not dialect.header:
        table = table.rename_columns([f"x{j}" for j in range(table.num_columns)])
    if table.num_rows == 0:
        raise DataError(NO_ROWS)
    return table


def parse_block(
    data: bytes,
    dialect: Dialect,
    names: list[str] | None = None,
    types: dict[str, Any] | None = None,
    before: Before = START,
) -> Any:
    """Return a block as a table, or say in one line where it is wrong."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = before.lines + data.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} is not UTF-8 text: save the file as UTF-8") from None
    try:
        return _read(data, dialect, threads=True, refused=[], names=names, types=types)
    except pa.ArrowInvalid:
        refused: list[Any] = []
        try:
            # On one thread pyarrow knows the number of the row it refuses.
            return _read(data, dialect, threads=False, refused=refused, names=names, types=types)
        except pa.ArrowInvalid as error:
            raise DataError(_reason(data, refused, str(error), before)) from None


def _read(
    data: bytes,
    dialect: Dialect,
    *,
    threads: bool,
    refused: list[Any],
    names: list[str] | None = None,
    types: dict[str, Any] | None = None,
) -> Any:
    """Return a block of text as a table; ``names`` where its first line is a row."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv  # noqa: PLC0415

    def refuse(row: Any) -> str:
        refused.append(row)
        return "error"

    # A blank behind each comma is common; numbers are read with it, so empty cells are, too.
    spellings = [*pa.csv.ConvertOptions().null_values, *dialect.missing]
    spellings += [f" {text}" for text in spellings]
    delimiter = dialect.delimiter or delimiter_of(data)
    table = pa.csv.read_csv(
        io.BytesIO(data),
        pa.csv.ReadOptions(
            use_threads=threads,
            column_names=names,
            autogenerate_column_names=names is None and not dialect.header,
        ),
        pa.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=b'"' in data, invalid_row_handler=refuse
        ),
        pa.csv.ConvertOptions(
            null_values=spellings,
            column_types={**dict.fromkeys(_verbatim(dialect), pa.string()), **(types or {})},
            strings_can_be_null=False,
        ),
    )
    return _empty_texts(table, ("", *dialect.missing), tuple(_verbatim(dialect)))


def _empty_texts(table: Any, spellings: tuple[str, ...], verbatim: tuple[str, ...]) -> Any:
    """Take empty cells of text for missing, and what the user says; "NA" may be a country.

    Blanks around the cell do not count.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    for j, field in enumerate(table.schema):
        if not pa.types.is_string(field.type) or field.name in verbatim:
            continue
        cells, wanted = pc.utf8_trim_whitespace(table.column(j)), {s.strip() for s in spellings}
        empty = pc.is_in(cells, value_set=pa.array(sorted(wanted), pa.string()))
        if pc.any(empty).as_py():
            column = pc.if_else(empty, pa.scalar(None, pa.string()), table.column(j))
            table = table.set_column(j, field, column)
    return table


def _verbatim(dialect: Dialect) -> list[str]:
    """Name columns as pyarrow does: without header they are f0, f1, ..., to users x0, x1, ..."""
    if dialect.header:
        return list(dialect.verbatim)
    return [f"f{name[1:]}" for name in dialect.verbatim if name[:1] == "x"]


def delimiter_of(data: bytes) -> str:
    """Return the delimiter of the header line."""
    try:
        first = data.lstrip().split(b"\n", 1)[0].decode()
    except UnicodeDecodeError:
        raise DataError("line 1 is not UTF-8 text: save the file as UTF-8") from None
    return max(DELIMITERS, key=first.count)


def _reason(data: bytes, refused: list[Any], error: str, before: Before) -> str:
    if not refused:
        return error
    row, quoted = refused[-1], b'"' in data
    place = f"row {before.rows + row.number} (the header is row 1)"
    if not quoted:  # rows are lines; pyarrow does not count blank ones
        filled = [i for i, line in enumerate(data.splitlines(), 1) if line]
        place = f"line {before.lines + filled[row.number - 1]}"
    hint = "; is a quotation mark left open?" if quoted and "\n" in row.text else ""
    return f"{place} has {row.actual_columns} cells where {row.expected_columns} are expected{hint}"
