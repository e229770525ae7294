"""CSV and TSV: bytes to a pyarrow table with one type per column over the whole file.

Knows: delimiters, headers, spellings of an empty cell. Must not know: models.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from xhat.data.values import CODE
from xhat.errors import DataError

#: Tried on the header line; the most frequent wins, the first on a tie.
DELIMITERS = (",", ";", "\t")
#: Taken where none of them is there: it stands in names, too.
RARE = "|"
#: First bytes of files that are no UTF-8: gzip's, and UTF-16's mark of the order of bytes.
GZIP, UTF16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")
UNPACK = "unpack it, as gunzip -c FILE | xhat fit - does"
EMPTY = "the file is empty: a header line and rows are expected"
NO_ROWS = "the file has a header but no rows"
#: Digits behind a zero, up to the end of the cell; what stands before a cell but a delimiter.
_CODE, _BEFORE = rb"0[0-9]+[^0-9.eE+\-/:]", (b"\n", b'"', b" ")
_IS_CODE = f"^{CODE}$"


@dataclass(frozen=True)
class Dialect:
    """How a text file is read; ``delimiter=None`` takes it from the first line."""

    delimiter: str | None = None
    missing: tuple[str, ...] = ()
    header: bool = True
    verbatim: tuple[str, ...] = ()
    decimal: str = "."


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
        raise _no_text(data, before.lines + data.count(b"\n", 0, error.start) + 1) from None
    if not data.endswith(b"\n"):
        data += b"\n"  # pyarrow does not take a header without it for one
    try:
        table = _read(data, dialect, threads=True, refused=[], names=names, types=types)
        return table if types else _codes_as_text(table, data, dialect, names)
    except pa.ArrowInvalid:
        refused: list[Any] = []
        try:
            # On one thread pyarrow knows the number of the row it refuses.
            return _read(data, dialect, threads=False, refused=refused, names=names, types=types)
        except pa.ArrowInvalid as error:
            raise DataError(_reason(data, refused, str(error), before)) from None


def _codes_as_text(table: Any, data: bytes, dialect: Dialect, names: list[str] | None) -> Any:
    """Return the table with columns of codes, such as 01003, as text: numbers lose the zero."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    delimiter = (dialect.delimiter or delimiter_of(data)).encode()
    if not any(re.search(before + _CODE, data) for before in (re.escape(delimiter), *_BEFORE)):
        return table
    numbers = [f.name for f in table.schema if pa.types.is_integer(f.type)]
    numbers += [f.name for f in table.schema if pa.types.is_floating(f.type)]
    text = dict.fromkeys(numbers, pa.string())
    written = _read(data, dialect, threads=True, refused=[], names=names, types=text)
    for j, field in enumerate(written.schema):
        if field.name in text and pc.any(pc.match_substring_regex(written[j], _IS_CODE)).as_py():
            table = table.set_column(j, field, written.column(j))
    return table


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
            decimal_point=dialect.decimal,
        ),
    )
    return _empty_texts(table, ("", *dialect.missing), tuple(_verbatim(dialect)))


def _empty_texts(table: Any, spellings: tuple[str, ...], verbatim: tuple[str, ...]) -> Any:
    """Take empty cells of text for missing, and what the user says; "NA" may be a country.

    Blanks around the cell do not count.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    wanted = pa.array(sorted({text.strip() for text in spellings}), pa.string())
    columns = table.columns  # one new table at the end: set_column copies all columns each time
    for j, field in enumerate(table.schema):
        if not pa.types.is_string(field.type) or field.name in verbatim:
            continue
        empty = pc.is_in(pc.utf8_trim_whitespace(columns[j]), value_set=wanted)
        if pc.any(empty).as_py():
            columns[j] = pc.if_else(empty, pa.scalar(None, pa.string()), columns[j])
    return pa.Table.from_arrays(columns, schema=table.schema)


def _verbatim(dialect: Dialect) -> list[str]:
    """Name columns as pyarrow does: without header they are f0, f1, ..., to users x0, x1, ..."""
    if dialect.header:
        return list(dialect.verbatim)
    return [f"f{name[1:]}" for name in dialect.verbatim if name[:1] == "x"]


def delimiter_of(data: bytes) -> str:
    """Return the delimiter of the header line."""
    head = data.lstrip().split(b"\n", 2)[:2]
    try:
        first = head[0].decode()
    except UnicodeDecodeError:
        raise _no_text(data, 1) from None
    found = max(DELIMITERS, key=first.count)
    rare = found not in first and all(RARE.encode() in line for line in head)
    return RARE if rare else found


def _no_text(data: bytes, line: int) -> DataError:
    """Return the error for bytes that are no UTF-8 from this line on."""
    if line == 1 and data.startswith(GZIP):
        return DataError(f"it is compressed with gzip: {UNPACK}")
    what = "UTF-16, not UTF-8 text" if line == 1 and data.startswith(UTF16) else "not UTF-8 text"
    return DataError(f"line {line} is {what}: save the file as UTF-8")


def _reason(data: bytes, refused: list[Any], error: str, before: Before) -> str:
    if not refused:
        return error
    row, quoted = refused[-1], b'"' in data
    place = f"row {before.rows + row.number} (the header is row 1)"
    if not quoted:  # rows are lines; pyarrow does not count blank ones
        filled = [i for i, line in enumerate(data.splitlines(), 1) if line]
        place = f"line {before.lines + filled[row.number - 1]}"
    hint = "; is a quotation mark left open?" if quoted and "\n" in row.text else ""
    cells = f"{row.actual_columns} cell{'s' * (row.actual_columns != 1)}"
    return f"{place} has {cells} where {row.expected_columns} are expected{hint}"
