"""CSV and TSV: bytes to a pyarrow table with one type per column over the whole file.

Knows: delimiters, headers, spellings of an empty cell. Must not know: models.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from xhat.errors import DataError

#: Tried on the header line; the most frequent wins, the first on a tie.
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Dialect:
    """How a text file is read; ``delimiter=None`` takes it from the first line."""

    delimiter: str | None = None
    missing: tuple[str, ...] = ()
    header: bool = True
    verbatim: tuple[str, ...] = ()


def parse(data: bytes, dialect: Dialect) -> Any:
    """Return the table.

    Raises
    ------
    DataError
        Naming the line that has too many or too few cells, or what else is wrong.
    """
    import pyarrow as pa  # noqa: PLC0415

    if not data.strip():
        raise DataError("the file is empty: a header line and rows are expected")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} is not UTF-8 text: save the file as UTF-8") from None
    quoted = b'"' in data
    try:
        table = _read(data, dialect, threads=True, refused=[])
    except pa.ArrowInvalid:
        refused: list[Any] = []
        try:
            # On one thread pyarrow knows the number of the row it refuses.
            table = _read(data, dialect, threads=False, refused=refused)
        except pa.ArrowInvalid as error:
            raise DataError(_reason(data, refused, str(error), quoted=quoted)) from None
    if not dialect.header:
        table = table.rename_columns([f"x{j}" for j in range(table.num_columns)])
    if table.num_rows == 0:
        raise DataError("the file has a header but no rows")
    return table


def _read(data: bytes, dialect: Dialect, *, threads: bool, refused: list[Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv  # noqa: PLC0415

    def refuse(row: Any) -> str:
        refused.append(row)
        return "error"

    defaults = pa.csv.ConvertOptions().null_values
    delimiter = dialect.delimiter or _delimiter(data)
    table = pa.csv.read_csv(
        io.BytesIO(data),
        pa.csv.ReadOptions(use_threads=threads, autogenerate_column_names=not dialect.header),
        pa.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=b'"' in data, invalid_row_handler=refuse
        ),
        pa.csv.ConvertOptions(
            null_values=[*defaults, *dialect.missing],
            column_types=dict.fromkeys(_verbatim(dialect), pa.string()),
            strings_can_be_null=False,
        ),
    )
    return _empty_texts(table, ("", *dialect.missing), dialect.verbatim)


def _empty_texts(table: Any, spellings: tuple[str, ...], verbatim: tuple[str, ...]) -> Any:
    """Take empty cells of text for missing, and what the user says; "NA" may be a country."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    for j, field in enumerate(table.schema):
        if not pa.types.is_string(field.type) or field.name in verbatim:
            continue
        empty = pc.is_in(table.column(j), value_set=pa.array(spellings, pa.string()))
        if pc.any(empty).as_py():
            column = pc.if_else(empty, pa.scalar(None, pa.string()), table.column(j))
            table = table.set_column(j, field, column)
    return table


def _verbatim(dialect: Dialect) -> list[str]:
    """Name columns as pyarrow does: without header they are f0, f1, ..., to users x0, x1, ..."""
    if dialect.header:
        return list(dialect.verbatim)
    return [f"f{name[1:]}" for name in dialect.verbatim if name[:1] == "x"]


def _delimiter(data: bytes) -> str:
    first = data.lstrip().split(b"\n", 1)[0].decode()
    return max(DELIMITERS, key=first.count)


def _reason(data: bytes, refused: list[Any], error: str, *, quoted: bool) -> str:
    if not refused:
        return error
    row = refused[-1]
    place = f"row {row.number} (the header is row 1)"
    if not quoted:  # rows are lines; pyarrow does not count blank ones
        filled = [i for i, line in enumerate(data.splitlines(), 1) if line]
        place = f"line {filled[row.number - 1]}"
    hint = "; is a quotation mark left open?" if quoted and "\n" in row.text else ""
    return f"{place} has {row.actual_columns} cells where {row.expected_columns} are expected{hint}"
